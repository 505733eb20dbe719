#!/usr/bin/env bash
# Writes the requirement files beside it from the lists in pyproject.toml: exact versions and hashes, one file for every
# platform and Python version served. `make lock` keeps what is pinned; `make lock UPGRADE=1` takes the current releases.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=layers/dependencies
compile=(uv pip compile --quiet --universal --python-version 3.11 --generate-hashes
         --no-emit-index-url --no-emit-find-links --no-header --no-annotate)
if [ -n "${UPGRADE:-}" ]; then compile+=(--upgrade); fi

"${compile[@]}" --output-file $here/requirements.txt pyproject.toml
"${compile[@]}" --output-file $here/requirements-build.txt --group build
"${compile[@]}" --output-file $here/requirements-dev.txt --constraint $here/requirements.txt --group dev pyproject.toml
