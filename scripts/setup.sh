#!/bin/sh
# Makes the virtual environment $1 from the pinned, hashed packages of $2. Says what is missing on
# this machine with the line that installs it.
set -eu
venv=$1
lock=$2
python=${PYTHON:-python3}

need() {
    printf 'bascule: %s\n  Debian, Ubuntu:  sudo apt-get install %s\n' "$1" "$2" >&2
    exit 3
}

command -v "$python" >/dev/null 2>&1 || need "Python 3.11 or later is needed; there is no $python." \
    "python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    printf 'bascule: Python 3.11 or later is needed; %s is %s.\n  remedy: make PYTHON=python3.12 ...\n' \
        "$python" "$("$python" -c 'import platform; print(platform.python_version())')" >&2
    exit 3
}
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
    need "$python has no venv module." "$("$python" -c 'import sys; print("python3.%d-venv" % sys.version_info[1])')"
command -v ip >/dev/null 2>&1 || [ -x /usr/sbin/ip ] || [ -x /sbin/ip ] ||
    need "the lab needs the program ip." iproute2
command -v nft >/dev/null 2>&1 || [ -x /usr/sbin/nft ] || [ -x /sbin/nft ] ||
    need "the lab needs the program nft." nftables
command -v unshare >/dev/null 2>&1 || need "the lab needs the program unshare." util-linux

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
echo "setting up $venv from $lock" >&2
install() {
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation "$@"
}
# First what builds, pinned like the rest: two of Patroni's own dependencies come as source only.
install --require-hashes -r "$(dirname "$lock")/build.txt"
install --require-hashes --use-pep517 -r "$lock"
install --no-deps -e .
