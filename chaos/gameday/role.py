"""The role and the database that a test works with."""

from __future__ import annotations

import psycopg
from psycopg import sql

from chaos.gameday.errors import StartError
from chaos.gameday.requests import HOST
from replication.schema.own import role_statements

CONNECT_TIMEOUT_S = 10
STATEMENT_TIMEOUT = "30s"


def lay_ground(  # noqa: PLR0913 (one a name)
    port: int, *, superuser: str, superuser_password: str, user: str, password: str, dbname: str
) -> None:
    """Make the role and its database on the primary at ``port``; what is there is kept.

    The role owns the database, and may see replication (``pg_monitor``): the storage layer needs
    that to prove that a commit is durable.

    Raises:
        StartError: PostgreSQL refused.
    """
    try:
        with psycopg.connect(
            host=HOST,
            port=port,
            user=superuser,
            password=superuser_password,
            dbname="postgres",
            autocommit=True,
            connect_timeout=CONNECT_TIMEOUT_S,
            options=f"-c statement_timeout={STATEMENT_TIMEOUT}",
            application_name="bascule-testing",
        ) as connection:
            role, database = sql.Identifier(user), sql.Identifier(dbname)
            # With the algorithm named: else libpq asks the server, and holds the interpreter while
            # it waits, so that no relay of this process could carry the question.
            verifier = connection.pgconn.encrypt_password(
                password.encode(), user.encode(), b"scram-sha-256"
            )
            for statement in role_statements(user, verifier.decode()):
                connection.execute(statement)
            connection.execute(sql.SQL("GRANT pg_monitor TO {}").format(role))
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [dbname])
            if found.fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
    except psycopg.Error as error:
        raise StartError(f"role {user} and database {dbname}: {error}") from error
