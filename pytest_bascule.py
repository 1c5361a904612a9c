"""The pytest plugin: fixtures ``patroni_cluster``, ``storage``, ``chaos``; the marker ``survives``.

pytest loads this module in every run of every project, so it imports nothing but pytest: a project
may have a package ``chaos`` of its own. What the plugin does is in ``chaos.testing.plugin``, and
comes with the first fixture that is asked for (docs/use/testing.md).
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import pytest

if TYPE_CHECKING:
    from chaos.testing.cluster import PatroniCluster
    from chaos.testing.fixture_chaos import Chaos
    from chaos.testing.plugin import Trial
    from chaos.testing.survival import Ordeal
    from replication import Storage

MARKER = "survives"
USED = "patroni_cluster"
SCENARIO = "_bascule_scenario"
"""The parameter that the marker gives to a test; no test asks for it by name."""
ORDEAL = "_bascule_ordeal"
WITHIN_S = 0.5
"""The moment of the first fault is within this time of the test's begin. A judgement: a test of a
service takes longer, or says ``within_s=0``."""
SEEDS = 1 << 31
CLUSTER = pytest.StashKey["PatroniCluster"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options and the ini settings."""
    group = parser.getgroup("bascule", "a Patroni cluster for tests")
    mode, sites = "what it stands on: lab (default) or docker", "3 (default), or 2 and a witness"
    group.addoption("--bascule-mode", choices=("lab", "docker"), help=mode)
    group.addoption("--bascule-sites", type=int, help=sites)
    group.addoption(
        "--bascule-reuse", action="store_true", help="docker: keep the cluster for the next run"
    )
    group.addoption("--bascule-seed", type=int, help="chooses the moments of survives")
    parser.addini("bascule_mode", mode, default="lab")
    parser.addini("bascule_sites", sites, default="3")


def pytest_configure(config: pytest.Config) -> None:
    """Document the marker; one seed for the whole run, in every worker of pytest-xdist too."""
    line = (
        f"{MARKER}(*scenarios, within_s={WITHIN_S}): run the test once for each scenario, while it"
        " strikes the cluster at a moment within_s of the test's begin (chosen by --bascule-seed);"
        " the test must pass, and the cluster be whole again afterwards."
    )
    config.addinivalue_line("markers", line)
    if config.getoption("bascule_seed") is None:
        # Of the system: others (pytest-randomly) seed the module's.
        config.option.bascule_seed = random.SystemRandom().randrange(SEEDS)


# ---- fixtures ----


@pytest.fixture(scope="session")
def patroni_cluster_options() -> Mapping[str, object]:
    """Arguments of ``PatroniCluster``, beside mode and sites; override it to set them."""
    return {}


@pytest.fixture(scope="session")
def patroni_cluster(
    request: pytest.FixtureRequest, patroni_cluster_options: Mapping[str, object]
) -> Iterator[PatroniCluster]:
    """A real Patroni cluster (``chaos.testing.PatroniCluster``), whole when a test begins."""
    from chaos.testing.plugin import make_cluster  # noqa: PLC0415

    with make_cluster(request.config, patroni_cluster_options) as cluster:
        request.config.stash[CLUSTER] = cluster
        try:
            yield cluster
        finally:
            del request.config.stash[CLUSTER]


@pytest.fixture
async def storage(
    patroni_cluster: PatroniCluster, anyio_backend: object, request: pytest.FixtureRequest
) -> AsyncIterator[Storage]:
    """A ``replication.Storage`` on the cluster, its tables installed; for tests that anyio runs."""
    from chaos.testing.plugin import need_anyio  # noqa: PLC0415

    need_anyio(request.node)
    async with patroni_cluster.storage() as ready:
        yield ready


@pytest.fixture
def chaos(patroni_cluster: PatroniCluster, request: pytest.FixtureRequest) -> Chaos:
    """The faults; what they break is healed after the test."""
    from chaos.testing.fixture_chaos import Chaos  # noqa: PLC0415

    ordeal = request.getfixturevalue(ORDEAL) if _is_ordeal(request.node) else None
    return Chaos(patroni_cluster, ordeal)


@pytest.fixture
def _bascule_ordeal(
    patroni_cluster: PatroniCluster, _bascule_scenario: Trial, request: pytest.FixtureRequest
) -> Ordeal:
    """What a test with the marker goes through, not begun yet."""
    from chaos.testing.plugin import make_ordeal  # noqa: PLC0415

    return make_ordeal(patroni_cluster, _bascule_scenario, request.node)


# ---- the marker ----


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a scenario.

    Raises:
        CollectError: the marker's words are wrong.
    """
    marks = _marks_on(metafunc.definition)
    if marks:
        from chaos.testing.plugin import trials_of  # noqa: PLC0415

        trials = trials_of(marks, metafunc.definition.nodeid, within_s=WITHIN_S)
        metafunc.fixturenames.append(SCENARIO)
        metafunc.parametrize(SCENARIO, trials, ids=[trial.scenario for trial in trials])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Tests that survive something use the cluster, whether they ask for it or not."""
    if isinstance(item, pytest.Function) and _is_ordeal(item) and ORDEAL not in item.fixturenames:
        item.fixturenames.append(ORDEAL)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse a marker that nothing has come of: such a test would pass without its faults.

    Last, so that a marker that a fixture has added is seen too.
    """
    if len(_marks_on(item)) > _is_ordeal(item):
        words = (
            f"{MARKER} has no effect on this test: it must stand at a function, or at a class or"
            " module of functions, when pytest collects them; methods of unittest.TestCase, and"
            " markers that are added later or to one parameter, are never struck. Write the test as"
            f" a function with @pytest.mark.{MARKER}(...)"
        )
        pytest.fail(words, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run the test beside its ordeal."""
    if ORDEAL not in pyfuncitem.funcargs:
        return (yield)
    from chaos.testing.plugin import demand  # noqa: PLC0415

    ordeal = cast("Ordeal", pyfuncitem.funcargs[ORDEAL])
    ordeal.begin()
    try:
        result = yield
    finally:
        ordeal.end()
    demand(ordeal)
    return result


# ---- before the next test, and after a failed one ----


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """Heal and verify the cluster before the test's own fixtures end, for they may need it; and
    once more when they have, for they may have broken it."""
    if _cluster_of(item) is None:
        return (yield)
    words = [_made_whole(item)]
    try:
        result = yield
    except (KeyboardInterrupt, pytest.exit.Exception):
        raise  # nobody waits for a cluster that ends now
    except BaseException as error:
        for said in filter(None, [*words, _made_whole(item)]):
            error.add_note(said)
        raise
    words.append(_made_whole(item))
    if any(words):
        pytest.fail("\n".join(filter(None, words)), pytrace=False)
    return result


def _made_whole(item: pytest.Item) -> str | None:
    """Heal the cluster, where it is still up; in words why it cannot be healed."""
    cluster = _cluster_of(item)
    if cluster is None:
        return None
    from chaos.testing.plugin import make_whole  # noqa: PLC0415

    return make_whole(cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the cluster beside a failure."""
    report = yield
    cluster = _cluster_of(item)
    if cluster is not None and report.failed and report.when != "teardown":
        from chaos.testing.plugin import sections_of  # noqa: PLC0415

        funcargs = getattr(item, "funcargs", {})
        report.sections += sections_of(cluster, funcargs.get(ORDEAL), item)
    return report


def _marks_on(item: pytest.Item) -> list[pytest.Mark]:
    """Every marker at the test, its class, its module; a subclass's replaces those of its bases."""
    found = []
    for node in item.listchain():
        replaced = _marks_of_bases(node.obj) if isinstance(node, pytest.Class) else []
        found += [
            mark
            for mark in node.own_markers
            if mark.name == MARKER and not any(mark is base for base in replaced)
        ]
    return found


def _marks_of_bases(kind: type) -> list[pytest.Mark]:
    """The markers of all but the nearest of its classes that has any; pytest gives it them all."""
    stated: list[list[pytest.Mark]] = []
    for one in kind.__mro__:
        marks = one.__dict__.get("pytestmark", [])
        listed: list[Any] = marks if isinstance(marks, list) else [marks]
        bare = [mark.mark if isinstance(mark, pytest.MarkDecorator) else mark for mark in listed]
        stated.append([mark for mark in bare if mark.name == MARKER])
    return [mark for marks in list(filter(None, stated))[1:] for mark in marks]


def _is_ordeal(item: pytest.Item) -> bool:
    """The test was made for a scenario of the marker."""
    return SCENARIO in getattr(getattr(item, "callspec", None), "params", ())


def _cluster_of(item: pytest.Item) -> PatroniCluster | None:
    """The cluster, where it is up and the test uses it: by name, or with ``getfixturevalue``."""
    cluster = item.config.stash.get(CLUSTER, None)
    request = getattr(item, "_request", None)  # has what was asked for meanwhile, too
    if cluster is None or not request or USED not in request.fixturenames:
        return None
    return cluster
