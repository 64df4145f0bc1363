# The interface of this repository. `make` alone lists the targets.
#
# Everything is installed into .venv from constraints*.txt: exact versions, checked hashes, wheels
# only. Stamp files make a second `make` instant; change a constraints file and it installs anew.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INSTALL := $(PIP) install -qq --require-hashes --only-binary :all:
EDITABLE := $(PIP) install -qq --no-deps --no-build-isolation --editable .

RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
# Published clients of other generations than the one in .venv, for the conformance tests.
NEW_CLIENT := $(VENV)/iii-0.25
NEW_CLIENT_PINS := tests/conformance/python/constraints-0.25.txt
NODE_DIRS := $(patsubst %/package.json,%,$(wildcard tests/conformance/node*/package.json))
NODE := $(if $(shell command -v npm),$(NODE_DIRS:=/node_modules/.stamp))

ROWS ?=
ROW ?= call_128
TESTS ?=
ROUNDS ?= 50
RUNS ?= 500
SEED ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint types layers house format bench profile million crash simulate autobahn docs lock wheel clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-9s %s\n", $$1, $$2}'

# -- installing ---------------------------------------------------------------------------------------

$(BIN)/python:
	@python="$$(sh tools/find_python.sh)" && echo "Making $(VENV) with $$python" && "$$python" -m venv $(VENV)

$(RUNTIME): constraints.txt pyproject.toml | $(BIN)/python
	@echo "Installing AgentOS into $(VENV)"
	@$(INSTALL) -r constraints.txt
	@$(EDITABLE)
	@touch $@

$(DEV): constraints-dev.txt pyproject.toml | $(BIN)/python
	@echo "Installing AgentOS and its tools into $(VENV)"
	@$(INSTALL) -r constraints-dev.txt
	@$(EDITABLE)
	@touch $(RUNTIME) $@

$(NEW_CLIENT)/.stamp: $(NEW_CLIENT_PINS) | $(BIN)/python
	@echo "Installing the newest PyPI client for the conformance tests"
	@$(BIN)/python -m venv --clear $(NEW_CLIENT)
	@$(NEW_CLIENT)/bin/python -m pip --disable-pip-version-check install -qq --require-hashes --only-binary :all: -r $<
	@touch $@

%/node_modules/.stamp: %/package.json
	@echo "Installing the npm client of $* for the conformance tests"
	@cd $* && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

setup: $(DEV) $(NEW_CLIENT)/.stamp $(NODE)  ## install everything that tests and checks need into .venv
	@command -v npm >/dev/null || echo "Node.js is not installed: tests of the npm client will say so"
	@sh tools/install_servers.sh

# -- using --------------------------------------------------------------------------------------------

run: $(RUNTIME)  ## install what is needed and start AgentOS in the foreground
	@exec $(BIN)/agentos start

test: setup  ## run the tests (TESTS="path -k name" selects)
	@$(BIN)/python -m pytest -n $(WORKERS) $(TESTS)

check:  ## lint, types, import layers and house rules
	@$(MAKE) --no-print-directory $(DEV)
	@$(MAKE) --no-print-directory -j4 -Otarget lint types layers house

lint: $(DEV)
	@$(BIN)/ruff check --quiet . && $(BIN)/ruff format --check --quiet . && echo "lint: clean"

types: $(DEV)
	@$(BIN)/mypy --no-error-summary && echo "types: clean"

layers: $(DEV)
	@$(BIN)/lint-imports >$(VENV)/layers.log 2>&1 || { cat $(VENV)/layers.log; exit 1; }
	@echo "layers: kept"

house: $(DEV)
	@$(BIN)/python -m tools.check_house

format: $(DEV)  ## rewrite the sources in the house format
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: $(DEV)  ## measure beside the baselines (ROWS="call_128 http" selects)
	@command -v wrk >/dev/null || [ "$$(id -u)" != 0 ] || apt-get install -y -qq wrk >/dev/null 2>&1 || true
	@$(BIN)/python -m benchmarks $(ROWS)

profile: $(DEV)  ## where the engine spends its time (ROW=call_128)
	@$(BIN)/python -m benchmarks.profile $(ROW)

million: $(DEV)  ## a million calls, then some on stopped processes: each answered exactly once
	@$(BIN)/python -m benchmarks.million

crash: $(DEV)  ## kill -9 under 64 writers (ROUNDS=50): nothing acknowledged is lost
	@CRASH_ROUNDS=$(ROUNDS) $(BIN)/python -m pytest -s tests/crash

autobahn: $(DEV)  ## the Autobahn fuzzing client against the worker listener (needs a Python 2.7)
	@$(BIN)/python -m tests.autobahn

simulate: $(DEV)  ## the core in virtual time, RUNS=500 seeds (RUNS=1 SEED=n replays one)
	@$(BIN)/python -m tests.simulation $(RUNS) $(SEED)

docs: $(DEV)  ## write docs/reference from the code
	@$(BIN)/python -m tools.write_reference

# -- releasing ----------------------------------------------------------------------------------------

lock: | $(BIN)/python  ## compute constraints*.txt anew from pyproject.toml
	@$(PIP) install --quiet "uv>=0.13"
	@sh tools/lock.sh $(BIN)/uv

wheel: $(DEV)  ## build the wheel into dist/
	@$(BIN)/python -m hatchling build -t wheel

clean:  ## remove .venv and every cache
	@rm -rf $(VENV) .python2.7 $(NODE_DIRS:=/node_modules) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
