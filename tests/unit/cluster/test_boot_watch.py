"""A process that dies while the cluster is raised ends the boot at once, with its log."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import anyio
import anyio.lowlevel
import pytest

from cluster.boot import BootWatch
from cluster.errors import BootError
from cluster.raised import RaisedCluster
from cluster.substrates.base import ProcessExit

RAISED = cast(RaisedCluster, object())


def died(*, expected: bool = False) -> ProcessExit:
    return ProcessExit(host="dcs-paris", unit="etcd", status=1, expected=expected, t_s=0.0)


def test_a_death_ends_the_boot_and_shows_the_log(tmp_path: Path) -> None:
    (tmp_path / "dcs-paris.etcd.log").write_text("no space left on device\n")

    async def boot() -> None:
        watch = BootWatch(tmp_path)

        async def raising() -> RaisedCluster:
            watch.unit_exited(died())
            await anyio.sleep_forever()
            return RAISED

        with anyio.fail_after(5):
            await watch.boot(raising())

    with pytest.raises(BootError) as caught:
        anyio.run(boot)
    assert caught.value.host == "dcs-paris"
    words, _, tail = str(caught.value).partition("\n")
    assert words == "etcd on dcs-paris ended with 1 while the cluster was raised"
    assert "no space left on device" in tail


def test_an_end_that_was_asked_for_or_comes_after_the_boot_does_nothing(tmp_path: Path) -> None:
    async def boot() -> RaisedCluster:
        watch = BootWatch(tmp_path)

        async def raising() -> RaisedCluster:
            watch.unit_exited(died(expected=True))
            await anyio.lowlevel.checkpoint()
            return RAISED

        raised = await watch.boot(raising())
        watch.unit_exited(died())
        await anyio.lowlevel.checkpoint()
        return raised

    assert anyio.run(boot) is RAISED
