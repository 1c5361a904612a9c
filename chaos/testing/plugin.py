"""What the plugin (``pytest_bascule.py``) does once a test uses the cluster: from pytest's words
to ours, and back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest

from chaos.errors import ScenarioError
from chaos.gameday.errors import ClusterInTestsError, OptionError, words_of
from chaos.testing.cluster import PatroniCluster
from chaos.testing.survival import Ordeal, choose_moment, find_scenario
from cluster.errors import ClusterError

LOG_LINES = 8
WITHIN = "within_s"
TITLE = "bascule"


def make_cluster(config: pytest.Config, options: Mapping[str, object]) -> PatroniCluster:
    """The cluster that the options of the command, the ini file and the fixture ask for.

    Raises:
        UsageError: they ask for what there is not.
    """
    mode = config.getoption("bascule_mode") or config.getini("bascule_mode")
    sites = config.getoption("bascule_sites")
    if sites is None:
        sites = config.getini("bascule_sites")
    try:
        number = int(sites)
    except ValueError as error:
        raise pytest.UsageError(f"bascule_sites = {sites}: expected a number") from error
    asked: dict[str, Any] = {
        "mode": mode,
        "sites": number,
        "reuse": config.getoption("bascule_reuse"),
    }
    try:
        return PatroniCluster(**{**asked, **options})
    except (ClusterInTestsError, ClusterError, TypeError, ValueError) as error:
        raise pytest.UsageError(f"the cluster of the tests: {error}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a marker asks of one run of a test."""

    scenario: str
    within_s: float


def trials_of(marks: Sequence[pytest.Mark], test: str, *, within_s: float) -> list[Trial]:
    """What the markers of a test ask for, each name checked.

    Args:
        marks: one; several are refused, for their faults would strike at the same time.
        test: its name, for the words of an error.
        within_s: for a marker that does not say.

    Raises:
        CollectError: there are several, or none or an unknown scenario; an argument is wrong.
    """
    mark = marks[0]
    if len(marks) > 1:
        names = ", ".join(repr(name) for one in marks for name in one.args)
        raise pytest.Collector.CollectError(
            f"{test} has {len(marks)} markers {mark.name}: of its function, class and module only"
            f" one may have it. Write one with all scenarios: @pytest.mark.{mark.name}({names})"
        )
    try:
        moment_s = _within_s(mark, within_s)
        for name in mark.args:
            find_scenario(str(name))
    except (OptionError, ScenarioError) as error:
        raise pytest.Collector.CollectError(str(error)) from error
    if not mark.args:
        words = "survives() names no scenario, as in survives('host-loss')"
        raise pytest.Collector.CollectError(words)
    return [Trial(scenario=str(name), within_s=moment_s) for name in mark.args]


def make_ordeal(cluster: PatroniCluster, trial: Trial, item: pytest.Item) -> Ordeal:
    """The ordeal of a test; not begun yet."""
    seed = cast(int, item.config.getoption("bascule_seed"))
    moment_s = choose_moment(seed, item.nodeid, trial.within_s)
    try:
        return Ordeal(cluster, find_scenario(trial.scenario), moment_s, seed)
    except OptionError as error:
        pytest.fail(str(error), pytrace=False)


def need_anyio(item: pytest.Item) -> None:
    """Refuse the fixture ``storage`` to a test that anyio does not run: it would stand in another
    event loop than the test, or in one that does not run."""
    is_async = inspect.iscoroutinefunction(getattr(item, "obj", None))
    if is_async and item.get_closest_marker("asyncio") is None:
        return
    words = (
        "pytest-asyncio runs it: mark it with @pytest.mark.anyio in place of asyncio, or open one"
        " in it: async with patroni_cluster.storage() as storage"
        if is_async
        else "it is not async: write it as an async def with @pytest.mark.anyio, or open a"
        " SyncStorage in it (docs/use/testing.md)"
    )
    pytest.fail(f"this test cannot use the fixture storage: {words}", pytrace=False)


def demand(ordeal: Ordeal) -> None:
    """Fail a test that passed, when its ordeal was none, or the cluster did not get over it."""
    words = None
    try:
        ordeal.demand()
    except Exception as error:
        words = _said(error)
    if words is not None:
        pytest.fail(words, pytrace=False)


def _within_s(marker: pytest.Mark, default: float) -> float:
    unknown = [name for name in marker.kwargs if name != WITHIN]
    if unknown:
        raise OptionError(f"survives() has no argument {unknown[0]}; there is {WITHIN}")
    within_s = marker.kwargs.get(WITHIN, default)
    if isinstance(within_s, bool) or not isinstance(within_s, int | float) or not within_s >= 0:
        raise OptionError(f"survives({WITHIN}={within_s!r}): expected seconds, 0 or more")
    return float(within_s)


def make_whole(cluster: PatroniCluster) -> str | None:
    """Heal the cluster after a test; None, or in words why it cannot be healed. Never raises.

    One that cannot is replaced by a new one, so that the next test does not suffer for it.
    """
    try:
        cluster.heal()
        cluster.wait_healthy()
    except Exception as error:
        words = f"the cluster was not whole after this test: {_said(error)}"
    else:
        return None
    try:
        cluster.stop()
        cluster.start()
    except Exception as error:
        return f"{words}\nand could not be replaced: {_said(error)}"
    return f"{words}\nIt was replaced by a new one."


def _said(error: Exception) -> str:
    return "\n".join(words_of(error))


def sections_of(
    cluster: PatroniCluster, ordeal: Ordeal | None, item: pytest.Item
) -> list[tuple[str, str]]:
    """What a failed test's report shows of the cluster: headings and texts."""
    sections = []
    if ordeal is not None:
        seed = item.config.getoption("bascule_seed")
        sections.append((f"{TITLE}: survives", f"{ordeal}\nagain: --bascule-seed {seed}"))
    try:
        sections.append((f"{TITLE}: cluster", str(cluster.state())))
    except Exception as error:
        sections.append((f"{TITLE}: cluster", _said(error)))
    sections.append((f"{TITLE}: logs", cluster.log_tails(lines=LOG_LINES)))
    return sections
