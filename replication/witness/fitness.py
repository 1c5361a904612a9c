"""Whether a cluster is one that witnesses can help, and what to change. Pure: no I/O, no clock.

Each remark says what was found, and what to do about it. Only a ``bad`` one makes a cluster unfit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

from replication.witness.decide import wrong_mode
from replication.witness.keys import Reading, is_on
from replication.witness.model import WitnessSettings

Grade = Literal["good", "advice", "bad", "unseen"]
"""good: as it should be. advice: it works, slower or less safe than it could. bad: witnesses would
not act, or could not run. unseen: cannot be seen from here; look yourself."""

ETCD_VERSION_MIN = (3, 4)
"""The gateway at ``/v3`` (etcd manual, "gRPC gateway")."""
ETCD_VERSIONS_TORN = ((3, 5, 0), (3, 5, 3))
"""From the first on, before the second: may become inconsistent when killed (etcd issue 13766)."""
PATRONI_VERSION_MIN = (4, 0)
"""``synchronous_mode: quorum`` (Patroni's release notes)."""
PATRONI_VERSION_TRIED = (4, 1)
MEMBERS_MIN = 3
WAL_RETRIEVE_S_MAX = 1.0
NEARER_S = 0.002
"""An etcd that answers so much sooner stands in another, nearer place."""
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 30.0, 10.0, 10.0
"""Patroni's defaults, with which witnesses were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSeen:
    """A member of etcd: what it said to ``GET /version``, or in words why it did not."""

    endpoint: str
    version: str | None = None
    round_trip_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatroniSeen:
    """A member's Patroni: what it said to ``GET /patroni``, or in words why it did not."""

    name: str
    version: str | None = None
    round_trip_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was seen. ``reading``: ``None``: etcd did not give it, ``unread`` says why.
    ``dynamic``: Patroni's configuration in the DCS, as it is written there."""

    settings: WitnessSettings
    etcd: tuple[EtcdSeen, ...]
    reading: Reading | None = None
    unread: str = ""
    dynamic: Mapping[str, Any] = field(default_factory=dict)
    patroni: tuple[PatroniSeen, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing that was looked at. ``remedy``: what to do; empty where nothing is to be done."""

    grade: Grade
    about: str
    words: str
    remedy: str = ""


def remarks(seen: Examined) -> tuple[Remark, ...]:
    """Everything that there is to say, in the order in which to mend it."""
    return tuple(
        chain(
            _of_etcd(seen),
            _of_config(seen),
            _of_members(seen),
            _of_timing(seen),
            _of_witnesses(seen),
            _unseen(seen),
        )
    )


def is_fit(found: Iterable[Remark]) -> bool:
    """Whether nothing is bad."""
    return all(one.grade != "bad" for one in found)


def version_of(text: str | None) -> tuple[int, ...]:
    """``3.4.23`` as numbers; empty where it has none."""
    found = re.match(r"(\d+(?:\.\d+)*)", text or "")
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def seconds_of(value: object) -> float | None:
    """A duration of PostgreSQL, as ``500ms``, ``5s`` or a bare number of milliseconds."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min)?\s*", str(value))
    if found is None:
        return None
    return float(found[1]) * {"ms": 0.001, "s": 1.0, "min": 60.0, None: 0.001}[found[2]]


def _of_etcd(seen: Examined) -> Iterator[Remark]:
    for one in seen.etcd:
        about, version = f"etcd {one.endpoint}", version_of(one.version)
        low, high = ETCD_VERSIONS_TORN
        if one.error:
            yield Remark(
                grade="bad",
                about=about,
                words=one.error,
                remedy="mend the way from here to it, or take it out of endpoints",
            )
        elif version < ETCD_VERSION_MIN:
            yield Remark(
                grade="bad",
                about=about,
                words=f"version {one.version}; witnesses and the gate need 3.4 or later",
                remedy="upgrade etcd",
            )
        elif low <= version < high:
            yield Remark(
                grade="advice",
                about=about,
                words=f"version {one.version} may become inconsistent when killed under load",
                remedy="upgrade to 3.5.3 or later (etcd issue 13766)",
            )
        else:
            yield Remark(grade="good", about=about, words=f"version {one.version}")
    if seen.unread:
        yield Remark(
            grade="bad",
            about="etcd",
            words=f"the keys of the cluster cannot be read: {seen.unread}",
            remedy="docs/operate/witness.md lists what a witness's user must be granted",
        )
    elif len(seen.etcd) < MEMBERS_MIN:
        yield Remark(
            grade="advice",
            about="etcd",
            words=f"{len(seen.etcd)} endpoint known here: what is lost with it ends every witness",
            remedy="name every member of etcd in endpoints, the own site's first",
        )
    timed = [one for one in seen.etcd if one.round_trip_s is not None]
    nearest = min(timed, key=lambda one: one.round_trip_s or 0.0, default=None)
    if nearest is not None and nearest is not seen.etcd[0]:
        first_s = seen.etcd[0].round_trip_s
        if first_s is None or first_s - (nearest.round_trip_s or 0.0) > NEARER_S:
            yield Remark(
                grade="advice",
                about="endpoints",
                words=f"the first is not the nearest: {nearest.endpoint} answers sooner",
                remedy="put the own site's etcd first",
            )


def _of_config(seen: Examined) -> Iterator[Remark]:
    if seen.reading is None:
        return
    config = seen.reading.view.config
    if config is None:
        yield Remark(
            grade="bad",
            about="config",
            words="there is no configuration of Patroni at that scope and namespace",
            remedy="compare scope and namespace with patroni.yml",
        )
        return
    forbidden = wrong_mode(replace(config, is_paused=False))
    if forbidden is None:
        yield Remark(grade="good", about="config", words="synchronous_mode is quorum, and strict")
    if config.is_paused:
        yield Remark(
            grade="advice",
            about="config",
            words="maintenance mode is on: witnesses do nothing until it ends",
            remedy="patronictl resume",
        )
    if forbidden is not None:
        yield Remark(
            grade="bad",
            about="config",
            words=f"{forbidden.reason}: witnesses refuse ({forbidden.refusal})",
            remedy="patronictl edit-config -s synchronous_mode=quorum -s"
            " synchronous_mode_strict=true"
            if forbidden.refusal == "not-strict"
            else "witnesses are for the primary cluster alone",
        )


def _of_members(seen: Examined) -> Iterator[Remark]:
    reading = seen.reading
    if reading is None:
        return
    view = reading.view
    if len(reading.members) < MEMBERS_MIN:
        yield Remark(
            grade="bad",
            about="members",
            words=f"{len(reading.members)} of them; one must win, and another acknowledge",
            remedy=f"{MEMBERS_MIN} PostgreSQL or more",
        )
    if view.leader is None:
        yield Remark(
            grade="bad",
            about="members",
            words="nobody leads: there is no primary to replace",
            remedy="docs/operate/runbooks/no-primary.md",
        )
    elif view.sync is None or view.sync.leader is None:
        yield Remark(
            grade="bad",
            about="sync",
            words="the sync key names no leader: synchronous replication is not in force",
            remedy="see config; it comes into force within a few loop_wait",
        )
    else:
        standbys, quorum = view.sync.standbys, view.sync.quorum
        needed = 1 + max(quorum, len(standbys) - quorum)
        if len(standbys) < needed:
            yield Remark(
                grade="bad",
                about="sync",
                words=f"of its standbys {needed} must live for a winner that can acknowledge, and"
                f" there are {len(standbys)} (stands-alone)",
                remedy="another synchronous standby, or a smaller synchronous_node_count",
            )
        else:
            yield Remark(
                grade="good",
                about="sync",
                words=f"{view.sync.leader}, and {', '.join(sorted(standbys))}",
            )
    for one in seen.patroni:
        yield _of_patroni(one)
    versions = {one.version for one in seen.patroni if one.version}
    if len(versions) > 1:
        yield Remark(
            grade="advice",
            about="members",
            words=f"they run different versions of Patroni: {', '.join(sorted(versions))}",
            remedy="bring them to the same one",
        )
    for name, member in reading.members.items():
        tags = member.said.get("tags")
        priority = tags.get("failover_priority") if isinstance(tags, dict) else None
        if priority not in {None, 0, 1}:
            yield Remark(
                grade="advice",
                about=name,
                words=f"failover_priority {priority} has no effect in quorum mode",
                remedy="whoever has received most wins; 0 (never) still holds",
            )


def _of_patroni(one: PatroniSeen) -> Remark:
    version = version_of(one.version)
    if one.error:
        return Remark(
            grade="bad",
            about=one.name,
            words=f"its Patroni cannot be asked from here: {one.error}",
            remedy="open the way to its REST API: who was never heard is left alone",
        )
    if version < PATRONI_VERSION_MIN:
        return Remark(
            grade="bad",
            about=one.name,
            words=f"Patroni {one.version}; quorum commit came with 4.0",
            remedy="upgrade Patroni",
        )
    if version[:2] > PATRONI_VERSION_TRIED:
        return Remark(
            grade="advice",
            about=one.name,
            words=f"Patroni {one.version} is newer than what witnesses were tried with, 4.1",
            remedy="begin with --dry-run",
        )
    return Remark(grade="good", about=one.name, words=f"Patroni {one.version}")


def _of_timing(seen: Examined) -> Iterator[Remark]:
    if seen.reading is None or seen.reading.view.config is None:
        return
    ttl_s, loop_wait_s, retry_timeout_s = (
        _setting(seen.dynamic, name, default)
        for name, default in (
            ("ttl", TTL_S),
            ("loop_wait", LOOP_WAIT_S),
            ("retry_timeout", RETRY_TIMEOUT_S),
        )
    )
    said = f"ttl {ttl_s:g}, loop_wait {loop_wait_s:g}, retry_timeout {retry_timeout_s:g}"
    if loop_wait_s + 2 * retry_timeout_s > ttl_s:
        yield Remark(
            grade="bad",
            about="timing",
            words=f"{said}: loop_wait + 2 * retry_timeout is more than ttl",
            remedy="30, 10, 10 are Patroni's defaults, and enough",
        )
    elif ttl_s < TTL_S:
        yield Remark(
            grade="advice",
            about="timing",
            words=f"{said}: a short ttl costs failovers that nobody needs, and witnesses make it"
            " superfluous",
            remedy="30, 10, 10: calm where no witness is, and as fast where they are",
        )
    else:
        yield Remark(grade="good", about="timing", words=said)
    postgresql = seen.dynamic.get("postgresql")
    parameters = postgresql.get("parameters") if isinstance(postgresql, dict) else None
    parameters = parameters if isinstance(parameters, dict) else {}
    interval_s = seconds_of(parameters.get("wal_retrieve_retry_interval", "5s"))
    if interval_s is None or interval_s > WAL_RETRIEVE_S_MAX:
        yield Remark(
            grade="advice",
            about="timing",
            words="wal_retrieve_retry_interval is 5 s or as long: after a crash that Patroni itself"
            " repairs, standbys try again so late",
            remedy="patronictl edit-config -p wal_retrieve_retry_interval=500ms",
        )
    if str(seen.dynamic.get("member_slots_ttl", "")) in {"0", "0s"}:
        yield Remark(
            grade="advice",
            about="timing",
            words="member_slots_ttl is 0: the gate would stay shut at every failover, as no replica"
            " could stream from the winner before its promotion",
            remedy="patronictl edit-config -s member_slots_ttl=30min, or run no gate",
        )
    if is_on(seen.dynamic.get("failsafe_mode")):
        yield Remark(
            grade="good",
            about="timing",
            words="failsafe_mode is on; a witness without etcd decides nothing all the same",
        )


def _setting(dynamic: Mapping[str, Any], name: str, default: float) -> float:
    value = dynamic.get(name, default)
    return float(value) if isinstance(value, int | float) else default


def _of_witnesses(seen: Examined) -> Iterator[Remark]:
    settings, reading = seen.settings, seen.reading
    if reading is None:
        return
    needed, named = len(settings.sites) // 2 + 1, ", ".join(sorted(reading.alive))
    if len(reading.alive) < len(settings.sites):
        yield Remark(
            grade="advice",
            about="witnesses",
            words=f"of {len(settings.sites)} there are {len(reading.alive)}: {named or 'none'}",
            remedy=f"start one in each site; {needed} must agree",
        )
    else:
        yield Remark(grade="good", about="witnesses", words=f"one in each site: {named}")
    worst = max(
        (one for one in seen.patroni if one.round_trip_s is not None),
        key=lambda one: one.round_trip_s or 0.0,
        default=None,
    )
    if worst is not None and worst.round_trip_s is not None:
        patience_s = settings.jitter_factor * worst.round_trip_s
        if patience_s > settings.patience_s:
            yield Remark(
                grade="advice",
                about="patience",
                words=f"{worst.name} took {worst.round_trip_s:.3f} s to answer: this witness would"
                f" wait for {patience_s:.2f} s, not {settings.patience_s:g}",
                remedy="put witnesses nearer, or accept it: patience follows the worst answer",
            )


def _unseen(seen: Examined) -> Iterator[Remark]:
    """What only the members' own files and hosts can show."""
    names = ", ".join(seen.reading.members) if seen.reading else "each member"
    yield Remark(
        grade="unseen",
        about="patroni.yml",
        words=f"etcd3.hosts of {names}: is its own site's etcd the first, and use_proxies true?",
        remedy="else a replica whose etcd is lost with a site hears of the winner up to loop_wait"
        " later",
    )
    yield Remark(
        grade="unseen",
        about="patroni.yml",
        words=f"postgresql.pre_promote of {names}: is it the gate?",
        remedy="python3 -I -S gate.py ... --check, on each, as Patroni's user",
    )
    rtt_ms = 1000 * max((one.round_trip_s or 0.0 for one in seen.etcd), default=0.0)
    yield Remark(
        grade="unseen",
        about="etcd",
        words=f"its timeouts: the slowest answer of a member took {rtt_ms:.0f} ms here",
        remedy="heartbeat-interval about the longest round trip between members, 50 ms at least;"
        " election-timeout ten times that: it is what remains where a site is lost with etcd's"
        " leader",
    )
