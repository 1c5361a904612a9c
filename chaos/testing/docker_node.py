"""A host of the cluster as a container: testcontainers' ``DockerContainer``, on several networks.

It is made before it is started, so that its configuration can be put into it, and the networks of
its site and of the WAN be joined, before its first instruction.
"""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import docker.errors
import requests.exceptions
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.exceptions import ContainerConnectException, ContainerStartException
from testcontainers.core.labels import LABEL_SESSION_ID, create_labels

from chaos.testing.docker_engine import explain
from chaos.testing.errors import StartError

if TYPE_CHECKING:
    from docker.models.containers import Container

LOCAL = ("localhost", "127.0.0.1")
SHM_SIZE = "128m"
"""PostgreSQL's parallel queries keep their memory there; Docker gives 64 MB."""
SIGKILLED = 128 + 9
"""The exit status of a container whose first process was killed."""
_starting_ryuk = threading.Lock()


def start_ryuk() -> None:
    """Have testcontainers' ryuk, which removes what this process has made when it ends.

    Once a process, by whichever thread comes first: testcontainers itself looks and then starts it,
    without a lock (testcontainers-python, issue 746).

    Raises:
        StartError: it cannot be had; says what to do.
    """
    if testcontainers_config.ryuk_disabled:
        return
    with _starting_ryuk:
        try:
            Reaper.get_instance()
        except (
            *(docker.errors.DockerException, requests.exceptions.RequestException),
            *(ContainerConnectException, ContainerStartException, OSError),
        ) as error:
            with suppress(Exception):  # the half of it that there is; else it stays in the way
                Reaper.delete_instance()
            raise StartError(
                f"testcontainers' ryuk could not be started ({testcontainers_config.ryuk_image}):"
                f" {explain(str(error))}\n"
                "  remedy: let the engine pull its image, name another one (RYUK_CONTAINER_IMAGE),"
                " or do without (TESTCONTAINERS_RYUK_DISABLED=true): then what a killed run leaves"
                " stays until the next cluster on this machine sweeps it"
            ) from error


def session_labels(image: str, labels: Mapping[str, str], *, kept: bool) -> dict[str, str]:
    """The labels of a thing, with testcontainers' own.

    Args:
        image: of the container; "" for what is none.
        labels: of the cluster.
        kept: it stays when this process ends; else ryuk finds it by its session.
    """
    found = create_labels(image, dict(labels))
    if kept:
        del found[LABEL_SESSION_ID]
    return found


class HostContainer(DockerContainer):
    """One host.

    Args:
        image: what it runs.
        host: its name in the topology, by which the others find it.
        console: the name of the network over which its ports are published; never cut.
        networks: the names of the others: its site's, and the WAN.
        labels: of the cluster.
        kept: it stays when this process ends.
    """

    def __init__(  # noqa: PLR0913 (one a network, one a label)
        self,
        image: str,
        *,
        host: str,
        name: str,
        console: str,
        networks: Sequence[str],
        labels: Mapping[str, str],
        kept: bool,
    ) -> None:
        super().__init__(image, name=name)
        self.image = image  # built here: no prefix of a registry's mirror belongs before it
        self.host = host
        self.networks = tuple(networks)
        self._console = console
        self._labels = dict(labels)
        self._kept = kept

    def create(self) -> None:
        """Make the container; it does not run yet."""
        client = self.get_docker_client()
        self._container = client.client.containers.create(
            self.image,
            command=self._command,
            name=self._name,
            # No hostname: the engine would take it for an alias on the console, too.
            labels=session_labels(self.image, self._labels, kept=self._kept),
            ports={f"{port}/tcp": self._bound_to() for port in self.ports},
            network=self._console,
            shm_size=SHM_SIZE,
        )
        self.join(self.networks)

    def _bound_to(self) -> tuple[str, None] | None:
        """The loopback where we reach the engine over it, else (a remote engine, or we are in a
        container ourselves) every address, which is what Docker does by default."""
        client = self.get_docker_client()
        is_near = client.get_connection_mode() == ConnectionMode.docker_host
        return ("127.0.0.1", None) if is_near and client.host() in LOCAL else None

    def adopt(self, container: Container) -> None:
        """Be a container that is there already."""
        self._container = container

    def join(self, networks: Sequence[str]) -> None:
        """Connect to networks, under the host's name. Idempotent."""
        client, container = self.get_docker_client().client, self.get_wrapped_container()
        for name in networks:
            with _already("already exists in network", "already connected to network"):
                client.networks.get(name).connect(container, aliases=[self.host])

    def leave(self, networks: Sequence[str]) -> None:
        """Disconnect from networks: what is on its way is lost, and nobody is told. Idempotent."""
        client, container = self.get_docker_client().client, self.get_wrapped_container()
        for name in networks:
            with _already("is not connected"):
                client.networks.get(name).disconnect(container)

    def put(self, path: str, text: str, *, uid: int) -> None:
        """Write a file that only ``uid`` can read."""
        data = text.encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode, entry.uid, entry.gid = len(data), 0o400, uid, uid
            archive.addfile(entry, io.BytesIO(data))
        self.get_wrapped_container().put_archive("/", packed.getvalue())

    def get(self, path: str) -> str:
        """Read a file, whoever may; also while the container does not run."""
        stream, _ = self.get_wrapped_container().get_archive(path)
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
            member = archive.extractfile(archive.getmembers()[0])
            assert member is not None
            return member.read().decode()

    @property
    def is_running(self) -> bool:
        """Its first process runs."""
        container = self.get_wrapped_container()
        container.reload()
        return bool(container.status == "running")

    def kill(self) -> None:
        """Kill its first process. Idempotent."""
        with _already("is not running"):
            self.get_wrapped_container().kill()

    def wait_dead(self) -> int:
        """Wait until its first process has ended; its exit status."""
        return int(self.get_wrapped_container().wait()["StatusCode"])

    def close(self) -> None:
        """Close its connections to the engine. Idempotent."""
        self.get_docker_client().client.close()

    def end(self) -> str | None:
        """In words how it has ended; None while it runs."""
        if self.is_running:
            return None
        state: Mapping[str, object] = self.get_wrapped_container().attrs["State"]
        if state.get("OOMKilled"):
            return "it had been killed for want of memory"
        if state.get("ExitCode") == SIGKILLED:
            return "somebody else had killed it"
        return f"it had ended with status {state.get('ExitCode')}"

    def published(self, port: int) -> tuple[str, int]:
        """Where one of its ports is reached now.

        Raises:
            ConnectionError: nowhere: it does not run.
        """
        if not self.is_running:
            raise ConnectionError(f"the container of {self.host} does not run")
        # Not get_exposed_port: that waits two minutes for one that does not run.
        client = self.get_docker_client()
        is_mapped = client.get_connection_mode().use_mapped_port
        return self.get_container_host_ip(), (
            int(client.port(str(self.get_wrapped_container().id), port)) if is_mapped else port
        )

    def run_in(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in it; its exit code and its output."""
        result: Any = self.get_wrapped_container().exec_run(list(command))
        return int(result.exit_code), bytes(result.output or b"").decode(errors="replace")


@contextmanager
def _already(*words: str) -> Iterator[None]:
    """What the engine refuses in such words has been done before."""
    try:
        yield
    except docker.errors.APIError as error:
        if not any(sign in str(error) for sign in words):
            raise
