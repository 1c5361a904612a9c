"""Where a password comes from, and how it is kept from being seen.

A source is read anew for every connection, so that a password that was changed is used by the next
one without a restart. What cannot be read is a ``CredentialsError``. It is an error of psycopg,
because to the storage layer it is one thing with a server that cannot be reached: a unit of work
whose commit is in doubt must not lose that fact because a file was missing for a moment.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psycopg

PASSWORD_BYTES_MAX = 1024
"""Far above any real one. It keeps a wrong path (a dump, a device without end) from being read."""

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CredentialsError(psycopg.OperationalError):
    """The password cannot be had from its source.

    Args:
        message: one sentence for people; never has anything of what was read.
        source: the file or the environment variable.
    """

    def __init__(self, message: str, *, source: str) -> None:
        super().__init__(message)
        self.source = source


class Secret:
    """A password that shows itself to nobody but who calls ``reveal``."""

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
    """Why ``text`` can be no password, in words without it; None if it can be one."""
    if not text:
        return "is empty"
    # The start packet is made of C strings; a second line is rather a file of another kind.
    if any(character in text for character in "\0\r\n"):
        return "has more than one line, or a null character"
    if len(text.encode(errors="surrogatepass")) > PASSWORD_BYTES_MAX:
        return f"has more than {PASSWORD_BYTES_MAX} bytes"
    return None


def read_password_file(path: Path) -> Secret:
    """The one line of ``path``; the line break at its end is no part of the password.

    Raises:
        CredentialsError: it cannot be read, or is no single line of UTF-8.
    """
    _stat_of_file(path, "password_file")
    try:
        with path.open("rb") as file:
            content = file.read(PASSWORD_BYTES_MAX + 3)  # a line break, and one byte too many
    except OSError as error:
        raise _unreadable(path, "password_file", error) from error
    text = content.decode("utf-8", errors="replace").removesuffix("\n").removesuffix("\r")
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
        CredentialsError: it is not set, or is no single line.
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
    what one is told in the end is that no password was supplied.

    Raises:
        CredentialsError: it cannot be read, is no ordinary file, or others than its owner have
            any access to it.
    """
    mode = _stat_of_file(path, "passfile").st_mode
    if mode & _OTHERS:
        raise CredentialsError(
            f"the passfile {path} has the mode {stat.S_IMODE(mode):04o}; expected that nobody but"
            f" its owner has access (chmod 0600 {path})",
            source=str(path),
        )
    if not os.access(path, os.R_OK):
        raise CredentialsError(f"the passfile {path} cannot be read", source=str(path))


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
