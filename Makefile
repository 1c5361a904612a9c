# One command a target. Everything runs from .venv, which "setup" makes and keeps up to date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Tests wait more than they compute: one process more than the two cores that they are made for.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help setup drill test suite check bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/run.stamp  ## the virtual environment, with what drills need

drill: $(VENV)/run.stamp  ## raise three sites, lose the primary's host, say what happened
	@$(BIN)/bascule drill $(DRILL)

test: $(VENV)/dev.stamp  ## unit, integration, drills, report in a browser; containers where a Docker engine is
	@$(BIN)/python -m pytest -n $(WORKERS) --no-loadscope-reorder $(TEST)

suite: $(VENV)/dev.stamp  ## SQLAlchemy's own suite for dialects, on our engines (a minute)
	@$(BIN)/python tests/sqlalchemy_suite/run.py

check: $(VENV)/dev.stamp  ## lint, format, types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy \
		&& MYPYPATH=tests $(BIN)/mypy benchmarks scripts

bench: $(VENV)/dev.stamp  ## the measured claims again, without those about containers (about half an hour)
	@$(BIN)/python benchmarks/all.py

clean:  ## the virtual environment and the caches; never your runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info

$(VENV)/run.stamp: locks/run.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh $(VENV) locks/run.txt && touch $@

$(VENV)/dev.stamp: locks/dev.txt pyproject.toml scripts/setup.sh
	@PYTHON="$(PYTHON)" sh scripts/setup.sh $(VENV) locks/dev.txt && touch $@ $(VENV)/run.stamp
