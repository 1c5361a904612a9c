"""Which kept cluster is whose: nobody comes to the name of one whose lock he cannot see."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from chaos.testing import docker_slots
from chaos.testing.docker_slots import take_slot
from chaos.testing.errors import StartError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def name_of(kind: str = "three") -> str:
    with ExitStack() as held:
        return take_slot(kind, held).cluster


def test_the_same_again_and_another_one_beside_it() -> None:
    with ExitStack() as held:
        first = take_slot("three", held)
        with ExitStack() as beside:
            assert take_slot("three", beside).cluster != first.cluster
    assert first.kept
    assert name_of() == first.cluster
    assert name_of("two") != first.cluster


def test_who_cannot_see_the_lock_does_not_come_to_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [name_of()]
    for module, function, value in (
        (os, "getuid", os.getuid() + 1),
        (socket, "gethostname", "another"),
        (docker_slots, "pid_namespace", "1"),
    ):
        with monkeypatch.context() as other:
            other.setattr(module, function, lambda value=value: value)
            found.append(name_of())
    with monkeypatch.context() as other:
        (tmp_path / "tmp").mkdir()
        other.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
        found.append(name_of())
    assert len(set(found)) == len(found)


def test_a_private_folder_of_the_same_path_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    first = name_of()
    (tmp_path / "tmp").rename(tmp_path / "before")
    (tmp_path / "tmp").mkdir()
    assert name_of() != first


def test_a_link_in_the_place_of_the_lock_is_not_followed(folder: Path) -> None:
    name_of()
    (lock,) = folder.glob("bascule-*-0.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.unlink()
    lock.symlink_to(folder / "elsewhere")
    assert name_of().endswith("-1")
    assert not (folder / "elsewhere").exists()


def test_without_a_lock_it_says_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(path: object, flags: int, mode: int = 0) -> int:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(StartError, match=r"reuse=True needs a lock[\s\S]*Permission denied"):
        name_of()
