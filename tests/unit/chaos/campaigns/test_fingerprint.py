"""A lab goes on only with the configuration of its birth, and says what is not as it was."""

from __future__ import annotations

import pytest

from chaos.campaigns.fingerprint import Fingerprint
from cluster.patroni.rest import Configuration

SETTINGS = {"fsync": "on", "work_mem": "4096"}
BIRTH = Fingerprint(
    configuration=Configuration(ttl=20, loop_wait=5, retry_timeout=5),
    settings={"db-paris": SETTINGS, "db-orsay": SETTINGS},
)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SETTINGS, ""),
        (SETTINGS | {"fsync": "off"}, "fsync of db-orsay was on at the beginning, and is off"),
        (
            SETTINGS | {"fsync": "on after a restart"},
            "fsync of db-orsay was on at the beginning, and is on after a restart",
        ),
        ({"fsync": "on"}, "work_mem of db-orsay was 4096 at the beginning, and is not set"),
        (SETTINGS | {"a": "1"}, "a of db-orsay was not set at the beginning, and is 1"),
    ],
)
def test_a_setting_that_is_not_as_it_was_is_named(settings: dict[str, str], words: str) -> None:
    now = Fingerprint(
        configuration=BIRTH.configuration, settings={"db-paris": SETTINGS, "db-orsay": settings}
    )
    assert now.changed_since(BIRTH) == words


def test_the_configuration_of_patroni_counts_too() -> None:
    configuration = Configuration(ttl=30, loop_wait=5, retry_timeout=5)
    now = Fingerprint(configuration=configuration, settings=BIRTH.settings)
    assert now.changed_since(BIRTH) == "Patroni's configuration is not the one of the beginning"
