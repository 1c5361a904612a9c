"""A real PostgreSQL with TLS on 127.0.0.1, and the authorities of its certificates.

The PostgreSQL of the wheel is built without OpenSSL, so this one is the system's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, LocalPostgres

PASSWORD_ROLE = "app"
CERTIFICATE_ROLE = "by_certificate"
CLEARTEXT_ROLE, MD5_ROLE, TRUSTED_ROLE = "by_cleartext", "by_md5", "by_nothing"

# The superuser's line is for the fixture, which asks without TLS.
_HBA = f"""
host    all postgres           127.0.0.1/32 scram-sha-256
hostssl all {PASSWORD_ROLE}    127.0.0.1/32 scram-sha-256
hostssl all {CERTIFICATE_ROLE} 127.0.0.1/32 cert
host    all {CLEARTEXT_ROLE}   127.0.0.1/32 password
host    all {MD5_ROLE}         127.0.0.1/32 md5
host    all {TRUSTED_ROLE}     127.0.0.1/32 trust
"""


def system_bindir() -> Path:
    """Where Debian keeps PostgreSQL's programs; the newest version."""
    found = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3])
    )
    assert found, "these tests need a PostgreSQL with TLS: apt-get install postgresql"
    return found[-1].parent


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPostgres:
    """The server, and the files of those who connect to it."""

    server: LocalPostgres
    ca_file: Path
    """Who signed the server's certificate, which names ``localhost`` only."""
    stranger_file: Path
    """An authority that signed nothing."""
    cert_file: Path
    key_file: Path
    """What proves that one is ``CERTIFICATE_ROLE``."""


@contextmanager
def tls_postgres(folder: Path) -> Iterator[TlsPostgres]:
    """Started; stopped at the end."""
    authority, stranger = trustme.CA(), trustme.CA()
    files = {name: folder / name for name in ("ca.pem", "stranger.pem", "client.pem", "client.key")}
    authority.cert_pem.write_to_path(files["ca.pem"])
    stranger.cert_pem.write_to_path(files["stranger.pem"])
    client = authority.issue_cert("client.invalid", common_name=CERTIFICATE_ROLE)
    client.cert_chain_pems[0].write_to_path(files["client.pem"])
    client.private_key_pem.write_to_path(files["client.key"])
    files["client.key"].chmod(0o600)
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "server.pem")
    certificate.private_key_pem.write_to_path(folder / "server.key")
    (folder / "server.key").chmod(0o600)

    server = LocalPostgres(folder, name="db-tls", programs=system_bindir())
    server.create()
    (folder / "hba.conf").write_text(_HBA)
    for name, file in {
        "ssl_cert_file": "server.pem",
        "ssl_key_file": "server.key",
        "ssl_ca_file": "ca.pem",
        "hba_file": "hba.conf",
    }.items():
        server.configure(name, str(folder / file))
    server.configure("ssl", "on")
    try:
        server.start()
        for role in (PASSWORD_ROLE, CERTIFICATE_ROLE, CLEARTEXT_ROLE, TRUSTED_ROLE):
            _create(server, role, PASSWORD)
        # As the server itself would store it (PostgreSQL manual, "pg_authid").
        digest = hashlib.md5(f"{PASSWORD}{MD5_ROLE}".encode()).hexdigest()
        _create(server, MD5_ROLE, f"md5{digest}")
        yield TlsPostgres(
            server=server,
            ca_file=files["ca.pem"],
            stranger_file=files["stranger.pem"],
            cert_file=files["client.pem"],
            key_file=files["client.key"],
        )
    finally:
        server.stop()


def _create(server: LocalPostgres, role: str, password: str) -> None:
    server.query(
        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
            sql.Identifier(role), sql.Literal(password)
        )
    )
