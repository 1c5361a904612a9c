#!/bin/sh
# Makes the public images that docker-compose.yml stands on, for machines that can reach Debian's
# packages but no image registry (CI): debian:bookworm-slim, and Debian's Prometheus and Alertmanager
# under the names of the official images. Needs mmdebstrap and a Docker engine; an image that is
# there already is kept. Grafana cannot be had this way: leave its profile out,
# COMPOSE_PROFILES=cluster,observe.
set -eu
cd "$(dirname "$0")/.."
debian=debian:bookworm-slim

has() { docker image inspect "$1" >/dev/null 2>&1; }

command -v docker >/dev/null || { echo "there is no docker client on PATH" >&2; exit 3; }
docker version >/dev/null || exit 3

if ! has "$debian"; then
    command -v mmdebstrap >/dev/null ||
        { echo "mmdebstrap is needed:  sudo apt-get install mmdebstrap" >&2; exit 3; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' HUP INT TERM
    # Not through a pipe, which would import what a failure left.
    mmdebstrap --variant=minbase --include=ca-certificates bookworm "$work/root.tar"
    docker import "$work/root.tar" "$debian"
fi

# The names are those of docker-compose.yml, whatever version Debian has: it is told below.
build() {
    image=$(sed -n "s/^ *image: \(prom\/$1:.*\)$/\1/p" docker-compose.yml)
    has "$image" && return
    docker build --quiet --tag "$image" - <<DOCKERFILE
FROM $debian
RUN apt-get update \
    && apt-get install -y --no-install-recommends $2 wget \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o nobody -g nogroup /$1
LABEL org.bascule.stand-in="Debian's $2"
USER nobody
ENTRYPOINT ["/usr/bin/$2"]
DOCKERFILE
    docker run --rm --network none "$image" --version 2>&1 | head -n 1
}
build prometheus prometheus
build alertmanager prometheus-alertmanager
