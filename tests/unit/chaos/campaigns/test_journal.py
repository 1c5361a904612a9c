"""``campaign.jsonl`` survives a kill in the middle of a line, and says what is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.evidence.campaigns import BEGAN, a_run

from chaos.campaigns.journal import JOURNAL, Confirmed, Shrunk, Tried, append, locked, read_journal
from chaos.errors import CampaignError
from chaos.findings import Verdict

CONFIRMED = Confirmed(n=2, findings=("split-brain",), folders=("a",), failed=4, of=5)
TRIED = Tried(n=2, purpose="replay", number=1, folder="a", failed=True, took_s=17.0)
SHRUNK = Shrunk(n=2, schedule="s.toml", folder="f", faults=a_run(2).faults, failed=2, of=3, runs=9)


def written(folder: Path, *steps: object) -> Path:
    for step in steps:
        append(folder, step)  # type: ignore[arg-type]
    return folder


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    runs = (a_run(1, verdict="invalid", is_canary=True), a_run(2, verdict="invalid"))
    journal = read_journal(written(tmp_path, BEGAN, *runs, TRIED, CONFIRMED, SHRUNK))
    assert journal.began == BEGAN
    assert journal.runs == runs
    assert journal.confirmed == {2: CONFIRMED}
    assert journal.shrunk == {2: SHRUNK}
    assert journal.took_s == runs[0].took_s + runs[1].took_s + 17.0
    assert journal.tried == (TRIED,)


@pytest.mark.parametrize("cut", [1, 20, 200])
def test_half_a_line_is_no_line_and_the_next_one_takes_its_place(tmp_path: Path, cut: int) -> None:
    written(tmp_path, BEGAN, a_run(1), a_run(2))
    path = tmp_path / JOURNAL
    path.write_bytes(path.read_bytes()[:-cut])
    assert [run.n for run in read_journal(tmp_path).runs] == [1]
    append(tmp_path, a_run(2))
    append(tmp_path, a_run(3))
    assert [run.n for run in read_journal(tmp_path).runs] == [1, 2, 3]


def test_a_folder_without_a_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match=r"is no campaign folder: there is no campaign\.jsonl"):
        read_journal(tmp_path)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "line 2"),
        ('{"type": "walk"}', "line 2: type: expected one of campaign, run"),
        ('{"type": "shrunk", "n": "x"}', "line 2: n: expected int"),
    ],
)
def test_a_line_that_cannot_be_understood_is_named(tmp_path: Path, line: str, words: str) -> None:
    written(tmp_path, BEGAN)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(CampaignError, match=words):
        read_journal(tmp_path)


def test_a_journal_of_another_format_is_refused(tmp_path: Path) -> None:
    written(tmp_path, replace(BEGAN, format_version=2))
    with pytest.raises(CampaignError, match="format_version: this Bascule reads 1, found 2"):
        read_journal(tmp_path)


CANARY = a_run(1, verdict="invalid", is_canary=True)


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        ((CANARY, a_run(2)), Verdict.VALID),
        ((CANARY,), Verdict.UNKNOWN),
        ((a_run(2),), Verdict.UNKNOWN),
        ((replace(CANARY, verdict="valid"), a_run(2)), Verdict.UNKNOWN),
        ((replace(CANARY, findings=("service-not-kept",)), a_run(2)), Verdict.UNKNOWN),
        ((CANARY, a_run(2, verdict="unknown")), Verdict.UNKNOWN),
        ((CANARY, a_run(2, verdict="invalid"), a_run(3, verdict="unknown")), Verdict.INVALID),
    ],
)
def test_the_verdict_of_a_campaign(
    tmp_path: Path, runs: tuple[object, ...], verdict: Verdict
) -> None:
    assert read_journal(written(tmp_path, BEGAN, *runs)).verdict is verdict


def test_only_one_process_carries_a_campaign_on(tmp_path: Path) -> None:
    written(tmp_path, BEGAN)
    with (
        locked(tmp_path),
        pytest.raises(CampaignError, match="another process carries this campaign on"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        append(tmp_path, a_run(1))
