# Images from one file: `updater` (also the archive) and `api` hold what they open and no more, `demo` the page,
# `train` prepares and retrains models. deploy/helm has the chart, compose.yaml all of it on one host.
FROM python:3.12-slim AS base
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH MINDSTREAM_HOME=/data
# All images write to the same volume, as the same user.
RUN useradd --create-home --uid 1000 mindstream && install -d -o mindstream /data

FROM scratch AS sources
COPY mindstream mindstream
COPY model_export model_export
COPY stream stream
COPY index index
COPY demo demo

FROM base AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
# hnswlib would be built for the processor of this machine only.
ENV HNSWLIB_NO_NATIVE=1 UV_LINK_MODE=copy
COPY constraints.txt pyproject.toml README.md ./
COPY deploy/image deploy/image
# uv is in no image.
RUN python -m venv /tools && /tools/bin/pip install --no-cache-dir --constraint constraints.txt uv \
    && python -m venv --without-pip .venv
# The groups updater and api of pyproject.toml, and extras: --build-arg EXTRAS=tracing,registry
ARG EXTRAS=tracing
RUN python deploy/image/extras.py "$EXTRAS" > extras.txt
ENV INSTALL="/tools/bin/uv pip install --no-cache --python .venv/bin/python --constraint constraints.txt"

FROM build AS build-updater
RUN $INSTALL --group updater --requirements extras.txt && sh deploy/image/slim.sh .venv/lib/python3.12/site-packages
COPY --from=sources / ./
RUN $INSTALL --no-deps --editable .

FROM build AS build-api
RUN $INSTALL --group api --requirements extras.txt && sh deploy/image/slim.sh .venv/lib/python3.12/site-packages
COPY --from=sources / ./
RUN $INSTALL --no-deps --editable .

FROM build AS build-demo
COPY --from=sources / ./
RUN $INSTALL --requirements extras.txt --editable '.[demo]'

FROM build AS build-train
COPY --from=sources / ./
RUN $INSTALL --requirements extras.txt --torch-backend=cpu --editable '.[train]'

FROM base AS updater
COPY --from=build-updater /app /app
USER mindstream

FROM base AS api
COPY --from=build-api /app /app
USER mindstream

FROM base AS demo
COPY --from=build-demo /app /app
USER mindstream

FROM base AS train
COPY --from=build-train /app /app
USER mindstream
