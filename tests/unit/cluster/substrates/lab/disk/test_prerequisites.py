"""What a machine lacks for layered disks, in words with the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.errors import PrerequisiteError
from cluster.substrates.lab.disk import prerequisites
from cluster.substrates.lab.disk.prerequisites import check_disks
from cluster.topology.load import load_builtin

PLAIN = load_builtin("three-sites")
LAYERED = PLAIN.with_layered_disks()


def test_libfuse_is_asked_for_only_where_a_disk_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prerequisites, "LIBRARY", "there-is-no-such-library")
    check_disks(PLAIN)
    with pytest.raises(PrerequisiteError, match="sudo apt-get install libfuse3-3"):
        check_disks(LAYERED)


def test_a_device_that_is_missing_or_closed_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(prerequisites, "found_library", lambda: "libfuse3.so.3")
    monkeypatch.setattr(prerequisites, "DEVICE", tmp_path / "fuse")
    with pytest.raises(PrerequisiteError, match="modprobe fuse"):
        check_disks(LAYERED)
    (tmp_path / "fuse").touch()
    check_disks(LAYERED)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(PrerequisiteError, match="chmod 0666"):
        check_disks(LAYERED)
