# `make run` and `make test` suffice to start; `make help` lists all targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEPENDENCIES := layers/dependencies
ARGS ?=
BENCH ?=
STACK ?= afterglow
PARAMETERS ?=
BUCKET ?=
REGION ?=
ENDPOINT ?= http://127.0.0.1:4566
ARCHITECTURE ?= arm64
UPGRADE ?=
# The functions' Python: what SAM builds for and MiniStack runs them with.
PYTHON_LAMBDA ?= $(firstword $(wildcard $(HOME)/.pyenv/versions/3.13.*/bin/python3.13) python3.13)
# Released Chroma clients that the server is tested with: Python's, and TypeScript's where npm is installed.
CLIENTS := $(patsubst $(DEPENDENCIES)/clients/%.txt,.venv-clients-%/.ready,$(wildcard $(DEPENDENCIES)/clients/*.txt)) \
  $(if $(shell command -v npm),$(patsubst %/package-lock.json,%/node_modules/.ready,$(wildcard tests/clients/typescript/*/package-lock.json)))
# Deque's accessibility checker, where npm is installed.
AXE := $(if $(shell command -v npm),tests/console/axe/node_modules/.ready)
SAM := SAM_CLI_TELEMETRY=0 PATH="$(CURDIR)/.venv-sam/bin:$$PATH" .venv-sam/bin/sam

.DEFAULT_GOAL := help
.PHONY: help run demo test test-all test-browser test-stack test-clients test-openapi screenshots test-deploy build deploy package local lint format bench bench-search bench-load bench-hostile bench-cold bench-embedded docs lock release clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/.ready ## serve the Chroma API on http://localhost:8000, data in ./data; options with ARGS="--port 8123"
	@exec $(BIN)/afterglow run --path ./data --host 127.0.0.1 --port 8000 $(ARGS)

demo: $(VENV)/.ready ## load 2,000 Debian packages, run a few queries, print the results
	@exec $(BIN)/afterglow demo $(ARGS)

test: $(VENV)/.ready-dev ## run the tests, a few minutes; options with ARGS="-k filters"
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-all: $(VENV)/.ready-dev ## run the tests and the slow ones (crashes, concurrency, long random scenarios)
	$(BIN)/python -m pytest -m "not stack and not clients" $(ARGS)

test-stack: $(VENV)/.ready-dev .venv-ministack/.ready .venv-sam/.ready .venv-runtime/.ready ## build, deploy to an emulated AWS account, and use the deployment
	$(BIN)/python -m pytest -m stack $(ARGS)

test-clients: $(VENV)/.ready-dev $(CLIENTS) ## run released Chroma clients of every generation against the server
	$(BIN)/python -m pytest -m clients $(ARGS)

test-openapi: $(VENV)/.ready-dev .venv-schemathesis/.ready ## fuzz a server by its OpenAPI document
	$(BIN)/python -m pytest -m slow tests/api/test_schemathesis.py $(ARGS)

test-browser: $(VENV)/.ready-dev .chromium/.ready $(AXE) ## use the console and the documentation page in a headless Chromium
	$(BIN)/python -m pytest -m slow tests/console tests/api/test_docs_page.py $(ARGS)

screenshots: $(VENV)/.ready-dev .chromium/.ready ## take the pictures of the console in docs/images anew
	$(BIN)/python -m tests.console.screenshots

test-deploy: $(VENV)/.ready-dev .venv-hadolint/.ready .venv-checkov/.ready .nginx/.ready ## test the images, systemd units and nginx site in deploy/, and the security of the templates
	$(BIN)/python -m pytest -m "not stack" tests/deploy tests/infra/test_security.py $(ARGS)

build: .venv-sam/.ready ## build the functions and layers for AWS; ARCHITECTURE=x86_64 for the other processor
	ARCHITECTURE=$(ARCHITECTURE) $(SAM) build --parameter-overrides Architecture=$(ARCHITECTURE)

deploy: build ## build, and deploy to your AWS account; STACK=name, PARAMETERS="RecoveryDays=14", ARGS="--region …"
	@account="$$(.venv-sam/bin/python infra/check_account.py $(PARAMETERS) $(ARGS))" && set -x && \
	$(SAM) deploy --stack-name $(STACK) --parameter-overrides Architecture=$(ARCHITECTURE) $$account $(PARAMETERS) $(ARGS)

package: .venv-sam/.ready ## build the stack as one file to install without a checkout; BUCKET=name REGION=name for its launch link
	PATH="$(CURDIR)/.venv-sam/bin:$$PATH" .venv-sam/bin/python infra/package.py dist --bucket "$(BUCKET)" --region "$(REGION)"

local: build ## prepare `sam local invoke`: storage in an emulated account at ENDPOINT, and env.json
	.venv-sam/bin/python infra/local_account.py --endpoint "$(ENDPOINT)" --build .aws-sam/build

lint: $(VENV)/.ready-dev ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(VENV)/.ready-dev ## format the sources
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

bench: $(VENV)/.ready-dev ## measure Afterglow and Chroma side by side, print one table
	$(BIN)/python -m tests.benchmarks $(ARGS)

bench-search: $(VENV)/.ready-dev ## measure hit rate and latency of vector, BM25 and hybrid search; ARGS="--corpus FOLDER", with --model FOLDER from plain text
	$(BIN)/python -m tests.benchmarks.search_quality $(ARGS)

bench-cold: $(VENV)/.ready-dev ## measure answers of containers without a cache over an S3 with latency; ARGS="--rows 1000000 --corpus FOLDER"
	$(BIN)/python -m tests.benchmarks.cold $(ARGS)

bench-embedded: $(VENV)/.ready-dev ## measure the embedded client beside other embedded databases and bare indexes; ARGS="--corpus FOLDER"
	$(BIN)/python -m tests.benchmarks.embedded_peers $(ARGS)

bench-hostile: $(VENV)/.ready-dev ## ten minutes of attack by 200 connections beside an honest client; ARGS="--seconds 60"
	$(BIN)/python -m tests.hostile $(ARGS)

bench-load: $(VENV)/.ready-dev ## bulk loads of 100,000 and of a million records: cost per row, memory, disk; ARGS="--folder FOLDER"
	$(BIN)/python -m tests.benchmarks.bulk_load $(ARGS)

docs: $(VENV)/.ready-dev ## regenerate the tables in the docs; BENCH=file adds a benchmark's table
	$(BIN)/python -m tests.docs.generated $(BENCH)

lock: $(VENV)/.ready-dev ## regenerate the pinned, hashed requirements; UPGRADE=1 takes current releases
	PATH="$(CURDIR)/$(BIN):$$PATH" UPGRADE="$(UPGRADE)" bash $(DEPENDENCIES)/lock.sh

release: $(VENV)/.ready-dev ## build and check the sdist and the wheel, tag the version; needs a clean tree, uploads nothing
	bash .ci/release $(BIN)

clean: ## remove the environment and all caches; ./data stays
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './data/*' -prune -exec rm -rf {} +

# Stamp files: each installation runs once, and again when its requirements change.
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

# Programs of the tests. Some pin another botocore than the library, so each has its own environment.
.venv-%/.ready: $(DEPENDENCIES)/requirements-%.txt
	$(PYTHON_LAMBDA) -m venv --clear .venv-$*
	.venv-$*/bin/python -m pip --disable-pip-version-check --no-input install --quiet --require-hashes -r $<
	@touch $@

# uv, as these are many environments with much in common; Python 3.11 suits the oldest client and the newest.
.venv-clients-%/.ready: $(DEPENDENCIES)/clients/%.txt | $(VENV)/.ready-dev
	$(BIN)/uv venv --quiet --clear --python 3.11 .venv-clients-$*
	$(BIN)/uv pip install --quiet --python .venv-clients-$*/bin/python --no-deps --require-hashes -r $<
	@touch $@

# Debian's nginx, unpacked and not installed. Without it, its tests are skipped with a message.
.nginx/.ready:
	@mkdir -p .nginx
	@cd .nginx && if apt-get download -qq nginx; then dpkg-deb --extract nginx_*.deb . && touch .ready; \
	  else echo "nginx cannot be downloaded by apt-get: its tests are skipped" >&2; fi

# Debian's Chromium with the libraries that it needs, unpacked and not installed. Without it, its tests are skipped.
.chromium/.ready:
	@mkdir -p .chromium
	@cd .chromium && packages=$$(apt-get --simulate install --no-install-recommends chromium | awk '/^Inst/ { print $$2 }') \
	  && if apt-get download -qq $$packages; then for file in *.deb; do dpkg-deb --extract $$file . && rm $$file; done; touch .ready; \
	  else echo "chromium cannot be downloaded by apt-get: its tests are skipped" >&2; fi

%/node_modules/.ready: %/package-lock.json
	npm ci --prefix $* --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.ready-dev: $(DEPENDENCIES)/requirements-dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r $(DEPENDENCIES)/requirements-dev.txt
	$(INSTALL_SELF)
	@touch $@ $(VENV)/.ready
