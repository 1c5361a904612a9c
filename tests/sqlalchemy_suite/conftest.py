"""Runs SQLAlchemy's suite for dialects on our engines; see ``run.py``."""

from __future__ import annotations

import os

import pytest
from engines_of_a_storage import Ground, Kind
from exceptions import EXCEPTIONS

pytest_plugins = ["sqlalchemy.testing.plugin.pytestplugin"]

KIND: Kind = "async" if os.environ.get("BASCULE_SUITE") == "async" else "sync"
DRIVER = {"sync": "LentConnection", "async": "AsyncLentConnection"}
GROUND = pytest.StashKey[Ground]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before SQLAlchemy's plugin, which connects at once."""
    for marker in ("backend", "sparse_backend", "sparse_driver_backend", "mypy"):
        config.addinivalue_line("markers", f"{marker}: SQLAlchemy's")
    config.stash[GROUND] = Ground(KIND)


@pytest.hookimpl(tryfirst=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Before SQLAlchemy's plugin closes its event loop."""
    if GROUND in config.stash:
        config.stash[GROUND].close()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the exceptions.

    Raises:
        UsageError: one is of no test.
    """
    expected = dict(EXCEPTIONS[KIND])
    for item in items:
        reason = expected.pop(_name_of(item), None)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    if expected and not config.option.keyword and "::" not in "".join(config.args):
        raise pytest.UsageError(f"exceptions of no test: {', '.join(expected)}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What was tested must have been ours."""
    drivers = session.config.stash[GROUND].drivers
    if drivers != {DRIVER[KIND]}:
        raise pytest.UsageError(f"the connections were {drivers or 'none'}, not {DRIVER[KIND]}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The count, in one line."""
    stats = terminalreporter.stats
    failed = len(stats.get("failed", ())) + len(stats.get("error", ()))
    terminalreporter.section(f"SQLAlchemy's suite on our {KIND} engines")
    terminalreporter.line(
        f"{len(stats.get('passed', ()))} passed, {failed} failed,"
        f" {len(stats.get('xfailed', ()))} excepted (exceptions.py),"
        f" {len(stats.get('skipped', ()))} of what PostgreSQL does not have"
        " (requirements_postgresql.py)"
    )


def _name_of(item: pytest.Item) -> str:
    """ "class::test", without the name of the database that SQLAlchemy puts in between."""
    cls = getattr(item, "cls", None)
    return f"{getattr(cls, '_sa_orig_cls_name', getattr(cls, '__name__', ''))}::{item.name}"
