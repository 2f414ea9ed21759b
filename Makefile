# Everything needs only Python 3.11 to 3.13 and a network for packages.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,13))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: help run test lint types contracts check schemas lock chaos bench clean

help:  ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

run: $(VENV)/runtime.stamp  ## Set everything up, start the hub, play the demo
	@exec $(BIN)/hub up --demo

test: $(VENV)/dev.stamp  ## Set everything up and run all tests
	@sh tests/browser.sh
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: $(VENV)/dev.stamp  ## Check style and form
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp  ## Check types, strictly
	$(BIN)/mypy

contracts: $(VENV)/dev.stamp  ## Check the direction of imports
	$(BIN)/lint-imports

check: test lint types contracts  ## Everything CI checks

schemas: $(VENV)/runtime.stamp  ## Write schemas/ from the structs
	$(BIN)/python -m hub.sdk.schemas
	$(BIN)/python -m hub.route.schema

lock: $(VENV)/dev.stamp  ## Compile requirements/*.lock anew
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra build pyproject.toml -o requirements/runtime.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra build --extra dev pyproject.toml -o requirements/dev.lock
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q --extra build --extra bench -c requirements/dev.lock pyproject.toml -o requirements/bench.lock

chaos: $(VENV)/dev.stamp  ## Kill, stop and starve everything, over many seeds
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/bench.stamp  ## Measure, side by side
	$(BIN)/python -m bench $(ARGS)

clean:  ## Remove the environment and the data folder
	rm -rf $(VENV) .hub

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed and none was found: install one, or run make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) could not make an environment in $(VENV): install its venv module (on Debian and Ubuntu: apt install python3-venv), or run make PYTHON=/path/to/another"; exit 1; }

# The stamps make the second start skip all of this.
$(VENV)/runtime.stamp: requirements/runtime.lock pyproject.toml | $(BIN)/python
	@test -f $(VENV)/dev.stamp || $(PIP) install -q --require-hashes -r requirements/runtime.lock
	@test -f $(VENV)/dev.stamp || $(PIP) install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q hub integrations
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock pyproject.toml | $(BIN)/python
	$(PIP) install -q --require-hashes -r requirements/dev.lock
	$(PIP) install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -q hub integrations
	@touch $@ $(VENV)/runtime.stamp

$(VENV)/bench.stamp: requirements/bench.lock $(VENV)/dev.stamp
	$(PIP) install -q --require-hashes -r requirements/bench.lock
	@touch $@
