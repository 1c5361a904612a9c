"""What a witness decides: one healthy cluster with a dead primary, and one thing changed each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from replication.witness.decide import decide
from replication.witness.model import (
    REFUSALS,
    DcsConfig,
    DcsLeader,
    DcsMember,
    DcsSync,
    DcsView,
    EndLease,
    MemberHeard,
    Memory,
    Nothing,
    Observed,
    PastAct,
    PatroniHeard,
    PostgresHeard,
    Suspect,
    Vote,
    WitnessSettings,
)

NOW_S = 1000.0
A, B, C = "db-a", "db-b", "db-c"
PARIS, ORSAY, CLOUD = "paris", "orsay", "saint-cloud"
SETTINGS = WitnessSettings(name="w-orsay", site=ORSAY, sites=frozenset({PARIS, ORSAY, CLOUD}))
NO_ACTS = Memory()


def heard(name: str, silent_s: float) -> MemberHeard:
    return MemberHeard(
        name=name,
        asked_since_s=0.0,
        patroni=PatroniHeard(answered_s=NOW_S - silent_s, state="running"),
        postgres=PostgresHeard(answered_s=NOW_S - silent_s),
    )


def vote(site: str, *, witness: str | None = None, **changed: object) -> Vote:
    said = Vote(
        witness=witness or f"w-{site}",
        site=site,
        leader=A,
        leader_revision=7,
        reason="silent",
        expires_s=NOW_S + 1,
    )
    return replace(said, **changed)


CONFIG = DcsConfig(
    synchronous_mode="quorum",
    is_strict=True,
    is_paused=False,
    is_standby_cluster=False,
    ttl_s=30.0,
    loop_wait_s=10.0,
    revision=2,
)
SYNC = DcsSync(leader=A, standbys=frozenset({B, C}), quorum=1, revision=5)
DCS = DcsView(
    read_s=NOW_S - 0.01,
    leader=DcsLeader(member=A, lease_id=99, revision=7),
    sync=SYNC,
    config=CONFIG,
    members=tuple(DcsMember(name=name, revision=10) for name in (A, B, C)),
)
DEAD = Observed(
    now_s=NOW_S,
    members=(heard(A, 0.4), heard(B, 0.0), heard(C, 0.0)),
    dcs=DCS,
    votes=(vote(ORSAY), vote(CLOUD)),
)
"""Two of three sites have voted against the silent primary."""


def dcs_with(**changed: object) -> Observed:
    return replace(DEAD, dcs=replace(DCS, **changed))


def test_two_of_three_sites_end_the_lease() -> None:
    decision = decide(DEAD, SETTINGS, NO_ACTS)
    assert isinstance(decision, EndLease)
    assert (decision.leader, decision.leader_revision) == (A, 7)
    assert (decision.sync_revision, decision.config_revision) == (5, 2)
    assert decision.member_revision == 10
    assert decision.voted_by == ("w-orsay", "w-saint-cloud")
    assert decision.case == "host-silent"
    assert "sites that say so: 2 of 3" in decision.reason


def test_one_site_alone_votes() -> None:
    decision = decide(replace(DEAD, votes=()), SETTINGS, NO_ACTS)
    assert isinstance(decision, Suspect)
    assert (decision.leader, decision.leader_revision) == (A, 7)


@pytest.mark.parametrize(
    "votes",
    [
        (vote(CLOUD), vote(PARIS)),
        (vote(ORSAY), vote(CLOUD, expires_s=NOW_S)),
        (vote(ORSAY), vote(CLOUD, leader_revision=6)),
        (vote(ORSAY), vote(CLOUD, leader=B)),
        (vote(ORSAY), vote("elsewhere")),
        (vote(ORSAY), vote(ORSAY, witness="w-twin")),
        (vote(ORSAY), vote(CLOUD, witness="w-orsay")),
        (vote(ORSAY), vote(ORSAY)),
        (vote(CLOUD, witness="w-orsay"), vote(PARIS)),
    ],
    ids=[
        "own vote not out",
        "expired",
        "another lease",
        "another leader",
        "a site without a witness",
        "two of one site",
        "one for two sites",
        "twice the same",
        "the own one from another site",
    ],
)
def test_what_does_not_count_as_agreement(votes: tuple[Vote, ...]) -> None:
    assert isinstance(decide(replace(DEAD, votes=votes), SETTINGS, NO_ACTS), Suspect)


def test_a_witness_counts_for_one_of_the_sites_it_names_and_takes_no_other_ones_place() -> None:
    votes = (vote(ORSAY), vote(CLOUD, witness="w-a"), vote(PARIS, witness="w-a"))
    decision = decide(replace(DEAD, votes=votes), SETTINGS, NO_ACTS)
    assert isinstance(decision, EndLease)
    assert decision.voted_by == ("w-a", "w-orsay")
    decision = decide(replace(DEAD, votes=(*votes, vote(PARIS))), SETTINGS, NO_ACTS)
    assert isinstance(decision, EndLease)
    assert decision.voted_by == ("w-a", "w-orsay", "w-paris")


def test_a_site_counts_once_however_many_witnesses_it_has() -> None:
    votes = (vote(ORSAY), vote(CLOUD), vote(CLOUD, witness="w-twin"))
    five = replace(SETTINGS, sites=frozenset({PARIS, ORSAY, CLOUD, "lyon", "lille"}))
    assert isinstance(decide(replace(DEAD, votes=votes), five, NO_ACTS), Suspect)
    assert isinstance(decide(replace(DEAD, votes=(*votes, vote("lyon"))), five, NO_ACTS), EndLease)


@pytest.mark.parametrize(
    ("refusal", "observed"),
    [
        ("etcd-unread", replace(DEAD, dcs=None)),
        ("etcd-unread", dcs_with(read_s=NOW_S - 0.6)),
        ("no-config", dcs_with(config=None)),
        ("paused", dcs_with(config=replace(CONFIG, is_paused=True))),
        ("standby-cluster", dcs_with(config=replace(CONFIG, is_standby_cluster=True))),
        ("not-strict", dcs_with(config=replace(CONFIG, is_strict=False))),
        ("not-strict", dcs_with(config=replace(CONFIG, synchronous_mode="on"))),
        ("not-strict", dcs_with(config=replace(CONFIG, synchronous_mode="off"))),
        ("failover-by-hand", dcs_with(failover_revision=8)),
        ("sync-key", dcs_with(sync=None)),
        ("sync-key", dcs_with(sync=replace(SYNC, leader=B))),
        ("sync-key", dcs_with(sync=replace(SYNC, leader=None))),
        ("stands-alone", dcs_with(sync=replace(SYNC, standbys=frozenset()))),
        ("stands-alone", dcs_with(sync=replace(SYNC, standbys=frozenset({B}), quorum=0))),
    ],
)
def test_a_rule_forbids_the_act(refusal: str, observed: Observed) -> None:
    decision = decide(observed, SETTINGS, NO_ACTS)
    assert isinstance(decision, Nothing)
    assert decision.refusal == refusal
    assert refusal in REFUSALS


def test_nobody_is_replaced_when_the_winner_would_stand_alone() -> None:
    long_dead = (heard(A, 60.0), heard(B, 0.0), heard(C, 60.0))
    decision = decide(replace(DEAD, members=long_dead), SETTINGS, NO_ACTS)
    assert isinstance(decision, Nothing)
    assert decision.refusal == "stands-alone"


def test_a_candidate_is_needed_that_may_lead() -> None:
    barred = tuple(DcsMember(name=name, revision=1, is_nofailover=True) for name in (B, C))
    decision = decide(dcs_with(members=barred), SETTINGS, NO_ACTS)
    assert isinstance(decision, Nothing)
    assert decision.refusal == "stands-alone"


@pytest.mark.parametrize(
    ("standbys", "quorum", "need"),
    [(1, 0, 2), (2, 1, 2), (3, 2, 3), (3, 1, 3), (4, 3, 4), (4, 2, 3), (4, 1, 4)],
)
def test_so_many_must_answer_that_one_wins_and_enough_acknowledge(
    standbys: int, quorum: int, need: int
) -> None:
    """Of four standbys of which two must acknowledge (``quorum`` 2), one may be missing."""
    names = [f"db-{number}" for number in range(standbys)]
    sync = DcsSync(leader=A, standbys=frozenset(names), quorum=quorum, revision=5)
    for alive in range(standbys + 1):
        others = (heard(name, 0.0 if i < alive else 60.0) for i, name in enumerate(names))
        observed = replace(dcs_with(sync=sync), members=(heard(A, 60.0), *others))
        decision = decide(observed, SETTINGS, NO_ACTS)
        assert isinstance(decision, EndLease) == (alive >= need)
        if isinstance(decision, Nothing):
            assert decision.refusal == "stands-alone"


def test_names_are_compared_without_regard_to_case() -> None:
    sync = DcsSync(leader="DB-A", standbys=frozenset({"DB-B", "db-C"}), quorum=1, revision=5)
    assert isinstance(decide(dcs_with(sync=sync), SETTINGS, NO_ACTS), EndLease)


def test_nobody_leads_or_nobody_whom_it_knows() -> None:
    for leader in (None, DcsLeader(member="db-x", lease_id=1, revision=7)):
        decision = decide(dcs_with(leader=leader), SETTINGS, NO_ACTS)
        assert isinstance(decision, Nothing)
        assert decision.refusal is None


@pytest.mark.parametrize("sites", [frozenset({ORSAY}), frozenset({PARIS, CLOUD})])
def test_sites_that_cannot_agree(sites: frozenset[str]) -> None:
    decision = decide(DEAD, replace(SETTINGS, sites=sites), NO_ACTS)
    assert isinstance(decision, Nothing)
    assert decision.refusal == "too-few-sites"


@pytest.mark.parametrize(
    ("ages_s", "is_free"),
    [
        ((9.9,), False),
        ((10.1,), True),
        ((10.1, 300.0), False),
        ((20.1, 300.0), True),
        ((20.1, 300.0, 400.0), False),
        ((40.1, 300.0, 4000.0), True),
        ((601.0, *range(700, 3000, 100)), True),
        ((599.0, *range(700, 3000, 100)), False),
    ],
)
def test_after_an_act_nobody_acts_for_a_while_that_grows(
    ages_s: tuple[float, ...], is_free: bool
) -> None:
    acts = tuple(PastAct(leader=B, leader_revision=1, at_s=NOW_S - age_s) for age_s in ages_s)
    decision = decide(DEAD, SETTINGS, Memory(acts=acts))
    assert isinstance(decision, EndLease) == is_free
    if isinstance(decision, Nothing):
        assert decision.refusal == "too-soon"


SECONDS = st.sampled_from([0.0, 0.2, 0.4, 5.0, 60.0])
MEMBERS = st.tuples(
    *(st.builds(heard, st.just(name), SECONDS) for name in (A, B, C)),
)
VOTES = st.lists(
    st.builds(
        vote,
        st.sampled_from([PARIS, ORSAY, CLOUD, "elsewhere"]),
        witness=st.sampled_from(["w-paris", "w-orsay", "w-saint-cloud", "w-twin"]),
        leader=st.sampled_from([A, B]),
        leader_revision=st.sampled_from([6, 7]),
        expires_s=st.sampled_from([NOW_S - 1, NOW_S + 1]),
    ),
    max_size=6,
)
VIEWS = st.builds(
    DcsView,
    read_s=st.sampled_from([NOW_S, NOW_S - 0.4, NOW_S - 0.6]),
    leader=st.none()
    | st.builds(
        DcsLeader, member=st.sampled_from([A, B]), lease_id=st.just(1), revision=st.just(7)
    ),
    sync=st.none()
    | st.builds(
        DcsSync,
        leader=st.sampled_from([None, A, B]),
        standbys=st.frozensets(st.sampled_from([A, B, C])),
        quorum=st.integers(0, 2),
        revision=st.just(5),
    ),
    config=st.none()
    | st.builds(
        DcsConfig,
        synchronous_mode=st.sampled_from(["off", "on", "quorum", "quorum"]),
        is_strict=st.booleans(),
        is_paused=st.booleans(),
        is_standby_cluster=st.booleans(),
        ttl_s=st.just(30.0),
        loop_wait_s=st.just(10.0),
        revision=st.just(2),
    ),
    failover_revision=st.sampled_from([None, None, 8]),
)
SEEN = st.builds(
    Observed,
    now_s=st.just(NOW_S),
    members=st.just(DEAD.members) | MEMBERS,
    dcs=st.just(DCS) | VIEWS,
    votes=st.just(DEAD.votes) | VOTES.map(tuple),
)


@given(SEEN, st.lists(st.sampled_from([1.0, 11.0, 5000.0]), max_size=2))
def test_a_lease_is_ended_only_where_every_rule_allows_it(
    observed: Observed, ages_s: list[float]
) -> None:
    """The contract at the top of ``decide.py``, counted again in another way."""
    acts = tuple(PastAct(leader=A, leader_revision=1, at_s=NOW_S - age_s) for age_s in ages_s)
    decision = decide(observed, SETTINGS, Memory(acts=acts))
    event(type(decision).__name__)
    if isinstance(decision, Nothing):
        assert decision.refusal is None or decision.refusal in REFUSALS
        assert decision.reason
        return
    dcs = observed.dcs
    assert dcs is not None
    assert dcs.leader is not None
    assert dcs.sync is not None
    assert dcs.config is not None
    assert NOW_S - dcs.read_s <= SETTINGS.dcs_age_s_max
    assert (decision.leader, decision.leader_revision) == (dcs.leader.member, 7)
    assert dcs.config.synchronous_mode == "quorum"
    assert dcs.config.is_strict
    assert not dcs.config.is_paused
    assert not dcs.config.is_standby_cluster
    assert dcs.failover_revision is None
    assert dcs.sync.leader == decision.leader
    assert 1.0 not in ages_s
    silent_s = {one.name: NOW_S - (one.patroni.answered_s or 0) for one in observed.members}
    assert silent_s[decision.leader] >= SETTINGS.patience_s
    alive = {name for name in dcs.sync.standbys - {decision.leader} if silent_s[name] < 0.3}
    assert len(alive) >= 2
    assert len(alive) - 1 >= dcs.sync.quorum
    if isinstance(decision, EndLease):
        counted = [
            one
            for one in observed.votes
            if one.witness in decision.voted_by
            and one.expires_s > NOW_S
            and (one.leader, one.leader_revision) == (decision.leader, 7)
        ]
        assert SETTINGS.name in decision.voted_by
        assert len(decision.voted_by) >= 2
        assert len({one.site for one in counted} & SETTINGS.sites) >= 2


@given(SEEN)
def test_more_silence_of_the_standbys_and_fewer_votes_never_make_an_act(
    observed: Observed,
) -> None:
    if isinstance(decide(observed, SETTINGS, NO_ACTS), EndLease):
        return
    poorer = replace(observed, votes=observed.votes[1:])
    assert not isinstance(decide(poorer, SETTINGS, NO_ACTS), EndLease)
    leader = observed.dcs.leader.member if observed.dcs and observed.dcs.leader else None
    quieter = tuple(one if one.name == leader else heard(one.name, 60) for one in observed.members)
    assert not isinstance(decide(replace(observed, members=quieter), SETTINGS, NO_ACTS), EndLease)
