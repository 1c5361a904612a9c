"""Makes the container of a unit: of a client's process, or of what stands beside a host's service.

It writes nowhere but in its own memory and, where it is a client's, in the run folder.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.substrates.base import Process
from cluster.substrates.docker import client as docker
from cluster.substrates.docker.images import image_name
from cluster.substrates.docker.links import Attachment


async def make_container(  # noqa: PLR0913 (one a part)
    unit: Process,
    at: Attachment,
    *,
    network: str,
    known: Sequence[str],
    marks: Mapping[str, str],
    folder: Path | None,
) -> None:
    """Create it; it is on one network, and not started.

    Args:
        unit: what it runs, from the image that has ``bascule``.
        at: its name, and its addresses.
        network: that of its site, as the engine knows it.
        known: ``host_lines``, for its ``/etc/hosts``.
        marks: its labels.
        folder: the run folder, which it has at the same path, as this user. None: it has no folder
            of this machine, where the engine may not be, and is nobody.

    Raises:
        EngineError: it cannot be made, or a secret has the name of a variable that the docker
            client heeds.
    """
    shared: tuple[str, ...] = ()
    if folder is not None:
        user = f"{os.getuid()}:{os.getgid()}"
        shared = ("--user", user, "--mount", bind_mount(folder, folder))
    plain = {"HOME": "/tmp", **unit.env}
    await docker.run(
        *("create", "--name", at.container, "--hostname", at.alias, "--init"),
        *("--interactive", "--attach", "stdin"),  # it sees the end of its input
        *(f"--label={name}={value}" for name, value in marks.items()),
        *("--read-only", "--tmpfs", "/tmp"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges:true"),
        *shared,
        *(f"--add-host={line}" for line in known),
        *("--network", network, "--ip", at.at_site, "--no-healthcheck"),
        *(f"--env={name}={value}" for name, value in plain.items()),
        *(f"--env={name}" for name in unit.secrets),  # the client takes the value from its own
        *("--entrypoint", unit.argv[0], image_name("bascule"), *unit.argv[1:]),
        secrets=unit.secrets,
    )


def bind_mount(source: Path, target: Path | str) -> str:
    """The value of ``--mount`` that binds a path of this machine; the client reads it as a line of
    CSV."""
    line = io.StringIO()
    fields = ["type=bind", f"source={source}", f"target={target}"]
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
