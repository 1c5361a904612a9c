"""What may be asked of the connections that a storage opens for SQLAlchemy. Pure.

SQLAlchemy gathers it from ``connect_args``, ``client_encoding``, its dialect and the listeners to
``do_connect``. Each argument is applied, or refused with the reason; none is dropped in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.abc import AdaptContext
from psycopg.pq import Conninfo

from replication.access.problems import Problem, nearest, one_of, refuse_if

SOURCE = "connect_args"

SETTINGS = ("application_name", "client_encoding")
"""Keywords of libpq that are settings of the server."""

OF_PSYCOPG = ("autocommit", "context", "cursor_factory", "row_factory")

_INSTEAD: Mapping[str, str] = {
    "conninfo": "the storage has the address",
    "connect_timeout": "give connect_deadline_s to create_engine",
    "prepare_threshold": "statements are not prepared on lent connections",
    "options": "expected options as -c name=value",
}
_STORAGES = "it is the storage's (Credentials, Member, Tls)"

_WEAKENS: Mapping[str, tuple[Callable[[str], bool], str]] = {
    "client_min_messages": (
        lambda value: value.lower() == "error",
        "the warning that a commit is in doubt would not arrive; expected warning, or more",
    ),
    "synchronous_commit": (
        lambda value: value.lower() not in ("on", "remote_apply", "true", "yes", "1"),
        "commits would not wait for their standby; set it in the transactions that may be lost"
        " (SET LOCAL)",
    ),
    "default_transaction_read_only": (
        lambda value: True,
        "a primary that takes no writes is looked for again; use"
        " execution_options(postgresql_readonly=True)",
    ),
}
"""Settings of the server on which the storage's promises rest: which values they must not have."""

_OF_A_TRANSACTION: Mapping[str, str] = {
    "transaction_isolation": "use isolation_level",
    "transaction_read_only": "use execution_options(postgresql_readonly=True)",
    "transaction_deferrable": "use execution_options(postgresql_deferrable=True)",
}
"""Settings that end with the transaction in which they were set: a session does not keep them."""

_OPTION = re.compile(r"(?:-c\s*|--)([A-Za-z_][\w.-]*)=((?:\\.|[^\\\s])*)(?:\s+|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How a connection is to be.

    ``settings``: of the server, by name, set for the whole session. ``attributes``: of psycopg's
    connection. ``context``: whose adapters it has.
    """

    settings: Mapping[str, str] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    autocommit: bool = False
    context: AdaptContext | None = None


def read_arguments(given: Mapping[str, Any]) -> Wanted:
    """What psycopg's ``connect`` would be called with, as far as a storage can do it.

    Raises:
        ConfigError: names everything that cannot be, with the reason.
    """
    refuse_if(SOURCE, _malformed(given))
    settings = {key: str(given[key]) for key in SETTINGS if given.get(key) is not None}
    settings |= _settings_of(str(given.get("options") or "")) or {}
    refuse_if(SOURCE, _problems(given, settings))
    return Wanted(
        settings=settings,
        attributes={
            key: given[key]
            for key in ("row_factory", "cursor_factory")
            if given.get(key) is not None
        },
        autocommit=bool(given.get("autocommit")),
        context=given.get("context"),
    )


def _malformed(given: object) -> Iterator[Problem]:
    """What would fail somewhere else, in words that name no argument."""
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        yield Problem(key="all of it", words="expected a dict of names and values")
        return
    if not isinstance(given.get("autocommit"), bool | None):
        yield Problem(key="autocommit", words="expected True or False")
    for key in ("cursor_factory", "row_factory"):
        if given.get(key) is not None and not callable(given[key]):
            yield Problem(key=key, words="expected what psycopg takes for it")
    if given.get("context") is not None and not hasattr(given["context"], "adapters"):
        yield Problem(key="context", words="expected a connection, a cursor or an AdaptersMap")


def _problems(given: Mapping[str, Any], settings: Mapping[str, str]) -> Iterator[Problem]:
    keywords = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for key, value in given.items():
        if key in SETTINGS or key in OF_PSYCOPG or value is None:
            continue
        if key == "options":
            if _settings_of(str(value)) is None:
                yield Problem(key=key, words=_INSTEAD[key])
        elif key in _INSTEAD:
            yield Problem(key=key, words=f"refused: {_INSTEAD[key]}")
        elif key in keywords:
            yield Problem(key=key, words=f"refused: {_STORAGES}")
        else:
            known = sorted({*SETTINGS, *OF_PSYCOPG, "options"})
            near = nearest(key, known)
            hint = f"did you mean {near}?" if near else f"expected {one_of(known)}"
            yield Problem(key=key, words=f"unknown argument; {hint}")
    for name, value in settings.items():
        if name.lower() in _OF_A_TRANSACTION:
            why = f"it is a transaction's; {_OF_A_TRANSACTION[name.lower()]}"
            yield Problem(key=name, words=f"refused: {why}")
        is_weak, why = _WEAKENS.get(name.lower(), (None, ""))
        if is_weak is not None and is_weak(value):
            yield Problem(key=name, words=f"{value} is refused: {why}")


def _settings_of(options: str) -> dict[str, str] | None:
    """``-c name=value --name=value`` as settings, None if it is something else (libpq,
    ``options``; a space in a value has a backslash before it)."""
    settings: dict[str, str] = {}
    at, text = 0, options.strip()
    while at < len(text):
        found = _OPTION.match(text, at)
        if found is None:
            return None
        settings[found[1].replace("-", "_")] = re.sub(r"\\(.)", r"\1", found[2], flags=re.DOTALL)
        at = found.end()
    return settings
