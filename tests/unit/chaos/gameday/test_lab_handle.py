"""The lab's owner: what ends a lab that has just been started, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.gameday import lab_handle
from chaos.gameday.errors import NotRunningError, StartError
from chaos.gameday.lab_handle import LabBackend
from chaos.gameday.requests import Mode, Ready
from chaos.testing import PatroniCluster
from cluster.topology.load import find_topology

READY = Ready(superuser="postgres", superuser_password="secret")


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LabBackend:
    """One that enters nothing, and is ready at once."""
    monkeypatch.setattr(lab_handle, "check_prerequisites", lambda: None)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(LabBackend, "_enter", lambda self, folder: None)
    monkeypatch.setattr(LabBackend, "do", lambda self, *asked, timeout_s: READY)
    return LabBackend(find_topology("three-sites"))


def test_a_lab_that_is_started_while_an_error_is_handled_stays(
    backend: LabBackend, tmp_path: Path
) -> None:
    try:
        int("a mistake of the user's")
    except ValueError:
        assert backend.start(timeout_s=1) == READY
    assert len(list(tmp_path.iterdir())) == 1
    backend.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (NotRunningError("it ended"), StartError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (OSError("no room"), StartError),
    ],
)
def test_one_that_does_not_become_ready_leaves_nothing(
    backend: LabBackend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    error: BaseException,
    raised: type[BaseException],
) -> None:
    def do(self: LabBackend, *asked: object, timeout_s: float) -> Ready:
        raise error

    monkeypatch.setattr(LabBackend, "do", do)
    with pytest.raises(raised):
        backend.start(timeout_s=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", ["lab", "docker"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda cluster: cluster.state(),
        lambda cluster: cluster.primary_url(),
        lambda cluster: cluster.replica_urls(),
        lambda cluster: cluster.cluster_url(),
        lambda cluster: cluster.members(),
        lambda cluster: cluster.members(site="orsay"),
        lambda cluster: cluster.dcs(),
        lambda cluster: cluster.logs("db-paris"),
        lambda cluster: cluster.kill_primary(),
        lambda cluster: cluster.heal(),
    ],
)
def test_before_its_start_there_is_no_cluster(
    mode: Mode, ask: Callable[[PatroniCluster], object]
) -> None:
    with pytest.raises(NotRunningError, match="is not running: start it, or use it in a with"):
        ask(PatroniCluster(mode=mode))


def test_a_storage_is_durable_as_its_cluster_is() -> None:
    """``quorum`` on an asynchronous cluster is refused at every write."""
    found = {
        durability: PatroniCluster(durability=durability)._storage_settings().durability
        for durability in ("quorum", "async")
    }
    assert found == {"quorum": "quorum", "async": "local"}
