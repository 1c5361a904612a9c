"""``PatroniClusterContainer`` has what code for testcontainers' ``PostgresContainer`` uses."""

from __future__ import annotations

import inspect

import pytest
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.container import DockerContainer

from chaos.testing import NotRunningError, PatroniClusterContainer

URL = "postgresql://app:s%40127.0.0.1:1@127.0.0.1:5433/shop"


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> PatroniClusterContainer:
    def primary_url(self: object, *, driver: str | None) -> str:
        return URL if driver is None else URL.replace("://", f"+{driver}://", 1)

    monkeypatch.setattr(PatroniClusterContainer, "primary_url", primary_url)
    return PatroniClusterContainer(username="app", password="s@127.0.0.1:1", dbname="shop")


def test_the_parameters_are_those_of_testcontainers() -> None:
    ours = inspect.signature(PatroniClusterContainer.get_connection_url).parameters
    theirs = inspect.signature(PostgresContainer.get_connection_url).parameters
    assert list(ours) == list(theirs) == ["self", "host", "driver"]


def test_the_url(container: PatroniClusterContainer) -> None:
    assert container.get_connection_url() == URL.replace("://", "+psycopg2://")
    assert container.get_connection_url(driver=None) == URL
    assert container.get_connection_url(driver="psycopg").startswith("postgresql+psycopg://app:")
    assert container.get_connection_url("localhost", None) == (
        "postgresql://app:s%40127.0.0.1:1@localhost:5433/shop"
    )


def test_the_attributes(container: PatroniClusterContainer) -> None:
    assert (container.username, container.password, container.dbname) == (
        "app",
        "s@127.0.0.1:1",
        "shop",
    )
    assert PatroniClusterContainer().password


def test_the_logs_are_of_both_streams_each_line_with_its_host(
    container: PatroniClusterContainer,
) -> None:
    with pytest.raises(NotRunningError):
        container.get_logs()
    streams = {"paris": (b"a\nb\n", b""), "orsay": (b"c\n", b"d\n")}
    container._backend.streams = lambda: streams  # type: ignore[attr-defined]
    logs = container.get_logs()
    assert logs == (b"paris | a\nparis | b\norsay | c\n", b"orsay | d\n")
    annotation = inspect.signature(DockerContainer.get_logs).return_annotation
    assert annotation == tuple[bytes, bytes]
