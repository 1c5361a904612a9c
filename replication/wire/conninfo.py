"""From an address and credentials to a connection of libpq. Nothing is left to the environment.

libpq fills what a connection string leaves open from ``PG...`` variables and from the home
directory: a ``PGSSLMODE``, a forgotten ``~/.pgpass``, ``~/.postgresql/root.crt``. Everything that
decides which server we speak to, and with which proof, is therefore always set (PostgreSQL manual,
"Database Connection Control Functions"). Needs libpq 16 or later, for ``require_auth``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from psycopg.conninfo import make_conninfo

from replication.access.credentials import Credentials, CredentialsError, Secret
from replication.access.problems import ConfigError
from replication.access.tls import Tls
from replication.wire.connection import Connection

# The second net, for sockets whose peer lost its power while no Python code waits: unanswered data
# ends the connection after 4 s, an idle one is probed after 1 s, every second, three times.
_SOCKET_OPTIONS: Mapping[str, int] = {
    "keepalives": 1,
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 4000,
}

# Set in the start packet, which outranks what ALTER ROLE or ALTER DATABASE say. Were warnings
# filtered by the server, a cancelled synchronous wait would look like a commit. A client that
# vanished must not hold its id row's key for long, so idle transactions are ended. A COPY that is
# waiting for data is not idle: only the server's probes notice that its client's host is gone. And
# a statement that is running looks up every two seconds whether its client is still there (from
# PostgreSQL 14 on, manual 19.3.2); a COMMIT that waits for its standby is not ended by that.
SERVER_SETTINGS: Mapping[str, str] = {
    "client_min_messages": "warning",
    "idle_in_transaction_session_timeout": "30s",
    "client_connection_check_interval": "2s",
    "tcp_user_timeout": "10s",
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
}

NO_FILE = "/dev/null/none"
"""A path that cannot exist. An empty one would send libpq to the home directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a server takes connections; ``node`` is its name."""

    node: str
    host: str
    port: int


async def open_connection(
    address: Address, credentials: Credentials, settings: Mapping[str, str]
) -> Connection:
    """A connection, its password read from its source now. The deadline is the caller's.

    Raises:
        CredentialsError: the password's source does not have it.
        psycopg.Error: not connected.
    """
    if credentials.password_file is None and credentials.passfile is None:
        secret = credentials.resolve()
    else:  # a folder of secrets may be on a network; the event loop must not wait for it
        secret = await anyio.to_thread.run_sync(credentials.resolve, abandon_on_cancel=True)
    try:
        return await Connection.connect(
            conninfo(address, credentials, secret, settings), autocommit=True
        )
    except BaseException as error:
        # psycopg's frames hold the connection string. A tool that reports local variables along
        # with a traceback (many do) would report the password.
        raise error.with_traceback(None) from None


def conninfo(
    address: Address,
    credentials: Credentials,
    secret: Secret | None,
    settings: Mapping[str, str],
) -> str:
    """The connection string; it has the password in it, so keep it in no variable.

    Args:
        secret: what ``Credentials.resolve`` returned.
        settings: server settings for this session, beside those that correctness needs.

    Raises:
        CredentialsError: the system's certificate authorities are wanted, and cannot be found.
    """
    options = {**SERVER_SETTINGS, **settings}
    return make_conninfo(
        "",
        host=address.host,
        port=address.port,
        user=credentials.user,
        dbname=credentials.dbname,
        application_name=credentials.application_name,
        options=" ".join(f"-c {name}={_escaped(value)}" for name, value in options.items()),
        target_session_attrs="any",
        gssencmode="disable",  # with a Kerberos ticket at hand, libpq would not even try TLS
        **_proof(credentials, secret),
        **_encryption(credentials.tls),
        **_SOCKET_OPTIONS,
    )


def _proof(credentials: Credentials, secret: Secret | None) -> dict[str, str]:
    return {
        # Empty, not absent: PGPASSWORD counts where a password is absent.
        "password": "" if secret is None else secret.reveal(),
        "passfile": NO_FILE if credentials.passfile is None else str(credentials.passfile),
        "require_auth": "scram-sha-256" if credentials.uses_password else "none",
    }


def _encryption(tls: Tls | None) -> dict[str, str]:
    if tls is None or tls.mode == "disable":
        return {"sslmode": "disable"}
    try:
        # With an authority at hand, libpq takes ``require`` for ``verify-ca``.
        authority = NO_FILE if tls.mode == "require" else str(tls.ca_path())
    except ConfigError as error:
        raise CredentialsError(str(error), source="tls") from error
    return {
        "sslmode": tls.mode,
        "sslrootcert": authority,
        "ssl_min_protocol_version": "TLSv1.2",
        "sslcertmode": "disable" if tls.cert_file is None else "allow",
        "sslcert": NO_FILE if tls.cert_file is None else str(tls.cert_file),
        "sslkey": NO_FILE if tls.key_file is None else str(tls.key_file),
    }


def _escaped(value: str) -> str:
    """As the server splits ``options`` again (``pg_split_opts``)."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
