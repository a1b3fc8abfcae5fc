# `make demo` and `make test` need nothing but Python 3.11 or 3.12: they make their own virtual environment in .venv first.

.DEFAULT_GOAL := help
.PHONY: help demo test check format clean
SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/.ready

help:
	@echo "make demo    the whole loop, small: scenes, dream, score, distil, ONNX, report"
	@echo "make test    all tests"
	@echo "make check   lint, formatting, types, import order"
	@echo "make format  put the formatting right"
	@echo "make clean   remove the virtual environment and caches"

demo: $(READY)
	$(BIN)/drivewm demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -q

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist

# PYTHON=/path/to/python chooses the interpreter; otherwise the first of these that is 3.11 or 3.12.
$(READY): pyproject.toml constraints.txt
	@fits() { "$$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }; \
	if ! fits $(BIN)/python; then \
	  rm -rf .venv; chosen=""; \
	  for python in $(or $(PYTHON),python3 python3.12 python3.11 python); do if fits $$python; then chosen=$$python; break; fi; done; \
	  if [ -z "$$chosen" ]; then \
	    echo "drivewm needs Python 3.11 or 3.12 with the venv module; python3 here is $$(python3 --version 2>&1). Set PYTHON=/path/to/python3.12" >&2; exit 1; \
	  fi; \
	  $$chosen -m venv .venv; \
	fi
	@echo 'Installing into .venv; this takes a few minutes, once.'
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	@touch $@
