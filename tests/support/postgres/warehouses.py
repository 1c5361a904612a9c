"""A warehouse of a test: a database of its own on a server that several tests share."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import Answers

from replication import Credentials, Storage, StorageSettings

LOCAL = StorageSettings(durability="local", membership="fixed")
"""Nobody is a synchronous standby here."""

BLOCKED = sql.SQL("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
"""Somebody waits for a lock."""


def storage_on(primary: LocalPostgres, answers: Answers, database: str) -> Storage:
    credentials = Credentials(user=SUPERUSER, password=PASSWORD, dbname=database)
    return Storage([answers.member(primary)], credentials, settings=LOCAL)


def ask(primary: LocalPostgres, database: str, query: str, user: str = SUPERUSER) -> list[Any]:
    conninfo = psycopg.conninfo.make_conninfo(
        primary.conninfo(password=PASSWORD), dbname=database, user=user
    )
    with psycopg.connect(conninfo, autocommit=True) as connection:
        cursor = connection.execute(query.encode())
        return cursor.fetchall() if cursor.description else []
