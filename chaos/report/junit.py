"""JUnit XML, as CI systems read it: a test suite for the drill, a test case for each checker."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from chaos.evidence.run import Run
from chaos.findings import Finding, Verdict
from chaos.judge.verdict_file import CheckerSummary, VerdictFile
from chaos.report import course
from chaos.report.sentence import verdict_sentence

EVIDENCE_LINES_MAX = 50
"""CI systems keep these texts in memory; the whole evidence is in ``verdict.json``."""

NOT_LOOKED_AT = "not-looked-at"
"""Type of the error of a checker to which evidence was missing; its findings have their own."""

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped (section 2.2, Char)."""


def render_junit(run: Run, verdict: VerdictFile) -> str:
    """The text of ``junit.xml``.

    INVALID findings are failures, UNKNOWN ones errors: the test could not be made. So are checkers
    that could not look.

    Args:
        run: The evidence.
        verdict: What was concluded from it.
    """
    checkers = verdict.checkers
    failures = sum(checker.verdict is Verdict.INVALID for checker in checkers)
    errors = sum(checker.verdict is Verdict.UNKNOWN for checker in checkers)
    shared = {
        "tests": str(len(checkers)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{course.end_s(run):.3f}",
    }
    root = ET.Element("testsuites", {"name": "bascule", **shared})
    name = f"bascule.{clean(verdict.scenario)}"
    suite = ET.SubElement(
        root,
        "testsuite",
        {"name": name, **shared, "skipped": "0", "timestamp": clean(verdict.started_at)},
    )
    _properties(suite, run, verdict)
    for checker in checkers:
        found = [finding for finding in verdict.findings if finding.checker == checker.name]
        _case(suite, name, checker, found)
    ET.SubElement(suite, "system-out").text = clean(verdict_sentence(run, verdict))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _properties(suite: ET.Element, run: Run, verdict: VerdictFile) -> None:
    values = {
        "verdict": verdict.verdict.word,
        "seed": str(verdict.seed),
        "topology": verdict.topology,
        "command": verdict.command,
        "acknowledged": str(verdict.acknowledged),
        "lost": _or_unknown(verdict.lost),
        "duplicated": _or_unknown(verdict.duplicated),
        "split_brain": {True: "true", False: "false", None: ""}[verdict.split_brain],
        "shared_units": _or_unknown(verdict.shared_units),
        "manifest_sha256": verdict.manifest.sha256 if verdict.manifest else "",
        "rto_s": _or_unknown(None if verdict.rto_s is None else round(verdict.rto_s, 3)),
        "unservable_outage_s": _or_unknown(
            None if verdict.unservable_outage_s is None else round(verdict.unservable_outage_s, 3)
        ),
        "rto_s_max": f"{run.info.scenario.expect.rto_s_max:g}",
        **{f"rto_phase.{name}_s": f"{part:.3f}" for name, part in verdict.rto_phases_s.items()},
        **{f"version.{name}": version for name, version in verdict.versions.items()},
    }
    properties = ET.SubElement(suite, "properties")
    for name, value in values.items():
        ET.SubElement(properties, "property", {"name": clean(name), "value": clean(value)})


def _case(
    suite: ET.Element, class_name: str, checker: CheckerSummary, findings: Sequence[Finding]
) -> None:
    case = ET.SubElement(
        suite,
        "testcase",
        {"classname": class_name, "name": f"{checker.name}: {checker.question}", "time": "0"},
    )
    tags = {Verdict.INVALID: "failure", Verdict.UNKNOWN: "error"}
    for finding in findings:
        if finding.verdict in tags:
            attributes = {"type": finding.kind.word, "message": clean(finding.summary)}
            ET.SubElement(case, tags[finding.verdict], attributes).text = _evidence(finding)
    if checker.unseen:
        gaps = checker.unseen
        attributes = {
            "type": NOT_LOOKED_AT,
            "message": clean(f"Could not be looked at: {gaps[0]}"),
        }
        lines = [*gaps[:EVIDENCE_LINES_MAX], *(["..."] if len(gaps) > EVIDENCE_LINES_MAX else [])]
        ET.SubElement(case, "error", attributes).text = clean("\n".join(lines))


def _evidence(finding: Finding) -> str:
    lines = [
        ", ".join(f"{name}={value}" for name, value in proof.items())
        for proof in finding.evidence[:EVIDENCE_LINES_MAX]
    ]
    more = len(finding.evidence) - len(lines)
    if more > 0:
        lines.append(f"... and {more:,} more in verdict.json")
    return clean("\n".join(lines))


def _or_unknown(value: float | None) -> str:
    return "" if value is None else str(value)


def clean(text: str) -> str:
    """``text`` without characters that would make the file unreadable."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
