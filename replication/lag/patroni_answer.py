"""What a member's Patroni says: the body of ``GET /primary``, and of ``/config`` and ``/history``.

``GET /primary`` has the whole status of the member in its body, whatever its code; the code is 200
only where the member runs as primary and holds the leader lock (Patroni manual, "Patroni REST
API"). So one request gives both its claim and its state. Patroni 3 and 4.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["primary", "replica", "standby_leader", "unknown"]
ROLES: tuple[Role, ...] = ("primary", "replica", "standby_leader", "unknown")

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


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniAnswer:
    """The answer of one member; None where it said nothing. Positions in bytes.

    ``has_lock``: it runs as primary and holds the leader lock.
    """

    has_lock: bool
    role: Role
    state: str
    scope: str | None
    timeline: int | None
    position: int | None
    received: int | None
    replayed: int | None
    streams: bool | None
    pending_restart: bool
    paused: bool
    failsafe: bool
    dcs_last_seen_s: float | None
    system_identifier: int | None


def parse_member(status: int, body: bytes) -> PatroniAnswer | None:
    """The answer to ``GET /primary``; None when it is not one of Patroni's."""
    document = _object(body)
    if document is None or "state" not in document:
        return None
    role, state = document.get("role"), document["state"]
    raw_xlog = document.get("xlog")
    xlog = raw_xlog if isinstance(raw_xlog, dict) else {}
    patroni = document.get("patroni")
    scope = patroni.get("scope") if isinstance(patroni, dict) else None
    replication_state = document.get("replication_state")
    return PatroniAnswer(
        has_lock=status == 200,
        role=_role(role),
        state=state if state in STATES else "unknown",
        scope=scope if isinstance(scope, str) else None,
        timeline=_integer(document.get("timeline")),
        position=_integer(xlog.get("location")),
        received=_integer(xlog.get("received_location")),
        replayed=_integer(xlog.get("replayed_location")),
        streams=None if replication_state is None else replication_state == "streaming",
        pending_restart=document.get("pending_restart") is True,
        paused=document.get("pause") is True,
        failsafe=document.get("failsafe_mode_is_active") is True,
        dcs_last_seen_s=_integer(document.get("dcs_last_seen")) or None,
        system_identifier=_integer(document.get("database_system_identifier")),
    )


def parse_synchronous_mode(body: bytes) -> bool | None:
    """Whether the dynamic configuration (``GET /config``) asks for synchronous replication."""
    document = _object(body)
    if document is None:
        return None
    mode = document.get("synchronous_mode", False)
    if isinstance(mode, str):
        return mode.lower() in {"on", "true", "yes", "1", "quorum"}
    return bool(mode)


def parse_timeline_ends(body: bytes) -> dict[int, int] | None:
    """Where timelines ended (``GET /history``): timeline to position in bytes."""
    try:
        lines = json.loads(body)
    except ValueError:
        return None
    if not isinstance(lines, list):
        return None
    return {
        line[0]: line[1]
        for line in lines
        if isinstance(line, list)
        and len(line) >= 2
        and isinstance(line[0], int)
        and isinstance(line[1], int)
    }


def _role(role: object) -> Role:
    match role:
        case "primary" | "master":  # Patroni below 4 says master
            return "primary"
        case "replica" | "standby_leader":
            return "replica" if role == "replica" else "standby_leader"
        case _:
            return "unknown"


def _object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal():  # the system identifier comes as text
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
