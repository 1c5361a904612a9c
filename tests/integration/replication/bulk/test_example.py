"""``examples/bulk_load.py``, run as its docstring says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from support.postgres.bulk_ground import lay_ground
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.patroni_answers import rest_api

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[4] / "examples" / "bulk_load.py"


async def run(
    server: LocalPostgres, path: Path, option: str = "--install"
) -> subprocess.CompletedProcess[bytes]:
    async with rest_api(primary=True) as answers:
        member = f"db-a=http://127.0.0.1:{answers.port},127.0.0.1:{server.port}"
        command = [sys.executable, str(EXAMPLE), str(path), "eds.patient", "--name", "november"]
        command += ["--user", SUPERUSER, "--dbname", "postgres", "--member", member, option]
        with anyio.fail_after(60):
            return await anyio.run_process(
                command, check=False, env={**os.environ, "PGPASSWORD": PASSWORD}
            )


async def test_loads_once_and_says_so(postgres_server: LocalPostgres, tmp_path: Path) -> None:
    await lay_ground(postgres_server)
    postgres_server.query("DROP SCHEMA bascule CASCADE")
    path = tmp_path / "patients.csv"
    path.write_text("id,name\n" + "".join(f"{n},name-{n}\n" for n in range(2000)))
    first = await run(postgres_server, path)
    assert (first.returncode, first.stdout[:22]) == (0, b"november: 2,000 rows i"), first.stderr
    assert b"chunk 1: 2,000 rows" in first.stderr
    again = await run(postgres_server, path)
    assert again.stdout == b"november was loaded before: 2,000 rows\n"
    assert postgres_server.query("SELECT count(*) FROM eds.patient") == [(2000,)]


async def test_a_bad_line_is_said_in_words(postgres_server: LocalPostgres, tmp_path: Path) -> None:
    await lay_ground(postgres_server)
    path = tmp_path / "patients.csv"
    path.write_text("id,name\n1,a\nx,b\n")
    done = await run(postgres_server, path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"ChunkRefused: chunk 1 of november, line 3 was refused")


async def test_what_cannot_begin_is_said_in_words(
    postgres_server: LocalPostgres, tmp_path: Path
) -> None:
    await lay_ground(postgres_server)
    path = tmp_path / "patients.csv"
    missing = await run(postgres_server, path)
    assert missing.stderr == f"{path} cannot be read: No such file or directory\n".encode()
    path.write_text("id,name\n1,a\n", encoding="utf-8-sig")
    postgres_server.query("DROP TABLE bascule.bulk_chunk, bascule.bulk_load")
    done = await run(postgres_server, path, "--name=november")
    assert done.stderr.startswith(b"NotInstalled: november was not begun"), done.stderr
    assert b"replication.schema.install" in done.stderr
    await lay_ground(postgres_server)
    marked = await run(postgres_server, path)
    assert (marked.returncode, marked.stdout[:19]) == (0, b"november: 1 rows in"), marked.stderr
