"""testcontainers' ryuk: a container that removes what a process has made, once that has ended.

Our own keeper (``cluster.substrates.docker.keeper``) does the same from this machine. ryuk does it
from the engine's, so also where the machine of the tests is lost, or both processes are killed.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress

from chaos.gameday.errors import NoDockerError, StartError

EXTRA = "pip install docker testcontainers"
_starting = threading.Lock()


def start_ryuk() -> Mapping[str, str]:
    """Have ryuk, unless it is disabled; the labels by which it finds what this process makes.

    It is started once a process, by the first thread that comes: testcontainers itself looks and
    then starts it, without a lock (testcontainers-python, issue 746).

    Raises:
        NoDockerError: testcontainers is not installed.
        StartError: ryuk cannot be started; says what to do.
    """
    # Here: a cluster in containers is used without these packages.
    try:
        import docker.errors  # noqa: PLC0415
        import requests.exceptions  # noqa: PLC0415
        from testcontainers.core.config import testcontainers_config  # noqa: PLC0415
        from testcontainers.core.container import Reaper  # noqa: PLC0415
        from testcontainers.core.exceptions import (  # noqa: PLC0415
            ContainerConnectException,
            ContainerStartException,
        )
        from testcontainers.core.labels import create_labels  # noqa: PLC0415
    except ImportError as error:
        words = f"PatroniClusterContainer needs the packages of an extra ({error})"
        raise NoDockerError(f"{words}\n  remedy: {EXTRA}") from error
    if testcontainers_config.ryuk_disabled:
        return create_labels("", {})
    with _starting:
        try:
            Reaper.get_instance()
        except (
            *(docker.errors.DockerException, requests.exceptions.RequestException),
            *(ContainerConnectException, ContainerStartException, OSError),
        ) as error:
            with suppress(Exception):  # a half-made reaper would stay in the way
                Reaper.delete_instance()
            raise StartError(
                f"testcontainers' ryuk could not be started ({testcontainers_config.ryuk_image}):"
                f" {error}\n"
                "  remedy: let the engine pull its image, name another one (RYUK_CONTAINER_IMAGE),"
                " or do without (TESTCONTAINERS_RYUK_DISABLED=true): then a process of this machine"
                " removes what a killed run leaves, or the next cluster on it"
            ) from error
    return create_labels("", {})
