"""The synchronous examples run as they stand."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from psycopg import sql
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.synchronous import create_tables, end_sleepers, rest_apis

EXAMPLES = Path(__file__).parents[4] / "examples"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    """With the tables that the examples need, empty; ``schema.sql`` gives them to ``app``."""
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    if not postgres_server.query("SELECT 1 FROM pg_roles WHERE rolname = 'app'"):
        postgres_server.query("CREATE ROLE app")
    schema = (EXAMPLES / "schema.sql").read_text(encoding="utf-8")
    postgres_server.query(sql.Composed([sql.SQL(schema)]))  # type: ignore[arg-type]
    postgres_server.query("TRUNCATE visit")
    postgres_server.query("DROP TABLE IF EXISTS sample")
    return postgres_server


def run(example: str, server: LocalPostgres, folder: Path) -> list[str]:
    """What an example prints, in a folder with ``bascule.toml``."""
    with rest_apis(True) as (answers,):
        (folder / "bascule.toml").write_text(
            f"""
            [bascule.storage]
            user = "{SUPERUSER}"
            dbname = "postgres"
            password = "{PASSWORD}"

            [[bascule.storage.members]]
            name = "{server.name}"
            rest_url = "http://127.0.0.1:{answers.port}"
            host = "127.0.0.1"
            port = {server.port}
            """
        )
        done = subprocess.run(
            [sys.executable, "-W", "error", str(EXAMPLES / example)],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_sync_quickstart(server: LocalPostgres, tmp_path: Path) -> None:
    assert run("sync_quickstart.py", server, tmp_path) == [
        "1 with a cough, written on db-a",
        "visit-8812 was applied before, and was not applied again",
        "outcome: applied=True",
        "2 visits are seen",
        "the last in the alphabet is Paul",
    ]


def test_sqlalchemy_app(server: LocalPostgres, tmp_path: Path) -> None:
    assert run("sqlalchemy_app.py", server, tmp_path) == [
        "L-1: 4.5 ml",
        "L-2: 3.0 ml",
        "L-1: 5.0 ml",
        "8.0 ml in all, read on db-a",
    ]
