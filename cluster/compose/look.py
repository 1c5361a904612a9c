"""What to tell a user whose containers stay up."""

from __future__ import annotations

from cluster.compose.project import container_name, unit_of
from cluster.compose.sites import ComposeSites


def how_to_look_at_containers(sites: ComposeSites) -> list[str]:
    """Commands that work from another terminal."""
    host = sites.topology.host(sites.topology.nodes[0])
    name = container_name(sites.run, host.name, unit_of(host))
    return [
        "the containers stay up until Ctrl-C; from another terminal:",
        f"  docker exec {name} patronictl list",
        f"  docker exec -it {name} bash",
        f"  docker ps --filter label=org.bascule.run={sites.run}",
    ]
