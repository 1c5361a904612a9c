"""The verdict in one sentence, for every way in which a drill ends."""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.evidence.reported import Reported

from chaos.checkers.divergence import DIVERGENT_REPLICA
from chaos.checkers.failover import UNEXPECTED_FAILOVER
from chaos.checkers.lost import LOST_WRITE
from chaos.checkers.prediction import PREDICTION_REFUTED
from chaos.checkers.registry import FINDINGS
from chaos.checkers.restored import RESTORE_LOSS
from chaos.checkers.shared_units import SHARED_UNIT
from chaos.checkers.split_brain import SPLIT_BRAIN
from chaos.checkers.stalls import STALLED_LOAD
from chaos.evidence.events import FaultStruck
from chaos.evidence.run import Run
from chaos.findings import Finding, FindingKind, Verdict
from chaos.judge.verdict_file import VerdictFile
from chaos.report.sentence import verdict_sentence
from chaos.report.words import percent, seconds, size
from chaos.timing.model import NotDue


def _sentence(run: Run, verdict: VerdictFile) -> str:
    return verdict_sentence(run, verdict).replace("\N{NO-BREAK SPACE}", " ")


def _with(
    verdict: VerdictFile, *kinds: FindingKind, word: Verdict = Verdict.INVALID
) -> VerdictFile:
    findings = tuple(Finding(kind=kind, verdict=word, summary="found") for kind in kinds)
    return replace(verdict, verdict=word, findings=findings)


def test_valid_after_a_loss(host_loss: Reported) -> None:
    verdict = replace(host_loss.verdict, acknowledged=5812)
    assert _sentence(host_loss.run, verdict) == (
        "VALID: the loss of db-paris' host cost 22.4 s of writes; "
        "none of 5,812 acknowledged entries was lost."
    )


def test_an_outage_that_had_to_last_until_the_heal_is_said(host_loss: Reported) -> None:
    assert host_loss.verdict.rto_predicted_s is not None
    until = replace(host_loss.verdict.rto_predicted_s, service="none-until-healed")
    verdict = replace(host_loss.verdict, rto_predicted_s=until)
    words = "22.4 s of writes, until the heal, as topology and settings predict; none of"
    assert words in _sentence(host_loss.run, verdict)
    refuted = _with(verdict, PREDICTION_REFUTED, word=Verdict.UNKNOWN)
    assert "drill and prediction disagree" in _sentence(host_loss.run, refuted)
    assert "as topology and settings" not in _sentence(host_loss.run, refuted)


def test_what_a_site_that_could_not_be_served_waited_is_told_apart(host_loss: Reported) -> None:
    first, *others = host_loss.verdict.sites
    cut = NotDue(from_s=1.0, to_s=46.0, why="paris is cut off", healed_after=True)
    sites = (replace(first, not_due=(cut,)), *others)
    verdict = replace(host_loss.verdict, acknowledged=10, sites=sites, unservable_outage_s=45.0)
    assert _sentence(host_loss.run, verdict) == (
        "VALID: the loss of db-paris' host cost 22.4 s of writes elsewhere; paris could not be "
        "served meanwhile and waited 45.0 s; none of 10 acknowledged entries was lost."
    )
    on = replace(verdict, rto_s=None)
    assert "host interrupted no writes elsewhere; paris could not" in _sentence(host_loss.run, on)
    nobody = replace(verdict, sites=tuple(replace(one, not_due=(cut,)) for one in sites))
    assert "elsewhere" not in _sentence(host_loss.run, nobody)


def test_valid_after_a_switchover(switchover: Reported) -> None:
    assert _sentence(switchover.run, switchover.verdict).startswith(
        "VALID: the switchover away from db-paris cost 2.1 s of writes; none of "
    )


def test_valid_without_a_fault(steady: Reported) -> None:
    verdict = replace(steady.verdict, acknowledged=1)
    assert _sentence(steady.run, verdict) == (
        "VALID: without a fault, service was kept for 23.8 s; "
        "none of 1 acknowledged entry was lost."
    )


def test_valid_with_a_loss_that_is_allowed(host_loss: Reported) -> None:
    verdict = replace(host_loss.verdict, lost=3, acknowledged=100)
    assert _sentence(host_loss.run, verdict).endswith(
        "; 3 of 100 acknowledged entries were lost, as the scenario allows."
    )


def test_invalid_with_lost_entries(async_loss: Reported) -> None:
    verdict = replace(async_loss.verdict, lost=309, acknowledged=6605)
    assert _sentence(async_loss.run, verdict) == (
        "INVALID: after the links of db-orsay and db-saint-cloud were cut and db-paris' host was "
        "lost, 309 of 6,605 acknowledged entries were lost; writes stood still for 20.1 s."
    )


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (("Applied", "AlreadyApplied"), ", 1 of 100 acknowledged entries was lost"),
        (
            ("Applied", "Applied"),
            ", 1 of 100 acknowledged entries was lost and units that two sites sent were not "
            "applied exactly once",
        ),
    ],
)
def test_two_that_were_told_applied_are_more_than_a_loss(
    host_loss: Reported, told: tuple[str, ...], said: str
) -> None:
    verdict = replace(
        _with(host_loss.verdict, LOST_WRITE, SHARED_UNIT),
        lost=1,
        acknowledged=100,
    )
    loss, shared = verdict.findings
    proofs = tuple({"unit": "u", "told": words} for words in told)
    verdict = replace(verdict, findings=(loss, replace(shared, evidence=proofs)))
    assert said + ";" in _sentence(host_loss.run, verdict)


def test_invalid_names_every_kind_of_finding(host_loss: Reported) -> None:
    verdict = _with(host_loss.verdict, SPLIT_BRAIN, DIVERGENT_REPLICA)
    assert (
        "two primaries acknowledged writes at the same time and replicas differ in content"
        in _sentence(host_loss.run, verdict)
    )


def test_invalid_without_a_fault(steady: Reported) -> None:
    verdict = _with(steady.verdict, UNEXPECTED_FAILOVER)
    assert _sentence(steady.run, verdict) == (
        "INVALID: without a fault, the cluster failed over where it must not."
    )


def test_unknown_says_why_and_what_is_not_known(interrupted: Reported) -> None:
    told = _sentence(interrupted.run, interrupted.verdict)
    assert told.startswith(
        "UNKNOWN: the evidence cannot decide, because the run was interrupted (SIGINT), "
    )
    assert "the evidence is incomplete" in told
    assert told.endswith("acknowledged entries was lost is not known.")


def test_unknown_with_nothing_acknowledged_counts_nothing(interrupted: Reported) -> None:
    verdict = replace(interrupted.verdict, acknowledged=0, lost=None)
    told = _sentence(interrupted.run, verdict)
    assert told.endswith("incomplete. No acknowledged entry is on record.")


@pytest.mark.parametrize(
    ("lost", "end"),
    [
        (0, "Of 6,000 acknowledged entries none was found lost."),
        (2, "Of 6,000 acknowledged entries, 2 were lost."),
    ],
)
def test_unknown_still_says_what_is_known(host_loss: Reported, lost: int, end: str) -> None:
    verdict = _with(host_loss.verdict, STALLED_LOAD, word=Verdict.UNKNOWN)
    verdict = replace(verdict, lost=lost, acknowledged=6000)
    assert _sentence(host_loss.run, verdict) == (
        f"UNKNOWN: the evidence cannot decide, because a load process stood still. {end}"
    )


@pytest.mark.parametrize("kind", FINDINGS, ids=str)
@pytest.mark.parametrize("word", [Verdict.UNKNOWN, Verdict.INVALID])
def test_every_kind_of_finding_has_words(
    host_loss: Reported, kind: FindingKind, word: Verdict
) -> None:
    told = _sentence(host_loss.run, _with(host_loss.verdict, kind, word=word))
    assert kind.word not in told


def test_a_fault_that_is_not_known_here_stands_by_its_name(steady: Reported) -> None:
    strange = FaultStruck(t_s=1e9, fault="meteor", target="db-paris")
    run = replace(steady.run, events=(*steady.run.events, strange))
    assert "meteor: db-paris interrupted no writes" in _sentence(run, steady.verdict)


def test_figures_are_written_for_people() -> None:
    nbsp = "\N{NO-BREAK SPACE}"
    assert [seconds(v) for v in (0, 0.0023, 0.34, 22.41)] == [
        f"0.0{nbsp}s",
        f"2.3{nbsp}ms",
        f"340{nbsp}ms",
        f"22.4{nbsp}s",
    ]
    assert [percent(v) for v in (0.4931, 0.99999, 1.0)] == [
        f"49.3{nbsp}%",
        f"99.99{nbsp}%",
        f"100{nbsp}%",
    ]
    assert [size(v) for v in (12, 71_500, 3 << 20)] == ["12 bytes", "69.8 KiB", "3.0 MiB"]


def test_valid_with_what_a_restore_gave_up(host_loss: Reported) -> None:
    gone = Finding(
        kind=RESTORE_LOSS, verdict=Verdict.VALID, summary="s", evidence=({"id": "a"}, {"id": "b"})
    )
    verdict = replace(host_loss.verdict, findings=(gone,), acknowledged=100)
    assert _sentence(host_loss.run, verdict).endswith(
        "; the restore gave up 2 acknowledged entries from after its point in time, and else none "
        "of 100 acknowledged entries was lost."
    )
