"""What a witness of the model sees, as ``decide`` takes it, and what it decides then."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from support.witness.race import SyncRule

from replication.witness.model import (
    DcsConfig,
    DcsLeader,
    DcsSync,
    DcsView,
    Decision,
    MemberHeard,
    Memory,
    Observed,
    PatroniHeard,
    PostgresHeard,
    Vote,
    WitnessSettings,
)

Decide = Callable[[Observed, WitnessSettings, Memory], Decision]

NOW_S = 100.0


class Sight(NamedTuple):
    """What the witness of a site looks at. It hears nothing of ``holder``, rightly or not."""

    site: int
    sites: int
    nodes: int
    mode: str
    holder: int
    revision: int
    sync: SyncRule
    sync_revision: int
    silent: frozenset[int]
    votes: tuple[tuple[int, int] | None, ...]


@lru_cache(maxsize=100_000)
def judged_by(decide: Decide, sight: Sight) -> Decision:
    """The decision, by ``decide``, of the witness that has this sight."""
    settings = WitnessSettings(
        name=_site(sight.site),
        site=_site(sight.site),
        sites=frozenset(_site(site) for site in range(sight.sites)),
    )
    return decide(observed(sight), settings, Memory())


def observed(sight: Sight) -> Observed:
    """The sight, as a witness's own observation."""
    silent = sight.silent | {sight.holder}
    leader = sight.sync.leader
    return Observed(
        now_s=NOW_S,
        members=tuple(_heard(name, name in silent) for name in range(sight.nodes)),
        dcs=DcsView(
            read_s=NOW_S,
            leader=DcsLeader(member=_name(sight.holder), lease_id=1, revision=sight.revision),
            sync=DcsSync(
                leader=None if leader is None else _name(leader),
                standbys=frozenset(map(_name, sight.sync.standbys)),
                quorum=sight.sync.quorum,
                revision=sight.sync_revision,
            ),
            config=DcsConfig(
                synchronous_mode=sight.mode,
                is_strict=True,
                is_paused=False,
                is_standby_cluster=False,
                ttl_s=30.0,
                loop_wait_s=10.0,
                revision=1,
            ),
        ),
        votes=tuple(
            Vote(
                witness=_site(site),
                site=_site(site),
                leader=_name(vote[0]),
                leader_revision=vote[1],
                reason="silent",
                expires_s=NOW_S + 1,
            )
            for site, vote in enumerate(sight.votes)
            if vote is not None
        ),
    )


def _heard(name: int, is_silent: bool) -> MemberHeard:
    answered_s = NOW_S - 60 if is_silent else NOW_S
    return MemberHeard(
        name=_name(name),
        asked_since_s=0.0,
        patroni=PatroniHeard(answered_s=answered_s, state="running"),
        postgres=PostgresHeard(answered_s=answered_s),
    )


def _name(node: int) -> str:
    return f"db-{node}"


def _site(site: int) -> str:
    return f"site-{site}"
