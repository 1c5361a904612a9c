"""The settings of a Patroni cluster as a topology has them, and what it cannot say. Pure.

What Patroni reads under an older name is read here too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.topology.importing.files import SOURCE, PatroniFile, is_on, refused, table
from cluster.topology.importing.names import name_of
from cluster.topology.model import ClusterSettings, SyncMode
from cluster.topology.settings import (
    LOOP_WAIT_S_MIN,
    MAXIMUM_LAG_ON_FAILOVER_BYTES,
    MAXIMUM_LAG_ON_SYNCNODE_BYTES,
    MEMBER_SLOTS_TTL_S,
    PRIMARY_START_TIMEOUT_S,
    RETRY_TIMEOUT_S_MIN,
    SYNCHRONOUS_NODE_COUNT,
    TTL_S_MIN,
)

TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 30, 10, 10
"""Patroni's own defaults (docs, dynamic configuration)."""
OLD_NAMES = {"master_start_timeout": "primary_start_timeout"}
"""Patroni reads both; ``master`` was the word before version 3."""
TAKEN_PARAMETERS = (
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "hot_standby_feedback",
    "max_standby_streaming_delay",
    "max_standby_archive_delay",
    "max_slot_wal_keep_size",
    "wal_sender_timeout",
    "wal_receiver_timeout",
    "tcp_user_timeout",
)
"""Parameters of PostgreSQL that change what a failover loses, or how long it takes."""


def read_settings(
    scope: str, dynamic: Mapping[str, Any], own: Mapping[str, Any], *, etcd_auth: bool = False
) -> tuple[ClusterSettings, list[str]]:
    """The settings, as Patroni would have them in force, and what they cannot say.

    Args:
        scope: of the cluster.
        dynamic: the dynamic configuration.
        own: the section ``postgresql`` of a member's own file, which goes before it.
        etcd_auth: the members log in at etcd.
    """
    postgresql = {**table(SOURCE, dynamic, "postgresql"), **own}
    asked = {OLD_NAMES.get(key, key): value for key, value in dynamic.items()}
    said: list[str] = []

    def seconds(key: str, default: int, minimum: int) -> int:
        found = _whole(asked, key, default)
        if found < minimum:
            said.append(f"{key} is {found}: Patroni itself raises it to {minimum}, as is done here")
        return max(found, minimum)

    durability = _durability(asked)
    strict = is_on(asked.get("synchronous_mode_strict"))
    settings = ClusterSettings(
        scope=name_of(scope),
        durability=durability,
        synchronous_mode_strict=strict or durability == "async",
        ttl_s=seconds("ttl", TTL_S, TTL_S_MIN),
        loop_wait_s=seconds("loop_wait", LOOP_WAIT_S, LOOP_WAIT_S_MIN),
        retry_timeout_s=seconds("retry_timeout", RETRY_TIMEOUT_S, RETRY_TIMEOUT_S_MIN),
        maximum_lag_on_failover_bytes=_whole(
            asked, "maximum_lag_on_failover", MAXIMUM_LAG_ON_FAILOVER_BYTES
        ),
        synchronous_node_count=_whole(asked, "synchronous_node_count", SYNCHRONOUS_NODE_COUNT),
        primary_start_timeout_s=_whole(asked, "primary_start_timeout", PRIMARY_START_TIMEOUT_S),
        synchronous_mode="on" if is_on(asked.get("synchronous_mode")) else "quorum",
        failsafe_mode=is_on(asked.get("failsafe_mode")),
        maximum_lag_on_syncnode_bytes=max(
            -1, _whole(asked, "maximum_lag_on_syncnode", MAXIMUM_LAG_ON_SYNCNODE_BYTES)
        ),
        use_pg_rewind=is_on(postgresql.get("use_pg_rewind", False)),
        use_slots=is_on(postgresql.get("use_slots", True)),
        member_slots_ttl_s=_seconds(asked, "member_slots_ttl", MEMBER_SLOTS_TTL_S),
        etcd_auth=etcd_auth,
    )
    said += _left_out_of_dynamic(asked)
    return settings, said


def _whole(asked: Mapping[str, Any], key: str, default: int) -> int:
    found = asked.get(key, default)
    if isinstance(found, str) and found.strip().isdigit():
        return int(found)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise refused(SOURCE, key, f"expected a whole number; found {found!r}")
    return int(found)


def _seconds(asked: Mapping[str, Any], key: str, default_s: int) -> int:
    """A duration, in seconds or with a unit, as PostgreSQL has them (``30min``)."""
    found = asked.get(key, default_s)
    match = re.fullmatch(r"(\d+) *(s|min|h|d)", str(found).strip())
    if match is None:
        return max(0, _whole(asked, key, default_s))
    return int(match[1]) * {"s": 1, "min": 60, "h": 3600, "d": 86400}[match[2]]


def _durability(asked: Mapping[str, Any]) -> SyncMode:
    mode = str(asked.get("synchronous_mode", False)).lower()
    return "quorum" if mode == "quorum" or is_on(mode) else "async"


def read_parameters(members: Sequence[PatroniFile]) -> tuple[dict[str, str], list[str]]:
    """The parameters of PostgreSQL that are taken over, and those in which members differ."""
    taken: dict[str, str] = {}
    said = []
    for key in TAKEN_PARAMETERS:
        values = list(
            dict.fromkeys(_text(one.parameters[key]) for one in members if key in one.parameters)
        )
        if len(values) == 1:
            taken[key] = values[0]
        elif values:
            said.append(f"{key} is {' and '.join(values)}: here every member has the same")
    return taken, said


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _left_out_of_dynamic(asked: Mapping[str, Any]) -> Iterator[str]:
    if asked.get("standby_cluster"):
        yield "standby_cluster: the real cluster follows another one; taken over as one of its own"
    if asked.get("pause"):
        yield "pause: the real cluster is in maintenance mode, and does not fail over"
    if asked.get("slots"):
        yield f"slots: {', '.join(map(str, asked['slots']))} are not kept across a failover here"
