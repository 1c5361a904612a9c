"""``bascule evidence``: what it writes, and what it refuses to write of."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from support.evidence.stories import HOST_LOSS, STEADY
from support.evidence.synthetic_run import write_run

from chaos.cli.main import bascule
from chaos.errors import ChaosError, OutputError
from chaos.paper.asked import AskedError
from chaos.paper.collect import UnprovedRunError

ASKED = """\
[asked]
dmia_s = 60
prd_s = 0
prd_entries = 0
[scope]
organisation = "Hôpital d’essai"
reference = "PCA-2026-07"
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs of few operations: ``loss`` and ``steady``."""
    folder = tmp_path_factory.mktemp("paper")
    write_run(folder / "loss", replace(HOST_LOSS, pace_s=0.2))
    write_run(folder / "steady", replace(STEADY, pace_s=0.2))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(bascule, ["evidence", *map(str, arguments)])


def refused(kind: type[ChaosError], *arguments: object) -> str:
    done = run(*arguments)
    assert isinstance(done.exception, kind), done.output
    return str(done.exception)


def test_it_writes_one_paper_of_several_runs(runs: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "paper.html", tmp_path / "asked.toml"
    asked.write_text(ASKED)
    done = run(runs / "loss", runs / "steady", "--asked", asked, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stderr == f"wrote {out}\n"
    text = out.read_text(encoding="utf-8")
    assert '<html lang="fr">' in text
    assert "Hôpital d’essai" in text
    assert "PCA-2026-07" in text
    assert not (runs / "loss" / "verdict.json").exists(), "a run folder is only read"


def test_options_go_before_the_file_and_json_has_the_answers(runs: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.toml"
    asked.write_text(ASKED)
    done = run(runs / "loss", "--asked", asked, "--dmia-s", 5, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["objectives"]["dmia_s"]["answer"] == "exceeded"
    assert found["objectives"]["prd_s"] == {"asked": 0.0, "found": 0.0, "answer": "within"}
    assert found["subjects"]["seals"]["answer"] == "not-exercised"
    assert found["deviations"] == 1
    assert len(found["clauses"]) > 20
    assert found["runs"][0]["manifest_sha256"]


def test_a_paper_that_is_there_is_not_touched(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "paper.html"
    out.write_text("signed")
    assert "exists; it was not touched" in refused(OutputError, runs / "loss", "--out", out)
    assert out.read_text() == "signed"


@pytest.fixture
def copy(runs: Path, tmp_path: Path) -> Path:
    shutil.copytree(runs / "loss", tmp_path / "copy")
    return tmp_path / "copy"


def test_evidence_that_was_changed_is_refused_with_its_file(copy: Path, tmp_path: Path) -> None:
    history = copy / "history-paris.jsonl"
    text = history.read_text()
    assert '"attempts": 1' in text
    history.write_text(text.replace('"attempts": 1', '"attempts": 2', 1))
    words = refused(UnprovedRunError, copy, "--out", tmp_path / "paper.html")
    assert "history-paris.jsonl: was changed since the manifest was written" in words
    assert "no paper is written" in words
    assert not (tmp_path / "paper.html").exists()


def test_a_file_more_is_a_change_too(copy: Path) -> None:
    (copy / "note.txt").write_text("all is well")
    assert "note.txt: is new" in refused(UnprovedRunError, copy, "--json")


def test_a_run_without_a_manifest_is_refused(copy: Path) -> None:
    (copy / "manifest.json").unlink()
    assert "has no manifest" in refused(UnprovedRunError, copy, "--json")


def test_a_run_counts_once(runs: Path, copy: Path) -> None:
    assert "was given twice" in refused(UnprovedRunError, runs / "loss", copy, "--json")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[asked]\ndmia = 60\n", "asked.dmia: unknown key; did you mean dmia_s?"),
        ("[asked]\nprd_entries = -1\n", "asked.prd_entries: expected a whole number from 0 on"),
        ('[asked]\ndmia_s = "60"\n', "asked.dmia_s: expected a number"),
        ("dmia_s = 60\n", "dmia_s: unknown key"),
        ("", "has neither a table [asked] nor a table [scope]"),
        ("[asked\n", "no valid TOML"),
    ],
)
def test_wrong_values_are_named(runs: Path, tmp_path: Path, text: str, words: str) -> None:
    asked = tmp_path / "asked.toml"
    asked.write_text(text)
    found = refused(AskedError, runs / "loss", "--asked", asked, "--json")
    assert str(asked) in found
    assert words in found


def test_no_run_is_a_wrong_use() -> None:
    assert run().exit_code == 2
    assert run("--lang", "de", "x").exit_code == 2
