"""The synchronous examples run as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.local_postgres import PASSWORD, LocalPostgres
from support.synchronous import create_tables, end_sleepers, rest_apis

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    postgres_server.query("DROP TABLE IF EXISTS admission, sample")
    return postgres_server


def run(example: str, server: LocalPostgres) -> list[str]:
    """What an example prints."""
    with rest_apis(True) as (answers,):
        member = answers.member(server)
        done = subprocess.run(
            [
                *(sys.executable, "-W", "error", str(EXAMPLES / example)),
                *("--member", member.name, member.rest_url, member.host, str(member.port)),
            ],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_sync_quickstart(server: LocalPostgres) -> None:
    assert run("sync_quickstart.py", server) == [
        "1 on ward 3B, written on db-a",
        "admission-8812 was applied before, and was not applied again",
        "outcome: applied=True",
        "2 patients, read from a primary",
        "the last ward is 3B",
    ]


def test_sqlalchemy_app(server: LocalPostgres) -> None:
    assert run("sqlalchemy_app.py", server) == [
        "L-1: 4.5 ml",
        "L-2: 3.0 ml",
        "L-1: 5.0 ml",
        "8.0 ml in all, read on db-a",
    ]
