# MinT's commands. `make run` and `make test` need nothing but make, git and Debian 12 or Raspberry Pi OS 12 (64 bit).
.DEFAULT_GOAL := help
.PHONY: help setup dev run test lint bench bench-detection soak doctor lock edge fog clean

VENV := .venv
BIN := $(VENV)/bin
# Where `make edge` and `make fog` install: the place that the units in deploy/systemd/ start from.
PREFIX ?= /opt/mint
SETUP := sh deploy/setup.sh
# Wheels with the hashes of the lock and nothing else: no source archive, whose build would fetch what is unlocked.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check --require-virtualenv
LOCKED := $(PIP_INSTALL) --require-hashes --only-binary :all: --requirement
OURSELVES := $(PIP_INSTALL) --no-index --no-build-isolation --no-deps

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.run ## make .venv with the command `mint` in it, and bring what this machine lacks (as deploy/setup.sh says)
	@$(SETUP) system
	@echo 'setup: $(BIN)/mint is ready'

dev: $(VENV)/.dev ## the same, and what tests and lint need

run: setup ## set this machine up and run the demo: sixteen miners, one cheat, caught
	@$(SETUP) as-root $(BIN)/mint demo

test: $(VENV)/.dev lint ## set this machine up, then lint and every test (up to ten minutes)
	@$(SETUP) test
	@echo 'test: all tests, on the real broker and real containers where this machine has them'
	@$(SETUP) as-root $(BIN)/python -m pytest

lint: $(VENV)/.dev ## ruff (rules and format) and mypy --strict
	@echo 'lint: ruff check, ruff format, mypy'
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.dev ## the benchmarks: what a sample, a frame and the demo cost here
	@$(SETUP) system
	@$(SETUP) as-root $(BIN)/python -m bench

bench-detection: $(VENV)/.compare ## detection compared with others, into docs/ (a quarter of an hour; ARGS=--quick: a minute)
	@OPENBLAS_NUM_THREADS=1 $(BIN)/python -m bench.detection $(ARGS)

soak: $(VENV)/.dev ## the tests that take longer than ten minutes
	@$(SETUP) test
	@$(SETUP) as-root $(BIN)/python -m pytest -m soak

doctor: $(VENV)/.run ## what this machine has and lacks, and how to mend it
	@$(BIN)/mint doctor

# A change of pyproject.toml or of the lock makes the stamp old; nothing else does.
$(VENV)/.run: locks/run.txt pyproject.toml
	@$(SETUP) python
	@echo 'setup: making $(VENV) from locks/run.txt (a minute or two the first time)'
	@[ -x $(BIN)/pip ] || $$($(SETUP) which-python) -m venv $(VENV)
	@$(BIN)/python $(LOCKED) locks/run.txt
	@$(BIN)/python $(OURSELVES) --editable .
	@touch $@

$(VENV)/.dev: locks/dev.txt $(VENV)/.run
	@echo 'setup: adding tests and lint to $(VENV) from locks/dev.txt'
	@$(BIN)/python $(LOCKED) locks/dev.txt
	@touch $@

# What ours is compared with: nothing else of MinT needs it.
$(VENV)/.compare: locks/compare.txt $(VENV)/.dev
	@echo 'setup: adding the detectors to compare with to $(VENV) from locks/compare.txt'
	@$(BIN)/python $(LOCKED) locks/compare.txt
	@touch $@

edge: ## install agent and enforcer alone into PREFIX (/opt/mint), for the units of a device
	@$(call install,edge)

fog: ## install everything into PREFIX (/opt/mint), for the units of a fog host
	@$(call install,run)

# A copy, not a link to this checkout: the checkout may move on while the units run.
define install
	$(SETUP) python
	echo 'setup: installing MinT into $(PREFIX) from locks/$(1).txt'
	[ -x $(PREFIX)/bin/pip ] || $$($(SETUP) which-python) -m venv $(PREFIX)
	$(PREFIX)/bin/python $(LOCKED) locks/$(1).txt
	$(PREFIX)/bin/python $(OURSELVES) --force-reinstall .
	echo 'setup: done; $(PREFIX)/bin/mint is the command'
endef

LOCK := uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'

lock: ## make locks/ anew from pyproject.toml (needs uv; versions already locked stay unless you add UPGRADE=--upgrade)
	@command -v uv >/dev/null || { echo 'lock: LACKS uv; install it from your package registry, then try again' >&2; exit 3; }
	$(LOCK) $(UPGRADE) --extra dev --output-file locks/dev.txt
	$(LOCK) --extra all --extra build --constraint locks/dev.txt --output-file locks/run.txt
	$(LOCK) --extra build --constraint locks/dev.txt --output-file locks/edge.txt
	$(LOCK) --extra compare --constraint locks/dev.txt --output-file locks/compare.txt

clean: ## remove what these targets made here: .venv, .tools, .mint, caches
	rm -rf $(VENV) .tools .mint build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
