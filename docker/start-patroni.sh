#!/bin/sh
# Reads the passwords, which are files, and becomes Patroni.
set -eu
secret() { cat "/run/secrets/$1"; }
PATRONI_SUPERUSER_PASSWORD=$(secret superuser)
PATRONI_REPLICATION_PASSWORD=$(secret replication)
PATRONI_REWIND_PASSWORD=$(secret rewind)
export PATRONI_SUPERUSER_PASSWORD PATRONI_REPLICATION_PASSWORD PATRONI_REWIND_PASSWORD
export PATRONI_RESTAPI_CONNECT_ADDRESS="$PATRONI_NAME:8008"
export PATRONI_POSTGRESQL_CONNECT_ADDRESS="$PATRONI_NAME:5432"
exec patroni /etc/patroni.yml
