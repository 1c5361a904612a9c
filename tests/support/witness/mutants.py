"""Witnesses with one fault each, which the search must find out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from support.witness.race import SyncRule, names_of_winner

from replication.witness.decide import decide
from replication.witness.model import Decision, Memory, Observed, WitnessSettings


def ignores_the_sync_key(observed: Observed, settings: WitnessSettings, memory: Memory) -> Decision:
    """It takes the leader for the sync key's, and every other member for its standby."""
    return decide(_all_in_sync(observed), settings, memory)


def votes_twice(observed: Observed, settings: WitnessSettings, memory: Memory) -> Decision:
    """It counts its own vote for another site too."""
    others = sorted(settings.sites - {settings.site})
    again = tuple(
        replace(vote, witness="twin", site=others[0])
        for vote in observed.votes
        if vote.witness == settings.name
    )
    return decide(replace(observed, votes=observed.votes + again), settings, memory)


def acts_in_any_mode(observed: Observed, settings: WitnessSettings, memory: Memory) -> Decision:
    """It takes every cluster for one in strict quorum mode."""
    observed = _all_in_sync(observed)
    dcs = observed.dcs
    if dcs is not None and dcs.config is not None:
        config = replace(dcs.config, synchronous_mode="quorum", is_strict=True)
        observed = replace(observed, dcs=replace(dcs, config=config))
    return decide(observed, settings, memory)


def counts_by_its_own_names(me: int, attached: Iterable[int], sync: SyncRule) -> bool:
    """A winner that waits for what its ``synchronous_standby_names`` leave over: one too few where
    the sync key does not name it."""
    names, need = names_of_winner(me, sync)
    return len(names & frozenset(attached)) >= len(names) - need


def _all_in_sync(observed: Observed) -> Observed:
    dcs = observed.dcs
    if dcs is None or dcs.leader is None or dcs.sync is None:
        return observed
    others = frozenset(member.name for member in observed.members) - {dcs.leader.member}
    sync = replace(dcs.sync, leader=dcs.leader.member, standbys=others, quorum=len(others) - 1)
    return replace(observed, dcs=replace(dcs, sync=sync))
