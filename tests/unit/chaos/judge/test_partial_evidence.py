"""Whatever is taken from a run folder: it is judged, drawn, and never called valid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.evidence.stories import ASYNC_LOSS, HOST_LOSS, INTERRUPTED
from support.evidence.synthetic_run import NODES, SITES, Story, write_run

from chaos.findings import CHECKER_CRASHED, Verdict
from chaos.judge.folder import judge_folder
from chaos.judge.verdict_file import VerdictFile
from chaos.report import write_reports

PACE_S = 0.2
"""Ten operations a second and site: the same stories, a tenth of the lines."""

EVIDENCE = (
    "events.jsonl",
    *(f"history-{site}.jsonl" for site in SITES),
    *(f"final-{node}.jsonl" for node in NODES),
)

damages = st.dictionaries(
    st.sampled_from(EVIDENCE),
    # What is left of the file: nothing, or that share of its bytes; None: it is gone.
    st.one_of(st.none(), st.floats(0.0, 1.0, exclude_max=True)),
    min_size=1,
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run folders that are damaged copy by copy."""
    base = tmp_path_factory.mktemp("whole")
    stories: dict[str, Story] = {
        "host-loss": HOST_LOSS,
        "async-loss": ASYNC_LOSS,
        "interrupted": INTERRUPTED,
    }
    return {
        # Without a manifest, which would notice everything: here each file has to tell by itself.
        name: write_run(base / name, replace(story, pace_s=PACE_S), sealed=False)
        for name, story in stories.items()
    }


@contextmanager
def _damaged(folder: Path, damage: dict[str, float | None]) -> Iterator[Path]:
    with TemporaryDirectory() as base:
        copy = Path(base) / "run"
        shutil.copytree(folder, copy)
        for name, share in damage.items():
            path = copy / name
            if share is None:
                path.unlink(missing_ok=True)
            elif path.exists():
                data = path.read_bytes()
                path.write_bytes(data[: int(share * len(data))])
        yield copy


def _judged(folder: Path) -> VerdictFile:
    """Judges and draws; what was written must be readable and agree."""
    judged = judge_folder(folder)
    verdict = judged.verdict
    write_reports(folder, judged.run, verdict)
    document = json.loads((folder / "verdict.json").read_text(encoding="utf-8"))
    suite = ET.parse(folder / "junit.xml").getroot().find("testsuite")
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert suite is not None
    assert document["verdict"] == verdict.verdict.word
    assert f"{verdict.verdict.name}:" in html
    silent = [checker for checker in verdict.checkers if checker.unseen]
    assert len(suite.findall("testcase/error[@type='not-looked-at']")) == len(silent)
    assert html.count("could not be looked at") >= len(silent)
    assert all(checker.verdict is not Verdict.VALID for checker in silent)
    assert CHECKER_CRASHED not in {finding.kind for finding in verdict.findings}
    return verdict


def test_the_whole_folders_are_judged_as_their_stories_say(folders: dict[str, Path]) -> None:
    verdicts = {name: _judged(folder).verdict for name, folder in folders.items()}
    assert verdicts == {
        "host-loss": Verdict.VALID,
        "async-loss": Verdict.INVALID,
        "interrupted": Verdict.UNKNOWN,
    }


@settings(max_examples=25, deadline=None)
@given(damage=damages)
def test_a_good_run_with_less_evidence_is_unknown(
    folders: dict[str, Path], damage: dict[str, float | None]
) -> None:
    """Not valid, because something is missing; not invalid, because nothing was wrong."""
    with _damaged(folders["host-loss"], damage) as folder:
        verdict = _judged(folder)
    assert verdict.verdict is Verdict.UNKNOWN
    assert verdict.lost in {0, None}
    assert verdict.duplicated in {0, None}
    assert not verdict.split_brain
    assert verdict.rto_s is None or verdict.rto_s > 20.0, "an outage of 22 s is never made short"
    assert all(share is None or share < 0.9 for share in verdict.availability.values())


@settings(max_examples=12, deadline=None)
@given(damage=damages)
def test_a_bad_run_with_less_evidence_is_never_valid(
    folders: dict[str, Path], damage: dict[str, float | None]
) -> None:
    with _damaged(folders["async-loss"], damage) as folder:
        assert _judged(folder).verdict is not Verdict.VALID


@settings(max_examples=10, deadline=None)
@given(damage=damages)
def test_an_interrupted_run_stays_unknown_whatever_else_is_missing(
    folders: dict[str, Path], damage: dict[str, float | None]
) -> None:
    with _damaged(folders["interrupted"], damage) as folder:
        verdict = _judged(folder)
    assert verdict.verdict is Verdict.UNKNOWN
    assert (verdict.rto_s, verdict.lost, verdict.split_brain) == (None, None, None)
    assert all(share is None or share < 0.9 for share in verdict.availability.values())


def test_a_run_broken_off_in_the_outage_says_so(folders: dict[str, Path]) -> None:
    verdict = _judged(folders["interrupted"])
    assert {site.served_again for site in verdict.sites} == {False}
    assert {site.outage_s for site in verdict.sites} == {None}
    for share in verdict.availability.values():
        assert share == pytest.approx((14.3 - 6.2) / (14.3 - 6.2 + 8.4), abs=0.02)


def test_a_line_that_is_missing_from_the_middle_of_a_history_is_noticed(
    folders: dict[str, Path],
) -> None:
    with _damaged(folders["host-loss"], {}) as folder:
        path = folder / "history-paris.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        first = json.loads(lines[0])["id"]
        kept = [line for line in lines if json.loads(line).get("id") != first]
        path.write_text("".join(kept), encoding="utf-8")
        assert _judged(folder).verdict is Verdict.UNKNOWN


def test_an_event_that_is_missing_from_the_middle_is_noticed(folders: dict[str, Path]) -> None:
    """A heal, say: no checker needs it, and nothing else would tell."""
    with _damaged(folders["host-loss"], {}) as folder:
        path = folder / "events.jsonl"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        [heal] = [number for number, line in enumerate(lines) if '"heal"' in line]
        path.write_text("".join(lines[:heal] + lines[heal + 1 :]), encoding="utf-8")
        verdict = _judged(folder)
    assert verdict.verdict is Verdict.UNKNOWN
    assert f"events.jsonl: event {heal} is missing" in str(verdict.findings)


def test_a_run_that_was_killed_is_judged_up_to_its_last_tick(folders: dict[str, Path]) -> None:
    """Nobody is served after the fault; how long that was, only the ticks can tell."""
    known = {}
    for ticks in (0, 5):
        with _damaged(folders["interrupted"], {}) as folder:
            path = folder / "events.jsonl"
            lines = [
                line
                for line in path.read_text(encoding="utf-8").splitlines()
                if '"interrupted"' not in line
            ]
            last = json.loads(lines[-1])
            lines += [
                json.dumps({"seq": last["seq"] + n, "t_s": last["t_s"] + n, "kind": "tick"})
                for n in range(1, ticks + 1)
            ]
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
            known[ticks] = _judged(folder).sites[0].longest_gap
    without, with_ticks = known[0], known[5]
    assert without is not None
    assert with_ticks is not None
    assert with_ticks.gap_s == pytest.approx(without.gap_s + 5.0, abs=1.0)
    assert with_ticks.gap_s > without.gap_s


@pytest.mark.parametrize("story", ["host-loss", "async-loss"])
def test_a_run_folder_of_format_1_is_judged_the_same(folders: dict[str, Path], story: str) -> None:
    new = _judged(folders[story])
    with _damaged(folders[story], {}) as folder:
        asked = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        asked["format_version"] = 1
        del asked["scenario"]["workload"]
        (folder / "run.json").write_text(json.dumps(asked), encoding="utf-8")
        path = folder / "events.jsonl"
        events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for event in events:
            del event["seq"]
        path.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
        old = _judged(folder)
    assert old == new
    assert old.workload == "ledger"


def test_a_history_of_which_nothing_is_left_says_nothing_of_service(
    folders: dict[str, Path],
) -> None:
    damage: dict[str, float | None] = {"history-orsay.jsonl": 0.0}
    with _damaged(folders["host-loss"], damage) as folder:
        sites = {site.site: site for site in _judged(folder).sites}
    assert (sites["orsay"].served_again, sites["orsay"].availability) == (None, None)
    assert sites["paris"].served_again is True
