"""testcontainers' ryuk: started once, and what is said where it cannot be."""

from __future__ import annotations

import threading
import time

import docker.errors
import pytest
from testcontainers.core.config import testcontainers_config
from testcontainers.core.exceptions import ContainerConnectException
from testcontainers.core.labels import LABEL_SESSION_ID

from chaos.gameday.errors import StartError
from chaos.testing import PatroniClusterContainer, ryuk

IN_USE = 'Conflict. The container name "/testcontainers-ryuk" is in use'


class SlowReaper:
    """As testcontainers': looks, and then takes its time to make one of a fixed name."""

    made = 0
    deleted = 0
    failure: Exception | None = None
    _instance: SlowReaper | None = None

    @classmethod
    def get_instance(cls) -> SlowReaper:
        if cls._instance is None:
            if cls.failure is not None:
                raise cls.failure
            time.sleep(0.05)  # long enough for every other thread to look, too
            cls.made += 1
            if cls.made > 1:
                raise docker.errors.APIError("409 Client Error", explanation=IN_USE)
            cls._instance = cls()
        return cls._instance

    @classmethod
    def delete_instance(cls) -> None:
        cls.deleted += 1


@pytest.fixture
def reaper(monkeypatch: pytest.MonkeyPatch) -> type[SlowReaper]:
    class Fresh(SlowReaper):
        pass

    monkeypatch.setattr("testcontainers.core.container.Reaper", Fresh)
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", False)
    return Fresh


def test_ryuk_finds_what_is_made_by_its_session(reaper: type[SlowReaper]) -> None:
    found = ryuk.start_ryuk()
    assert reaper.made == 1
    assert found[LABEL_SESSION_ID]


def test_where_it_is_disabled_nothing_is_started(
    reaper: type[SlowReaper], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    ryuk.start_ryuk()
    assert reaper.made == 0


def test_a_cluster_by_the_names_of_testcontainers_has_it() -> None:
    container = PatroniClusterContainer()
    assert container._backend.guard is ryuk.start_ryuk  # type: ignore[attr-defined]


def test_clusters_of_several_threads_share_one_ryuk(reaper: type[SlowReaper]) -> None:
    failures: list[StartError] = []

    def start() -> None:
        try:
            ryuk.start_ryuk()
        except StartError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert reaper.made == 1


@pytest.mark.parametrize(
    "failure",
    [
        docker.errors.ImageNotFound("pull access denied for testcontainers/ryuk"),
        ContainerConnectException("Could not obtain network details"),
        ConnectionRefusedError("refused"),
        TimeoutError("Timed out after 20 seconds"),
    ],
)
def test_without_ryuk_it_says_what_to_do(reaper: type[SlowReaper], failure: Exception) -> None:
    reaper.failure = failure
    with pytest.raises(StartError, match=r"ryuk[\s\S]*TESTCONTAINERS_RYUK_DISABLED=true") as caught:
        ryuk.start_ryuk()
    assert str(failure) in str(caught.value)
    assert reaper.deleted == 1  # the half of it would be in the way of another attempt
