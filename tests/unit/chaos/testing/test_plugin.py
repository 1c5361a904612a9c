"""What the plugin makes of a broken cluster, and of options."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
from support.lab.fake_cluster import FakeCluster

from chaos.gameday.errors import NotHealthyError, StartError
from chaos.testing import plugin
from chaos.testing.plugin import make_cluster, make_whole


def failing(**errors: Exception) -> Callable[[str], None]:
    def before(asked: str) -> None:
        if asked in errors:
            raise errors[asked]

    return before


def test_a_cluster_that_heals_is_kept() -> None:
    cluster = FakeCluster()
    assert make_whole(cluster) is None
    assert cluster.calls == ["heal", "wait_healthy"]


@pytest.mark.parametrize(
    "error",
    [
        NotHealthyError("it lacks a primary"),
        ExceptionGroup("two", [OSError("it lacks a primary"), OSError("and a replica")]),
    ],
)
def test_one_that_does_not_is_replaced_and_that_is_said(error: Exception) -> None:
    cluster = FakeCluster(failing(wait_healthy=error))
    words = make_whole(cluster)
    assert words is not None
    assert "not whole after this test: it lacks a primary\n" in words
    assert words.endswith("It was replaced by a new one.")
    assert cluster.calls == ["heal", "stop", "start"]


def test_the_new_one_starts_where_nothing_is_being_handled() -> None:
    """Else what the start raises or looks at is mixed with the error of the old one."""
    seen: list[BaseException | None] = []

    def before(asked: str) -> None:
        if asked == "heal":
            raise NotHealthyError("broken")
        if asked == "start":
            error = StartError("no room")
            try:
                raise error
            except StartError:
                seen.append(error.__context__)

    make_whole(FakeCluster(before))
    assert seen == [None]


def test_one_that_cannot_be_replaced_is_words_and_no_error() -> None:
    cluster = FakeCluster(failing(heal=OSError("gone"), start=StartError("no room")))
    words = make_whole(cluster)
    assert words is not None
    assert "not whole after this test: gone\nand could not be replaced: no room" in words


def config(**options: object) -> pytest.Config:
    ini = {"bascule_mode": "lab", "bascule_sites": "3"}
    return cast(pytest.Config, SimpleNamespace(getoption=options.get, getini=ini.get))


def test_a_number_of_sites_that_is_none_is_told_from_other_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(pytest.UsageError, match="bascule_sites = many: expected a number"):
        make_cluster(config(bascule_sites="many"), {})
    assert make_cluster(config(bascule_sites="2"), {}).topology.name == "two-sites-witness"

    def refuse(**asked: object) -> None:
        raise ValueError("the password is empty")

    monkeypatch.setattr(plugin, "PatroniCluster", refuse)
    with pytest.raises(pytest.UsageError, match="the cluster of the tests: the password is empty"):
        make_cluster(config(), {})
