#!/bin/sh
# Puts the locked packages as wheels into docker/wheels, for builds that cannot reach an index.
# They are built with the Python of this machine, which must be the one of the images: 3.11.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "the images have Python 3.11; run this with PYTHON=python3.11" >&2; exit 3; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --quiet --disable-pip-version-check"
$pip install --require-hashes -r locks/build.txt
rm -rf docker/wheels
$pip wheel --no-build-isolation --require-hashes -r locks/build.txt -w docker/wheels
$pip wheel --no-build-isolation --require-hashes --use-pep517 -r locks/run.txt -w docker/wheels
