"""What Patroni's REST API answers. Pure; the only place that reads its documents.

- ``GET /primary`` has the whole status of the member in its body, whatever its code; the code is
  200 only where the member runs as primary and holds the leader lock. So one request gives both its
  claim and its state.
- ``GET /cluster`` names all members. It is answered by any member, but only from the DCS.
- ``GET /config`` is the dynamic configuration, ``GET /history`` says where timelines ended.

Patroni manual, "Patroni REST API"; Patroni 3 and 4.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from replication.patroni.members import Member, base_url

MemberRole = Literal["primary", "replica", "standby_leader", "unknown"]
ROLES: tuple[MemberRole, ...] = ("primary", "replica", "standby_leader", "unknown")

STATES: tuple[str, ...] = (
    "running",
    "starting",
    "restarting",
    "stopping",
    "stopped",
    "crashed",
    "creating replica",
    "initializing new cluster",
    "running custom bootstrap script",
    "starting after custom bootstrap",
    "start failed",
    "restart failed",
    "stop failed",
    "initdb failed",
    "custom bootstrap failed",
    "unknown",
)
"""``patroni/postgresql/misc.py``, ``PostgresqlState``; what is not in here is ``unknown``."""

PORT_MAX = 65535

SITE_TAG = "site"
"""The tag that says where a member stands (``tags`` in Patroni's configuration; ours, not its)."""

READER_TAG = "reader"
"""The tag of a member that large reads prefer (``storage.read_stream``; ours too)."""

DIGITS_MAX = 20
"""Of a number that comes as text: a system identifier has 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniAnswer:
    """The status of one member; None where it said nothing. Positions in bytes.

    ``has_lock``: it runs as primary and holds the leader lock. ``scope``: its cluster's name.
    """

    has_lock: bool
    role: MemberRole
    state: str
    name: str | None
    scope: str | None
    timeline: int | None
    position: int | None
    received: int | None
    replayed: int | None
    streams: bool | None
    noloadbalance: bool
    is_reader: bool
    pending_restart: bool
    paused: bool
    failsafe: bool
    dcs_last_seen_s: float | None
    system_identifier: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestAnswer:
    """What one question to a member gave; ``status`` is None when it said nothing in time.

    ``lsn_bytes``: a primary's WAL position, or how far a replica has replayed. ``in_recovery``: it
    is the latter, also of one that holds the leader lock and replays what it has received before it
    is promoted (half a minute, where a query holds it up). ``streams``: the
    replica receives WAL by streaming. ``noloadbalance``, ``is_reader``: its tags say that it is to
    serve no reads, or that large ones should come to it. ``scope``, ``system_identifier``,
    ``name``: of its cluster and its own, where its Patroni says them. ``asked_s``: when the
    question was sent, on the asker's clock; ``elapsed_s``: how long the answer took.
    """

    status: int | None = None
    timeline: int | None = None
    lsn_bytes: int | None = None
    in_recovery: bool = False
    streams: bool = False
    noloadbalance: bool = False
    is_reader: bool = False
    scope: str | None = field(default=None, compare=False)
    system_identifier: int | None = field(default=None, compare=False)
    name: str | None = field(default=None, compare=False)
    asked_s: float = 0.0
    elapsed_s: float = 0.0

    @property
    def is_primary(self) -> bool:
        """It runs as primary and holds the leader lock, as it says."""
        return self.status == 200

    def is_by(self, name: str) -> bool:
        """Patroni answered, and not as another member than ``name``."""
        return self.status is not None and self.name in {None, name}

    def is_of_another_cluster(self, known: RestAnswer | None) -> bool:
        """Its scope or system identifier differs from that of the cluster (``known``)."""
        if known is None:
            return False
        pairs = (
            (self.scope, known.scope),
            (self.system_identifier, known.system_identifier),
        )
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


Ask = Callable[[Member], Awaitable[RestAnswer]]
"""How a member is asked for its role; as ``RestClient.ask``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """An answer to ``GET /cluster``. ``scope``: the cluster's name, where the answer has it.

    ``left_out``: in words, which members are not in ``members``, and why.
    """

    members: tuple[Member, ...]
    left_out: tuple[str, ...] = ()
    scope: str | None = None


class NoMembers(ValueError):
    """The answer names no member that can be connected to; the text says why."""


class _ClusterMember(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    name: str = Field(min_length=1)
    api_url: str | None = None
    host: str | None = None
    port: int | None = None
    tags: dict[str, object] | None = None


class _Cluster(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    members: list[object]
    scope: object = None


def read_status(status: int, body: bytes) -> PatroniAnswer | None:
    """The answer to ``GET /primary``; None when it is not one of Patroni's."""
    document = _object(body)
    return None if document is None or "state" not in document else _status(status, document)


def read_answer(status: int, body: bytes) -> RestAnswer:
    """The answer to ``GET /primary``, whatever it is; what it lacks (the member is starting, say)
    is None."""
    said = _status(status, _object(body) or {})
    return RestAnswer(
        status=status,
        timeline=said.timeline,
        lsn_bytes=said.replayed if said.position is None else said.position,
        in_recovery=said.position is None and said.replayed is not None,
        streams=said.streams is True,
        noloadbalance=said.noloadbalance,
        is_reader=said.is_reader,
        scope=said.scope,
        system_identifier=said.system_identifier,
        name=said.name,
    )


def _status(status: int, document: Mapping[str, Any]) -> PatroniAnswer:
    role, state = document.get("role"), document.get("state")
    xlog, patroni = _mapping(document.get("xlog")), _mapping(document.get("patroni"))
    replication_state = document.get("replication_state")
    tags = _mapping(document.get("tags"))
    return PatroniAnswer(
        has_lock=status == 200,
        role=_role(role),
        state=state if state in STATES else "unknown",
        name=_text(patroni.get("name")),
        scope=_text(patroni.get("scope")),
        timeline=_integer(document.get("timeline")),
        position=_integer(xlog.get("location")),
        received=_integer(xlog.get("received_location")),
        replayed=_integer(xlog.get("replayed_location")),
        streams=None if replication_state is None else replication_state == "streaming",
        noloadbalance=bool(tags.get("noloadbalance")),  # as Patroni reads it (``tags.py``)
        is_reader=str(tags.get(READER_TAG)).lower() in {"true", "yes", "on", "1"},
        pending_restart=document.get("pending_restart") is True,
        paused=document.get("pause") is True,
        failsafe=document.get("failsafe_mode_is_active") is True,
        dcs_last_seen_s=_integer(document.get("dcs_last_seen")) or None,
        system_identifier=_integer(document.get("database_system_identifier")),
    )


def read_synchronous_mode(body: bytes) -> bool | None:
    """Whether the dynamic configuration (``GET /config``) asks for synchronous replication."""
    document = _object(body)
    if document is None:
        return None
    mode = document.get("synchronous_mode", False)
    if isinstance(mode, str):
        return mode.lower() in {"on", "true", "yes", "1", "quorum"}
    return bool(mode)


def read_history(body: bytes) -> tuple[tuple[int, int] | None, ...] | None:
    """The answer to ``GET /history``; None when it is something else.

    Each line is a timeline and the LSN in bytes at which it ended, oldest first; None for a line
    that is something else.
    """
    lines = _document(body)
    return tuple(map(_timeline_end, lines)) if isinstance(lines, list) else None


def _timeline_end(line: object) -> tuple[int, int] | None:
    if not isinstance(line, list) or len(line) < 2:
        return None
    timeline, end = _integer(line[0]), _integer(line[1])
    return None if timeline is None or end is None else (timeline, end)


def read_cluster(body: bytes) -> Named:
    """What an answer to ``GET /cluster`` says.

    Left out are members that lack an address: of PostgreSQL, which is known once that has started
    for the first time, or of the REST API, which may lack its host. Each member is judged by
    itself: one that cannot be used excludes no other. Patroni lists members by name.

    Raises:
        NoMembers: it is not such an answer, or all were left out.
    """
    try:
        cluster = _Cluster.model_validate_json(body)
    except ValidationError as error:
        raise NoMembers(_no_list(error)) from error
    members: list[Member] = []
    left_out: list[str] = []
    malformed = ""
    for index, one in enumerate(cluster.members):
        try:
            found = _ClusterMember.model_validate_json(json.dumps(one))
            members.append(_member(found))
        except ValidationError as error:
            malformed = malformed or _no_list(error, "members", str(index))
            where = ".".join(map(str, error.errors()[0]["loc"])) or "all of it"
            left_out.append(f"member {index + 1} is left out: Patroni's answer is wrong ({where})")
        except ValueError as error:
            left_out.append(f"{found.name} is left out: {error}")
    if not members:
        known = "1 member" if len(cluster.members) == 1 else f"{len(cluster.members)} members"
        raise NoMembers(malformed or f"knows {known}, none with an address yet")
    scope = cluster.scope if isinstance(cluster.scope, str) else None
    return Named(members=tuple(members), left_out=tuple(left_out), scope=scope)


def _no_list(error: ValidationError, *place: str) -> str:
    where = ".".join((*place, *map(str, error.errors()[0]["loc"])))
    return f"answered no list of members{f' ({where})' if where else ''}"


def _member(found: _ClusterMember) -> Member:
    """A member as the answer names it.

    Raises:
        ValueError: it has no address; the text says of what.
    """
    # A comma would be a list of hosts to libpq.
    is_host = found.host is not None and re.fullmatch(r"[^\s,\x00]{1,255}", found.host)
    if found.host is None or not is_host or not 0 < (found.port or 0) <= PORT_MAX:
        raise ValueError("Patroni names no address of its PostgreSQL")
    try:
        rest_url = _rest_url(found.api_url or "")
    except ValueError:
        raise ValueError("Patroni names no address of its REST API") from None
    return Member(
        name=found.name,
        rest_url=rest_url,
        host=found.host,
        port=found.port or 0,
        site=_site((found.tags or {}).get(SITE_TAG)),
    )


def _rest_url(api_url: str) -> str:
    """Patroni announces ``http://host:8008/patroni``; the endpoints lie beside that path."""
    parts = urlsplit(api_url)
    return base_url(f"{parts.scheme}://{parts.netloc}")


def _site(tag: object) -> str | None:
    # YAML takes ``site: 75`` for a number.
    return str(tag) if isinstance(tag, str | int) and str(tag) else None


def _role(role: object) -> MemberRole:
    match role:
        case "primary" | "master":  # Patroni below 4 says master
            return "primary"
        case "replica" | "standby_leader":
            return "replica" if role == "replica" else "standby_leader"
        case _:
            return "unknown"


def _document(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _object(body: bytes) -> dict[str, Any] | None:
    document = _document(body)
    return document if isinstance(document, dict) else None


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) <= DIGITS_MAX:
        return int(value)  # the system identifier comes as text
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
