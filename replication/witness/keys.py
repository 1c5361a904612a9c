"""The keys of a cluster in etcd: Patroni's, and the witnesses' own. Pure; the only place that
knows their names and values.

The witnesses' keys are not below Patroni's prefix, so that no Patroni wakes when a witness votes:

- ``/witness/SCOPE/votes/REVISION/NAME``: a vote that the leader key of that revision should end;
  ``dry-votes`` for those of witnesses that only say what they would do.
- ``/witness/SCOPE/acts/REVISION``: that leader key was ended, by whom and why.
- ``/witness/SCOPE/alive/NAME``: a witness that lives; ``dry-alive`` likewise.

Patroni's: ``patroni/dcs/__init__.py`` (Cluster, SyncState, Member), ``patroni/global_config.py``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from replication.config.settings import Dcs
from replication.patroni.answers import SITE_TAG
from replication.patroni.members import base_url
from replication.witness.model import DcsConfig, DcsLeader, DcsMember, DcsSync, DcsView

ROOT = "/witness"
TTL_S, LOOP_WAIT_S = 30.0, 10.0
"""Patroni's defaults."""
POSTGRES_PORT = 5432
TRUE_WORDS = frozenset({"on", "true", "yes", "1"})
"""``patroni/utils.py``, ``parse_bool``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValue:
    """A key of etcd as one read saw it."""

    key: str
    value: str
    revision: int
    lease_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedMember:
    """What a member says of itself in ``members/NAME``: where it is, and all of it as it stands."""

    name: str
    rest_url: str | None
    host: str | None
    port: int
    site: str | None
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoteKey:
    """A vote, and the key and revision that it was read at."""

    key: str
    key_revision: int
    witness: str
    site: str
    leader: str
    leader_revision: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ActKey:
    """An act; ``wall_s`` is when, in seconds since 1970, on the clock of the witness that acted."""

    leader: str
    leader_revision: int
    wall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All keys as one read saw them. ``alive``: by the names of the living witnesses."""

    view: DcsView
    members: Mapping[str, AnnouncedMember] = field(default_factory=dict)
    votes: tuple[VoteKey, ...] = ()
    acts: tuple[ActKey, ...] = ()
    alive: frozenset[str] = frozenset()


class KeyNames:
    """The names of one cluster's keys.

    Args:
        dcs: has the scope and Patroni's namespace.
        is_dry: votes and signs of life are those of witnesses that only say what they would do.
    """

    def __init__(self, dcs: Dcs, *, is_dry: bool = False) -> None:
        self.patroni = f"/{dcs.namespace.strip('/')}/{dcs.scope}/"
        self.own = f"{ROOT}/{dcs.scope}/"
        self.votes = f"{self.own}{'dry-votes' if is_dry else 'votes'}/"
        self._alive = f"{self.own}{'dry-alive' if is_dry else 'alive'}/"

    def vote(self, leader_revision: int, witness: str) -> str:
        """The key of a vote."""
        return f"{self.votes}{leader_revision}/{witness}"

    def act(self, leader_revision: int) -> str:
        """The key of an act."""
        return f"{self.own}acts/{leader_revision}"

    def alive(self, witness: str) -> str:
        """The key of a living witness."""
        return f"{self._alive}{witness}"

    def read(self, found: Iterable[KeyValue], *, read_s: float) -> Reading:
        """What the keys say; those that make no sense count as absent.

        Args:
            found: all keys below ``patroni`` and ``own``, of one revision.
            read_s: when they were asked for.
        """
        ours = {one.key: one for one in found}
        patroni = {
            key.removeprefix(self.patroni): one
            for key, one in ours.items()
            if key.startswith(self.patroni)
        }
        announced = {
            name.removeprefix("members/"): one
            for name, one in patroni.items()
            if name.startswith("members/")
        }
        said = {name: _object(one.value) for name, one in announced.items()}
        failover, history = patroni.get("failover"), patroni.get("history")
        view = DcsView(
            read_s=read_s,
            leader=_leader(patroni.get("leader")),
            sync=_sync(patroni.get("sync")),
            config=_config(patroni.get("config")),
            failover_revision=None if failover is None else failover.revision,
            history_revision=None if history is None else history.revision,
            members=tuple(_member(name, one, said[name]) for name, one in announced.items()),
        )
        return Reading(
            view=view,
            members={name: _announced(name, values) for name, values in said.items()},
            votes=tuple(
                vote
                for one in ours.values()
                if one.key.startswith(self.votes) and (vote := _vote(one)) is not None
            ),
            acts=tuple(
                act
                for one in ours.values()
                if one.key.startswith(f"{self.own}acts/") and (act := _act(one)) is not None
            ),
            alive=frozenset(
                key.removeprefix(self._alive) for key in ours if key.startswith(self._alive)
            ),
        )


def encoded(text: str) -> str:
    """A key or value as etcd's gateway takes it."""
    return base64.b64encode(text.encode()).decode()


def key_range(prefix: str) -> dict[str, str]:
    """All keys that begin with ``prefix``, as a range of etcd's gateway."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    return {"key": encoded(prefix), "range_end": encoded(end)}


def read_pairs(pairs: Iterable[Mapping[str, Any]]) -> list[KeyValue]:
    """The ``kvs`` of an answer of etcd's gateway."""
    return [
        KeyValue(
            key=base64.b64decode(pair["key"]).decode(),
            value=base64.b64decode(pair.get("value", "")).decode(errors="replace"),
            revision=int(pair.get("mod_revision", 0)),
            lease_id=int(pair.get("lease", 0)),
        )
        for pair in pairs
    ]


def _leader(one: KeyValue | None) -> DcsLeader | None:
    if one is None or not one.value:
        return None
    return DcsLeader(member=one.value, lease_id=one.lease_id, revision=one.revision)


def _sync(one: KeyValue | None) -> DcsSync | None:
    if one is None:
        return None
    values = _object(one.value)
    standbys = values.get("sync_standby") or ""
    quorum = values.get("quorum")
    return DcsSync(
        leader=_text(values.get("leader")),
        standbys=frozenset(name for name in str(standbys).split(",") if name),
        quorum=quorum if isinstance(quorum, int) else 0,
        revision=one.revision,
    )


def _config(one: KeyValue | None) -> DcsConfig | None:
    if one is None:
        return None
    values = _object(one.value)
    mode = str(values.get("synchronous_mode", False)).lower()
    return DcsConfig(
        synchronous_mode="quorum" if mode == "quorum" else "on" if mode in TRUE_WORDS else "off",
        is_strict=is_on(values.get("synchronous_mode_strict")),
        is_paused=is_on(values.get("pause")),
        is_standby_cluster=bool(values.get("standby_cluster")),
        ttl_s=_number(values.get("ttl"), TTL_S),
        loop_wait_s=_number(values.get("loop_wait"), LOOP_WAIT_S),
        revision=one.revision,
    )


def _member(name: str, one: KeyValue, values: Mapping[str, Any]) -> DcsMember:
    """Who may not lead says so by a tag, or by a priority of 0 (``patroni/tags.py``)."""
    tags = _mapping(values.get("tags"))
    priority = _number(tags.get("failover_priority"), 1.0)
    barred = is_on(tags["nofailover"]) if "nofailover" in tags else priority <= 0
    return DcsMember(
        name=name,
        revision=one.revision,
        lease_id=one.lease_id,
        state=_text(values.get("state")),
        has_api_url=bool(values.get("api_url")),
        is_nofailover=barred,
    )


def _announced(name: str, values: Mapping[str, Any]) -> AnnouncedMember:
    """``conn_url`` is ``postgres://host:port/postgres``, ``api_url`` ``http://host:port/patroni``."""
    rest_url = host = None
    port = POSTGRES_PORT
    try:
        api = urlsplit(str(values.get("api_url") or ""))
        rest_url = base_url(f"{api.scheme}://{api.netloc}")
    except ValueError:
        pass
    try:
        connection = urlsplit(str(values.get("conn_url") or ""))
        host, port = connection.hostname, connection.port or POSTGRES_PORT
    except ValueError:
        pass
    site = _mapping(values.get("tags")).get(SITE_TAG)
    return AnnouncedMember(
        name=name,
        rest_url=rest_url,
        host=host,
        port=port,
        site=None if site is None else str(site),
        said=values,
    )


def _vote(one: KeyValue) -> VoteKey | None:
    values = _object(one.value)
    *_, revision, witness = one.key.split("/")
    site, leader = _text(values.get("site")), _text(values.get("leader"))
    if not revision.isdecimal() or site is None or leader is None:
        return None
    return VoteKey(
        key=one.key,
        key_revision=one.revision,
        witness=witness,
        site=site,
        leader=leader,
        leader_revision=int(revision),
        reason=str(values.get("reason", "")),
    )


def _act(one: KeyValue) -> ActKey | None:
    values = _object(one.value)
    leader, wall_s = _text(values.get("leader")), values.get("wall_s")
    revision = one.key.rpartition("/")[2]
    if not revision.isdecimal() or leader is None or not isinstance(wall_s, int | float):
        return None
    return ActKey(leader=leader, leader_revision=int(revision), wall_s=float(wall_s))


def _object(text: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def is_on(value: object) -> bool:
    """Whether Patroni takes it for true."""
    return value is True or str(value).lower() in TRUE_WORDS


def _number(value: object, default: float) -> float:
    try:
        return float(str(value))
    except ValueError:
        return default
