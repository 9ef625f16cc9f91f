# Two images from one file: `serve` (no torch) runs updater, API and demo, `train` prepares and retrains models.
FROM python:3.12-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# hnswlib would be built for the processor of this machine only.
ENV HNSWLIB_NO_NATIVE=1
COPY constraints.txt pyproject.toml README.md ./
RUN python -m venv .venv && .venv/bin/pip install --no-cache-dir --constraint constraints.txt uv
COPY mindstream mindstream
COPY model_export model_export
COPY stream stream
COPY index index
COPY demo demo
# What few need: --build-arg EXTRAS=registry reads values behind a schema registry.
ARG EXTRAS=""
RUN .venv/bin/uv pip install --no-cache --python .venv/bin/python --constraint constraints.txt \
    --editable ".${EXTRAS:+[$EXTRAS]}"

FROM build AS train
RUN .venv/bin/uv pip install --no-cache --python .venv/bin/python --torch-backend=cpu \
    --constraint constraints.txt --editable '.[train]'
ENV PATH=/app/.venv/bin:$PATH MINDSTREAM_HOME=/data
# Both images write to the same volume, as the same user.
RUN useradd --create-home --uid 1000 mindstream && install -d -o mindstream /data
USER mindstream

FROM python:3.12-slim AS serve
WORKDIR /app
COPY --from=build /app /app
ENV PATH=/app/.venv/bin:$PATH MINDSTREAM_HOME=/data
RUN useradd --create-home --uid 1000 mindstream && install -d -o mindstream /data
USER mindstream
