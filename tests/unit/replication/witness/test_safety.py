"""Every order of steps of small clusters with witnesses: what can, and what cannot, be lost.

The argument in words is ``docs/operate/witness-safety.md``; what is modelled, and what is not, is
in ``support/witness/cluster_model.py``.
"""

from __future__ import annotations

import pytest
from support.witness import mutants
from support.witness.cluster_model import World
from support.witness.search import Searched, search

LOST = ("lost", "split")

IN_TIME = [
    World(silences=2, acts=2, writes=1),
    World(writes=2),
    World(nodes=4, need=1, writes=1, leases=2),
    World(nodes=4, need=2, writes=1, leases=2),
    pytest.param(World(nodes=5, need=2, writes=1, leases=2), marks=pytest.mark.slow),
]
AT_ANY_TIME = [
    World(waits=True, late=True, silences=2, writes=1, leases=2),
    World(waits=True, late=True, writes=2, leases=2),
    World(waits=True, late=True, expiry=True, silences=0, acts=0, writes=1, leases=2),
    World(waits=True, late=True, expiry=True, outside=1, silences=0, acts=0, writes=1, leases=2),
    pytest.param(
        World(waits=True, late=True, expiry=True, silences=0, acts=0, writes=1),
        marks=pytest.mark.slow,
    ),
]


@pytest.mark.parametrize("world", IN_TIME)
def test_what_a_majority_hears_as_silent_is_replaced_without_loss(world: World) -> None:
    """Patroni as it is: the silent primary stays silent until the replicas follow the winner."""
    searched = search(world)
    assert searched.wrong is None, str(searched)
    assert searched.states > 3000, "a model that hardly moves proves nothing"


@pytest.mark.parametrize("world", AT_ANY_TIME)
def test_a_winner_that_waits_loses_nothing_whenever_the_old_primary_comes_back(
    world: World,
) -> None:
    """Nor whenever a lease ends: no witness, however wrong, can lose a write then."""
    searched = search(world)
    assert searched.wrong is None, str(searched)
    assert searched.states > 1000


@pytest.mark.parametrize(
    "world",
    [
        World(late=True, writes=1),
        World(late=True, expiry=True, silences=0, acts=0, writes=1),
    ],
)
def test_without_waiting_a_primary_that_comes_back_in_the_race_is_still_acknowledged(
    world: World,
) -> None:
    """Of a lease that a witness ended, and of one that Patroni let expire: the gap is Patroni's."""
    searched = search(world)
    assert searched.wrong is not None
    assert searched.wrong.startswith("lost: 0 is acknowledged, and primary 1 lacks it")
    assert searched.way[-2:] in (
        ("0 is back", "2 receives 0 from 0"),
        ("1 is promoted", "2 receives 0 from 0"),
    )


@pytest.mark.parametrize(
    "world",
    [
        World(decide=mutants.ignores_the_sync_key, silences=2, acts=2, writes=1, looks_for=LOST),
        World(decide=mutants.votes_twice, writes=1, looks_for=LOST),
        World(decide=mutants.acts_in_any_mode, mode="off", writes=1, looks_for=LOST),
        World(compares=False, silences=2, acts=2, writes=1, looks_for=LOST),
    ],
    ids=["ignores the sync key", "votes twice", "not strict", "compares no revisions"],
)
def test_a_witness_with_a_fault_loses_a_write(world: World) -> None:
    assert is_lost(search(world))


@pytest.mark.parametrize(
    "world",
    [
        World(decide=mutants.votes_twice, writes=0),
        World(compares=False, silences=2, acts=2, writes=0),
    ],
    ids=["votes twice", "compares no revisions"],
)
def test_a_lease_that_most_sites_did_not_vote_against_is_found_before_anything_is_lost(
    world: World,
) -> None:
    searched = search(world)
    assert searched.wrong is not None
    assert searched.wrong.startswith("disagreed")


def test_a_winner_that_counts_one_too_few_loses_a_write() -> None:
    world = World(
        waits=True,
        late=True,
        expiry=True,
        outside=1,
        silences=0,
        acts=0,
        writes=1,
        leases=2,
        let_go=mutants.counts_by_its_own_names,
    )
    assert is_lost(search(world))


@pytest.mark.parametrize("seals", [False, True], ids=["unsealed", "sealed"])
def test_only_a_sealed_rule_holds_for_a_primary_that_slept_while_it_took_a_standby_in(
    seals: bool,
) -> None:
    """Without the seal it is acknowledged by a standby that the winner's rule does not count."""
    world = World(
        waits=True,
        late=True,
        expiry=True,
        outside=1,
        drafts=True,
        seals=seals,
        silences=0,
        acts=0,
        writes=1,
        leases=2,
    )
    searched = search(world)
    if seals:
        assert searched.wrong is None, str(searched)
        assert searched.states > 1000
    else:
        assert is_lost(searched)
        assert "0 writes what it drafted" in searched.way, str(searched)


@pytest.mark.parametrize(("leases", "loses"), [(2, False), (3, True)])
def test_a_winner_that_sleeps_past_its_lease_behind_its_gate_needs_a_watchdog(
    leases: int, loses: bool
) -> None:
    """The old primary has no promotion, so no gate: it takes the key again meanwhile."""
    world = World(
        waits=True,
        late=True,
        expiry=True,
        dozes=True,
        silences=0,
        acts=0,
        writes=1,
        leases=leases,
    )
    searched = search(world)
    assert is_lost(searched) == loses, str(searched)
    if loses:
        assert "0 takes the key again" in searched.way


def test_nothing_ends_a_lease_of_a_cluster_in_another_mode() -> None:
    searched = search(World(mode="off", writes=1))
    assert searched.wrong is None
    assert searched.states < 100, "no race is to be reached at all"


def is_lost(searched: Searched) -> bool:
    return searched.wrong is not None and searched.wrong.startswith(LOST)
