"""A wrong value goes into the configuration: refused, or survived until somebody restarts.

``no-value`` is one that PostgreSQL has no use for; Patroni checks the parameters that it hands to
the postmaster, and keeps its own default instead (patroni/postgresql/config.py,
``CMDLINE_OPTIONS``). ``no-start`` is one that is well-formed and that no machine can give: it waits
as "pending restart", and the member that is restarted first does not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from chaos.faults.base import FaultKind, FaultParams, Stage
from chaos.faults.configuration import configuration_words, put_back
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster import maintenance
from cluster.errors import PatroniError
from cluster.toml.reader import TomlTable

Wrong = Literal["no-value", "no-start"]
WRONGS: tuple[Wrong, ...] = get_args(Wrong)
VALUES: dict[Wrong, tuple[str, str]] = {
    "no-value": ("max_connections", "plenty"),
    "no-start": ("shared_buffers", "4096GB"),
}
"""The parameter, and what is asked of it. PostgreSQL takes up to 8 TB for ``shared_buffers``."""
STOP_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigWrongParams(FaultParams):
    """What is wrong."""

    wrong: Wrong | None = None
    """None: ``no-value``."""


def read(table: TomlTable) -> ConfigWrongParams:
    """``wrong``."""
    return ConfigWrongParams(wrong=table.choice("wrong", WRONGS) if table.has("wrong") else None)


async def change(stage: Stage, victim: Victim, params: ConfigWrongParams) -> str:
    """Put it in. Proof: what Patroni and the members make of it.

    ``no-start`` restarts one replica, as an operator would begin, and sees that it does not run.
    """
    wrong = params.wrong or "no-value"
    parameter, value = VALUES[wrong]
    cluster = stage.cluster
    await maintenance.change(cluster, maintenance.with_parameter(parameter, value))
    if maintenance.parameter(await maintenance.settings(cluster), parameter) != value:
        return f"{parameter} = {value} was refused: the configuration is as before"
    waiting = await maintenance.pending(cluster)
    words = f"{parameter} = {value} was taken; restart pending on {joined(waiting) or 'nobody'}"
    if wrong == "no-value":
        return words
    primary = await cluster.primary()
    replica = next((node for node in waiting if node != primary), None)
    if replica is None:
        raise PatroniError(f"{words}: no replica to restart with it")
    return f"{words}; {await _fail_to_restart(stage, replica)}"


async def _fail_to_restart(stage: Stage, replica: str) -> str:
    rest = stage.cluster.rest[replica]
    said = await rest.ask("POST", "/restart", {}, timeout_s=maintenance.RESTART_TIMEOUT_S)
    if said is not None and said.is_done:
        raise PatroniError(f"{replica} runs with the wrong value: {said.words}", node=replica)

    async def is_down() -> bool:
        member = await rest.member()
        return member is not None and member.state not in ("running", "streaming")

    otherwise = f"{replica} runs although its restart failed"
    await maintenance.wait_for(is_down, otherwise, timeout_s=STOP_TIMEOUT_S)
    words = "no answer" if said is None else said.words
    return f"{replica} was restarted with it and does not run: {words}"


async def change_back(stage: Stage, victim: Victim, params: ConfigWrongParams) -> str:
    """The value that the topology gives; who has a restart pending still is restarted."""
    parameter, _ = VALUES[params.wrong or "no-value"]
    return await put_back(stage, parameter)


CONFIG_WRONG = FaultKind(
    key="config-wrong",
    words=configuration_words("wrong configuration", noun="the wrong configuration", state="wrong"),
    params=ConfigWrongParams,
    read=read,
    takes=("cluster",),
    needs=(),
    lasts=True,
    effect=lambda params: "unpredicted",
    strike=change,
    undo=change_back,
    draw=lambda random: ConfigWrongParams(wrong=random.choice(WRONGS)),
)
