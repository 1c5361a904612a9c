#!/bin/sh
# Reads the passwords and becomes Patroni. They are files of the volume "secrets", or, with
# --secrets-from-stdin, three lines: superuser, replication, rewind (a drill keeps them nowhere).
# The configuration is /etc/patroni.yml, or in BASCULE_CONFIG (of a drill).
set -eu
if [ -n "${BASCULE_CONFIG:-}" ]; then
    printf '%s\n' "$BASCULE_CONFIG" >"$PATRONICTL_CONFIG_FILE"
    unset BASCULE_CONFIG
fi
if [ "${1:-}" = --secrets-from-stdin ]; then
    # A cluster for tests keeps them in its volume: then anybody can start the container again.
    kept=${BASCULE_SECRETS:-/dev/null}
    unset BASCULE_SECRETS
    if [ -s "$kept" ]; then
        exec <"$kept"
    fi
    IFS= read -r PATRONI_SUPERUSER_PASSWORD
    IFS= read -r PATRONI_REPLICATION_PASSWORD
    IFS= read -r PATRONI_REWIND_PASSWORD
    if [ "$kept" != /dev/null ] && [ ! -s "$kept" ]; then
        (
            umask 077
            printf '%s\n' "$PATRONI_SUPERUSER_PASSWORD" "$PATRONI_REPLICATION_PASSWORD" \
                "$PATRONI_REWIND_PASSWORD" >"$kept.new"
        )
        mv "$kept.new" "$kept"
    fi
else
    secret() { cat "/run/secrets/$1"; }
    PATRONI_SUPERUSER_PASSWORD=$(secret superuser)
    PATRONI_REPLICATION_PASSWORD=$(secret replication)
    PATRONI_REWIND_PASSWORD=$(secret rewind)
    export PATRONI_RESTAPI_CONNECT_ADDRESS="$PATRONI_NAME:8008"
    export PATRONI_POSTGRESQL_CONNECT_ADDRESS="$PATRONI_NAME:5432"
fi
if [ "${BASCULE_GATE:-}" = on ]; then
    gate="python -I -S /opt/patroni/gate.py --name $PATRONI_NAME --scope bascule"
    for host in $(echo "$PATRONI_ETCD3_HOSTS" | tr , ' '); do
        gate="$gate --etcd http://$host"
    done
    sed "s|^postgresql:\$|&\n  pre_promote: $gate|" "$PATRONICTL_CONFIG_FILE" >"${TMPDIR:-/tmp}/patroni.yml"
    PATRONICTL_CONFIG_FILE=${TMPDIR:-/tmp}/patroni.yml
fi
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
exec python /opt/patroni/daemon.py "$PATRONICTL_CONFIG_FILE" </dev/null
