"""``bascule exporter`` as it is run, scraped by a real Prometheus; etcd as the exporter sees it."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from psycopg import sql
from support.commands.commands import BASCULE, bascule, wait_until
from support.monitoring.local_prometheus import local_prometheus
from support.monitoring.scrapes import scrape, wait_scrape
from support.postgres.etcd_members import etcd_members
from support.postgres.local_postgres import PASSWORD, LocalPostgres, local_postgres, replica_of
from support.postgres.patroni_answers import rest_api

from replication import Credentials
from replication.monitoring.exporter.metrics import EXPORTER_METRICS
from replication.monitoring.exporter.service import exporter
from replication.monitoring.exporter.settings import ExporterSettings

pytestmark = pytest.mark.anyio

ROLE, ROLE_PASSWORD = "bascule_exporter", "exporter-password"
SCRAPED_S = 60.0


@contextmanager
def command(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``bascule exporter`` while it runs, and its URL."""
    process = subprocess.Popen(
        [*BASCULE, "exporter", *arguments, "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words[:2] == ["bascule", "exporter:"], process.stderr
        yield process, words[2].removesuffix("/metrics")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@asynccontextmanager
async def members(
    folder: Path,
) -> AsyncIterator[tuple[LocalPostgres, LocalPostgres, list[str]]]:
    """A primary with a slot and a replica, prepared by what ``--setup-sql`` prints."""
    with local_postgres(folder) as primary, replica_of(primary, folder) as replica:
        role, password = sql.Identifier(ROLE), sql.Literal(ROLE_PASSWORD)
        primary.query(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, password))
        printed = await anyio.to_thread.run_sync(
            lambda: bascule("exporter", "--setup-sql", "--user", ROLE)
        )
        for statement in printed.stdout.split(";"):
            if statement.strip():
                primary.query(sql.SQL(statement))  # type: ignore[arg-type]
        primary.query("SELECT pg_create_physical_replication_slot('db_c', true)")
        conninfo = f"{primary.conninfo(password=PASSWORD)} application_name={replica.name}"
        replica.set("primary_conninfo", conninfo)
        async with rest_api(primary=True) as first, rest_api(primary=False) as second:
            more = {"dcs_last_seen": 1_795_000_000, "patroni": {"scope": "patients"}}
            first.more, second.more = {"role": "primary", **more}, {"role": "replica", **more}
            words = [
                f"--member={server.name}=http://127.0.0.1:{rest.port},127.0.0.1:{server.port},{site}"
                for server, rest, site in ((primary, first, "paris"), (replica, second, "orsay"))
            ]
            yield primary, replica, words


async def test_prometheus_finds_every_family_and_sees_the_lag(tmp_path: Path) -> None:
    password_file = tmp_path / "password"
    password_file.write_text(f"{ROLE_PASSWORD}\n")
    with etcd_members(tmp_path, 1) as etcd:
        async with members(tmp_path) as (primary, replica, words):
            arguments = [
                *("--cluster", "patients", "--user", ROLE, "--interval", "0.5", *words),
                *("--password-file", str(password_file), "--dcs", etcd[0].endpoint),
            ]
            with command(*arguments) as (process, url):
                await anyio.to_thread.run_sync(prometheus_sees_it, tmp_path, url, primary, replica)
                process.send_signal(signal.SIGTERM)
                assert process.wait(timeout=20) == 0
                assert process.stderr is not None
                assert "Traceback" not in process.stderr.read()


def prometheus_sees_it(
    folder: Path, url: str, primary: LocalPostgres, replica: LocalPostgres
) -> None:
    with local_prometheus(folder, url.removeprefix("http://")) as prometheus:
        for metric in EXPORTER_METRICS:
            wait_until(
                lambda name=metric.name: bool(prometheus.query(f'{name}{{cluster="patients"}}')),
                timeout_s=SCRAPED_S,
                what=metric.name,
            )
        assert prometheus.value('up{job="bascule"}') == 1
        wait_until(
            lambda: prometheus.value("bascule_dcs_has_quorum") == 1,
            timeout_s=SCRAPED_S,
            what="quorum of etcd",
        )
        level = 'bascule_replica_lag_bytes{member="db-b",site="orsay",stage="replay"} < 1000'
        wait_until(lambda: bool(prometheus.query(level)), timeout_s=SCRAPED_S, what=level)
        replica.set("primary_conninfo", "")
        growing = (
            'bascule_replica_lag_seconds{member="db-b"} > 2'
            ' and on (member) bascule_replica_lag_bytes{stage="flush"} > 0'
            " and on (member) bascule_replica_wal_receiver_up == 0"
        )
        wait_until(lambda: bool(prometheus.query(growing)), timeout_s=SCRAPED_S, what=growing)
        kept = 'bascule_slot_retained_bytes{slot="db_c"} > 0'
        assert prometheus.query(kept)
        assert prometheus.value('bascule_slot_active{slot="db_c"}') == 0


async def test_an_etcd_that_answers_is_not_yet_a_quorum(
    tmp_path: Path, postgres_server: LocalPostgres
) -> None:
    credentials = Credentials(user="postgres", password=PASSWORD, dbname="postgres")
    with etcd_members(tmp_path, 2) as (first, second):
        async with rest_api(primary=True) as answers:
            settings = ExporterSettings(
                cluster="patients",
                members=(answers.member(postgres_server),),
                credentials=credentials,
                interval_s=0.2,
                dcs_endpoints=(first.endpoint, second.endpoint),
            )
            async with exporter(settings, "127.0.0.1", 0) as port:
                url = f"http://127.0.0.1:{port}"
                await wait_scrape(
                    url,
                    lambda page: (
                        page.value("bascule_dcs_has_quorum") == 1
                        and page.values("bascule_dcs_member_up") == [1, 1]
                    ),
                    what="a quorum",
                )
                second.kill()
                page = await wait_scrape(
                    url,
                    lambda page: page.value("bascule_dcs_has_quorum") == 0,
                    what="no quorum",
                )
                assert page.value("bascule_dcs_member_up", endpoint=second.endpoint) == 0
                await wait_scrape(
                    url,
                    lambda page: (
                        page.value("bascule_dcs_member_up", endpoint=first.endpoint) == 1
                        and page.value("bascule_dcs_has_quorum") == 0
                    ),
                    what="a member that answers without a quorum",
                )


async def test_without_a_dcs_nothing_is_said_of_it(postgres_server: LocalPostgres) -> None:
    credentials = Credentials(user="postgres", password=PASSWORD, dbname="postgres")
    async with rest_api(primary=True) as answers:
        settings = ExporterSettings(
            cluster="patients", members=(answers.member(postgres_server),), credentials=credentials
        )
        async with exporter(settings, "127.0.0.1", 0) as port:
            page = await scrape(f"http://127.0.0.1:{port}")
    assert page.values("bascule_dcs_has_quorum") == []
    assert page.values("bascule_dcs_member_up") == []


MEMBER = "--member=a=http://127.0.0.1:1,127.0.0.1:1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--user is missing"),
        (["--user", "x"], "--cluster is missing"),
        (["--user", "x", "--cluster", "c"], "--member is missing"),
        (["--user", "x", "--cluster", "c", "--member", "oops"], "name=rest_url,host:port[,site]"),
        (["--user", "x", "--cluster", "c", MEMBER, MEMBER], "two members have one name"),
        (["--user", "x", "--cluster", "c", MEMBER, "--dcs", "etcd:2379"], "expected an address"),
        (["--user", "x", "--cluster", "c", MEMBER, "--listen", "9187"], "not HOST:PORT"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_said(arguments: list[str], words: str) -> None:
    done = bascule("exporter", *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        path = tmp_path / "password"
        path.write_text(PASSWORD)
        arguments = ["--user", "x", "--cluster", "c", MEMBER, "--password-file", str(path)]
        done = bascule("exporter", *arguments, "--listen", where)
    assert done.returncode == 3
    assert done.stderr.strip() == f"bascule: {where}: Address already in use"


def test_a_password_file_that_is_missing_is_said(tmp_path: Path) -> None:
    path = tmp_path / "none"
    arguments = ["--user", "x", "--cluster", "c", MEMBER, "--password-file", str(path)]
    done = bascule("exporter", *arguments)
    assert done.returncode == 2
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


CONFIG = """
[bascule.exporter]
user = "postgres"
dbname = "postgres"
password_file = "password"

[bascule.exporter.dcs]
endpoints = ["{etcd}"]
scope = "patients"

[[bascule.exporter.members]]
name = "db-a"
rest_url = "http://127.0.0.1:{rest}"
host = "127.0.0.1"
port = {port}
site = "paris"
"""


async def test_settings_from_a_file(tmp_path: Path, postgres_server: LocalPostgres) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    config = tmp_path / "storage.toml"
    async with rest_api(primary=True) as rest:
        with etcd_members(tmp_path, 1) as etcd:
            port = postgres_server.port
            config.write_text(CONFIG.format(etcd=etcd[0].endpoint, rest=rest.port, port=port))
            arguments = ("--config", str(config), "--section", "bascule.exporter")
            with command(*arguments) as (_, url):
                page = await wait_scrape(
                    url,
                    lambda page: (
                        page.value("bascule_member_sql_up", member="db-a", site="paris") == 1
                        and page.value("bascule_dcs_has_quorum", cluster="patients") == 1
                    ),
                    what="the member and the DCS of the file",
                )
    assert page.value("bascule_writable_members") == 1
    name = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bascule-exporter'"
    assert postgres_server.query(name) == [(0,)], "the session is closed at the end"


def test_a_file_that_is_wrong_is_said_whole(tmp_path: Path) -> None:
    config = tmp_path / "storage.toml"
    config.write_text('[bascule.storage]\nuser = "x"\ndbnam = "y"\n')
    done = bascule("exporter", "--config", str(config))
    assert done.returncode == 2
    assert "did you mean dbname?" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_and_options_do_not_go_together(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(PASSWORD)
    config = tmp_path / "storage.toml"
    config.write_text(CONFIG.format(etcd="http://127.0.0.1:1", rest=1, port=1))
    section = ("--config", str(config), "--section", "bascule.exporter")
    done = bascule("exporter", *section, "--user", "somebody")
    assert done.returncode == 2
    assert "--user and --config do not go together" in done.stderr
