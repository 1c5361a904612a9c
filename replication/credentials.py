"""Who connects to what, and with which proof. Secrets are in no repr."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path

from replication.passwords import (
    Secret,
    check_passfile,
    fault_of_password,
    read_password_env,
    read_password_file,
)
from replication.problems import Problem, refuse_if
from replication.tls import Tls

PASSWORD_SOURCES = ("password", "password_file", "password_env", "passfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who connects to what, and with which proof.

    At most one source of a password; without one, the client certificate of ``tls`` is the proof.
    A password is used for ``scram-sha-256`` only: a server that asks for it in clear, or for its
    MD5, gets nothing.

    Args:
        user: the role (PostgreSQL manual, "Database Roles").
        dbname: the database.
        application_name: what ``pg_stat_activity`` calls our sessions.
        password: the password itself; kept as a ``Secret``.
        password_file: a file whose one line is the password.
        password_env: the environment variable that has it.
        passfile: a pgpass file, read by libpq; nobody but its owner may have access to it.
        tls: None is no TLS.

    Raises:
        ConfigError: several sources, or no proof at all.
    """

    user: str
    password: str | Secret | None = field(default=None, repr=False)
    dbname: str
    application_name: str = "bascule"
    password_file: Path | None = None
    password_env: str | None = None
    passfile: Path | None = None
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if isinstance(self.password, str):
            object.__setattr__(self, "password", Secret(self.password))
        refuse_if("Credentials", _problems(self))

    def __repr__(self) -> str:
        shown = {one.name: getattr(self, one.name) for one in fields(self) if one.repr}
        given = [f"{name}={value!r}" for name, value in shown.items() if value is not None]
        return f"Credentials({', '.join(given)})"

    @property
    def uses_password(self) -> bool:
        """Whether the proof is a password, from whatever source."""
        return any(getattr(self, source) is not None for source in PASSWORD_SOURCES)

    def resolve(self) -> Secret | None:
        """The password as its source has it now; reads a file, so not for the event loop.

        Returns:
            None where libpq itself reads it (``passfile``), and where there is none.

        Raises:
            CredentialsError: the source does not have it.
        """
        if self.password_file is not None:
            return read_password_file(self.password_file)
        if self.password_env is not None:
            return read_password_env(self.password_env)
        if self.passfile is not None:
            check_passfile(self.passfile)
        return self.password if isinstance(self.password, Secret) else None


def _problems(credentials: Credentials) -> Iterator[Problem]:
    given = [source for source in PASSWORD_SOURCES if getattr(credentials, source) is not None]
    for extra in given[1:]:
        words = f"{given[0]} is given too; expected one source of the password"
        yield Problem(key=extra, words=words)
    certificate = credentials.tls is not None and credentials.tls.cert_file is not None
    if not given and not certificate:
        words = (
            "no proof of who connects; expected password_file, password_env, passfile or password,"
            " or tls with cert_file and key_file"
        )
        yield Problem(key="", words=words)
    if isinstance(credentials.password, Secret):
        fault = fault_of_password(credentials.password.reveal())
        if fault is not None:
            yield Problem(key="password", words=f"the password {fault}")
