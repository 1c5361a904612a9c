"""A switchover back to who led first."""

from __future__ import annotations

from typing import Any, cast

import anyio
import pytest

from chaos.faults.base import Stage
from chaos.faults.switchover import SWITCHOVER, SwitchoverParams
from chaos.faults.targets import Victim
from cluster.errors import HostError
from cluster.topology.load import find_topology

ORSAY = Victim(name="db-orsay", hosts=("db-orsay",))


class Asked:
    """Says what it is asked."""

    async def switchover(self, leader: str, candidate: str | None, *, timeout_s: float) -> str:
        return f"{leader} to {candidate}"


def strike(params: SwitchoverParams, led_first: str | None) -> str:
    stage = Stage(cluster=cast(Any, Asked()), led_first=led_first)
    return anyio.run(SWITCHOVER.strike, stage, ORSAY, params)


def test_it_goes_back_to_who_led_first() -> None:
    assert strike(SwitchoverParams(back=True), "db-paris") == "db-orsay to db-paris"
    assert strike(SwitchoverParams(), "db-paris") == "db-orsay to None"


@pytest.mark.parametrize(
    ("led_first", "words"),
    [(None, "nobody led before"), ("db-orsay", "db-orsay leads already")],
)
def test_without_a_way_back_it_does_not_bite(led_first: str | None, words: str) -> None:
    with pytest.raises(HostError, match=words):
        strike(SwitchoverParams(back=True), led_first)


def test_back_and_to_somebody_at_once_is_refused() -> None:
    three = find_topology("three-sites")
    both = SwitchoverParams(back=True, candidate="db-orsay")
    words = SWITCHOVER.impossible(both, three, three.nodes)
    assert words == "a switchover goes to db-orsay (candidate) or back (back), not both"
    assert SWITCHOVER.impossible(SwitchoverParams(back=True), three, three.nodes) is None
