"""Whether one member is suspect, from what one witness heard of it. Pure: no I/O, no clock.

| what is heard | judged as | why |
|---|---|---|
| Patroni and PostgreSQL silent | ``host-silent`` | nobody there serves anyone |
| port accepts, nothing answers | ``host-hangs``, later | frozen, or its disk stalls |
| port refused, Patroni silent | ``postmaster-gone`` | the host lives, PostgreSQL does not |
| port refused, its Patroni has lost it | ``postmaster-gone`` | its next look may be seconds away |
| port refused, its Patroni at work | well | it stops, starts or restarts the server |
| port refused, its Patroni can ask it | well | it serves, and only this way to it is shut |
| Patroni silent, PostgreSQL answers | well | it still serves; Patroni's ttl decides |
| port mute, Patroni answers | well | open sessions may still commit |
"""

from __future__ import annotations

from dataclasses import dataclass

from replication.witness.model import MemberHeard, WitnessSettings

UNAWARE = frozenset({None, "unknown"})
"""What a Patroni says of its server while it has not noticed that it is gone: ``unknown``, as its
query just failed (Patroni's ``api.py``, ``get_postgresql_status``). ``running`` it says only after
a query that was answered; any other state means that it stops, starts or restarts the server.
``None``: it gave no state."""
HOST_SILENT, HOST_HANGS, POSTMASTER_GONE = "host-silent", "host-hangs", "postmaster-gone"
"""``model.CASES``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """Why a member is suspect. ``case``: one of ``CASES``. ``reason``: in words for people."""

    case: str
    reason: str


def suspicion(
    member: MemberHeard, settings: WitnessSettings, now_s: float, *, is_whole: bool
) -> Suspicion | None:
    """Why the member is suspect; ``None``: it is well, or must be given time, or was never heard:
    that this witness does not reach it says nothing then.

    ``is_whole``: no other member of the cluster is missing.
    """
    if member.patroni.answered_s is None or member.postgres.answered_s is None:
        return None
    if member.postgres.refused_since_s is not None:
        return _of_refused(member, member.postgres.refused_since_s, settings, now_s, is_whole)
    silent_s = min(_patroni_silent_s(member, now_s), _postgres_silent_s(member, now_s))
    if member.postgres.mute_since_s is None:
        patience_s = silence_patience_s(member, settings, is_whole)
        if member.postgres.accepted_s is not None:  # as long as it accepted it was no silent host
            silent_s = min(silent_s, now_s - member.postgres.accepted_s)
        case, words = HOST_SILENT, "not answered, neither Patroni nor PostgreSQL,"
    else:
        patience_s = _patience_s(member, settings, settings.pg_hang_patience_s, is_whole)
        case, words = HOST_HANGS, "accepted connections and answered nothing"
    if silent_s < patience_s:
        return None
    return Suspicion(case=case, reason=f"{member.name} has {words} for {silent_s:.2f} s")


def _of_refused(
    member: MemberHeard, since_s: float, settings: WitnessSettings, now_s: float, is_whole: bool
) -> Suspicion | None:
    """As ``suspicion``, of a member whose port is refused: its host lives."""
    refused_s = now_s - max(since_s, member.asked_since_s)
    is_patroni_there = _patroni_silent_s(member, now_s) < silence_patience_s(
        member, settings, is_whole
    )
    if is_patroni_there and not _has_lost_it(member, since_s):
        return None
    if refused_s < _patience_s(member, settings, settings.refused_patience_s, is_whole):
        return None
    told = "its Patroni has lost it" if is_patroni_there else "its Patroni is silent"
    return Suspicion(
        case=POSTMASTER_GONE,
        reason=f"{member.name} has refused connections for {refused_s:.2f} s, and {told}",
    )


def _has_lost_it(member: MemberHeard, refused_since_s: float) -> bool:
    """Whether its Patroni, asked since the port is refused, cannot ask it either, and does nothing
    about it."""
    asked_s = member.patroni.state_asked_s
    is_fresh = asked_s is not None and asked_s >= refused_since_s
    return is_fresh and member.patroni.state in UNAWARE


def silence_patience_s(member: MemberHeard, settings: WitnessSettings, is_whole: bool) -> float:
    """How long a member may be silent: the setting, more where answers take long or one misses."""
    return _patience_s(member, settings, settings.patience_s, is_whole)


def is_alive(member: MemberHeard, settings: WitnessSettings, now_s: float) -> bool:
    """Whether its Patroni and its PostgreSQL answered within the patience that a primary gets."""
    patience_s = silence_patience_s(member, settings, is_whole=True)
    heard = (member.patroni.answered_s, member.postgres.answered_s)
    is_heard = all(at_s is not None and now_s - at_s < patience_s for at_s in heard)
    return is_heard and member.patroni.state in (None, "running")


def _patroni_silent_s(member: MemberHeard, now_s: float) -> float:
    return _silent_s(member.patroni.answered_s, member.asked_since_s, now_s)


def _postgres_silent_s(member: MemberHeard, now_s: float) -> float:
    return _silent_s(member.postgres.answered_s, member.asked_since_s, now_s)


def _silent_s(answered_s: float | None, asked_since_s: float, now_s: float) -> float:
    return now_s - (asked_since_s if answered_s is None else max(answered_s, asked_since_s))


def _patience_s(
    member: MemberHeard, settings: WitnessSettings, base_s: float, is_whole: bool
) -> float:
    worst_s = max(member.patroni.round_trip_s, member.postgres.round_trip_s)
    patience_s = max(base_s, settings.jitter_factor * worst_s)
    return patience_s if is_whole else patience_s * settings.unwhole_factor
