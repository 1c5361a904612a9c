"""What the faults of Patroni's dynamic configuration share: the way back, and their words."""

from __future__ import annotations

from chaos.faults.base import FaultWords, Stage
from cluster import maintenance
from cluster.patroni.config import server_parameters
from cluster.topology.size import server_size

WHOLE_TIMEOUT_S = 30.0
"""For the cluster to be whole before the next restart: a replica streams again after seconds."""


def configured(stage: Stage, parameter: str) -> object:
    """What the topology gives for a parameter of PostgreSQL; None: nothing."""
    size = server_size(stage.cluster.substrate.topology)
    return server_parameters(size).get(parameter)


async def put_back(stage: Stage, parameter: str) -> str:
    """The value that the topology gives, and a restart wherever one is pending; in words."""
    value = configured(stage, parameter)
    await maintenance.change(stage.cluster, maintenance.with_parameter(parameter, value))
    restarted = await maintenance.restart_pending(
        stage.cluster, primary_first=True, timeout_s=WHOLE_TIMEOUT_S
    )
    return f"{parameter} = {value} again, restarted {', '.join(restarted) or 'nobody'}"


def configuration_words(title: str, *, noun: str, state: str) -> FaultWords:
    """The words of such a fault.

    Args:
        title: in a chart.
        noun: ``the change of the configuration``.
        state: what the configuration is meanwhile: ``changed``.
    """
    return FaultWords(
        title=title,
        healed="configuration as before",
        noun=lambda _: noun,
        clause=lambda _: f"the configuration was {state}",
        broken=lambda _: f"the configuration is {state}",
    )
