# Everything runs in $(VENV), which is made on first use. A stamp file per extra keeps a second call from installing again.
PYTHON ?= python3
VENV ?= .venv
DATA ?=
WORKERS ?= logical

PY := $(VENV)/bin/python
PYTEST = $(PY) -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist worksteal
INSTALL = $(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# As many workers as cores, each of one thread; four at most, for each imports torch. WORKERS=0 runs in one process.
# Threads of torch wait by spinning: beside a busy neighbour two are many times slower than one, and on tables as small as
# these one is as fast.
demo test test-slow docs: export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow bench docs clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(VENV)/.installed-bench ## PCA against VAETransformer on digits, or on a table of yours: make demo DATA=file.csv
	$(PY) -m benchmarks.demo --output demo.png $(if $(DATA),--data "$(DATA)")

test: $(VENV)/.installed-test ## lint, types, tests, the examples in docstrings, README and docs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(PYTEST)

test-slow: $(VENV)/.installed-test ## the tests that the default run leaves out
	$(PYTEST) -m slow

bench: $(VENV)/.installed-bench ## the benchmark, and the tables and figures of README.md and docs/
	$(PY) -m benchmarks
	$(PY) -m benchmarks bars
	$(PY) -m benchmarks report
	$(PY) -m benchmarks.demo --output docs/images/readme.png

docs: $(VENV)/.installed-docs ## the documentation as HTML, warnings as errors, and its examples
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(PY) -m pytest --quiet docs README.md

clean: ## remove what was built; the virtual environment stays
	rm -rf build dist *.egg-info docs/_build demo.png .mypy_cache .pytest_cache .ruff_cache
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
