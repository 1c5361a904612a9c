"""Who connects to what, and with which proof; where a password comes from. No repr shows a secret.

A source is read for every connection, so the next one uses a changed password without a restart. A
source that cannot be read raises a ``CredentialsError``. It is an error of psycopg, because the
storage layer treats it like a server that cannot be reached: a unit of work whose commit is in
doubt must not lose that fact because a file was missing for a moment.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

import psycopg

from replication.access.problems import Problem, refuse_if
from replication.access.tls import Tls

PASSWORD_BYTES_MAX = 1024
"""Far above any real one. It keeps a wrong path (a dump, a device without end) from being read."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CredentialsError(psycopg.OperationalError):
    """The password cannot be read from its source.

    Args:
        message: one sentence for people; it contains nothing of what was read.
        source: the file or the environment variable.
    """

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(message)
        self.source = source


class Secret:
    """A password that only ``reveal`` shows."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The password."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def fault_of_password(text: str) -> str | None:
    """Why ``text`` cannot be a password, in words without it; None if it can."""
    if not text:
        return "is empty"
    # The start packet is made of C strings; a second line means a file of another kind.
    if any(character in text for character in "\0\r\n"):
        return "has more than one line, or a null character"
    if len(text.encode(errors="surrogatepass")) > PASSWORD_BYTES_MAX:
        return f"has more than {PASSWORD_BYTES_MAX} bytes"
    return None


def source_problems(given: Mapping[str, object]) -> Iterator[Problem]:
    """What is wrong with the sources of one password.

    Args:
        given: by key, those that are not None; ``password`` as a ``Secret``.
    """
    first, *others = given or [""]
    for extra in others:
        words = f"{first} is given too; expected one source of the password"
        yield Problem(key=extra, words=words)
    password = given.get("password")
    if isinstance(password, Secret):
        fault = fault_of_password(password.reveal())
        if fault is not None:
            yield Problem(key="password", words=f"the password {fault}")


def read_password_file(path: Path) -> Secret:
    """The one line of ``path``; neither the line break at its end nor a byte order mark before it,
    as editors on Windows write one, is part of the password.

    Raises:
        CredentialsError: it cannot be read, or is not a single line of UTF-8.
    """
    _stat_of_file(path, "password_file")
    try:
        with path.open("rb") as file:
            content = file.read(PASSWORD_BYTES_MAX + 6)  # mark, line break, one byte too many
    except OSError as error:
        raise _unreadable(path, "password_file", error) from error
    text = content.decode("utf-8-sig", errors="replace").removesuffix("\n").removesuffix("\r")
    fault = "is not UTF-8" if "\ufffd" in text else fault_of_password(text)
    if fault is not None:
        raise CredentialsError(
            f"the password file {path} {fault}; expected the password on one line",
            source=str(path),
        )
    return Secret(text)


def read_password_env(name: str) -> Secret:
    """The value of the environment variable ``name``.

    Raises:
        CredentialsError: it is not set, or is not a single line.
    """
    value = os.environ.get(name)
    fault = "is not set" if value is None else fault_of_password(value)
    if value is None or fault is not None:
        raise CredentialsError(
            f"the environment variable {name} {fault}; expected the password in it", source=name
        )
    return Secret(value)


def check_passfile(path: Path) -> None:
    """Refuse a pgpass file that libpq would ignore (PostgreSQL manual, "The Password File").

    libpq writes a warning to the standard error of the process and goes on without a password;
    the error in the end is that no password was supplied.

    Raises:
        CredentialsError: it cannot be read, is not an ordinary file, has a byte order mark, or
            gives access to others than its owner.
    """
    mode = _stat_of_file(path, "passfile").st_mode
    if mode & _OTHERS:
        raise CredentialsError(
            f"the passfile {path} has the mode {stat.S_IMODE(mode):04o}; expected that nobody but"
            f" its owner has access (chmod 0600 {path})",
            source=str(path),
        )
    try:
        with path.open("rb") as file:
            begins = file.read(len(codecs.BOM_UTF8))
    except OSError as error:
        raise _unreadable(path, "passfile", error) from error
    if begins == codecs.BOM_UTF8:
        words = "begins with a byte order mark, which libpq takes for a part of the first host"
        raise CredentialsError(f"the passfile {path} {words}: take it out", source=str(path))


def _stat_of_file(path: Path, key: str) -> os.stat_result:
    try:
        found = path.stat()
    except OSError as error:
        raise _unreadable(path, key, error) from error
    # A pipe can be read once, and a password is needed for every connection.
    if not stat.S_ISREG(found.st_mode):
        raise CredentialsError(f"the {key} {path} is no ordinary file", source=str(path))
    return found


def _unreadable(path: Path, key: str, error: OSError) -> CredentialsError:
    return CredentialsError(f"the {key} {path} cannot be read: {error.strerror}", source=str(path))


PASSWORD_SOURCES = ("password", "password_file", "password_env", "passfile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who connects to what, and with which proof.

    At most one source of a password; without one, the client certificate of ``tls`` authenticates
    the role. A password is used for ``scram-sha-256`` only: a server that asks for it in clear, or
    for its MD5, does not get it.

    Args:
        user: the role (PostgreSQL manual, "Database Roles").
        dbname: the database.
        application_name: what ``pg_stat_activity`` calls our sessions.
        password: the password itself; kept as a ``Secret``.
        password_file: a file whose one line is the password.
        password_env: the environment variable that has it.
        passfile: a pgpass file, read by libpq; only its owner may have access to it.
        tls: None: no TLS.

    Raises:
        ConfigError: several sources, or neither a password nor a certificate.
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
        """Whether it authenticates by password, from any source."""
        return any(getattr(self, source) is not None for source in PASSWORD_SOURCES)

    def resolve(self) -> Secret | None:
        """The password as its source has it now. It reads a file, so do not call it in the event
        loop.

        Returns:
            None if libpq itself reads it (``passfile``), or if there is none.

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
    sources = {source: getattr(credentials, source) for source in PASSWORD_SOURCES}
    given = {source: value for source, value in sources.items() if value is not None}
    certificate = credentials.tls is not None and credentials.tls.cert_file is not None
    if not given and not certificate:
        words = (
            "no proof of who connects; expected password_file, password_env, passfile or password,"
            " or tls with cert_file and key_file"
        )
        yield Problem(key="", words=words)
    yield from source_problems(given)
