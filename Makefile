# Everything runs in $(VENV), which is made on first use. A stamp file per extra keeps a second call from installing again.
PYTHON ?= python3
VENV ?= .venv
DATA ?=
TARGET ?=
WORKERS ?= logical

OLDEST ?= .venv-oldest
TESTS ?=

PY := $(VENV)/bin/python
SETTINGS = $(PY) -m tests.settings --workers $(WORKERS)
PYTEST = $(PY) -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal
INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# As many workers as cores, each of one thread; four at most, for each imports torch. WORKERS=0 runs in one process.
# Threads of torch wait by spinning: beside a busy neighbour two are many times slower than one, and on tables as small as
# these one is as fast.
demo demo-cluster test coverage golden-record golden-check test-slow test-order test-busy test-oldest test-mutants docs: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster test coverage golden-record golden-check test-slow test-order test-isa test-busy test-oldest test-mutants bench docs clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

ifeq ($(strip $(DATA)),)
demo: $(VENV)/.installed-bench ## PCA against VAETransformer on digits; a table of yours: make demo DATA=file.csv TARGET=column
	$(PY) -m benchmarks.demo --output demo.png
else
demo: $(VENV)/.installed-report
	$(PY) -m skvae report "$$DATA" -o demo.html $(if $(TARGET),--target "$$TARGET")
endif

demo-cluster: $(VENV)/.installed-dask ## a cluster of two workers: a fit, a lazy transform, a killed worker; one table
	$(PY) -m benchmarks.demo_cluster

test: $(VENV)/.installed-test ## lint, types, tests, the examples in docstrings, README and docs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PYTEST)

coverage: $(VENV)/.installed-test ## lines and branches of skvae/ that the tests run, by module
	$(PYTEST) --cov=skvae --cov-branch --cov-report=term-missing:skip-covered --cov-report=html $(TESTS)

golden-record: $(VENV)/.installed-test ## the answers of some sixty fits, to the bit, before a change of the code
	$(PY) -m tests.golden record golden.npz

golden-check: $(VENV)/.installed-test ## what differs after it, and by how much
	$(PY) -m tests.golden check golden.npz

test-slow: $(VENV)/.installed-test ## the tests that the default run leaves out, and properties on thousands of tables
	$(PYTEST) -m slow
	HYPOTHESIS_PROFILE=thorough $(PYTEST) tests/test_*properties.py

test-order: $(VENV)/.installed-test ## the tests in random order, three times; a table. TESTS= chooses files
	$(SETTINGS) order $(TESTS)

test-isa: $(VENV)/.installed-test ## numerical tests by the instructions of other processors, one and two threads; a table
	$(SETTINGS) isa $(TESTS)

test-busy: $(VENV)/.installed-test ## the tests beside a loop on every core
	$(SETTINGS) busy $(TESTS)

test-oldest: $(OLDEST)/.installed ## the tests with the oldest packages that pyproject.toml allows, in an environment of their own
	$(OLDEST)/bin/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal $(TESTS)

test-mutants: $(VENV)/.installed-test ## changes that tests must notice: every one has to make a test of its module fail
	$(PY) -m tests.mutants

bench: $(VENV)/.installed-bench ## the benchmark, and the tables and figures of README.md and docs/
	$(PY) -m benchmarks
	$(PY) -m benchmarks bars
	$(PY) -m benchmarks report
	$(PY) -m benchmarks.demo --output docs/images/readme.png

docs: $(VENV)/.installed-docs ## the documentation as HTML, warnings as errors
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html

clean: ## remove what was built; the virtual environment stays
	rm -rf build dist *.egg-info docs/_build docs/generated docs/generated_examples demo.png demo.html .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find skvae tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "skvae needs Python 3.11 or newer: make ... PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# torch comes first and pinned, so that nothing installed later can choose another build of it.
$(VENV)/.installed-torch: constraints.txt | $(PY)
	@echo "installing torch into $(VENV), once"
	$(INSTALL) torch
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed-torch pyproject.toml
	@echo "installing skvae[$*] into $(VENV), once"
	$(INSTALL) --editable '.[$*]'
	@touch $@

$(OLDEST)/.installed: constraints-oldest.txt pyproject.toml
	@echo "installing the oldest packages into $(OLDEST), once"
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt torch
	$(OLDEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-oldest.txt --editable '.[test]'
	@touch $@
