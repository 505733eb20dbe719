#!/usr/bin/env bash
# Writes the requirement files beside it from the lists in pyproject.toml: exact versions and hashes, one file for every
# platform and Python version served. `make lock` keeps what is pinned; `make lock UPGRADE=1` takes the current releases.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=layers/dependencies
compile=(uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate)
if [ -n "${UPGRADE:-}" ]; then compile+=(--upgrade); fi
pinned=(--constraint $here/requirements.txt)

"${compile[@]}" --python-version 3.11 --output-file $here/requirements.txt --extra embed pyproject.toml
"${compile[@]}" --python-version 3.11 --output-file $here/requirements-build.txt --group build
"${compile[@]}" --python-version 3.11 --output-file $here/requirements-dev.txt "${pinned[@]}" --group dev --extra aws --extra imports --extra embed --extra traces pyproject.toml

# What the Lambda layer holds: not what only `afterglow run`, its password files and a terminal need.
layer=()
for name in bcrypt uvicorn uvloop httptools click h11 rich markdown-it-py mdurl pygments prometheus-client; do layer+=(--no-emit-package $name); done
"${compile[@]}" --python-version 3.13 --output-file $here/requirements-layer.txt --constraint $here/requirements-dev.txt \
  "${layer[@]}" --group functions --extra aws pyproject.toml

# What the importer alone has beside them, in a layer of its own.
printf '%s\n' duckdb backports.zstd | "${compile[@]}" --python-version 3.13 \
  --output-file layers/imports/requirements.txt --constraint $here/requirements-dev.txt -

# What the embedder alone has beside them, without the clients of model hubs.
printf '%s\n' "onnxruntime>=1.31; sys_platform == 'linux'" tokenizers | "${compile[@]}" --python-version 3.13 --no-deps \
  --output-file layers/embedding/requirements.txt --constraint $here/requirements-dev.txt -

# Programs of the tests, each in an environment of its own.
for name in ministack sam runtime schemathesis hadolint checkov; do
  "${compile[@]}" --python-version 3.13 --output-file $here/requirements-$name.txt --group $name
done

# The clients that judge the server. They run on Python 3.11, which suits the oldest and the newest; what only a server
# or an embedded database needs of their requirements is left out.
mkdir -p $here/clients
server_only=(chroma-hnswlib fastapi pulsar-client kubernetes uvicorn build typer rich)
unused=()
for name in "${server_only[@]}"; do unused+=("$name; python_version < '3'"); done
for name in 0-4-0 0-4-24 0-5-15 0-5-23 0-6-3 1-0-21 1-5-9 frameworks; do
  "${compile[@]}" --python-version 3.11 --override <(printf '%s\n' "${unused[@]}") \
    --output-file $here/clients/$name.txt --group clients-$name
done

# Other databases, beside the library, which imports from them.
"${compile[@]}" --python-version 3.11 --output-file $here/clients/databases.txt "${pinned[@]}" \
  --group clients-databases --extra imports pyproject.toml

# chroma-mcp is a server itself, and needs uvicorn, typer and rich.
"${compile[@]}" --python-version 3.11 --override <(printf '%s\n' "${unused[@]:0:4}") \
  --output-file $here/clients/mcp.txt --group clients-mcp
