"""A cluster's folder and a sweep of another cluster, whichever of the two comes first."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.gameday import folders
from chaos.gameday.folders import PREFIX, Folder, sweep


@pytest.fixture(autouse=True)
def place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The directory for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_is_in_use_stays_and_what_nobody_holds_goes(place: Path) -> None:
    folder = Folder()
    unlocked = place / f"{PREFIX}of-one-that-died-before-it-was-locked"
    unlocked.mkdir()
    assert sweep() == [unlocked]
    assert list(place.iterdir()) == [folder.path]
    folder.remove()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "name"), [(os, "open"), (fcntl, "flock")], ids=["before open", "before lock"]
)
def test_one_that_is_swept_before_it_is_locked_is_made_again(
    monkeypatch: pytest.MonkeyPatch, place: Path, module: object, name: str
) -> None:
    real: Callable[..., object] = getattr(module, name)

    def late(*arguments: object) -> object:
        monkeypatch.undo()
        monkeypatch.setattr("tempfile.tempdir", str(place))
        assert len(sweep()) == 1
        return real(*arguments)

    monkeypatch.setattr(f"chaos.gameday.folders.{module.__name__}.{name}", late)
    folder = Folder()
    assert list(place.iterdir()) == [folder.path]
    assert folders.sweep() == []
    folder.remove()
