"""Who is let in, who is believed, and that nobody sees the password: a real PostgreSQL with TLS."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from support.postgres.local_postgres import PASSWORD
from support.postgres.tls_postgres import (
    CERTIFICATE_ROLE,
    CLEARTEXT_ROLE,
    MD5_ROLE,
    PASSWORD_ROLE,
    TRUSTED_ROLE,
    TlsPostgres,
    tls_postgres,
)

from replication.access.credentials import Credentials, CredentialsError
from replication.access.tls import Tls, TlsMode
from replication.wire import Address, session_to
from replication.wire.conninfo import open_connection

pytestmark = pytest.mark.anyio

DEADLINE_S = 20.0
SEEN = "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsPostgres]:
    with tls_postgres(tmp_path_factory.mktemp("tls")) as server:
        yield server


def app(server: TlsPostgres, **changes: object) -> Credentials:
    credentials = Credentials(
        user=PASSWORD_ROLE, password=PASSWORD, dbname="postgres", tls=Tls(ca_file=server.ca_file)
    )
    return replace(credentials, **changes)


def address(server: TlsPostgres, host: str = "localhost") -> Address:
    return Address(node="db-tls", host=host, port=server.server.port)


async def seen(server: TlsPostgres, credentials: Credentials) -> tuple[object, ...]:
    """What the server says of the encryption of a session."""
    async with session_to(address(server), credentials, deadline_s=DEADLINE_S) as session:
        return (await session.fetch(SEEN))[0]


async def refusal(server: TlsPostgres, credentials: Credentials, *, host: str = "localhost") -> str:
    """Why no session was made."""
    with pytest.raises(psycopg.OperationalError) as caught:
        async with session_to(address(server, host), credentials, deadline_s=DEADLINE_S):
            pass
    return str(caught.value)


async def test_the_right_host_is_accepted(tls_server: TlsPostgres) -> None:
    encrypted, version = await seen(tls_server, app(tls_server))
    assert encrypted is True
    assert version in ("TLSv1.2", "TLSv1.3")


async def test_a_wrong_name_is_refused_unless_names_do_not_matter(tls_server: TlsPostgres) -> None:
    words = await refusal(tls_server, app(tls_server), host="127.0.0.1")
    assert 'server certificate for "localhost"' in words
    assert 'does not match host name "127.0.0.1"' in words
    by_authority = app(tls_server, tls=Tls(mode="verify-ca", ca_file=tls_server.ca_file))
    where = address(tls_server, "127.0.0.1")
    async with session_to(where, by_authority, deadline_s=DEADLINE_S) as session:
        assert (await session.fetch(SEEN))[0][0] is True


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
async def test_an_unknown_authority_is_refused(tls_server: TlsPostgres, mode: TlsMode) -> None:
    tls = Tls(mode=mode, ca_file=tls_server.stranger_file)
    assert "certificate verify failed" in await refusal(tls_server, app(tls_server, tls=tls))


async def test_the_authorities_of_the_system(
    tls_server: TlsPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """libpq's own ``system`` would know none of them with psycopg's wheels."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.stranger_file))
    credentials = app(tls_server, tls=Tls())
    assert "certificate verify failed" in await refusal(tls_server, credentials)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.ca_file))
    assert (await seen(tls_server, credentials))[0] is True
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.ca_file / "nowhere"))
    assert "the system's authorities are not in" in await refusal(tls_server, credentials)


async def test_require_encrypts_and_looks_at_nothing(
    tls_server: TlsPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority in the home directory would make it ``verify-ca`` behind our back."""
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").write_bytes(tls_server.stranger_file.read_bytes())
    monkeypatch.setenv("HOME", str(tmp_path))
    assert (await seen(tls_server, app(tls_server, tls=Tls(mode="require"))))[0] is True


async def test_a_server_that_wants_tls_refuses_us_without(tls_server: TlsPostgres) -> None:
    for tls in (None, Tls(mode="disable")):
        assert "no encryption" in await refusal(tls_server, app(tls_server, tls=tls))


async def test_a_client_certificate_alone(
    tls_server: TlsPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", "must-not-be-used")
    tls = Tls(
        ca_file=tls_server.ca_file, cert_file=tls_server.cert_file, key_file=tls_server.key_file
    )
    credentials = Credentials(user=CERTIFICATE_ROLE, dbname="postgres", tls=tls)
    assert (await seen(tls_server, credentials))[0] is True
    # It proves one role and no other, and where a password is asked for, none is given.
    assert "server requested SASL authentication" in await refusal(
        tls_server, replace(credentials, user=PASSWORD_ROLE)
    )


async def test_a_role_with_a_certificate_gets_in_with_nothing_else(tls_server: TlsPostgres) -> None:
    words = await refusal(tls_server, app(tls_server, user=CERTIFICATE_ROLE))
    assert "requires a valid client certificate" in words


@pytest.mark.parametrize(
    ("role", "asked"),
    [
        (CLEARTEXT_ROLE, "server requested a cleartext password"),
        (MD5_ROLE, "server requested a hashed password"),
        (TRUSTED_ROLE, "server did not complete authentication"),
    ],
)
@pytest.mark.parametrize("encrypted", [True, False])
async def test_the_password_goes_to_nobody_who_asks_for_it_otherwise(
    tls_server: TlsPostgres, role: str, asked: str, encrypted: bool
) -> None:
    tls = Tls(ca_file=tls_server.ca_file) if encrypted else None
    words = await refusal(tls_server, app(tls_server, user=role, tls=tls))
    assert 'requirement "scram-sha-256" failed' in words
    assert asked in words


async def test_surroundings_change_nothing(
    tls_server: TlsPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".pgpass").write_text(f"*:*:*:*:{PASSWORD}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    for name, value in {
        "HOME": str(tmp_path),
        "PGSSLMODE": "disable",
        "PGSSLROOTCERT": str(tls_server.stranger_file),
        "PGREQUIREAUTH": "md5",
        "PGTARGETSESSIONATTRS": "standby",
        "PGPASSWORD": PASSWORD,
    }.items():
        monkeypatch.setenv(name, value)
    assert (await seen(tls_server, app(tls_server)))[0] is True
    wrong = await refusal(tls_server, app(tls_server, password="wrong"))
    assert "password authentication failed" in wrong
    certificate = Tls(
        ca_file=tls_server.ca_file, cert_file=tls_server.cert_file, key_file=tls_server.key_file
    )
    none = Credentials(user=PASSWORD_ROLE, dbname="postgres", tls=certificate)
    assert "server requested SASL authentication" in await refusal(tls_server, none)


async def test_a_new_password_is_used_without_a_restart(
    tls_server: TlsPostgres, tmp_path: Path
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    credentials = app(tls_server, password=None, password_file=file)
    rotate = sql.SQL("ALTER ROLE {} PASSWORD {}")
    role = sql.Identifier(PASSWORD_ROLE)
    assert (await seen(tls_server, credentials))[0] is True
    try:
        tls_server.server.query(rotate.format(role, sql.Literal("rotated")))
        assert "password authentication failed" in await refusal(tls_server, credentials)
        file.write_text("rotated\n")
        assert (await seen(tls_server, credentials))[0] is True
    finally:
        tls_server.server.query(rotate.format(role, sql.Literal(PASSWORD)))
    file.unlink()
    words = await refusal(tls_server, credentials)
    assert words == f"the password_file {file} cannot be read: No such file or directory"


async def test_a_password_from_the_environment(
    tls_server: TlsPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = app(tls_server, password=None, password_env="APP_PASSWORD")
    monkeypatch.setenv("APP_PASSWORD", PASSWORD)
    assert (await seen(tls_server, credentials))[0] is True
    monkeypatch.delenv("APP_PASSWORD")
    assert "APP_PASSWORD is not set" in await refusal(tls_server, credentials)


async def test_a_passfile_is_read_by_libpq_and_must_be_ours_alone(
    tls_server: TlsPostgres, tmp_path: Path
) -> None:
    file = tmp_path / "pgpass"
    port = tls_server.server.port
    file.write_text(f"localhost:{port}:*:{PASSWORD_ROLE}:{PASSWORD}\n")
    file.chmod(0o600)
    credentials = app(tls_server, password=None, passfile=file)
    assert (await seen(tls_server, credentials))[0] is True
    file.write_text(f"localhost:{port}:*:somebody:{PASSWORD}\n")
    assert "no password supplied" in await refusal(tls_server, credentials)
    file.chmod(0o640)
    with pytest.raises(CredentialsError, match=r"has the mode 0640.*chmod 0600") as caught:
        async with session_to(address(tls_server), credentials, deadline_s=DEADLINE_S):
            pass
    assert caught.value.source == str(file)


SECRET = "hunter2-unmistakable"


async def test_a_failed_connection_shows_the_password_nowhere(
    tls_server: TlsPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even to one who prints every local variable of every frame, as error reporters do."""
    caplog.set_level("DEBUG")
    credentials = app(tls_server, password=SECRET)
    with pytest.raises(psycopg.OperationalError) as caught:
        await open_connection(address(tls_server), credentials, {})
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    lines = "".join(report.format())
    assert "password authentication failed" in lines
    assert "open_connection" in lines
    assert SECRET not in lines + repr(caught.value) + caplog.text


async def test_a_session_shows_the_password_nowhere(tls_server: TlsPostgres) -> None:
    async with session_to(address(tls_server), app(tls_server), deadline_s=DEADLINE_S) as session:
        everything = [session, session._connection, session._connection.pgconn]
        assert PASSWORD not in repr([*everything, vars(session)])
        with pytest.raises(psycopg.errors.DivisionByZero) as caught:
            await session.fetch("SELECT 1/0")
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert "division by zero" in "".join(report.format())
    assert PASSWORD not in "".join(report.format())


async def test_settings_arrive_whole(tls_server: TlsPostgres) -> None:
    """``options`` is split at spaces by the server."""
    settings = {"search_path": r'"a b", "c\d"', "statement_timeout": "7s"}
    where = address(tls_server)
    async with session_to(
        where, app(tls_server), deadline_s=DEADLINE_S, settings=settings
    ) as session:
        assert await session.fetch("SHOW search_path") == [(settings["search_path"],)]
        assert await session.fetch("SHOW statement_timeout") == [("7s",)]
