"""Labs by name: one of a name, one that died is noticed and removed, another user's is left."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.gameday.plans import plan_of

from chaos.gameday import labs
from chaos.gameday.errors import LabDiedError
from chaos.gameday.labs import LabNameError, claim, find, living, names, the_one
from chaos.gameday.plan import write_plan
from cluster.errors import EngineError
from cluster.substrates.lab.kind import LAB


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def nobody(text: str) -> None:
    raise AssertionError(text)


def made(name: str, run: str = "/runs/1") -> labs.LabFolder:
    """A lab that is up, as far as its folder shows."""
    claimed = claim(name, nobody)
    write_plan(claimed.folder, plan_of(name, run))
    claimed.write_pid(os.getpid())
    return claimed


def test_a_name_is_given_once(place: Path) -> None:
    first = made("lab")
    assert first.folder.stat().st_mode & 0o777 == 0o700
    with pytest.raises(LabNameError, match=r"lab lab is up already, since 2026.*bascule down lab"):
        claim("lab", nobody)
    other = made("other")
    assert names() == ["lab", "other"]
    first.remove()
    other.remove()
    assert list(place.iterdir()) == []


def test_a_lab_is_found_while_it_lives() -> None:
    claimed = made("lab")
    found = find("lab")
    assert (found.pid, found.run) == (os.getpid(), Path("/runs/1"))
    assert the_one(None, nobody) == found
    assert the_one("lab", nobody) == found
    claimed.remove()
    with pytest.raises(LabNameError, match="no lab lab is up"):
        find("lab")
    with pytest.raises(LabNameError, match="no lab is up: bascule up"):
        the_one(None, nobody)


def test_which_one_must_be_said_where_there_are_several() -> None:
    claims = [made("a"), made("b")]
    with pytest.raises(LabNameError, match=r"several labs are up: say which one \(a, b\)"):
        the_one(None, nobody)
    with pytest.raises(LabNameError, match="no lab c is up; up are a, b"):
        the_one("c", nobody)
    for one in claims:
        one.remove()


def test_one_that_died_is_said_once_and_removed(place: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "lab.pid").write_text("1\n")
    made("lab", str(run)).close()  # nobody holds the lock any more
    with pytest.raises(LabDiedError, match=f"lab lab has died.*\n.*bascule check {run}"):
        the_one(None, nobody)
    assert names() == []
    assert list(run.iterdir()) == []
    with pytest.raises(LabNameError):
        find("lab")


@pytest.mark.parametrize("refusal", [None, EngineError("the engine does not answer")])
def test_what_its_sites_left_on_the_machine_is_removed_too(
    monkeypatch: pytest.MonkeyPatch, refusal: EngineError | None
) -> None:
    """Of containers, where the process that had them was killed as well."""
    removed: list[str] = []

    def remove(say: Callable[[str], object]) -> None:
        removed.append("containers")
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(labs, "SUBSTRATES", {"lab": replace(LAB, remove_left=remove)})
    made("lab").close()
    with pytest.raises(LabDiedError):
        find("lab")
    assert removed == ["containers"]
    assert names() == []


def test_the_name_of_one_that_died_can_be_used_at_once() -> None:
    made("lab").close()
    said: list[str] = []
    claimed = claim("lab", said.append)
    assert "the supervisor of lab lab has died" in said[0]
    assert list(living(said.append)) == []  # it is only being made
    with pytest.raises(LabNameError, match="only just being made"):
        find("lab")
    claimed.remove()


def test_the_name_of_one_whose_sites_are_still_ending_is_waited_for() -> None:
    """Its supervisor was killed; the process that has the sites holds the lock a little longer."""
    dying = made("lab")
    with subprocess.Popen(["true"]) as supervisor:
        supervisor.wait()
    dying.write_pid(supervisor.pid)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        dying.close()  # its sites have gone

    claimed = claim("lab", say)
    assert "the supervisor of lab lab has died: waiting until its sites have gone" in said[0]
    assert "what was left of it has been removed" in said[1]
    claimed.remove()


def test_living_ones_are_listed_and_dead_ones_are_said() -> None:
    up = made("a")
    made("b").close()
    said: list[str] = []
    assert [one.name for one in living(said.append)] == ["a"]
    assert len(said) == 1
    up.remove()


@pytest.mark.parametrize("name", ["", "Lab", "a/b", "..", "-a", "a" * 40])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(LabNameError, match="no name for a lab"):
        claim(name, nobody)


def test_the_folder_of_somebody_else_is_not_used(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    uid = os.getuid()
    (place / f"{labs.PREFIX}{uid + 1}-lab").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: uid + 1)
    with pytest.raises(LabNameError, match="belongs to another user"):
        find("lab")
