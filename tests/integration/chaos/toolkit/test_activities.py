"""The activities, one by one, on one real cluster in the lab; each test leaves it whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from chaoslib.exceptions import ActivityFailed, InterruptExecution
from support.commands.commands import descendants, wait_gone, wait_until

from chaos.testing import PatroniCluster
from chaos.toolkit import actions, probes
from chaos.toolkit.control import after_experiment_control, before_experiment_control
from chaos.toolkit.held import clusters

URL_ENV = "BASCULE_TEST_URL"
PASSWORD = "not-a-secret-either"
SERVICE_S = 120.0
WHOLE_S = 240.0
ROWS = "SELECT count(*) FROM bascule.unit_of_work WHERE state = 'applied'"


@pytest.fixture(scope="module", autouse=True)
def raised() -> Iterator[None]:
    """The cluster ``default``."""
    configuration = {"bascule_sites": 3, "bascule_username": "app", "bascule_dbname": "warehouse"}
    said = actions.raise_cluster(
        url_env=URL_ENV,
        configuration=configuration,  # type: ignore[arg-type]
        secrets={"password": PASSWORD},  # type: ignore[dict-item]
    )
    assert said["topology"] == "three-sites"
    assert said["primary"] == cluster().wait_primary(timeout_s=SERVICE_S)
    yield
    actions.tear_down()
    assert not clusters.is_up("default")
    assert URL_ENV not in os.environ


@pytest.fixture(autouse=True)
def whole() -> Iterator[None]:
    """Whole afterwards, and writes are acknowledged."""
    yield
    actions.heal(whole_within_s=WHOLE_S)
    assert probes.write_is_acknowledged(within_s=SERVICE_S)


def cluster() -> PatroniCluster:
    return clusters.get("default").cluster


def wait_one_primary(*, name: str = "default", other_than: str | None = None) -> None:
    """By the probes; a look at a member that does not answer at once finds none."""
    wait_until(
        lambda: probes.primaries(name) == 1 and probes.primary(name) not in (None, other_than),
        timeout_s=SERVICE_S,
        what="one primary",
    )


@contextmanager
def connection() -> Iterator[psycopg.Connection]:
    """As a process activity would: with what the environment says."""
    with psycopg.connect(os.environ[URL_ENV], connect_timeout=20) as found:
        yield found


def applied() -> int:
    with connection() as found:
        row = found.execute(ROWS).fetchone()
    assert row is not None
    return int(row[0])


def test_a_raised_cluster_is_whole_and_has_one_primary() -> None:
    assert probes.is_whole(within_s=WHOLE_S)
    wait_one_primary()
    assert probes.outage_s() == 0.0


def test_the_url_of_the_environment_leads_to_the_primary_as_the_role_asked_for() -> None:
    with connection() as found:
        row = found.execute("SELECT current_user, current_database(), pg_is_in_recovery()")
        assert row.fetchone() == ("app", "warehouse", False)
    assert PASSWORD in os.environ[URL_ENV]


def test_a_write_really_is_one() -> None:
    before = applied()
    assert probes.write_is_acknowledged(within_s=SERVICE_S)
    assert probes.write_is_acknowledged(within_s=SERVICE_S, site="paris")
    assert applied() == before + 2


def test_replicas_that_stream_have_a_lag() -> None:
    assert 0 <= probes.replica_lag_bytes() < 1 << 30


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ActivityFailed, match="the cluster default is up already"):
        actions.raise_cluster()


def test_the_loss_of_the_primary_is_seen_waited_out_and_healed() -> None:
    lost = actions.kill_primary()
    assert not probes.write_is_acknowledged(within_s=0.5)
    with pytest.raises(ActivityFailed, match="no write is known to have been acknowledged"):
        probes.outage_s()
    assert probes.write_is_acknowledged(within_s=SERVICE_S)
    assert probes.outage_s() > 0.5
    wait_one_primary(other_than=lost)
    assert not probes.is_whole()
    assert not probes.is_whole(within_s=0.2)
    with pytest.raises(ActivityFailed, match=f"{lost} does not stream from .*: its lag is not"):
        probes.replica_lag_bytes()
    assert actions.start_host() == [lost]
    assert probes.is_whole(within_s=WHOLE_S)
    with pytest.raises(ActivityFailed, match="every host has power"):
        actions.start_host()


def test_a_switchover_hands_over() -> None:
    before = cluster().wait_primary(timeout_s=SERVICE_S)
    after = actions.switchover()
    assert after != before
    assert probes.is_whole(within_s=WHOLE_S)
    assert actions.switchover(before) == before


def test_a_killed_process_comes_back() -> None:
    primary = cluster().wait_primary(timeout_s=SERVICE_S)
    assert actions.kill_process() == [primary]
    assert probes.write_is_acknowledged(within_s=SERVICE_S)
    assert probes.is_whole(within_s=WHOLE_S)
    hit = actions.kill_process("postgres", "replicas")
    assert len(hit) == 2


def test_a_site_is_cut_off_for_its_clients_until_it_is_healed() -> None:
    site = actions.cut_site("primary")
    assert not probes.write_is_acknowledged(within_s=1.0, site=site)
    assert "is joined again" in actions.heal(whole_within_s=WHOLE_S)
    assert probes.write_is_acknowledged(within_s=SERVICE_S, site=site)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: actions.start_host("db-mars"), "there is no host db-mars"),
        (lambda: actions.switchover("db-mars"), "there is no host db-mars"),
        (lambda: actions.kill_process("emacs"), "emacs"),
        (lambda: actions.kill_process(node="db-mars"), "there is no host db-mars"),
        (lambda: actions.cut_site("mars"), "there is no site mars"),
        (lambda: probes.write_is_acknowledged(5, site="mars"), "no client is in a site mars"),
    ],
    ids=["start", "switchover", "process", "node", "site", "client"],
)
def test_what_is_not_there_can_not_be_broken(call: object, words: str) -> None:
    assert callable(call)
    with pytest.raises(ActivityFailed, match=words):
        call()


def test_a_second_cluster_by_the_control_goes_without_the_first() -> None:
    before = set(descendants(os.getpid()))
    journal = {"status": "completed", "deviated": True, "experiment": {"title": "a"}}
    before_experiment_control({"title": "a"}, cluster="second", sites=2)
    wait_one_primary(name="second")
    of_second = [one for one in descendants(os.getpid()) if one not in before]
    assert of_second
    after_experiment_control({"title": "a"}, journal, cluster="second", sites=2)
    wait_gone(of_second)
    extension = journal["experiment"]["extensions"][0]  # type: ignore[index]
    assert (extension["name"], extension["topology"]) == ("bascule-second", "two-sites-witness")
    assert extension["logs"]
    assert probes.is_whole(within_s=WHOLE_S)


def test_what_keeps_a_cluster_from_being_raised_keeps_the_experiment_from_going_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what is no error of ours, which chaoslib would only log."""
    gone = tmp_path / "gone"
    monkeypatch.setattr(tempfile, "tempdir", str(gone))
    with pytest.raises(InterruptExecution, match=f"no cluster for this experiment: .*{gone}"):
        before_experiment_control({"title": "a"}, cluster="third")
    assert not clusters.is_up("third")
