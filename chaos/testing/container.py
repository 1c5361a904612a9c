"""``PatroniClusterContainer``: the cluster by the names that testcontainers' own modules use."""

from __future__ import annotations

from chaos.testing.cluster import PatroniCluster


class PatroniClusterContainer(PatroniCluster):
    """A cluster in containers, as ``testcontainers.postgres.PostgresContainer`` is one server.

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
        self.driver = driver

    def get_connection_url(self, driver: str | None = "") -> str:
        """The URL of the primary, as ``primary_url``; another driver than the constructor's."""
        return self.primary_url(driver=self.driver if driver == "" else driver)

    def get_logs(self) -> dict[str, str]:
        """The last lines of every container's log, by host."""
        hosts = self.topology.hosts
        return {host.name: self.logs(host.name) for host in hosts}
