"""The exporter's pages, what it says without rights, and members that say nothing at all."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import anyio
import pytest
from prometheus_client import CollectorRegistry
from psycopg import sql
from support.monitoring.scrapes import Scrape, get, wait_scrape
from support.postgres.local_postgres import LocalPostgres
from support.postgres.patroni_answers import rest_api

from replication import Credentials, Member
from replication.monitoring.exporter.http_server import Health, MetricsServer
from replication.monitoring.exporter.service import exporter
from replication.monitoring.exporter.settings import ExporterSettings
from replication.monitoring.lag import heartbeat_row

pytestmark = pytest.mark.anyio

PASSWORD = "exporter-password"


@contextmanager
def role_on(server: LocalPostgres, name: str, *, granted: bool) -> Iterator[Credentials]:
    """A role, with the rights of an exporter or with none; gone at the end."""
    role = sql.Identifier(name)
    server.query(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(PASSWORD)))
    if granted:
        for statement in heartbeat_row.setup_statements(name):
            server.query(statement)
    try:
        yield Credentials(user=name, password=PASSWORD, dbname="postgres")
    finally:
        server.query(sql.SQL("DROP OWNED BY {}").format(role))
        server.query(sql.SQL("DROP ROLE {}").format(role))


def settings(credentials: Credentials, *members: Member) -> ExporterSettings:
    return ExporterSettings(
        cluster="patients", members=members, credentials=credentials, interval_s=0.2
    )


def writes_heartbeats(page: Scrape) -> bool:
    return page.value("bascule_heartbeat_last_written_timestamp_seconds") is not None


async def test_the_rights_of_setup_sql_are_enough(postgres_server: LocalPostgres) -> None:
    async with rest_api(primary=True) as answers:
        answers.more = {"role": "primary"}
        with role_on(postgres_server, "exporter_granted", granted=True) as credentials:
            asked = settings(credentials, answers.member(postgres_server))
            async with exporter(asked, "127.0.0.1", 0) as port:
                page = await wait_scrape(
                    f"http://127.0.0.1:{port}", writes_heartbeats, what="heartbeats"
                )
    assert page.values("bascule_exporter_permission_missing") == [0, 0]
    assert page.value("bascule_member_role", role="primary") == 1


async def test_rows_of_runs_that_have_ended_are_removed(postgres_server: LocalPostgres) -> None:
    async with rest_api(primary=True) as answers:
        with role_on(postgres_server, "exporter_pruning", granted=True) as credentials:
            postgres_server.query(
                "INSERT INTO bascule.heartbeat VALUES ('ended', 9, now() - interval '2 days'),"
                " ('other', 9, now() - interval '1 minute') ON CONFLICT (writer) DO NOTHING"
            )
            asked = settings(credentials, answers.member(postgres_server))
            async with exporter(asked, "127.0.0.1", 0) as port:
                await wait_scrape(f"http://127.0.0.1:{port}", writes_heartbeats, what="heartbeats")
            left = {row[0] for row in postgres_server.query("SELECT writer FROM bascule.heartbeat")}
    assert "ended" not in left
    assert "other" in left
    assert len(left) >= 2, "its own, and those that may be alive"


async def test_a_server_whose_clock_is_ahead_keeps_the_rows_of_runs_that_go_on(
    postgres_server: LocalPostgres,
) -> None:
    """They were written by the clock of another primary: all of them are old by this one's."""
    async with rest_api(primary=True) as answers:
        with role_on(postgres_server, "exporter_ahead", granted=True) as credentials:
            postgres_server.query("TRUNCATE bascule.heartbeat")
            postgres_server.query(
                "INSERT INTO bascule.heartbeat VALUES ('one', 9, now() - interval '3 days'),"
                " ('two', 9, now() - interval '3 days')"
            )
            asked = settings(credentials, answers.member(postgres_server))
            async with exporter(asked, "127.0.0.1", 0) as port:
                await wait_scrape(f"http://127.0.0.1:{port}", writes_heartbeats, what="heartbeats")
            left = {row[0] for row in postgres_server.query("SELECT writer FROM bascule.heartbeat")}
    assert {"one", "two"} < left


async def test_rights_that_are_missing_are_said(
    postgres_server: LocalPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="replication.monitoring.exporter")
    async with rest_api(primary=True) as answers:
        with role_on(postgres_server, "exporter_bare", granted=False) as credentials:
            asked = settings(credentials, answers.member(postgres_server))
            async with exporter(asked, "127.0.0.1", 0) as port:
                page = await wait_scrape(
                    f"http://127.0.0.1:{port}",
                    lambda page: page.value("bascule_member_sql_up") == 1,
                    what="SQL answers",
                )
    assert page.value("bascule_exporter_permission_missing", permission="heartbeat") == 1
    assert page.value("bascule_exporter_permission_missing", permission="read_stats") == 1
    assert not writes_heartbeats(page)
    assert page.value("bascule_writable_members") == 1
    assert "GRANT pg_read_all_stats" in caplog.text
    assert "--setup-sql" in caplog.text


async def test_a_wrong_password_is_said_once_and_never_shown(
    postgres_server: LocalPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="replication.monitoring.exporter")
    wrong = Credentials(user="postgres", password="a-wrong-secret", dbname="postgres")
    async with rest_api(primary=True) as answers:
        asked = settings(wrong, answers.member(postgres_server))
        async with exporter(asked, "127.0.0.1", 0) as port:
            await wait_scrape(
                f"http://127.0.0.1:{port}",
                lambda page: (
                    (page.value("bascule_exporter_probe_failures_total", what="sql") or 0) >= 3
                ),
                what="three failures",
            )
    said = [record for record in caplog.records if "PostgreSQL" in record.getMessage()]
    assert len(said) == 1
    assert "password authentication failed" in caplog.text
    assert "a-wrong-secret" not in caplog.text


async def test_a_member_of_another_cluster_counts_for_nothing(
    postgres_server: LocalPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, logger="replication.monitoring.exporter")
    async with rest_api(primary=True) as answers:
        answers.more = {"role": "primary", "patroni": {"scope": "another"}}
        nobody = Credentials(user="nobody", password="none", dbname="postgres")
        asked = settings(nobody, answers.member(postgres_server))
        async with exporter(asked, "127.0.0.1", 0) as port:
            page = await wait_scrape(
                f"http://127.0.0.1:{port}",
                lambda page: (
                    (page.value("bascule_exporter_probe_failures_total", what="rest") or 0) >= 2
                ),
                what="answers that are refused",
            )
    assert page.value("bascule_primaries") == 0
    assert page.value("bascule_member_up") == 0
    assert "belongs to cluster another, not to patients" in caplog.text


@contextmanager
def silent_port() -> Iterator[int]:
    """Takes connections (the kernel does), and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        port: int = server.getsockname()[1]
        yield port


async def test_silent_members_delay_nobody_and_their_series_say_so(
    postgres_server: LocalPostgres,
) -> None:
    with silent_port() as port_of_silence:
        silent = [
            Member(
                name=f"db-silent-{n}",
                rest_url=f"http://127.0.0.1:{port_of_silence}",
                host="127.0.0.1",
                port=port_of_silence,
                site="nowhere",
            )
            for n in range(5)
        ]
        async with rest_api(primary=True) as answers:
            with role_on(postgres_server, "exporter_patient", granted=True) as credentials:
                asked = settings(credentials, *silent, answers.member(postgres_server))
                async with exporter(asked, "127.0.0.1", 0) as port:
                    url = f"http://127.0.0.1:{port}"
                    await wait_scrape(
                        url,
                        lambda page: (
                            page.value("bascule_member_up", member="db-a") == 1
                            and page.value("bascule_member_sql_up", member="db-a") == 1
                        ),
                        what="the member that answers",
                    )
                    asked_before = answers.asked
                    page = await wait_scrape(
                        url,
                        lambda page: (
                            min(
                                page.values("bascule_exporter_probe_failures_total", site="nowhere")
                            )
                            >= 2
                        ),
                        what="two failures of every question to a silent member",
                    )
    # Two missed deadlines of SQL take 4 s: with one rhythm for all, the other member would have
    # been asked three times by then.
    assert answers.asked - asked_before > 5
    assert page.values("bascule_member_up", site="nowhere") == [0] * 5
    assert page.values("bascule_member_sql_up", site="nowhere") == [0] * 5
    assert page.values("bascule_member_role", site="nowhere", role="unknown") == [1] * 5
    assert page.values("bascule_member_in_recovery", site="nowhere") == []
    assert page.values("bascule_replica_lag_bytes", site="nowhere") == []


async def test_the_pages(postgres_server: LocalPostgres) -> None:
    async with rest_api(primary=True) as answers:
        with role_on(postgres_server, "exporter_pages", granted=True) as credentials:
            asked = settings(credentials, answers.member(postgres_server))
            async with exporter(asked, "127.0.0.1", 0) as port:
                url = f"http://127.0.0.1:{port}"
                page = await wait_scrape(url, writes_heartbeats, what="heartbeats")
                status, kind, body = await get(f"{url}/healthz")
                assert (status, kind) == (200, "application/json")
                assert json.loads(body)["alive"] is True
                assert 0 <= json.loads(body)["age_s"] < 15
                status, kind, body = await get(f"{url}/")
                assert (status, kind) == (200, "text/html; charset=utf-8")
                assert 'href="/metrics"' in body
                assert (await get(f"{url}/nothing"))[0] == 404
                status, kind, body = await get(
                    f"{url}/metrics?x=1", accept="application/openmetrics-text; version=1.0.0"
                )
                assert (status, body.endswith("# EOF\n")) == (200, True)
                assert kind.startswith("application/openmetrics-text")
    checked = await anyio.run_process(
        ["promtool", "check", "metrics"], input=page.text.encode(), check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def raw(port: int, request: bytes) -> bytes:
    """What comes back on a connection until it is closed."""
    stream = await anyio.connect_tcp("127.0.0.1", port)
    async with stream:
        await stream.send(request)
        answer = b""
        while True:
            try:
                answer += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return answer


async def test_requests_that_are_none() -> None:
    """A client that breaks off, one that talks nonsense, one that asks for too much."""
    server = MetricsServer(CollectorRegistry(), lambda: Health(alive=False, age_s=99.0))
    async with server.listening("127.0.0.1", 0) as port:
        stream = await anyio.connect_tcp("127.0.0.1", port)
        await stream.aclose()
        assert (await raw(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert (await raw(port, b"\r\n\r\n")).startswith(b"HTTP/1.1 405")
        assert await raw(port, b"GET / HTTP/1.1\r\nX: " + b"x" * 20_000) == b""
        head = await raw(port, b"HEAD / HTTP/1.1\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")
        status, _, body = await get(f"http://127.0.0.1:{port}/healthz")
        assert status == 503
        assert json.loads(body) == {"alive": False, "age_s": 99.0}


async def test_a_member_that_joins_later_is_shown(postgres_server: LocalPostgres) -> None:
    """Members that were found by asking; Patroni names another one later."""
    async with rest_api(primary=True) as first, rest_api(primary=False) as second:
        for answers, role in ((first, "primary"), (second, "replica")):
            answers.more = {"role": role, "patroni": {"scope": "patients"}}
        known = first.member(postgres_server)
        late = replace(second.member(postgres_server), name="db-late")
        first.cluster = [known]
        with role_on(postgres_server, "exporter_late", granted=True) as credentials:
            asked = replace(settings(credentials, known), listed=())
            async with exporter(asked, "127.0.0.1", 0) as port:
                url = f"http://127.0.0.1:{port}"
                await wait_scrape(url, writes_heartbeats, what="heartbeats")
                first.cluster = [known, late]
                page = await wait_scrape(
                    url,
                    lambda page: (
                        page.value("bascule_member_role", member="db-late", role="replica") == 1
                    ),
                    what="the member that joined",
                )
    assert page.value("bascule_member_role", member=known.name, role="primary") == 1
