"""An error names the cause that the logs have, once, and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.logs import find_trouble, log_causes

NO_SENDER = (
    'FATAL:  number of requested standby connections exceeds "max_wal_senders" (currently 3)'
)
BACKUP = (
    'pg_basebackup: error: connection to server at "10.77.1.11", port 5432 failed: ' + NO_SENDER
)
PATRONI = "2026-11-26 14:51:34,985 {}: {}"
FETCHING = PATRONI.format("ERROR", "Error when fetching backup: pg_basebackup exited with code=1")
CLIENT = "2026-11-26 14:51:31.985 UTC [77] [unknown]@10.77.1.11"
STARTING = f"{CLIENT} FATAL:  the database system is starting up"


def test_the_gravest_line_is_taken_without_its_time() -> None:
    lines = [STARTING, BACKUP, FETCHING, PATRONI.format("WARNING", "Trying again in 5 seconds")]
    trouble = find_trouble(lines)
    assert trouble is not None
    assert trouble.words == BACKUP
    assert find_trouble([FETCHING]).words.startswith("ERROR: Error when fetching")  # type: ignore[union-attr]


@pytest.mark.parametrize("line", ["", STARTING, PATRONI.format("INFO", "no action. I am (a)")])
def test_what_is_no_trouble(line: str) -> None:
    assert find_trouble([line]) is None


def test_what_many_logs_say_is_said_once(tmp_path: Path) -> None:
    paths = [tmp_path / f"db-{number}.patroni.log" for number in range(1, 7)]
    for path in paths[:5]:
        path.write_text(f"{BACKUP}\n{FETCHING}\n")
    paths[5].write_text(f"{FETCHING}\n")
    causes = log_causes(paths)
    assert causes.splitlines()[:2] == [
        f"  {BACKUP}",
        f"    {paths[0]}, {paths[1]}, {paths[2]} and 2 more",
    ]
    assert causes.splitlines()[3] == f"    {paths[5]}"
    assert len(causes.splitlines()) == 4


def test_logs_without_trouble_are_shown_as_they_end(tmp_path: Path) -> None:
    path = tmp_path / "db-1.patroni.log"
    path.write_text("waiting for leader to bootstrap\n")
    assert log_causes([path]) == f"  {path}:\n    waiting for leader to bootstrap"
    assert log_causes([tmp_path / "none.log"]) == f"  {tmp_path / 'none.log'}:"
