"""Fixtures that unit and integration tests share: synthetic runs, written once a session.

Tests that need a Docker engine are left out, and that is said, where none is fit; in CI, which sets
``BASCULE_TEST_DOCKER=required``, they fail instead.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from support.evidence.reported import Reported, reported
from support.evidence.stories import ASYNC_LOSS, HOST_LOSS, INTERRUPTED, STEADY, SWITCHOVER
from support.evidence.transferred import transferred
from support.house.workers import Scheduling, check_modules
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from chaos.judge.judging import build_verdict
from chaos.report import render_html, render_junit
from cluster.errors import PrerequisiteError
from cluster.substrates.docker.images import prepare_images
from cluster.substrates.docker.prerequisites import check_engine

# A property is about values; how long a loaded machine takes for an example says nothing.
settings.register_profile("bascule", deadline=None)
settings.load_profile("bascule")

collect_ignore = ["sqlalchemy_suite"]
"""It takes a process for itself: ``make suite``."""

LEFT_OUT = pytest.StashKey[str]()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    """For ``-n 3``, as in ``make test``."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs an engine where there is none."""
    needing = [item for item in items if item.get_closest_marker("docker") is not None]
    check_modules(needing)
    if not needing or os.environ.get("BASCULE_TEST_DOCKER") == "required":
        return
    try:
        check_engine()
    except PrerequisiteError as error:
        items[:] = [item for item in items if item not in needing]
        config.hook.pytest_deselected(items=needing)
        config.stash[LEFT_OUT] = f"{len(needing)} tests in containers were left out: {error}"
        if hasattr(config, "workeroutput"):  # a worker of pytest-xdist: its controller says it
            config.workeroutput["left_out"] = config.stash[LEFT_OUT]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """What a worker has left out."""
    if "left_out" in getattr(node, "workeroutput", {}):
        node.config.stash[LEFT_OUT] = node.workeroutput["left_out"]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what was left out."""
    if LEFT_OUT in config.stash:
        terminalreporter.section("left out", yellow=True)
        terminalreporter.line(config.stash[LEFT_OUT])


@pytest.fixture(scope="session")
def images() -> None:
    """The images of the containers, with the code of today: a drill that has to build none begins
    at once."""
    prepare_images()


@pytest.fixture(scope="session")
def host_loss(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """VALID: the primary's host was lost and came back 23 s later."""
    return reported(tmp_path_factory.mktemp("runs") / "host-loss", HOST_LOSS)


@pytest.fixture(scope="session")
def async_loss(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """INVALID: about 300 acknowledged entries were lost."""
    return reported(tmp_path_factory.mktemp("runs") / "async-loss", ASYNC_LOSS)


@pytest.fixture(scope="session")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """VALID: no fault."""
    return reported(tmp_path_factory.mktemp("runs") / "steady", STEADY)


@pytest.fixture(scope="session")
def switchover(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """VALID: a planned change of the primary, 2 s."""
    return reported(tmp_path_factory.mktemp("runs") / "switchover", SWITCHOVER)


@pytest.fixture(scope="session")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """UNKNOWN: broken off in the outage; histories torn, no final read."""
    return reported(tmp_path_factory.mktemp("runs") / "interrupted", INTERRUPTED)


@pytest.fixture(scope="session")
def torn_transfers(tmp_path_factory: pytest.TempPathFactory, host_loss: Reported) -> Reported:
    """INVALID: transfers of which one node and one read of the total lack some."""
    folder = tmp_path_factory.mktemp("runs") / "torn-transfers"
    folder.mkdir()
    run = transferred(host_loss.run, torn_node="db-paris", torn_read=True)
    verdict = build_verdict(run)
    torn = Reported(folder=folder, run=run, verdict=verdict)
    torn.report.write_text(render_html(run, verdict), encoding="utf-8")
    (folder / "junit.xml").write_text(render_junit(run, verdict), encoding="utf-8")
    return torn
