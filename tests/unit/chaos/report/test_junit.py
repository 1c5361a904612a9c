"""``junit.xml``: well formed, and read by CI systems as what the verdict says."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from support.evidence.reported import Reported

from chaos.report import render_junit
from chaos.report.junit import EVIDENCE_LINES_MAX


def _suite(reported: Reported) -> ET.Element:
    root = ET.parse(reported.folder / "junit.xml").getroot()
    suite = root.find("testsuite")
    assert suite is not None
    return suite


def _properties(suite: ET.Element) -> dict[str, str]:
    return {p.get("name", ""): p.get("value", "") for p in suite.iter("property")}


def test_a_valid_drill_passes_with_a_case_for_each_checker(host_loss: Reported) -> None:
    suite = _suite(host_loss)
    checkers = len(host_loss.verdict.checkers)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == (
        str(checkers),
        "0",
        "0",
    )
    assert len(suite.findall("testcase")) == checkers
    properties = _properties(suite)
    assert float(properties["rto_s"]) == pytest.approx(22.41, abs=0.05)
    assert properties["seed"] == "7"
    assert properties["verdict"] == "valid"


def test_invalid_findings_are_failures(async_loss: Reported) -> None:
    suite = _suite(async_loss)
    failed = suite.findall("testcase[failure]")
    assert str(len(failed)) == suite.get("failures") == "2"
    failure = failed[0].find("failure")
    assert failure is not None
    assert failure.get("type") == "lost-acknowledged-write"
    lines = (failure.text or "").splitlines()
    assert len(lines) == EVIDENCE_LINES_MAX + 1
    assert lines[-1].endswith("more in verdict.json")


def test_unknown_findings_are_errors(interrupted: Reported) -> None:
    suite = _suite(interrupted)
    assert suite.get("failures") == "0"
    assert str(len(suite.findall("testcase[error]"))) == suite.get("errors")
    assert int(suite.get("errors", "0")) > 0
    assert _properties(suite)["lost"] == ""


def test_characters_that_xml_cannot_hold_are_replaced(host_loss: Reported) -> None:
    info = replace(host_loss.run.info, command='bascule <"\x00\x1b[31m\ud800">')
    verdict = replace(host_loss.verdict, command=info.command)
    root = ET.fromstring(render_junit(replace(host_loss.run, info=info), verdict))
    gone = "\N{REPLACEMENT CHARACTER}"
    assert _properties(root)["command"] == f'bascule <"{gone}{gone}[31m{gone}">'


def test_every_finding_stands_with_the_checker_that_made_it(torn_transfers: Reported) -> None:
    suite = _suite(torn_transfers)
    failed = {
        (case.get("name") or "").partition(":")[0]: [f.get("type") for f in case.iter("failure")]
        for case in suite.findall("testcase[failure]")
    }
    assert failed == {
        "divergence": ["divergent-replica"],
        "total-kept": ["wrong-total", "wrong-total"],
        "balances": ["wrong-balance"],
    }
    in_json = {(f.checker, f.kind.word) for f in torn_transfers.verdict.findings}
    assert in_json == {(name, kind) for name, kinds in failed.items() for kind in kinds}


def test_nothing_is_judged_a_second_time(host_loss: Reported) -> None:
    """What stands in the file is what the verdict says, whatever the evidence would say now."""
    empty = replace(host_loss.run, histories=(), final_reads=())
    root = ET.fromstring(render_junit(empty, host_loss.verdict))
    assert root.get("errors") == root.get("failures") == "0"
