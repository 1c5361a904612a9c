"""A host of the cluster as a container: testcontainers' ``DockerContainer``, on several networks.

It is made before it is started, so that its configuration can be put into it, and the networks of
its site and of the WAN be joined, before its first instruction.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import docker.errors
from testcontainers.core.config import ConnectionMode, testcontainers_config
from testcontainers.core.container import DockerContainer, Reaper
from testcontainers.core.labels import LABEL_SESSION_ID, create_labels

if TYPE_CHECKING:
    from docker.models.containers import Container

LOCAL = ("localhost", "127.0.0.1")
SHM_SIZE = "128m"
"""PostgreSQL's parallel queries keep their memory there; Docker gives 64 MB."""


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
        self.host = host
        self.networks = tuple(networks)
        self._console = console
        self._labels = dict(labels)
        self._kept = kept

    def create(self) -> None:
        """Make the container; it does not run yet."""
        client = self.get_docker_client()
        if not testcontainers_config.ryuk_disabled and not self._kept:
            Reaper.get_instance()
        labels = create_labels(self.image, self._labels)
        if self._kept:
            # Whatever has this label is removed by ryuk when the session ends.
            labels.pop(LABEL_SESSION_ID, None)
        self._container = client.client.containers.create(
            self.image,
            command=self._command,
            name=self._name,
            # No hostname: the engine would take it for an alias on the console, too.
            labels=labels,
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
            with suppress(docker.errors.APIError):  # it is there already
                client.networks.get(name).connect(container, aliases=[self.host])

    def leave(self, networks: Sequence[str]) -> None:
        """Disconnect from networks: what is on its way is lost, and nobody is told. Idempotent."""
        client, container = self.get_docker_client().client, self.get_wrapped_container()
        for name in networks:
            with suppress(docker.errors.NotFound, docker.errors.APIError):
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
            int(client.port(self.get_container_id(), port)) if is_mapped else port
        )

    def run_in(self, command: Sequence[str]) -> tuple[int, str]:
        """Run a command in it; its exit code and its output."""
        result: Any = self.get_wrapped_container().exec_run(list(command))
        return int(result.exit_code), bytes(result.output or b"").decode(errors="replace")
