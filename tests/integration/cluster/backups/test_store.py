"""A folder of backups of a real server: full, incremental, verified, restored, pruned, broken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commands.commands import bascule
from support.postgres.local_postgres import (
    PASSWORD,
    LocalPostgres,
    bindir,
    local_postgres,
)

from cluster.backups.store import BackupStore
from cluster.errors import BackupError, PrerequisiteError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    folder = tmp_path_factory.mktemp("backed-up")
    with local_postgres(folder, settings={"summarize_wal": "on"}) as server:
        server.query("CREATE TABLE entries (n integer)")
        yield server


@pytest.fixture(scope="module")
def source(server: LocalPostgres) -> str:
    return server.conninfo(password=PASSWORD)


@pytest.fixture
def store(tmp_path: Path) -> BackupStore:
    return BackupStore(tmp_path / "backups", bindir())


def test_a_chain_is_taken_restored_and_pruned(
    server: LocalPostgres, source: str, store: BackupStore, tmp_path: Path
) -> None:
    taken = []
    for number in range(3):
        server.query(f"INSERT INTO entries VALUES ({number})")
        taken.append(store.take(source))
        assert taken[-1].fell_back is None
    parents = [one.record.parent for one in taken]
    assert parents == [None, taken[0].record.name, taken[1].record.name]
    full, smaller = (size(store, taken[index].record.name) for index in (0, 1))
    assert smaller < full / 2, "an incremental backup has only what has changed"

    data = tmp_path / "restored"
    assert len(store.restore(data)) == 3
    assert (data / "recovery.signal").is_file()
    restored = LocalPostgres(tmp_path, name="restored", settings={"restore_command": "false"})
    restored.start()
    try:
        assert restored.query("SELECT count(*) FROM entries")[0][0] >= 3
    finally:
        restored.stop()
    with pytest.raises(BackupError, match="is not empty"):
        store.restore(data)

    last = store.take(source, incremental="never", keep=1)
    assert last.deleted == tuple(one.record.name for one in reversed(taken))
    assert [one.name for one in store.backups()] == [last.record.name]
    assert sorted(os.listdir(store.folder / "base")) == [
        last.record.name,
        f"{last.record.name}.json",
    ]


def size(store: BackupStore, name: str) -> int:
    home = store.folder / "base" / name
    return sum(one.stat().st_size for one in home.rglob("base/**/*") if one.is_file())


def test_a_broken_backup_is_found_and_nothing_is_built_on_it(
    source: str, store: BackupStore, tmp_path: Path
) -> None:
    name = store.take(source).record.name
    victim = max(
        (one for one in (store.folder / "base" / name / "base").rglob("*") if one.is_file()),
        key=lambda one: one.stat().st_size,
    )
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(content)
    done = bascule("backup", "verify", str(store.folder), "--pg-bindir", str(bindir()))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
    with pytest.raises(BackupError, match="no good"):
        store.restore(tmp_path / "data", name)
    with pytest.raises(BackupError, match="no backup that can be restored"):
        store.restore(tmp_path / "data")
    assert store.take(source, keep=1).record.is_full
    assert name not in [one.name for one in store.backups()], "it is older than what is kept"
    assert "bascule_backup_good 1\n" in (store.folder / "backups.prom").read_text()


def test_one_that_fails_leaves_everything_as_it_was(source: str, store: BackupStore) -> None:
    name = store.take(source).record.name
    nobody = "host=127.0.0.1 port=1 user=postgres connect_timeout=2"
    done = bascule(
        *("backup", "take", str(store.folder), "--from", nobody, "--keep", "1"),
        *("--pg-bindir", str(bindir())),
    )
    assert done.returncode == 3, done.stdout + done.stderr
    assert "pg_basebackup" in done.stderr
    listed = json.loads(bascule("backup", "list", str(store.folder), "--json").stdout)
    assert [one["name"] for one in listed] == [name]
    (store.folder / "base" / "20260101T000000.000Z-full").mkdir()
    store.take(source)
    assert not (store.folder / "base" / "20260101T000000.000Z-full").exists(), "it is swept"


def test_without_summaries_the_remedy_is_named(tmp_path: Path) -> None:
    store = BackupStore(tmp_path / "backups", bindir())
    with local_postgres(tmp_path) as server:
        source = server.conninfo(password=PASSWORD)
        store.take(source)
        with pytest.raises(BackupError, match="summarize_wal = on"):
            store.take(source, incremental="always")
        fallen = store.take(source)
        assert fallen.record.is_full
        assert "summariz" in (fallen.fell_back or "")


def test_programs_that_are_too_old_are_refused(source: str, store: BackupStore) -> None:
    old = store.folder.parent / "old"
    old.mkdir()
    for name in ("pg_basebackup", "pg_verifybackup"):
        real = bindir() / name
        script = f'#!/bin/sh\n[ "$1" = --version ] && echo "{name} (PostgreSQL) 16.4" && exit\n'
        (old / name).write_text(f'{script}exec "{real}" "$@"\n')
        (old / name).chmod(0o755)
    aged = BackupStore(store.folder, old)
    with pytest.raises(PrerequisiteError, match=r"need PostgreSQL 17 or later; found 16\.4"):
        aged.take(source, incremental="always")
    assert aged.take(source).record.is_full
    assert "found 16.4" in (aged.take(source).fell_back or "")


def test_a_data_folder_of_a_server_is_refused(source: str, tmp_path: Path) -> None:
    """It has a folder base, too."""
    data = tmp_path / "data"
    (data / "base").mkdir(parents=True)
    (data / "PG_VERSION").write_text("18\n")
    with pytest.raises(BackupError, match="is the data folder of a server"):
        BackupStore(data, bindir()).take(source)
