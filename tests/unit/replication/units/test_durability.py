"""Properties of the pure parts: decisions, sites, staleness, tokens."""

from __future__ import annotations

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.failures import RULES, Action, AttemptPhase, Failure, decide, is_lost
from replication.patroni.answers import RestAnswer, read_answer
from replication.patroni.members import Member
from replication.primary.watch import choose_primary
from replication.reads.staleness import Sample, staleness_s
from replication.units.durability import PROOF, plan, sites_missing
from replication.units.token import Token, standing_of, survived
from replication.wire.wal import parse_lsn

SQLSTATES = st.text(alphabet=string.digits + string.ascii_uppercase, min_size=5, max_size=5)
NAMES = ("db-a", "db-b", "db-c", "db-d")

CODES = SQLSTATES | st.sampled_from([f"{rule.code:0<5}" for rule in RULES])
FAILURES = st.builds(
    Failure,
    kind=st.sampled_from(["error", "lost", "warning", "client"]),
    sqlstate=st.none() | CODES,
    severity=st.sampled_from([None, "ERROR", "FATAL", "PANIC"]),
)


@given(FAILURES)
def test_after_commit_an_error_of_the_server_and_nothing_else_is_a_rollback(
    failure: Failure,
) -> None:
    proof = failure.kind == "error" and failure.severity == "ERROR"
    assert (decide(failure, AttemptPhase.COMMIT) is not Action.IN_DOUBT) == proof


@given(FAILURES)
def test_before_commit_nothing_is_in_doubt(failure: Failure) -> None:
    assert decide(failure, AttemptPhase.BODY) is not Action.IN_DOUBT


@given(FAILURES)
def test_no_error_of_a_living_session_gives_the_primary_up(failure: Failure) -> None:
    if failure.severity == "ERROR" and failure.kind != "lost":
        assert not is_lost(failure)


@given(
    answers=st.dictionaries(
        st.sampled_from(NAMES),
        st.builds(
            RestAnswer,
            status=st.sampled_from([None, 200, 503]),
            timeline=st.one_of(st.none(), st.integers(min_value=1, max_value=5)),
        ),
    ),
    suspects=st.sets(st.sampled_from(NAMES)),
    timeline_min=st.integers(min_value=0, max_value=5),
)
def test_whoever_is_chosen_claims_it_and_no_better_claim_is_passed_over(
    answers: dict[str, RestAnswer], suspects: set[str], timeline_min: int
) -> None:
    chosen = choose_primary(answers, members=NAMES, suspects=suspects, timeline_min=timeline_min)
    fit = {
        name: answer.timeline or 0
        for name, answer in answers.items()
        if answer.status == 200 and (answer.timeline is None or answer.timeline >= timeline_min)
    }
    trusted = fit.keys() - suspects
    if chosen is None:
        assert not trusted
        assert not fit or answers.keys() != set(NAMES)
        return
    assert chosen in fit
    assert fit[chosen] == max(fit[name] for name in trusted or fit)
    if chosen in suspects:
        assert not trusted
        assert answers.keys() == set(NAMES)


@given(
    sites=st.lists(st.sampled_from(["paris", "lyon", "nice", None]), min_size=1, max_size=4),
    confirmed=st.sets(st.sampled_from(NAMES)),
    primary=st.integers(min_value=0, max_value=3),
)
def test_no_site_is_missing_exactly_when_each_has_a_disk_with_it(
    sites: list[str | None], confirmed: set[str], primary: int
) -> None:
    members = [
        Member(name=name, rest_url="http://127.0.0.1:1", host="127.0.0.1", port=1, site=site)
        for name, site in zip(NAMES, sites, strict=False)
    ]
    leader = members[primary % len(members)]
    missing = sites_missing(members, primary=leader.name, confirmed=confirmed)
    assert len(set(missing)) == len(missing)
    for site in {member.site for member in members if member.site is not None}:
        has_it = any(
            member.site == site and (member.name in confirmed or member is leader)
            for member in members
        )
        assert (site in missing) != has_it


SAMPLES = st.lists(
    st.builds(
        Sample,
        node=st.just("db-a"),
        asked_s=st.floats(min_value=0, max_value=100),
        timeline=st.integers(min_value=1, max_value=2),
        lsn_bytes=st.integers(min_value=0, max_value=20),
    )
)


def bound_s(samples: list[Sample], *, timeline: int | None, replayed_bytes: int) -> float | None:
    """That of a moment at which every timeline has just had a commit acknowledged."""
    return staleness_s(
        samples,
        proven=dict.fromkeys(range(10), 100.0),
        timeline=timeline,
        replayed_bytes=replayed_bytes,
        now_s=100.0,
    )


@given(samples=SAMPLES, replayed=st.integers(min_value=0, max_value=20))
def test_a_bound_is_that_of_the_newest_sample_that_was_replayed(
    samples: list[Sample], replayed: int
) -> None:
    bound = bound_s(samples, timeline=1, replayed_bytes=replayed)
    seen = [s for s in samples if s.timeline == 1 and s.lsn_bytes <= replayed]
    if bound is None:
        assert not seen
    else:
        assert all(bound <= 100.0 - s.asked_s for s in seen)
        assert any(bound == 100.0 - s.asked_s for s in seen)


@given(samples=SAMPLES, replayed=st.integers(min_value=0, max_value=19))
def test_to_replay_more_never_makes_it_older(samples: list[Sample], replayed: int) -> None:
    less, more = (bound_s(samples, timeline=1, replayed_bytes=n) for n in (replayed, replayed + 1))
    assert less is None or (more is not None and more <= less)
    assert bound_s(samples, timeline=None, replayed_bytes=20) is None


UNIT_IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
TOKENS = st.builds(
    Token,
    timeline=st.integers(min_value=1, max_value=2**32 - 1),
    lsn=st.builds(
        lambda high, low: f"{high:X}/{low:X}",
        *(st.integers(min_value=0, max_value=2**32 - 1) for _ in range(2)),
    ),
    unit_id=UNIT_IDS,
    attempt=st.integers(min_value=1, max_value=10**9 - 1),
    attempt_key=st.none() | st.uuids(),
)


@given(token=TOKENS)
def test_a_token_comes_back_from_its_text(token: Token) -> None:
    text = str(token)
    assert Token.parse(text) == token
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(" \"',;\\")


@given(
    text=st.one_of(
        st.text(),
        st.from_regex(r"v1\.\d+\.[0-9A-F]+/[0-9A-F]+\.\d+\..*"),
        st.from_regex(r"v2\.\d+\.[0-9A-F]+/[0-9A-F]+\.\d+\.[0-9a-f]{31,33}\..*"),
    )
)
def test_any_other_text_is_refused(text: str) -> None:
    try:
        token = Token.parse(text)
    except ValueError:
        return
    assert str(token) == text
    assert "\0" not in token.unit_id


@pytest.mark.parametrize(
    "text",
    [
        *("", "v1", "v2.1.0/1.1.a", "v1.1.0/1.1", " v1.1.0/1.1.a", "v1.1.0/1.1.a\n"),
        *("v1.01.0/1.1.a", "v1.1.0/1.01.a", "v1.1.0/1.1.%41", "v1.1.0/1.1.%zz", "v1.1.0/1.1.%2f"),
        *("v1.1.0/1.1.%00", "v1.1.0/1.1.%ff", "v1.1.0/1.1.a b", "v1.1.0/1.1.a;b", "v1.-1.0/1.1.a"),
        *("v1.99999999999.0/1.1.a", "v1.1.0/G.1.a", "v1.1.0/1.1.é", "v1.١.0/1.1.a"),
        *("v2.1.0/1.1.", f"v2.1.0/1.1.{'0' * 31}.a", f"v2.1.0/1.1.{'0' * 32}"),
        *(f"v2.1.0/1.1.{'A' * 32}.a", f"v3.1.0/1.1.{'0' * 32}.a"),
    ],
)
def test_a_hostile_text_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match=r"token|codec"):
        Token.parse(text)


def test_a_token_of_an_earlier_version_is_still_read() -> None:
    assert Token.parse("v1.2.0/3000060.1.order%2F17") == Token(
        timeline=2, lsn="0/3000060", attempt=1, unit_id="order/17"
    )


@pytest.mark.parametrize("key", [None, UUID(int=1)])
def test_a_row_is_the_tokens_write_only_with_its_key(key: UUID | None) -> None:
    token = Token(timeline=1, lsn="0/1", unit_id="a", attempt=1, attempt_key=key)
    assert standing_of(token, None) == "missing"
    assert standing_of(token, ("applied", key)) == "there"
    assert standing_of(token, ("applied", UUID(int=2))) == "lost"
    assert standing_of(token, ("void", None)) == "lost"


@given(token=TOKENS, ended=st.integers(min_value=0, max_value=2**64))
def test_a_write_survives_exactly_when_it_lies_before_the_end_of_its_timeline(
    token: Token, ended: int
) -> None:
    assert survived(token, ((token.timeline, ended),)) == (parse_lsn(token.lsn) < ended)
    assert not survived(token, ())


@given(body=st.binary())
def test_any_answer_of_a_member_is_taken(body: bytes) -> None:
    assert read_answer(200, body).is_primary


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"timeline": true, "xlog": [], "patroni": 3}', b"\xff", b"null"]
)
def test_a_hostile_answer_says_nothing(body: bytes) -> None:
    answer = read_answer(200, body)
    assert (answer.timeline, answer.lsn_bytes) == (None, None)


def test_what_travels_with_a_commit() -> None:
    assert plan("local").proof is None
    assert plan("quorum").proof == plan("all_sites").proof == PROOF
    assert len(plan("local").preamble) == 1
    assert plan("quorum").preamble == ()
    assert len(plan("local", statement_timeout_s=1.5).preamble) == 2
