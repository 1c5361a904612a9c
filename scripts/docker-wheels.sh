#!/bin/sh
# Puts the locked packages as wheels into docker/wheels, for builds that cannot reach an index.
# They are built with the Python of this machine, which must be the one of the images: 3.11. Those
# that are there stay if they are of these locks.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "the images have Python 3.11; run this with PYTHON=python3.11" >&2; exit 3; }
wheels=docker/wheels
if sha256sum --check --status "$wheels/locks.sha256" 2>/dev/null; then exit 0; fi
work=$(mktemp -d "$wheels.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM
"$python" -m venv "$work/venv"
pip="$work/venv/bin/python -m pip --quiet --disable-pip-version-check"
wheel="$pip wheel --no-build-isolation --require-hashes -w $work/wheels"
$pip install --require-hashes -r locks/build.txt
$wheel -r locks/build.txt
$wheel --use-pep517 -r locks/run.txt
sha256sum locks/build.txt locks/run.txt >"$work/wheels/locks.sha256"
rm -rf "$wheels"
mv "$work/wheels" "$wheels"
