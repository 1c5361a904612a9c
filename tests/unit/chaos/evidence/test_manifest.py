"""The manifest of a run folder: whatever is done to the evidence afterwards, it is noticed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.evidence.stories import HOST_LOSS
from support.evidence.synthetic_run import SITES, WORKERS, write_run

from chaos.cli.check import check, report
from chaos.errors import DamagedRunError
from chaos.evidence.folder import read_run
from chaos.evidence.manifest import DERIVED, MANIFEST, check_manifest, write_manifest
from chaos.findings import Verdict
from chaos.judge.exit_codes import INCONCLUSIVE, PASSED
from chaos.judge.judging import judge

STORY = replace(HOST_LOSS, pace_s=0.2)
LOG = "logs/db-paris.patroni.log"
NUMBERED = ("events.jsonl", *(f"history-{site}.jsonl" for site in SITES))
"""The files whose lines have numbers."""


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is valid, with its manifest."""
    folder = write_run(tmp_path_factory.mktemp("sealed") / "run", STORY)
    (folder / LOG).write_text("promoted self to leader\nrunning\n", encoding="utf-8")
    (folder / "config" / "patroni-db-paris.yml").write_text("ttl: 20\nloop_wait: 5\n")
    write_manifest(folder)
    return folder


@pytest.fixture(scope="module")
def unsealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run as format 2 left it: no manifest, no numbers in histories."""
    return write_run(tmp_path_factory.mktemp("unsealed") / "run", STORY, sealed=False)


@contextmanager
def _copy(folder: Path) -> Iterator[Path]:
    with TemporaryDirectory() as base:
        copy = Path(base) / "run"
        shutil.copytree(folder, copy)
        yield copy


def _verdict(folder: Path) -> Verdict:
    return judge(read_run(folder)).verdict


def _problems(folder: Path) -> tuple[str, ...]:
    manifest = check_manifest(folder)
    assert manifest is not None
    assert manifest.holds is (not manifest.problems)
    return manifest.problems


def _checked(folder: Path) -> tuple[int, dict[str, Any]]:
    """``bascule check --json``: the exit code and the document."""
    result = CliRunner().invoke(check, [str(folder), "--json"])
    document: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, document


def test_a_folder_that_nobody_touched_holds(sealed: Path) -> None:
    manifest = check_manifest(sealed)
    assert manifest is not None
    assert manifest.holds
    listed = json.loads((sealed / MANIFEST).read_text(encoding="utf-8"))["files"]
    assert {LOG, "run.json", "events.jsonl", "config/patroni-db-paris.yml"} < listed.keys()
    assert manifest.files == len(listed)
    assert listed[LOG]["bytes"] == (sealed / LOG).stat().st_size
    assert _verdict(sealed) is Verdict.VALID


def test_the_same_evidence_gives_the_same_manifest(sealed: Path) -> None:
    manifest = check_manifest(sealed)
    assert manifest is not None
    with _copy(sealed) as folder:
        assert write_manifest(folder) == manifest.sha256


def test_to_judge_and_to_draw_again_breaks_nothing(sealed: Path) -> None:
    with _copy(sealed) as folder:
        first = _checked(folder)
        assert CliRunner().invoke(report, [str(folder)]).exit_code == 0
        (folder / "report.html").write_text("altered, and written anew")
        (folder / ".report.html.part").write_text("left by one that was killed")
        assert all((folder / name).is_file() for name in DERIVED)
        assert _checked(folder) == first
        assert first[0] == PASSED
        assert first[1]["manifest"]["holds"] is True
        assert first[1]["manifest"]["sha256"] in (folder / "report.html").read_text("utf-8")


def _append(folder: Path) -> None:
    with (folder / LOG).open("a") as log:
        log.write("more\n")


def _relink(folder: Path) -> None:
    """The same bytes, but no longer here."""
    away = folder.parent / "away.log"
    shutil.move(folder / LOG, away)
    os.symlink(away, folder / LOG)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_append, f"{LOG}: was changed since the manifest was written"),
        (_relink, f"{LOG}: was changed since the manifest was written"),
        (lambda folder: (folder / LOG).unlink(), f"{LOG}: is missing, the manifest has it"),
        (
            lambda folder: (folder / "history-mars.jsonl").write_text(""),
            "history-mars.jsonl: is new, the manifest does not have it",
        ),
        (
            lambda folder: (folder / "logs" / "notes").symlink_to("/etc"),
            "logs/notes: is new, the manifest does not have it",
        ),
    ],
)
def test_a_file_that_changed_is_missing_or_is_new_is_named(
    sealed: Path, change: Callable[[Path], object], said: str
) -> None:
    with _copy(sealed) as folder:
        change(folder)
        assert _problems(folder) == (said,)
        code, document = _checked(folder)
        words = CliRunner().invoke(check, [str(folder)]).stdout
        html = (folder / "report.html").read_text("utf-8")
    assert (code, document["verdict"]) == (INCONCLUSIVE, "unknown")
    assert document["manifest"]["problems"] == [said]
    assert said in str(document["findings"])
    assert said in words
    assert "does not hold" in html


def test_of_a_history_that_changed_nothing_is_said_for_certain(sealed: Path) -> None:
    """Not only the completeness: nought lost, say, would be a lie."""
    with _copy(sealed) as folder:
        path = folder / "history-paris.jsonl"
        path.write_bytes(path.read_bytes().replace(b'"node": "db-paris"', b'"node": "db-orsay"', 1))
        document = _checked(folder)[1]
    assert document["lost"] is None
    assert document["split_brain"] is None
    unseen = {one["name"] for one in document["checkers"] if one["unseen"]}
    assert {"lost-entries", "split-brain", "dead-timeline", "service", "load"} <= unseen


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"format_version": 9, "files": {}}', '{"a": 1}']
)
def test_a_manifest_that_makes_no_sense_does_not_hold(sealed: Path, content: str) -> None:
    with _copy(sealed) as folder:
        (folder / MANIFEST).write_text(content)
        [problem] = _problems(folder)
        assert problem.startswith(f"{MANIFEST}: ")
        assert _verdict(folder) is Verdict.UNKNOWN


def test_a_folder_that_lost_its_manifest_is_unknown(sealed: Path) -> None:
    with _copy(sealed) as folder:
        (folder / MANIFEST).unlink()
        code, document = _checked(folder)
    assert (code, document["manifest"]) == (INCONCLUSIVE, None)
    assert "manifest.json: is missing" in str(document["findings"])


def test_a_folder_of_an_older_format_has_none_and_that_is_said(unsealed: Path) -> None:
    with _copy(unsealed) as folder:
        code, document = _checked(folder)
        words = CliRunner().invoke(check, [str(folder)]).stdout
        html = (folder / "report.html").read_text("utf-8")
    assert (code, document["manifest"]) == (PASSED, None)
    assert "no manifest" in words
    assert "no manifest" in html


Damage = Callable[[list[bytes], int, int], list[bytes]]


def _cut(lines: list[bytes], at: int, _: int) -> list[bytes]:
    return lines[:at] + lines[at + 1 :]


def _double(lines: list[bytes], at: int, _: int) -> list[bytes]:
    return [*lines[: at + 1], *lines[at:]]


def _swap(lines: list[bytes], at: int, other: int) -> list[bytes]:
    swapped = list(lines)
    swapped[at], swapped[other] = lines[other], lines[at]
    return swapped


def _alter(lines: list[bytes], at: int, other: int) -> list[bytes]:
    """One byte of a line is another one, as after a bit that fell over."""
    line = bytearray(lines[at])
    line[other % len(line)] ^= 1
    return [*lines[:at], bytes(line), *lines[at + 1 :]]


def _zero(lines: list[bytes], at: int, _: int) -> list[bytes]:
    """A page that the disk lost reads as noughts."""
    return [*lines[:at], bytes(len(lines[at])), *lines[at + 1 :]]


def _damage(path: Path, damage: Damage, at: int, other: int) -> None:
    """Does it to one line; gives up an example in which nothing changes."""
    before = path.read_bytes()
    lines = before.splitlines(keepends=True)
    assume(lines)
    after = b"".join(damage(lines, at % len(lines), other % len(lines)))
    assume(after != before)
    path.write_bytes(after)


places = st.integers(0, 10_000)


@settings(max_examples=120, deadline=None)
@given(
    data=st.data(),
    damage=st.sampled_from([_cut, _double, _swap, _alter, _zero]),
    at=places,
    other=places,
)
def test_one_line_of_any_file_cannot_change_unnoticed(
    sealed: Path, data: st.DataObject, damage: Damage, at: int, other: int
) -> None:
    names = sorted(
        path.relative_to(sealed).as_posix() for path in sealed.rglob("*") if path.is_file()
    )
    name = data.draw(st.sampled_from(names))
    with _copy(sealed) as folder:
        _damage(folder / name, damage, at, other)
        try:
            verdict = _verdict(folder)
        except DamagedRunError:
            return  # run.json: nothing at all is said
        assert verdict is not Verdict.VALID
        if name != MANIFEST:  # which then says something else of some other file
            assert any(problem.startswith(f"{name}: ") for problem in _problems(folder))


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(NUMBERED),
    damage=st.sampled_from([_cut, _double, _swap, _zero]),
    at=places,
    other=places,
)
def test_lines_have_numbers_and_notice_it_without_the_manifest(
    sealed: Path, name: str, damage: Damage, at: int, other: int
) -> None:
    with _copy(sealed) as folder:
        _damage(folder / name, damage, at, other)
        run = read_run(folder, is_over=False)
    assert run.manifest is None
    assert judge(run).verdict is not Verdict.VALID


@settings(max_examples=40, deadline=None)
@given(site=st.sampled_from(SITES), which=places)
def test_an_acknowledgement_that_was_cut_out_is_missed_by_its_worker(
    unsealed: Path, site: str, which: int
) -> None:
    """Also where there is neither a manifest nor a number: nobody has two operations open."""
    with _copy(unsealed) as folder:
        path = folder / f"history-{site}.jsonl"
        lines = path.read_text("utf-8").splitlines(keepends=True)
        acknowledged = [n for n, line in enumerate(lines) if '"ok"' in line]
        gone = acknowledged[which % len(acknowledged)]
        id_ = json.loads(lines[gone])["id"]
        path.write_text("".join(_cut(lines, gone, 0)), encoding="utf-8")
        run = read_run(folder)
        kept = [json.loads(line) for line in lines[:gone] + lines[gone + 1 :]]
    [damage] = run.damage
    worker = int(id_.split("-")[-2])
    assert worker in range(WORKERS)
    later = [
        n
        for n, line in enumerate(kept, start=1)
        if line["type"] == "invoke" and line["worker"] == worker and n > gone
    ]
    invoked = next(n for n, line in enumerate(kept, start=1) if line.get("id") == id_)
    assert damage.startswith(f"history-{site}.jsonl: line {later[0] if later else invoked}: ")
    assert f"the end of {id_}" in damage
    assert f"worker {worker}" in damage
    judgement = judge(run)
    assert judgement.verdict is Verdict.UNKNOWN
    assert damage in str(judgement.findings)
