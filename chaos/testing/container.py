"""``PatroniClusterContainer``: the cluster by the names that testcontainers' own modules use."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.gameday.docker_handle import DockerBackend
from chaos.gameday.requests import HOST
from chaos.testing.cluster import PatroniCluster
from chaos.testing.ryuk import start_ryuk

AS_MADE = "as made"
"""No driver has this name."""


class PatroniClusterContainer(PatroniCluster):
    """A cluster in containers, as testcontainers' ``PostgresContainer`` is one server.

    What testcontainers has made ends with the process, by its ryuk: so does this.

    Args:
        sites: 3, or 2 with a witness site.
        username, password, dbname: as of ``PostgresContainer``; the password is made anew if None.
        driver: of ``get_connection_url``; None is a URL for libpq.
        reuse: leave the cluster up at the end, and take it when it is asked for again.
    """

    def __init__(  # noqa: PLR0913 (every one has a default)
        self,
        sites: int = 3,
        *,
        username: str = "test",
        password: str | None = None,
        dbname: str = "test",
        driver: str | None = "psycopg2",
        reuse: bool = False,
    ) -> None:
        super().__init__(
            sites, mode="docker", username=username, password=password, dbname=dbname, reuse=reuse
        )
        assert isinstance(self._backend, DockerBackend)
        self._backend.guard = start_ryuk
        self.driver = driver

    @property
    def password(self) -> str:
        """Of the tests' role."""
        return self._password

    def get_connection_url(self, host: str | None = None, driver: str | None = AS_MADE) -> str:
        """The URL of the primary, as ``primary_url``.

        Args:
            host: another name of this machine's loopback, for the URL; 127.0.0.1 if None.
            driver: another one than the constructor's; None is a URL for libpq.
        """
        url = self.primary_url(driver=self.driver if driver == AS_MADE else driver)
        return url if host is None else url.replace(f"@{HOST}:", f"@{host}:", 1)

    def get_logs(self) -> tuple[bytes, bytes]:
        """Everything that the containers wrote to stdout, and to stderr, as of ``DockerContainer``;
        one after the other, each line begun with its host. ``logs(host)`` has one host's, as text.

        Raises:
            NotRunningError: the cluster has not been started.
            StartError: the engine refused.
        """
        assert isinstance(self._backend, DockerBackend)
        streams = self._backend.streams()
        out = {host: stdout for host, (stdout, _) in streams.items()}
        err = {host: stderr for host, (_, stderr) in streams.items()}
        return _joined(out), _joined(err)


def _joined(logs: Mapping[str, bytes]) -> bytes:
    lines = (
        host.encode() + b" | " + line
        for host, log in logs.items()
        for line in log.splitlines(keepends=True)
    )
    return b"".join(lines)
