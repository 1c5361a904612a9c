"""A Storage described by a connection string: who connects, with ``{host}`` and ``{port}`` open."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from replication.access.credentials import Credentials, Secret
from replication.access.problems import ConfigError, Problem, nearest, one_of, refuse_if
from replication.access.tls import MODES, Tls
from replication.config.settings import StorageConfig, StorageSettings

SOURCE = "the DSN"

_TLS_FILES: Mapping[str, str] = {
    "sslrootcert": "ca_file",
    "sslcert": "cert_file",
    "sslkey": "key_file",
}
_KEYS = (
    *("host", "port", "user", "password", "passfile", "dbname", "application_name"),
    *("sslmode", *_TLS_FILES),
)
_INSTEAD: Mapping[str, str] = {
    "connect_timeout": "leave it out: it is connect_deadline_s in StorageSettings",
    "target_session_attrs": "leave it out: the primary is found by asking the members",
    "load_balance_hosts": "leave it out: reads go to the replicas that are fresh enough",
    "require_auth": "leave it out: a password is used for scram-sha-256 only",
    "options": "leave it out: what can be tuned is in StorageSettings",
    "hostaddr": "leave it out: the address comes from the member",
}
"""Keywords that users may expect to work, and what to use instead."""


def from_dsn(
    template: str,
    endpoints: Sequence[str],
    *,
    password_file: Path | None = None,
    password_env: str | None = None,
    settings: StorageSettings | None = None,
) -> StorageConfig:
    """A configuration from a libpq connection string (PostgreSQL manual, "Connection Strings").

    Args:
        template: a URI, as ``postgresql://app@{host}:{port}/db?sslmode=verify-full``, or keywords
            and values; ``{host}`` and ``{port}`` stand for those of each member. Without any
            ``ssl...`` keyword there is no TLS; with one, ``sslmode`` is ``verify-full`` unless it
            is given. A password in it works; a source beside it, or ``passfile``, is better.
        endpoints: addresses of Patroni's REST API that are asked for the members.
        password_file, password_env: sources of the password, as in ``Credentials``.
        settings: everything that has a default.

    Returns:
        What ``dataclasses.replace`` can give a ``rest_tls`` or a ``dcs``.

    Raises:
        ConfigError: names everything that is wrong; shows no part of a password.
    """
    given = _parse(template)
    problems = list(_problems(given))
    refuse_if(SOURCE, problems)
    try:
        credentials = Credentials(
            user=given["user"],
            dbname=given["dbname"],
            application_name=given.get("application_name", "bascule"),
            password=given.get("password"),
            password_file=password_file,
            password_env=password_env,
            passfile=Path(given["passfile"]).expanduser() if "passfile" in given else None,
            tls=_tls(given),
        )
    except ConfigError as error:
        raise ConfigError(SOURCE, error.problems) from None
    return StorageConfig(
        credentials=credentials,
        patroni=tuple(endpoints),
        settings=settings or StorageSettings(),
    )


def _parse(template: str) -> dict[str, Any]:
    """The keywords that are given; the password is a ``Secret``.

    Raises:
        ConfigError: it is not a connection string. libpq's message and error are not passed on:
            they quote the string.
    """
    given: dict[str, Any] | None = None
    with suppress(psycopg.Error, ValueError):
        given = {key: value for key, value in conninfo_to_dict(template).items() if value}
    if given is None or "\0" in template:  # where libpq would stop reading
        words = (
            "no connection string, or with a keyword that libpq does not know; expected one as"
            " postgresql://app@{host}:{port}/db?sslmode=verify-full"
        )
        raise ConfigError(SOURCE, [Problem(key="", words=words)])
    if "password" in given:
        given["password"] = Secret(str(given["password"]))
    return given


def _problems(given: Mapping[str, Any]) -> Iterator[Problem]:
    for key in ("host", "port"):
        if given.get(key) != f"{{{key}}}":
            words = f"expected {{{key}}}: which server it is, the endpoints say"
            yield Problem(key=key, words=words)
    for key in ("user", "dbname"):
        if key not in given:
            yield Problem(key=key, words="missing; expected a name")
    for key in given:
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            hint = f"did you mean {near}?" if near else f"expected {one_of(_KEYS)}"
            yield Problem(key=key, words=_INSTEAD.get(key, f"not taken from a DSN; {hint}"))
    mode = given.get("sslmode")
    if mode is not None and mode not in MODES:
        words = (
            f"expected {one_of(MODES)}; allow and prefer go on without encryption when somebody on"
            " the way says that there is none"
        )
        yield Problem(key="sslmode", words=words)


def _tls(given: Mapping[str, Any]) -> Tls | None:
    files: dict[str, Any] = {
        ours: value if (key, value) == ("sslrootcert", "system") else Path(value).expanduser()
        for key, ours in _TLS_FILES.items()
        if (value := given.get(key)) is not None
    }
    if given.get("sslmode") is None and not files:
        return None
    return Tls(mode=given.get("sslmode", "verify-full"), **files)
