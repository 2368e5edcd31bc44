# Everything a person or a machine runs here. Needs Python 3.11 or later, make and a package index; `make help` lists it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LAKE := .venv-lake
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install --quiet --constraint constraints.txt
# Handed to the program behind `demo`, `test`, `test-hosts` and `bench`, as in: make test ARGS="tests/patterns -x"
ARGS ?=
SCRIPT ?= overhead.py
ON_OLDER := $(addprefix tests/,lake storage/test_folding.py storage/test_rollups.py storage/test_backup.py \
	storage/answers/test_execution.py storage/test_series.py)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-lake test-hosts check bench bench-lake format clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; do \
		printf '%-10s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.installed ## run a real application with querygauge attached, and print its report
	$(BIN)/querygauge demo $(ARGS)

test: $(VENV)/.installed-development ## run the tests
	$(BIN)/python -m pytest $(ARGS)

# What is in tests/lake needs DuckDB's extensions, which are made for an older DuckDB; so that is tested, too.
test-lake: $(LAKE)/.installed ## run the tests of remote stores, and some of local ones, with an older DuckDB
	$(LAKE)/bin/python -m pytest $(or $(ARGS),-n 2 $(ON_OLDER))

test-hosts: $(VENV)/.installed-development ## run the tests of SQLAlchemy and asyncpg without us and with us, and compare
	PYTHONPATH=tests $(BIN)/python -m hosts $(ARGS)

check: $(VENV)/.installed-development ## lint, format, types, import rules, snippets of the docs
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q -rP tests/guards/test_docs.py

bench: $(VENV)/.installed-bench ## measure what querygauge costs; SCRIPT names another script of benchmarks/
	PYTHONPATH=tests $(BIN)/python benchmarks/$(SCRIPT) $(ARGS)

format: $(VENV)/.installed-development ## rewrite the code as the checks want it
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench-lake: $(LAKE)/.installed ## measure what a tick costs where the store is a DuckLake
	PYTHONPATH=tests $(LAKE)/bin/python benchmarks/machines.py $(ARGS)

clean: ## remove the environment and everything made by the tools
	rm -rf $(VENV) $(LAKE) .hosts .querygauge .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# pip first: dependency groups and build constraints need a later one than Python 3.11 brings.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) --upgrade pip
	$(INSTALL) --build-constraint constraints.txt --editable '.[all]'
	@touch $@

$(LAKE)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(LAKE)
	grep -v '^duckdb==' constraints.txt >$(LAKE)/constraints.txt
	$(LAKE)/bin/python -m pip --disable-pip-version-check install --quiet --upgrade pip
	$(LAKE)/bin/python -m pip --disable-pip-version-check install --quiet --constraint $(LAKE)/constraints.txt \
		--build-constraint constraints.txt --editable '.[asyncio,lake]' --group test --group lake
	@touch $@

# What benchmarks compare with may not install everywhere; they leave out what is not there.
$(VENV)/.installed-bench: $(VENV)/.installed-development
	-$(INSTALL) --group bench
	@touch $@

$(VENV)/.installed-development: $(VENV)/.installed
	$(INSTALL) --group test --group check
	@touch $@
