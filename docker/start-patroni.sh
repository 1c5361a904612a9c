#!/bin/sh
# Reads the passwords and becomes Patroni. They are files of the volume "secrets", or, with
# --secrets-from-stdin, three lines: superuser, replication, rewind (a drill keeps them nowhere).
set -eu
if [ "${1:-}" = --secrets-from-stdin ]; then
    IFS= read -r PATRONI_SUPERUSER_PASSWORD
    IFS= read -r PATRONI_REPLICATION_PASSWORD
    IFS= read -r PATRONI_REWIND_PASSWORD
else
    secret() { cat "/run/secrets/$1"; }
    PATRONI_SUPERUSER_PASSWORD=$(secret superuser)
    PATRONI_REPLICATION_PASSWORD=$(secret replication)
    PATRONI_REWIND_PASSWORD=$(secret rewind)
    export PATRONI_RESTAPI_CONNECT_ADDRESS="$PATRONI_NAME:8008"
    export PATRONI_POSTGRESQL_CONNECT_ADDRESS="$PATRONI_NAME:5432"
fi
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
exec python /opt/patroni/patroni_daemon.py /etc/patroni.yml </dev/null
