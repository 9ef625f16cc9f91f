# make demo    set up, prepare a model if there is none, show the demo in a browser; LOG=path shows a real log
# make test    set up, run all tests
# make lint    set up, run ruff and mypy
# make docs    set up, build the documentation site in site/
# make setup   what these share
# make lock    pin the newest versions in constraints.txt

PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv

.PHONY: demo test lint docs setup lock

demo: setup
	@$(PY) -m demo $(if $(LOG),--log "$(LOG)")

test: setup
	$(PY) -m pytest

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

docs: setup
	$(UV) pip install --quiet --python $(PY) --constraint constraints.txt --requirements pyproject.toml --extra docs
	$(PY) docs/tools/pages.py .pages
	$(PY) -m zensical build --strict --config-file mkdocs.yml

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt setup.sh
	@PYTHON="$(PYTHON)" sh setup.sh
	@touch $@

lock: setup
	$(UV) pip compile --quiet --universal --upgrade --all-extras --no-header --no-annotate pyproject.toml -o constraints.txt
