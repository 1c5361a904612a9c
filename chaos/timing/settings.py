"""The cluster and its settings: values found in force come before those that were asked for."""

from __future__ import annotations

from chaos.evidence.events import SettingsFound, WitnessStarted
from chaos.evidence.fields import Fields
from chaos.evidence.run import Run
from cluster.topology.quorum import Shape


def number_in_force(run: Run, name: str) -> float | None:
    """A setting as a number: from the last ``settings`` event that has it, else from ``run.json``.

    Patroni raises a ``ttl`` below 20 to 20 (patroni/config.py), so that what was asked is not
    always what ruled.
    """
    found = [event.in_force.get(name) for event in run.events_of(SettingsFound)]
    for value in (*reversed(found), run.info.settings.get(name)):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    return None


def commits_wait_for_standby(run: Run) -> bool:
    """Whether a commit was acknowledged only when a standby had it.

    Uses what was found in force, else what was asked for.
    """
    for event in reversed(run.events_of(SettingsFound)):
        if event.synchronous_standby_names is not None:
            return bool(event.synchronous_standby_names)
    return run.info.settings.get("durability") != "async"


def has_witnesses(run: Run) -> bool:
    """Whether witnesses watched and could act: they were asked for, came up, and commits waited for
    a strict quorum."""
    was_asked = bool(run.info.settings.get("witness"))
    is_quorum = run.info.settings.get("durability") != "async" and (
        run.info.settings.get("synchronous_mode", "quorum") == "quorum"
        and bool(run.info.settings.get("synchronous_mode_strict", True))
    )
    return was_asked and is_quorum and bool(run.events_of(WitnessStarted))


def shape_of_run(run: Run) -> Shape:
    """What counts of the run's cluster when hosts are lost."""
    clients = {
        host.name: site.name
        for site in run.info.sites
        for host in site.hosts
        if "client" in host.roles
    }
    return Shape(
        nodes=run.info.main_nodes,
        etcd=run.info.main_etcd,
        clients=clients,
        waits_for_standby=commits_wait_for_standby(run),
        synchronous_node_count=int(number_in_force(run, "synchronous_node_count") or 1),
        named_standbys=run.info.settings.get("synchronous_mode") == "on",
        failsafe_mode=Fields(run.info.settings).flag("failsafe_mode"),
        tags=run.info.tags,
    )
