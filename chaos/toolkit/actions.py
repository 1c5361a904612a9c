"""Actions: raise a cluster, break it, heal it; and a whole drill as one action.

Chaos Toolkit calls them by name, and reads their arguments from their signatures.
"""

from typing import Any

from chaoslib.types import Configuration, Secrets

from chaos.faults.process import PROCESS_KILL
from chaos.gameday.errors import OptionError
from chaos.toolkit import drill
from chaos.toolkit.activity import activity, seconds, word
from chaos.toolkit.held import Held, clusters
from chaos.toolkit.options import make_cluster

# Not "from __future__ import annotations": ``chaos discover`` looks at the types themselves.

__all__ = [
    "cut_site",
    "heal",
    "kill_primary",
    "kill_process",
    "raise_cluster",
    "run_drill",
    "start_host",
    "switchover",
    "tear_down",
]

DEFAULT = "default"
"""The name of the cluster where an experiment has but one."""
HEAL_TIMEOUT_S = 120.0
"""For a host that was lost: start, crash recovery, ``pg_rewind``, streaming, the sync key."""
PRIMARY = "primary"


@activity
def raise_cluster(  # noqa: PLR0913, PLR0917 (every one has a default)
    cluster: str = DEFAULT,
    sites: int | None = None,
    mode: str | None = None,
    topology: str | None = None,
    ttl_s: int | None = None,
    loop_wait_s: int | None = None,
    retry_timeout_s: int | None = None,
    durability: str | None = None,
    username: str | None = None,
    dbname: str | None = None,
    reuse: bool | None = None,
    pg_bindir: str | None = None,
    url_env: str | None = None,
    configuration: Configuration | None = None,
    secrets: Secrets | None = None,
) -> dict[str, Any]:
    """Raise a cluster; on return it is whole and has acknowledged a write.

    It is ended by ``tear_down``, or when the process exits. The control ``chaos.toolkit.control``
    does both for you.

    Args:
        cluster: its name for the other activities.
        sites, mode, topology, ttl_s, loop_wait_s, retry_timeout_s, durability, username, dbname,
            reuse, pg_bindir: as of ``chaos.testing.PatroniCluster``; where none is given,
            ``bascule_sites`` and so on of the configuration count.
        url_env: an environment variable that has the URL of the cluster, with the password, while
            it is up; for process activities, which inherit it.
        configuration: the experiment's.
        secrets: ``password`` of the role that owns the database; a new one is made if there is
            none.

    Returns:
        ``cluster`` (its name), ``topology`` and ``primary``.
    """
    asked = {
        "sites": sites,
        "mode": mode,
        "topology": topology,
        "ttl_s": ttl_s,
        "loop_wait_s": loop_wait_s,
        "retry_timeout_s": retry_timeout_s,
        "durability": durability,
        "username": username,
        "dbname": dbname,
        "reuse": reuse,
        "pg_bindir": pg_bindir,
    }
    made = make_cluster(asked, configuration, secrets)
    env = None if url_env is None else word("url_env", url_env)
    held = clusters.add(word("cluster", cluster), made, url_env=env)
    return {
        "cluster": cluster,
        "topology": held.cluster.topology.name,
        "primary": held.cluster.wait_primary(),
    }


@activity
def tear_down(cluster: str = DEFAULT) -> None:
    """End a cluster, all of it."""
    clusters.get(cluster)
    clusters.close(cluster)


@activity
def kill_primary(cluster: str = DEFAULT) -> str:
    """Cut the power of the primary's host, until ``start_host`` or ``heal``; returns the node."""
    held = clusters.get(cluster)
    with held.outage.striking():
        node = held.cluster.kill_primary()
    held.power_cut(node)
    return node


@activity
def start_host(host: str | None = None, cluster: str = DEFAULT) -> list[str]:
    """Give hosts their power back, and start what belongs on them; it returns before they are
    ready.

    Args:
        host: which one; None: every host whose power ``kill_primary`` has cut.
        cluster: of which cluster.

    Returns:
        The hosts.
    """
    held = clusters.get(cluster)
    hosts = held.powerless if host is None else (word("host", host),)
    if not hosts:
        raise OptionError("every host has power: there is nothing to start")
    for name in hosts:
        held.cluster.start_host(name)
        held.power_back(name)
    return list(hosts)


@activity
def kill_process(
    process: str = "postgres", node: str = PRIMARY, cluster: str = DEFAULT
) -> list[str]:
    """``kill -9`` of the postmaster (``postgres``), or of ``patroni`` or ``etcd``.

    Args:
        process: which one.
        node: on which host; ``primary``, ``replicas``, or its name.
        cluster: of which cluster.

    Returns:
        The hosts that were hit.
    """
    held = clusters.get(cluster)
    name, target = word("process", process), word("node", node)
    with held.outage.striking():
        return list(held.cluster.strike(PROCESS_KILL.key, target, process=name).hosts)


@activity
def cut_site(site: str, cluster: str = DEFAULT) -> str:
    """Cut a site off from all others, silently, until ``heal``; within it everything goes on.

    Args:
        site: its name, or ``primary``: the site of the primary.
        cluster: of which cluster.

    Returns:
        The site.
    """
    held = clusters.get(cluster)
    name = _site_of_primary(held) if word("site", site) == PRIMARY else site
    with held.outage.striking():
        held.cluster.cut(name)
    return name


def _site_of_primary(held: Held) -> str:
    return held.cluster.topology.site_of(held.cluster.wait_primary()).name


@activity
def switchover(candidate: str | None = None, cluster: str = DEFAULT) -> str:
    """Hand the primary role over, as planned.

    Args:
        candidate: to this node; None: to the one that Patroni prefers.
        cluster: of which cluster.

    Returns:
        The new primary.
    """
    held = clusters.get(cluster)
    chosen = None if candidate is None else word("candidate", candidate)
    with held.outage.striking():
        return held.cluster.switchover(chosen)


@activity
def heal(whole_within_s: float = HEAL_TIMEOUT_S, cluster: str = DEFAULT) -> str:
    """Undo everything that was broken, start what died, and wait until the cluster is whole.

    Args:
        whole_within_s: how long to wait; 0: not at all.
        cluster: of which cluster.

    Returns:
        What was done, in words.
    """
    within_s = seconds("whole_within_s", whole_within_s)
    held = clusters.get(cluster)
    done = held.cluster.heal()
    held.healed()
    if within_s:
        held.cluster.wait_healthy(within_s)
    return done


@activity
def run_drill(  # noqa: PLR0913, PLR0917 (one an option of the command)
    scenario: str = "host-loss",
    topology: str | None = None,
    durability: str | None = None,
    workload: str | None = None,
    ttl_s: int | None = None,
    loop_wait_s: int | None = None,
    retry_timeout_s: int | None = None,
    witness: bool | None = None,
    rate_per_s: float | None = None,
    reads_per_s: float | None = None,
    workers: int | None = None,
    deadline_s: float | None = None,
    seed: int | None = None,
    out: str | None = None,
    pg_bindir: str | None = None,
) -> dict[str, Any]:
    """A whole ``bascule drill``, in a separate lab: raise, load, break, heal, judge.

    It succeeds when the drill was run and judged, with any verdict: demand a verdict in the
    steady state (``verdict`` of the probes, ``is_valid`` of the tolerances).

    Args:
        scenario: a built-in one (``bascule scenarios``) or the path of a TOML file.
        topology, durability, workload, ttl_s, loop_wait_s, retry_timeout_s, witness, rate_per_s,
            reads_per_s, workers, deadline_s, seed, pg_bindir: as of the command.
        out: the run folder, new or empty; None: ``runs/<time>-<scenario>``.

    Returns:
        The main fields of ``verdict.json``, and where the run folder is (``run``).
    """
    options = {
        "topology": topology,
        "durability": durability,
        "workload": workload,
        "ttl": ttl_s,
        "loop-wait": loop_wait_s,
        "retry-timeout": retry_timeout_s,
        "witness": witness,
        "rate": rate_per_s,
        "reads-per-s": reads_per_s,
        "workers": workers,
        "deadline": deadline_s,
        "seed": seed,
        "pg-bindir": pg_bindir,
    }
    folder = None if out is None else word("out", out)
    clusters.last_run = drill.run_drill(word("scenario", scenario), options, folder)
    return drill.verdict_of(clusters.last_run)
