# `make run` and `make test` are all a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := layers/dependencies
ARGS ?=
BENCH ?=
STACK ?= afterglow
PARAMETERS ?=
ARCHITECTURE ?= arm64
UPGRADE ?=
# The functions' Python: what SAM builds for and MiniStack runs them with.
PYTHON_LAMBDA ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) python3.13)
# The clients that judge the server, each as it was released: Python's, and (where there is npm) TypeScript's.
JUDGES := $(patsubst $(DEPENDENCIES)/clients/%.txt,.venv-clients-%/.ready,$(wildcard $(DEPENDENCIES)/clients/*.txt)) \
  $(if $(shell command -v npm),$(patsubst %/package-lock.json,%/node_modules/.ready,$(wildcard tests/clients/typescript/*/package-lock.json)))
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" .venv-sam/bin/sam

.DEFAULT_GOAL := help
.PHONY: help run demo test test-all test-stack test-clients test-openapi test-deploy build deploy lint format bench bench-search bench-scale docs lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.ready ## serve the Chroma API on http://localhost:8000, data in ./data; ARGS="--port 8123" hands options on
	@exec $(BIN)/afterglow run --path ./data --host 127.0.0.1 --port 8000 $(ARGS)

demo: $(VENV)/.ready ## load a small sample of real data, ask a few questions, print the answers
	@exec $(BIN)/afterglow demo $(ARGS)

test: $(VENV)/.ready-dev ## the tests, a few minutes; ARGS="-k filters" hands options on
	$(BIN)/python -m pytest $(ARGS)

test-all: $(VENV)/.ready-dev ## the tests and the slow ones (crashes, concurrency, long random programmes)
	$(BIN)/python -m pytest -m "not stack and not clients" $(ARGS)

test-stack: $(VENV)/.ready-dev .venv-ministack/.ready .venv-sam/.ready .venv-runtime/.ready ## build, deploy on an emulated account, and use it there
	$(BIN)/python -m pytest -m stack $(ARGS)

test-clients: $(VENV)/.ready-dev $(JUDGES) ## every generation of Chroma's clients, genuine, against the server
	$(BIN)/python -m pytest -m clients $(ARGS)

test-openapi: $(VENV)/.ready-dev .venv-schemathesis/.ready ## ask a server everything that its OpenAPI document promises to answer
	$(BIN)/python -m pytest -m slow tests/api/test_described.py $(ARGS)

test-deploy: $(VENV)/.ready-dev .venv-hadolint/.ready .nginx/.ready ## images, units and the nginx site in deploy/, as far as they can be tried here
	$(BIN)/python -m pytest -m "not stack" tests/deploy $(ARGS)

build: .venv-sam/.ready ## build the functions and layers for AWS; ARCHITECTURE=x86_64 for the other processor
	ARCHITECTURE=$(ARCHITECTURE) $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build ## build, and deploy to your AWS account; STACK=name, PARAMETERS="RecoveryDays=14", ARGS="--region …"
	$(SAM) deploy --stack-name $(STACK) --parameter-overrides Architecture=$(ARCHITECTURE) $(PARAMETERS) $(ARGS)

lint: $(VENV)/.ready-dev ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready-dev ## rewrite the sources in the one format
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## measure this server and the genuine one side by side, print one table
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-search: $(VENV)/.ready-dev ## how often vectors, BM25 and both find what was asked for, and how fast; ARGS="--corpus FOLDER"
	$(BIN)/python -m tests.benchmarks.hybrid $(ARGS)

bench-scale: $(VENV)/.ready-dev ## bulk loads of 100,000 and of a million records: what a row costs, memory, disk; ARGS="--folder FOLDER"
	$(BIN)/python -m tests.benchmarks.scale $(ARGS)

docs: $(VENV)/.ready-dev ## write the tables in the docs anew from the code; BENCH=file puts a bench's table into its page
	$(BIN)/python -m tests.docs.written $(BENCH)

lock: $(VENV)/.ready-dev ## write the pinned, hashed requirements anew from pyproject.toml; UPGRADE=1 takes current releases
	PATH="$(CURDIR)/$(BIN):$$PATH" UPGRADE="$(UPGRADE)" bash $(DEPENDENCIES)/lock.sh

clean: ## remove the environment and every cache; ./data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

# The stamps make each installation run once, and again when what it installs has changed.
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL_SELF := $(PIP) install --quiet --no-deps --no-build-isolation --editable .

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(DEPENDENCIES)/requirements.txt $(DEPENDENCIES)/requirements-build.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r $(DEPENDENCIES)/requirements.txt -r $(DEPENDENCIES)/requirements-build.txt
	$(INSTALL_SELF)
	@touch $@

# Programs of the tests. Some pin another botocore than the library, so each has an environment of its own.
.venv-%/.ready: $(DEPENDENCIES)/requirements-%.txt
	$(PYTHON_LAMBDA) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r $<
	@touch $@

# uv, as these are many environments with much in common; Python 3.11 suits the oldest client and the newest.
.venv-clients-%/.ready: $(DEPENDENCIES)/clients/%.txt | $(VENV)/.ready-dev
	$(BIN)/uv venv --quiet --clear --python 3.11 .venv-clients-$*
	$(BIN)/uv pip install --quiet --python .venv-clients-$*/bin/python --no-deps --require-hashes -r $<
	@touch $@

# Debian's nginx, unpacked and not installed. Where it cannot be had, its tests are skipped and say so.
.nginx/.ready:
	@mkdir -p .nginx
	@cd .nginx && if apt-get download -qq nginx; then dpkg-deb --extract nginx_*.deb . && touch .ready; \
	  else echo "nginx cannot be downloaded by apt-get: what needs it is skipped" >&2; fi

%/node_modules/.ready: %/package-lock.json
	npm ci --prefix $* --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.ready-dev: $(DEPENDENCIES)/requirements-dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r $(DEPENDENCIES)/requirements-dev.txt
	$(INSTALL_SELF)
	@touch $@ $(VENV)/.ready
