"""A look into containers that are up, from another terminal: which command leads there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cluster.errors import HostError
from cluster.raised import RaisedCluster
from cluster.substrates.docker import client as docker
from cluster.substrates.docker.hosts import PROJECT_FILE, ContainerHosts
from cluster.substrates.docker.labels import RUN
from cluster.substrates.docker.project import POSTGRES_DATA
from cluster.substrates.kind import Visit, WayIn


def how_to_look(cluster: RaisedCluster, folder: Path) -> list[str]:
    """What to tell a user whose containers stay up."""
    sites = cluster.substrate
    assert isinstance(sites, ContainerHosts)
    return [
        "the containers stay up until Ctrl-C; from another terminal:",
        f"  bascule enter {folder} patronictl list",
        f"  bascule enter {folder}",
        f"  docker ps --filter label={RUN}={sites.run}",
    ]


def way_in(visit: Visit) -> WayIn:
    """Into the container of a host: ``docker exec``.

    Raises:
        HostError: no container of the host runs.
        EngineError: the engine does not answer.
    """
    document = json.loads((visit.folder / PROJECT_FILE).read_text(encoding="utf-8"))
    prefix = f"{document['name']}-{visit.host}-"
    listed = docker.run_now(["ps", "--filter", f"name=^{prefix}", "--format", "{{.Names}}"])
    if not (names := sorted(listed.split())):
        raise HostError(f"no container of {visit.host} runs; --on chooses another", host=visit.host)
    argv = [docker.PROGRAM, "exec", "--interactive"]
    argv += ["--tty"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    # The socket is where the data are (socket_folder).
    access = {"PGHOST": POSTGRES_DATA, **visit.access} if visit.access else {}
    argv += [part for name in access for part in ("--env", name)]  # values: not for ps(1)
    return WayIn(argv=(*argv, names[0], *visit.command), environment=access)
