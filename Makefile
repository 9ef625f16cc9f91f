# make demo    set up, prepare a model if there is none, show the demo in a browser; LOG=path shows a real log, whose columns
#              MAPPING=shop.toml names
# make check   set up, run the linters and the tests that need no service and no patience: two or three minutes
# make test    set up, run all tests; WORKERS=n at a time
# make lint    set up, run ruff and mypy
# make test-chart  set up, build helm and kubeconform into the user's cache (needs Go), run the chart's tests
# make docs    set up, build the documentation site in site/
# make setup   what these share
# make lock    pin the newest versions in constraints.txt

PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv

# Many tests wait for a broker or a browser, so more of them run at once than there are cores.
WORKERS ?= 3
PYTEST := $(PY) -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: demo check test test-chart lint docs setup lock

demo: setup
	@$(PY) -m demo $(if $(LOG),--log "$(LOG)") $(if $(MAPPING),--mapping "$(MAPPING)")

# Tests start hundreds of processes, each of which would compile all that it imports.
check test: export PYTHONDONTWRITEBYTECODE =

check: lint
	$(PYTEST) -m "not kafka and not redis and not browser and not slow"

test: setup
	$(PYTEST)

test-chart: export CI = true
test-chart: setup
	$(UV) pip install --quiet --python $(PY) --constraint constraints.txt --requirements pyproject.toml --extra chart
	$(PY) -m testbed.chart.tools
	$(PY) -m pytest tests/deploy

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
