"""Answers, rights, withdrawals and trails that the checkers must accept, and those to reject."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence import tiny
from support.evidence.accesses import (
    ACKNOWLEDGED_S,
    DOORS,
    ESCAPE,
    IDENTITY,
    OWN,
    RIGHTS,
    answer,
    fingerprint,
    probe,
    with_access,
    with_answers,
    with_print,
    withdrawn_run,
)
from support.evidence.tiny import A, B, run

from chaos.checkers import doors, seals, trail, withdrawal
from chaos.evidence.access import NodeTrail, ProbeAnswer
from chaos.evidence.run import Run
from chaos.findings import Verdict
from chaos.judge.access import access_totals
from chaos.judge.judging import judge
from chaos.scenarios.access import AccessSpec

LOADED = run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")])
GOOD = with_access(LOADED)


def verdict_of(judged: Run, checker: str) -> Verdict:
    result = judge(judged).result(checker)
    assert result is not None
    return result.verdict


def test_where_all_is_well_every_checker_says_so() -> None:
    judgement = judge(GOOD)
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.VALID
    assert {"seals", "doors", "trail"} < {one.name for one in judgement.results}
    assert judgement.result("withdrawal") is None, "nothing was withdrawn"


def test_nobody_is_asked_where_there_is_no_probe() -> None:
    names = {one.name for one in judge(LOADED).results}
    assert not names & {"seals", "doors", "trail", "withdrawal"}
    assert access_totals(LOADED) is None


@pytest.mark.parametrize(
    "wrong",
    [
        answer(ESCAPE, B, 20.0, rows=150),
        answer(IDENTITY, A, 48.1, rows=1, moment="rejoined"),
        answer(OWN, B, 38.1, rows=101, moment="promoted"),
    ],
)
def test_an_escape_that_shows_a_row_breaks_the_seal(wrong: ProbeAnswer) -> None:
    [finding] = seals.check(with_answers(GOOD, wrong))
    assert (finding.kind, finding.verdict) == (seals.SEAL_BROKEN, Verdict.INVALID)
    [proof] = finding.evidence
    assert (proof["node"], proof["access"]) == (wrong.node, wrong.id)
    assert wrong.probe in finding.summary
    assert wrong.node in finding.summary


@pytest.mark.parametrize(
    "wrong",
    [
        answer(OWN, B, 38.1, rows=99, moment="promoted"),
        answer(OWN, A, 48.1, outcome="refused", moment="rejoined"),
        answer(OWN, A, 20.0, outcome="error", sqlstate="42P01"),
        answer(IDENTITY, A, 20.0, rows=0),
        answer(ESCAPE, A, 20.0, outcome="refused"),
    ],
)
def test_another_answer_than_the_right_one_is_found(wrong: ProbeAnswer) -> None:
    [finding] = seals.check(with_answers(GOOD, wrong))
    assert (finding.kind, finding.verdict) == (seals.ANSWER_DIFFERS, Verdict.INVALID)


def test_the_same_is_what_the_primary_answered_before_the_fault() -> None:
    judged = with_access(LOADED, AccessSpec(probes=(probe(OWN, "same"),)))
    assert seals.check(judged) == []
    other = answer(OWN, B, 38.1, rows=7, digest="e", moment="promoted")
    [finding] = seals.check(with_answers(judged, other))
    assert finding.kind is seals.ANSWER_DIFFERS
    assert "other rows (7 rows) on db-orsay, just before the heal" in finding.summary


def test_a_node_that_is_down_answers_nothing_and_breaks_nothing() -> None:
    away = answer(OWN, A, 20.0, outcome="unanswered")
    assert seals.check(with_answers(GOOD, away)) == []


def without(judged: Run, node: str, moment: str) -> Run:
    """No answer and no fingerprint of that node at that moment."""
    access = judged.access
    kept = [one for one in access.answers if (one.node, one.moment) != (node, moment)]
    prints = [one for one in access.prints if (one.node, one.moment) != (node, moment)]
    changed = replace(access, answers=tuple(kept), prints=tuple(prints))
    return replace(judged, access=changed)


def test_one_node_may_be_away_before_the_heal_and_none_at_the_end() -> None:
    assert judge(without(GOOD, A, "promoted")).verdict is Verdict.VALID
    for moment in ("before", "rejoined"):
        judged = without(GOOD, B, moment)
        assert verdict_of(judged, "seals") is verdict_of(judged, "doors") is Verdict.UNKNOWN
    nobody = without(without(GOOD, A, "promoted"), B, "promoted")
    assert verdict_of(nobody, "seals") is Verdict.UNKNOWN


def test_a_record_that_was_cut_short_proves_nothing() -> None:
    judged = replace(GOOD, access=replace(GOOD.access, complete=False))
    assert verdict_of(judged, "seals") is verdict_of(judged, "trail") is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"HBA rule 1": "host all all all trust", "setting log_directory": "../log"},
            "HBA rule 1 is host all all all trust, expected host all all all scram-sha-256",
        ),
        ({"HBA rule 1": DOORS["HBA rule 1"]}, "setting log_directory is missing (../log)"),
        (
            {**DOORS, "ALTER SYSTEM log_connections": "on"},
            "ALTER SYSTEM log_connections is there (on) and was not expected",
        ),
    ],
)
def test_another_door_is_found(changed: dict[str, str], words: str) -> None:
    found = doors.check(with_print(GOOD, fingerprint(A, "rejoined", doors=changed)))
    assert [one.verdict for one in found] == [Verdict.INVALID, Verdict.INVALID]
    assert "db-paris is not as db-orsay at the end" in found[0].summary
    assert "db-paris has changed" in found[1].summary
    assert all(words in one.summary for one in found)


def test_a_door_that_was_always_another_is_found_too() -> None:
    judged = GOOD
    for moment in ("before", "promoted", "rejoined"):
        other = fingerprint(B, moment, doors={"HBA rule 1": "host all all all trust"})
        judged = with_print(judged, other)
    found = doors.check(judged)
    assert len(found) == 3
    assert all("HBA rule 1" in one.summary for one in found)


def test_another_right_is_found_where_replication_should_have_brought_it() -> None:
    other = fingerprint(A, "rejoined", rights={**RIGHTS, "role alice": "LOGIN SUPERUSER"})
    [finding] = doors.check(with_print(GOOD, other))
    assert "role alice is LOGIN SUPERUSER, expected LOGIN INHERIT" in finding.summary
    behind = replace(other, moment="promoted", caught_up=False)
    assert doors.check(with_print(GOOD, behind)) == [], "it lags, as replicas may"


def test_rights_that_a_failover_has_changed_are_found() -> None:
    judged = GOOD
    for node in (A, B):
        judged = with_print(judged, fingerprint(node, "rejoined", rights={}))
    [finding] = doors.check(judged)
    assert "the rights on db-orsay at the end are not those on db-paris before" in finding.summary


def test_rights_that_come_and_go_are_left_out_and_no_others() -> None:
    moving = AccessSpec(probes=GOOD.info.scenario.access.probes, moving=("ws_steward_",))
    judged = with_access(LOADED, moving)
    came = RIGHTS | {
        "role ws_steward_paris_1": "NOLOGIN",
        "member alice of ws_steward_paris_1 by bascule_app": "{}",
        "table ws_steward_paris_1.person": "owner bascule_app",
    }
    assert doors.check(with_print(judged, fingerprint(A, "rejoined", rights=came))) == []
    other = came | {"member alice of core by postgres": "{}"}
    [finding] = doors.check(with_print(judged, fingerprint(A, "rejoined", rights=other)))
    assert [proof["item"] for proof in finding.evidence] == ["member alice of core by postgres"]


def test_many_differences_are_counted_and_all_in_the_evidence() -> None:
    more = {f"HBA rule {number}": "host" for number in range(2, 9)}
    [finding, _] = doors.check(with_print(GOOD, fingerprint(A, "promoted", doors=DOORS | more)))
    assert "and 4 more differences" in finding.summary
    assert len(finding.evidence) == 7


def stale(node: str, *moments_s: float) -> list[ProbeAnswer]:
    return [answer(OWN, node, at_s, rows=100) for at_s in moments_s]


def gone(node: str, at_s: float, outcome: str = "refused") -> ProbeAnswer:
    return answer(OWN, node, at_s, outcome="refused" if outcome == "refused" else "unanswered")


def test_a_withdrawal_that_is_soon_in_force_everywhere_is_well() -> None:
    judged = withdrawn_run(LOADED, [*stale(B, 12.2, 12.4), gone(B, 12.6), gone(A, 12.1)])
    judgement = judge(judged)
    assert judgement.findings == ()
    assert judgement.verdict is Verdict.VALID
    totals = access_totals(judged)
    assert totals is not None
    [one] = totals.withdrawals
    assert one.longest_s == pytest.approx(12.405 - ACKNOWLEDGED_S)
    assert one.nodes == {A: 0.0, B: one.longest_s}


def test_a_replica_that_admits_for_too_long_is_found() -> None:
    judged = withdrawn_run(LOADED, [*stale(B, 12.2, 22.4), gone(B, 23.0)])
    [finding] = withdrawal.check(judged)
    assert finding.kind is withdrawal.STILL_ADMITTED
    assert "db-orsay still admitted it 10.4 s after" in finding.summary
    assert len(finding.evidence) == 2
    assert seals.check(judged) == [], "withdrawn rights are judged by withdrawal"


def test_a_node_that_comes_back_with_older_data_must_not_open() -> None:
    away = gone(B, 12.1, "unanswered")
    [finding] = withdrawal.check(withdrawn_run(LOADED, [away, *stale(B, 20.0), gone(B, 20.2)]))
    assert "admitted 1 time after that node came back with older data" in finding.summary
    cancelled = answer(OWN, B, 12.1, outcome="unanswered", sqlstate="40001")
    assert withdrawal.check(withdrawn_run(LOADED, [cancelled, *stale(B, 20.0)])) == []


def test_a_node_that_only_restarts_may_lag_as_long_as_any_other() -> None:
    there, away = answer(ESCAPE, B, 11.5, outcome="refused"), gone(B, 12.1, "unanswered")
    restarted = [there, away, *stale(B, 13.0, 21.0), gone(B, 21.4)]
    assert withdrawal.check(withdrawn_run(LOADED, restarted)) == []
    [finding] = withdrawal.check(withdrawn_run(LOADED, [*restarted, *stale(B, 22.2)]))
    assert "still admitted it 10.2 s after" in finding.summary


def test_a_node_that_was_away_already_when_the_right_was_withdrawn_counts_too() -> None:
    away = gone(B, 11.0, "unanswered")
    [finding] = withdrawal.check(withdrawn_run(LOADED, [away, *stale(B, 21.5)]))
    assert "came back with older data" in finding.summary


def test_a_right_that_is_there_again_at_the_end_is_found() -> None:
    again = answer(OWN, A, 48.5, rows=100, moment="rejoined")
    judged = withdrawn_run(LOADED, [again])
    assert [one.kind for one in seals.check(judged)] == [seals.SEAL_BROKEN]
    assert verdict_of(judged, "withdrawal") is Verdict.INVALID


def test_a_withdrawal_that_nobody_acknowledged_proves_nothing() -> None:
    judged = withdrawn_run(LOADED, [])
    failed = replace(judged.access.withdrawn[0], error="there is no primary")
    judged = replace(judged, access=replace(judged.access, withdrawn=(failed,)))
    result = judge(judged).result("withdrawal")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN
    assert "there is no primary" in result.unseen[0].what
    still_there = answer(OWN, A, 48.5, rows=100, moment="rejoined")
    assert seals.check(with_answers(judged, still_there)) == [], "nobody was told that it is gone"


def without_trail_of(judged: Run, node: str) -> Run:
    """As after pg_rewind: nothing of what the node had logged."""
    trails = [replace(one, entries={}) if one.node == node else one for one in judged.access.trails]
    return replace(judged, access=replace(judged.access, trails=tuple(trails)))


def test_accesses_in_no_log_are_found_and_named() -> None:
    [finding] = trail.check(without_trail_of(GOOD, A))
    assert (finding.kind, finding.verdict) == (trail.AUDIT_GAP, Verdict.INVALID)
    lost = {str(proof["access"]) for proof in finding.evidence}
    accessed = [one for one in GOOD.access.answers if one.is_access]
    assert lost == {one.id for one in accessed if one.node == A}
    assert f"{len(lost)} accesses of {len(accessed)}" in finding.summary


def test_an_access_may_be_in_the_log_of_another_node() -> None:
    first, second = GOOD.access.trails
    union = replace(second, entries={**first.entries, **second.entries})
    moved = replace(GOOD.access, trails=(replace(first, entries={}), union))
    assert trail.check(replace(GOOD, access=moved)) == []


def test_an_access_under_another_name_is_found() -> None:
    first, second = GOOD.access.trails
    other = replace(first, entries=dict.fromkeys(first.entries, "bob"))
    [finding] = trail.check(replace(GOOD, access=replace(GOOD.access, trails=(other, second))))
    assert "under another name" in finding.summary


def test_logs_that_could_not_be_read_prove_nothing() -> None:
    failed = (NodeTrail(node=A, error="no such directory"), GOOD.access.trails[1])
    judged = replace(GOOD, access=replace(GOOD.access, trails=failed))
    result = judge(judged).result("trail")
    assert result is not None
    assert "the trail of db-paris could not be read" in result.unseen[0].what
