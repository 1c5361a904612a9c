"""What the faults of a member of etcd share: whom they strike, and their words."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.faults.base import NO_PARAMS, Act, FaultKind, FaultParams, FaultWords
from chaos.faults.roles import only_with
from chaos.faults.targets import DCS_HOSTS
from chaos.wording import joined


def of_etcd(hosts: Sequence[str]) -> str:
    """``etcd on dcs-paris``."""
    return f"etcd on {joined(hosts)}"


def etcd_words(title: str, healed: str, *, noun: str, happened: str, state: str) -> FaultWords:
    """The words of a fault of a member.

    Args:
        title: in a chart.
        healed: in a chart.
        noun: before "of": ``the pause``.
        happened: what it did or suffered, after its name: ``stood still``.
        state: what it is meanwhile, after its name: ``is paused``.
    """
    return FaultWords(
        title=title,
        healed=healed,
        noun=lambda hosts: f"{noun} of {of_etcd(hosts)}",
        clause=lambda hosts: f"{of_etcd(hosts)} {happened}",
        broken=lambda host: f"etcd on {host} {state}",
    )


def etcd_out(
    key: str,
    words: FaultWords,
    *,
    needs: tuple[type, ...],
    strike: Act[FaultParams],
    undo: Act[FaultParams],
) -> FaultKind[FaultParams]:
    """A fault that takes members out of service until it is undone, any number of them.

    Nothing is predicted of it: how long a primary goes on without etcd depends on where the loop of
    its Patroni stands.
    """
    return FaultKind(
        key=key,
        words=words,
        params=FaultParams,
        read=lambda table: NO_PARAMS,
        takes=(*DCS_HOSTS, "host"),
        needs=needs,
        lasts=True,
        effect=lambda params: "unpredicted",
        strike=strike,
        undo=undo,
        draw=lambda random: NO_PARAMS,
        impossible=only_with("etcd", key),
    )
