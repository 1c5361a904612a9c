"""What becomes of clusters at an experiment's end: in the journal, in the log, one by one."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from support.lab.fake_cluster import FakeCluster

from chaos.gameday.errors import ClusterInTestsError
from chaos.toolkit import control
from chaos.toolkit.held import Held, Registry

WORDS = "The cluster stuck could not be ended: Docker refused: the disk is on fire"


class Stuck(FakeCluster):
    """Cannot be ended at first; is tried again, and does not keep others."""

    def __init__(self) -> None:
        super().__init__(self._refuse)
        self.refusals = 1

    def _refuse(self, asked: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ClusterInTestsError(
                "Docker refused: the disk is on fire", logs="a line of its log"
            )


@pytest.fixture
def clusters(monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The clusters ``stuck`` and ``other``."""
    made = Registry()
    for name, cluster in {"stuck": Stuck(), "other": FakeCluster()}.items():
        untyped: Any = cluster
        made._held[name] = Held(name, untyped, None)
    monkeypatch.setattr(control, "clusters", made)
    return made


def test_at_the_end_of_an_experiment(clusters: Registry, caplog: pytest.LogCaptureFixture) -> None:
    control.after_experiment_control({}, None, cluster="stuck")
    assert [(one.levelno, one.getMessage()) for one in caplog.records if one.levelno > 10] == [
        (logging.ERROR, WORDS)
    ]
    control.after_experiment_control({}, None, cluster="stuck")
    assert not clusters.is_up("stuck")


def test_at_the_very_end(clusters: Registry, caplog: pytest.LogCaptureFixture) -> None:
    control.cleanup_control()
    assert WORDS in caplog.messages
    assert (clusters.is_up("stuck"), clusters.is_up("other")) == (True, False)
    control.cleanup_control()
    assert not clusters.is_up("stuck")


def test_each_cluster_is_in_the_journal(clusters: Registry) -> None:
    journal: dict[str, Any] = {"status": "completed", "experiment": {}}
    for name in ("stuck", "other"):
        control.after_experiment_control({}, journal, cluster=name)
    found = {one["name"]: one["cluster"] for one in journal["experiment"]["extensions"]}
    assert found == {"bascule-stuck": "stuck", "bascule-other": "other"}


def test_what_the_storage_layer_logs_is_in_the_log_and_not_on_the_console(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "chaostoolkit")
    logging.getLogger("replication").warning("%s is not used any more", "db-paris")
    words = "db-paris is not used any more"
    assert ("chaostoolkit", logging.DEBUG, words) in caplog.record_tuples
    assert logging.getLogger("replication").handlers  # else Python prints it
