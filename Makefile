# Two commands for users: `make demo`, `make test`. Everything lives in .venv; nothing else is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NUMBA_CHECKED := $(CURDIR)/$(VENV)/numba-boundscheck

.DELETE_ON_ERROR:
.PHONY: demo test test-long lint types imports pytest studies models rooms bounds install install-test clean

demo: install
	$(BIN)/implant-sim run quickstart --out runs/quickstart

# The legs share the two cores, longest first; each speaks when it ends, and all are heard.
test: lint imports
	$(MAKE) --keep-going --jobs 2 --output-sync=target studies models rooms bounds types

# Two threads of a library on a core that another leg holds wait for each other at every step.
test test-long pytest studies models rooms bounds: export OMP_NUM_THREADS := 1
test test-long pytest studies models rooms bounds: export OPENBLAS_NUM_THREADS := 1

test-long: install-test
	$(BIN)/python -m pytest -m "slow or not slow"

lint: install-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-test
	$(BIN)/mypy

imports: install-test
	$(BIN)/lint-imports

pytest: install-test
	$(BIN)/python -m pytest

STUDIES := tests/study tests/attacks tests/regression tests/test_cli.py
MODELS := tests/sbtt_models

studies: install-test
	$(BIN)/python -m pytest $(STUDIES)

models: install-test
	$(BIN)/python -m pytest $(MODELS)

rooms: install-test
	$(BIN)/python -m pytest $(addprefix --ignore=,$(STUDIES) $(MODELS))

# A kernel that reads past an array gives garbage in silence. Checked code needs a cache of its
# own: numba would take unchecked code from the other. The tests of the cache choose for themselves.
bounds: install-test
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR="$(NUMBA_CHECKED)" $(BIN)/python -m pytest -q \
	  tests/hardware --ignore=tests/hardware/test_kernel_cache.py

install: $(VENV)/.installed
install-test: $(VENV)/.installed-test

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv failed; on Debian and Ubuntu install python3-venv" >&2; exit 1; }

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
