#!/bin/sh
# Writes the pinned, hashed packages of locks/ again, for every Python from 3.11 on. Needs uv.
set -eu
cd "$(dirname "$0")/.."
compile() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-emit-index-url locks/build.in "$@"
}
compile -o locks/build.txt
compile -c locks/build.txt pyproject.toml -o locks/run.txt
compile -c locks/run.txt --extra dev pyproject.toml -o locks/dev.txt
