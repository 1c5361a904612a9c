"""Units of work that two sites sent under one id: what is accepted, what is rejected."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.evidence import tiny
from support.evidence.tiny import A, B, op, read, run, scenario

from chaos.checkers import lost, phantom, shared_units
from chaos.checkers.registry import checkers_of
from chaos.checkers.shared_units import SHARED_UNIT
from chaos.evidence.records import FinalRead, Operation, OperationOutcome, Scalar
from chaos.evidence.run import Run
from chaos.findings import Finding, Verdict
from chaos.judge.judging import judge

UNIT = "paris+orsay-0-7"
SHARES: dict[str, Scalar] = {"shared_every": 10, "workers": 1}


def _caller(id_: str, outcome: OperationOutcome, site: str = "paris") -> Operation:
    return op(id_, 1.0, site=site, outcome=outcome, shared_unit=UNIT)


def _run(
    *told: OperationOutcome, there: str = "", on_replica: str | None = None, **more: object
) -> Run:
    """A run of callers ``a``, ``b``, ... of one unit.

    Args:
        told: how each ended, from the first on; they are of the two sites by turns.
        there: whose entries the primary holds.
        on_replica: whose the other node holds; None: the same.
        more: of ``tiny.run``.
    """
    callers = [_caller("abc"[n], outcome, tiny.SITES[n % 2]) for n, outcome in enumerate(told)]
    replica = there if on_replica is None else on_replica
    reads = [read(A, there, primary=True), read(B, replica)]
    return run(callers, **({"reads": reads} | more))  # type: ignore[arg-type]


def _found(judged: Run) -> list[Finding]:
    findings = shared_units.check(judged)
    assert {finding.kind for finding in findings} <= {SHARED_UNIT}
    return findings


@pytest.mark.parametrize(
    ("told", "there"),
    [
        (("ok", "already"), "a"),
        (("already", "ok"), "b"),
        # Nobody knows whether the first one took effect; the second one's answer says that it did.
        (("info", "already"), "a"),
        (("ok", "info"), "a"),
        (("info", "info"), ""),
        (("info", "info"), "b"),
        # One was refused, or had no primary in time: the other may apply it all the same.
        (("fail", "ok"), "b"),
        (("fail", "fail"), ""),
        (("fail", "info"), "b"),
        # The other caller never came: its site was cut off.
        (("ok",), "a"),
        (("info",), ""),
        (("info",), "a"),
        (("fail",), ""),
    ],
)
def test_what_can_be_is_accepted(told: tuple[OperationOutcome, ...], there: str) -> None:
    judged = _run(*told, there=there)
    assert _found(judged) == []
    assert phantom.check(judged) == []


@pytest.mark.parametrize(
    ("told", "there", "words"),
    [
        (("ok", "ok"), "b", "2 callers were told Applied"),
        (("ok", "ok"), "ab", "2 callers were told Applied"),
        (("ok", "already"), "", "a was told Applied, and its entry is not on db-orsay, db-paris"),
        (("ok", "already"), "b", "b was told AlreadyApplied, and its entry is there"),
        (("ok", "already"), "ab", "the entries of 2 callers are there"),
        (("info", "info"), "ab", "the entries of 2 callers are there"),
        (("ok", "info"), "ab", "the entries of 2 callers are there"),
        (("info", "already"), "b", "b was told AlreadyApplied, and its entry is there"),
        (("info", "already"), "", "AlreadyApplied was told, and no caller's entry is there"),
        (("fail", "already"), "", "AlreadyApplied was told, and no caller's entry is there"),
        (("already", "already"), "", "AlreadyApplied was told, and no caller's entry is there"),
        (("already",), "", "AlreadyApplied was told, and no caller's entry is there"),
    ],
)
def test_what_cannot_be_is_rejected(
    told: tuple[OperationOutcome, ...], there: str, words: str
) -> None:
    judged = _run(*told, there=there)
    [finding] = _found(judged)
    assert finding.verdict is Verdict.INVALID
    assert words in str(finding.evidence[0]["wrong"])
    assert finding.summary.startswith("1 unit of work that several callers sent was not")
    assert UNIT in finding.summary
    assert [proof["id"] for proof in finding.evidence] == list("ab")[: len(told)]
    assert judge(judged).verdict is Verdict.INVALID


def test_the_evidence_says_what_each_caller_was_told_and_where_its_entry_is() -> None:
    [finding] = _found(_run("ok", "ok", there="b", on_replica="b"))
    one, other = finding.evidence
    assert (one["site"], one["told"], one["entry_on"]) == ("paris", "Applied", None)
    assert (other["site"], other["told"], other["entry_on"]) == ("orsay", "Applied", f"{B}, {A}")


def test_the_entry_of_the_one_that_applied_it_must_be_on_every_node() -> None:
    [finding] = _found(_run("ok", "already", there="a", on_replica=""))
    assert f"not on {B}" in str(finding.evidence[0]["wrong"])


def test_entries_of_two_callers_on_two_nodes_are_two() -> None:
    [finding] = _found(_run("info", "info", there="a", on_replica="b"))
    assert "the entries of 2 callers are there" in finding.summary


def test_a_node_that_could_not_be_read_proves_nothing() -> None:
    reads = [read(A, "a", primary=True), FinalRead(node=B, error="refused")]
    assert _found(_run("ok", "already", reads=reads)) == []


def test_without_a_primary_only_what_is_there_counts() -> None:
    """A replica that was read as it was may lack what it had not replayed yet."""
    assert _found(_run("ok", "already", reads=[read(A, ""), read(B, "")])) == []
    assert _found(_run("info", "already", reads=[read(A, ""), read(B, "")])) == []
    [finding] = _found(_run("ok", "ok", reads=[read(A, ""), read(B, "")]))
    assert finding.verdict is Verdict.INVALID
    result = judge(_run("ok", "already", reads=[read(A, "")])).result("shared-units")
    assert result is not None
    assert result.verdict is Verdict.UNKNOWN


def test_a_caller_of_whom_nothing_is_on_record_could_explain_it() -> None:
    judged = _run("already", there="", complete=False)
    [finding] = _found(judged)
    assert finding.verdict is Verdict.UNKNOWN
    [proved] = _found(_run("ok", "ok", there="a", complete=False))
    assert proved.verdict is Verdict.INVALID


def test_a_loss_that_the_scenario_allows_explains_two_that_were_told_applied() -> None:
    allows = scenario(lost_max=1)
    judged = _run("ok", "ok", there="b", asked=allows)
    [finding] = _found(judged)
    assert finding.verdict is Verdict.VALID
    assert [one.verdict for one in lost.check(judged)] == [Verdict.VALID]
    [both] = _found(_run("ok", "ok", there="ab", asked=allows))
    assert both.verdict is Verdict.INVALID


def test_what_was_told_under_an_id_that_nobody_shares_is_looked_at_too() -> None:
    alone = op("x", 1.0, outcome="already")
    [finding] = _found(run([alone], reads=[read(A, "", primary=True), read(B, "")]))
    assert (finding.verdict, finding.evidence[0]["unit"]) == (Verdict.INVALID, "x")


def test_a_load_that_shares_units_must_have_shared_some() -> None:
    idle = run([*tiny.load(0.0, 50.0), *tiny.load(0.0, 50.0, site="orsay")], settings=SHARES)
    assert shared_units.is_asked(idle)
    assert [gap.what for gap in shared_units.need_several(idle)] == [
        "no unit of work was sent by two sites"
    ]
    assert judge(idle).verdict is Verdict.UNKNOWN
    both = [
        replace(operation, shared_unit=f"u{n // 10}") if n % 10 == 0 else operation
        for site in tiny.SITES
        for n, operation in enumerate(tiny.load(0.0, 50.0, site=site))
    ]
    told = [
        replace(operation, outcome="already")
        if operation.shared_unit and operation.site == "orsay"
        else operation
        for operation in both
    ]
    judged = run(told, settings=SHARES)
    assert judge(judged).verdict is Verdict.VALID
    assert shared_units.sent_by_several(judged) == 50
    short = run(tiny.load(0.0, 5.0), settings=SHARES)
    assert list(shared_units.need_several(short)) == []


def test_a_load_that_shares_none_is_not_asked() -> None:
    for settings in ({}, {"shared_every": 0}):
        judged = run(tiny.load(0.0, 50.0), settings=dict(settings))
        assert judge(judged).result("shared-units") is None
    assert "shared-units" not in {checker.name for checker in checkers_of("bulk")}


outcomes = st.sampled_from(["ok", "already", "fail", "info"])


@given(st.lists(outcomes, min_size=1, max_size=3), st.sets(st.sampled_from("abc")))
def test_exactly_one_or_a_finding(told: list[OperationOutcome], there: set[str]) -> None:
    """Whatever is told and there: silence means that it can have happened."""
    entries = "".join(sorted(there & set("abc"[: len(told)])))
    judged = _run(*told, there=entries)
    silent = not _found(judged) and not phantom.check(judged)
    applied = [id_ for id_, outcome in zip("abc", told, strict=False) if outcome == "ok"]
    open_ = [id_ for id_, outcome in zip("abc", told, strict=False) if outcome == "info"]
    whose = list(entries)
    possible = (
        len(applied) <= 1
        and (whose == applied if applied else len(whose) <= 1 and set(whose) <= set(open_))
        and ("already" not in told or len(whose) == 1)
    )
    assert silent == possible
