"""A replica throws its data away and is cloned anew from the primary (``patronictl reinit``)."""

from __future__ import annotations

from chaos.faults.base import (
    NO_PARAMS,
    Chances,
    FaultKind,
    FaultParams,
    FaultWords,
    Stage,
    nothing_to_undo,
)
from chaos.faults.roles import only_with
from chaos.faults.targets import Victim
from chaos.wording import joined
from cluster import maintenance
from cluster.errors import PatroniError

KEY = "patroni-reinitialize"
BEGIN_TIMEOUT_S = 30.0
"""Until the replica is seen to be cloned: it stops PostgreSQL and deletes its data first."""
ASK_TIMEOUT_S = 10.0
CLONING = "creating replica"
"""Patroni's state of a member that is being cloned."""


async def reinitialize(stage: Stage, victim: Victim, params: FaultParams) -> str:
    """``POST /reinitialize``. Proof: the member is being cloned, or runs a new postmaster."""
    rest = maintenance.rest_of(stage.cluster, victim.name)
    before = await rest.member()
    said = await rest.ask("POST", "/reinitialize", {"force": True}, timeout_s=ASK_TIMEOUT_S)
    if said is None or not said.is_done:
        words = "no answer" if said is None else said.words
        raise PatroniError(f"{victim.name} was not reinitialised: {words}", node=victim.name)
    old = None if before is None else before.postmaster_start_time
    proof = ""

    async def is_cloned() -> bool:
        nonlocal proof
        member = await rest.member()
        if member is not None and member.state == CLONING:
            proof = "its data is gone, and it is being cloned"
        elif member is not None and member.postmaster_start_time not in (None, old):
            proof = "it was cloned, and runs a new postmaster"
        return bool(proof)

    otherwise = f"{victim.name} is not being cloned"
    await maintenance.wait_for(is_cloned, otherwise, timeout_s=BEGIN_TIMEOUT_S)
    return f"{said.words}: {proof}"


PATRONI_REINITIALIZE = FaultKind(
    key=KEY,
    words=FaultWords(
        title="reinitialised",
        healed="cloned",
        noun=lambda hosts: f"the reinitialisation of {joined(hosts)}",
        clause=lambda hosts: f"the reinitialisation of {joined(hosts)}",
    ),
    params=FaultParams,
    read=lambda table: NO_PARAMS,
    takes=("replica", "replicas", "host"),
    needs=(),
    lasts=False,
    # How long a replica is away depends on the size of the data.
    effect=lambda params: "unpredicted",
    strike=reinitialize,
    undo=nothing_to_undo,
    # One copy at a time, as with ``host-wiped``.
    chances=Chances(targets=("replica",)),
    draw=lambda random: NO_PARAMS,
    impossible=only_with("postgres", KEY),
)
