"""Which kept cluster is whose: nobody comes to the name of one whose lock he cannot see."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import ExitStack
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from cluster.errors import EngineError
from cluster.patroni.config import Passwords
from cluster.substrates.docker import kept
from cluster.substrates.docker.kept import Known, take_slot


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def name_of(kind: str = "three") -> str:
    with ExitStack() as held:
        return take_slot(kind, held).run


def test_the_same_again_and_another_one_beside_it() -> None:
    with ExitStack() as held:
        first = take_slot("three", held)
        with ExitStack() as beside:
            assert take_slot("three", beside).run != first.run
    assert name_of() == first.run
    assert name_of("two") != first.run


def test_who_cannot_see_the_lock_does_not_come_to_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [name_of()]
    for module, function, value in (
        (os, "getuid", os.getuid() + 1),
        (socket, "gethostname", "another"),
        (kept, "pid_namespace", "1"),
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
    with pytest.raises(EngineError, match=r"reuse=True needs a lock[\s\S]*Permission denied"):
        name_of()


KNOWN = Known(
    block=IPv4Network("10.93.0.0/16"),
    credentials=Passwords(superuser="a", replication="b", rewind="c"),
)


def test_what_is_known_of_a_kept_cluster_is_for_its_user_only(folder: Path) -> None:
    with ExitStack() as held:
        slot = take_slot("three", held)
        assert slot.read() is None
        slot.write(KNOWN)
    (lock,) = folder.glob("bascule-*-0.lock")
    assert lock.stat().st_mode & 0o777 == 0o600
    lock.chmod(0o666)
    with ExitStack() as held:
        again = take_slot("three", held)
        assert lock.stat().st_mode & 0o777 == 0o600
        assert again.read() == KNOWN
        again.clear()
        assert again.read() is None


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"block": "x", "credentials": {}}'])
def test_what_cannot_be_read_is_not_known(folder: Path, text: str) -> None:
    name_of()
    (lock,) = folder.glob("bascule-*-0.lock")
    lock.write_text(text)
    with ExitStack() as held:
        assert take_slot("three", held).read() is None
