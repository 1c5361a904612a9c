"""The load process and the final reader, started as the drill starts them, on local servers."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from chaos.evidence.final_reads import read_final
from chaos.evidence.history import End, HistoryTail, read_history
from chaos.evidence.records import FinalRead, SiteHistory
from chaos.scenarios.model import WorkloadSpec


async def run_load(config: Mapping[str, object], *, seconds: int) -> tuple[SiteHistory, list[End]]:
    """Load for some seconds from its first line on, then SIGTERM: the history, and what was heard
    of it while the load ran."""
    path = Path(str(config["history_path"]))
    tail, heard = HistoryTail(path), list[End]()
    async with await anyio.open_process(
        [sys.executable, "-m", "chaos.load.worker"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin
        assert process.stderr
        await process.stdin.send(f"{json.dumps(config)}\n".encode())
        with anyio.fail_after(20):
            while not (await anyio.Path(path).exists() and (await anyio.Path(path).stat()).st_size):
                await anyio.sleep(0.02)
            for _ in range(seconds * 10):
                await anyio.sleep(0.1)
                heard += tail.ends()
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        with anyio.move_on_after(1):
            async for text in process.stderr:
                pytest.fail(text.decode())
    damage: list[str] = []
    history = read_history(path, str(config["site"]), damage)
    assert damage == []
    assert history.complete
    ended = sorted(end.id for end in [*heard, *tail.ends()])
    assert ended == sorted(operation.id for operation in history.operations)
    return history, heard


async def final_read(
    addresses: Mapping[str, int],
    folder: Path,
    workload: WorkloadSpec,
    access: tuple[str, str],
    *,
    deadline_s: float = 9,
) -> dict[str, FinalRead]:
    """What the nodes hold, by their names; ``access`` is a role and its password."""
    config = {
        "nodes": [
            {"node": name, "host": "127.0.0.1", "port": port} for name, port in addresses.items()
        ],
        "user": access[0],
        "password": access[1],
        "dbname": "postgres",
        "out_dir": str(folder),
        "deadline_s": deadline_s,
        "workload": workload.to_json(),
    }
    with anyio.fail_after(deadline_s + 5):
        result = await anyio.run_process(
            [sys.executable, "-m", "chaos.load.final_read"],
            input=f"{json.dumps(config)}\n".encode(),
        )
    assert result.stderr == b""
    damage: list[str] = []
    reads = {name: read_final(folder / f"final-{name}.jsonl", name, damage) for name in addresses}
    assert damage == []
    return {name: read for name, read in reads.items() if read is not None}
