"""Who is suspect: what is heard of one member, case by case."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.witness.model import (
    CASES,
    MemberHeard,
    PatroniHeard,
    PostgresHeard,
    WitnessSettings,
)
from replication.witness.suspicion import is_alive, silence_patience_s, suspicion

NOW_S = 1000.0
SETTINGS = WitnessSettings(name="w", site="orsay", sites=frozenset({"orsay", "paris"}))


def heard(
    *,
    patroni_s: float = 0.0,
    postgres_s: float = 0.0,
    state: str | None = "running",
    state_s: float = 0.0,
    refused_s: float | None = None,
    mute_s: float | None = None,
    accepted_s: float | None = None,
    round_trip_s: float = 0.0,
    asked_s: float = 900.0,
) -> MemberHeard:
    """A member that has been silent, refused or mute for so long; its Patroni's state was asked so
    long ago."""
    return MemberHeard(
        name="db-a",
        asked_since_s=NOW_S - asked_s,
        patroni=PatroniHeard(
            answered_s=NOW_S - patroni_s,
            state=state,
            state_asked_s=NOW_S - state_s,
            round_trip_s=round_trip_s,
        ),
        postgres=PostgresHeard(
            answered_s=NOW_S - postgres_s,
            accepted_s=None if accepted_s is None else NOW_S - accepted_s,
            refused_since_s=None if refused_s is None else NOW_S - refused_s,
            mute_since_s=None if mute_s is None else NOW_S - mute_s,
        ),
    )


def case(member: MemberHeard, *, is_whole: bool = True) -> str | None:
    found = suspicion(member, SETTINGS, NOW_S, is_whole=is_whole)
    assert found is None or (found.case in CASES and "db-a" in found.reason)
    return found.case if found else None


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (heard(), None),
        (heard(patroni_s=0.31, postgres_s=0.31), "host-silent"),
        (heard(patroni_s=0.29, postgres_s=9.0), None),
        (heard(patroni_s=9.0, postgres_s=0.29), None),
        (heard(patroni_s=60.0), None),
        (heard(postgres_s=60.0), None),
        (heard(postgres_s=60.0, mute_s=60.0), None),
        (heard(patroni_s=2.9, postgres_s=2.9, mute_s=2.9), None),
        (heard(patroni_s=3.1, postgres_s=3.1, mute_s=2.9), "host-hangs"),
        (heard(patroni_s=9.0, postgres_s=9.0, accepted_s=0.29), None),
        (heard(patroni_s=9.0, postgres_s=9.0, accepted_s=0.31), "host-silent"),
        (heard(postgres_s=0.2, refused_s=0.14, state="unknown"), None),
        (heard(postgres_s=9.0, refused_s=9.0), None),
        (heard(postgres_s=0.2, refused_s=0.16, state="unknown", state_s=0.17), None),
        (heard(postgres_s=0.2, refused_s=0.16, state="running", state_s=0.17), None),
        (heard(postgres_s=0.2, refused_s=0.16, state="unknown"), "postmaster-gone"),
        (heard(postgres_s=0.2, refused_s=0.16, state=None), "postmaster-gone"),
        (heard(postgres_s=9.0, refused_s=9.0, state="restarting"), None),
        (heard(postgres_s=9.0, refused_s=9.0, state="starting"), None),
        (heard(postgres_s=9.0, refused_s=9.0, state="stopping"), None),
        (heard(postgres_s=9.0, refused_s=9.0, state="crashed"), None),
        (heard(patroni_s=9.0, postgres_s=9.0, refused_s=9.0, state="stopping"), "postmaster-gone"),
    ],
    ids=[
        "well",
        "host lost",
        "its Patroni answers",
        "its PostgreSQL answers",
        "its Patroni killed, PostgreSQL serves",
        "its PostgreSQL silent, Patroni answers",
        "PostgreSQL accepts and hangs, Patroni answers",
        "all frozen for a while",
        "all frozen for long",
        "accepted a moment ago, nothing answered for long",
        "nothing accepted any more",
        "refused for a moment",
        "refused, and its Patroni asks it",
        "refused, and its Patroni said unknown before",
        "refused, and its Patroni was not asked since",
        "postmaster killed, Patroni says unknown",
        "postmaster killed, Patroni says nothing of it",
        "a planned restart",
        "a start",
        "a stop",
        "Patroni has noticed the crash",
        "all processes killed, the host lives",
    ],
)
def test_the_case(member: MemberHeard, expected: str | None) -> None:
    assert case(member) == expected


@pytest.mark.parametrize("refused_s", [None, 60.0])
@pytest.mark.parametrize("who", ["patroni", "postgres", "both"])
def test_who_was_never_heard_is_not_suspect(who: str, refused_s: float | None) -> None:
    """A witness that cannot reach a host knows nothing of it."""
    silent = heard(patroni_s=60.0, postgres_s=60.0, refused_s=refused_s)
    assert case(silent) is not None
    unheard = replace(
        silent,
        patroni=PatroniHeard() if who in {"patroni", "both"} else silent.patroni,
        postgres=replace(silent.postgres, answered_s=None)
        if who in {"postgres", "both"}
        else silent.postgres,
    )
    assert case(unheard) is None


def test_a_witness_that_slept_begins_to_listen_again() -> None:
    """Its own freeze of ten seconds must not look like the primary's silence."""
    assert case(heard(patroni_s=10.0, postgres_s=10.0, asked_s=0.1)) is None
    assert case(heard(postgres_s=10.0, refused_s=10.0, asked_s=0.1)) is None
    assert case(heard(patroni_s=10.0, postgres_s=10.0, mute_s=10.0, asked_s=0.1)) is None


def test_patience_follows_the_worst_round_trip() -> None:
    far = heard(patroni_s=0.5, postgres_s=0.5, round_trip_s=0.15)
    assert silence_patience_s(far, SETTINGS, is_whole=True) == pytest.approx(0.6)
    assert case(far) is None


def test_patience_is_ten_times_longer_while_a_member_is_missing() -> None:
    assert case(heard(patroni_s=2.9, postgres_s=2.9), is_whole=False) is None
    assert case(heard(patroni_s=3.1, postgres_s=3.1), is_whole=False) == "host-silent"


@pytest.mark.parametrize(
    ("member", "expected"),
    [
        (heard(), True),
        (heard(state=None), True),
        (heard(state="starting"), False),
        (heard(patroni_s=0.4), False),
        (heard(postgres_s=0.4), False),
    ],
)
def test_who_counts_as_alive(member: MemberHeard, expected: bool) -> None:
    assert is_alive(member, SETTINGS, NOW_S) is expected


AGES_S = st.floats(0.0, 100.0)
MEMBERS = st.builds(
    heard,
    patroni_s=AGES_S,
    postgres_s=AGES_S,
    refused_s=st.none() | AGES_S,
    mute_s=st.none() | AGES_S,
    round_trip_s=st.floats(0.0, 2.0),
)


@given(MEMBERS, st.booleans())
def test_whoever_answers_is_not_suspect_and_more_silence_never_clears_anybody(
    member: MemberHeard, is_whole: bool
) -> None:
    found = case(member, is_whole=is_whole)
    silent_s = [NOW_S - (one.answered_s or 0.0) for one in (member.patroni, member.postgres)]
    refused_since_s = member.postgres.refused_since_s
    if refused_since_s is None and min(silent_s) < SETTINGS.patience_s:
        assert found is None
    if found is not None:
        longest_s = max(*silent_s, NOW_S - (refused_since_s or NOW_S))
        assert longest_s >= SETTINGS.jitter_factor * member.patroni.round_trip_s
        assert suspicion(member, SETTINGS, NOW_S + 5, is_whole=is_whole) is not None
        assert case(member) is not None, "a whole cluster is never more patient"
