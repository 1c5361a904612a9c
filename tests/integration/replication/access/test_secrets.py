"""Nothing that a log or a trace gets has a secret, a parameter or SQL in it."""

from __future__ import annotations

import json
import logging

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from support.postgres.local_postgres import PASSWORD, SUPERUSER, LocalPostgres
from support.postgres.synchronous import CREDENTIALS, create_tables, end_sleepers, rest_apis

from replication import (
    Credentials,
    DeadlineExceeded,
    NotAdmitted,
    NotApplied,
    SyncStorage,
    SyncTransaction,
)
from replication.observability import opentelemetry

PARAMETER = "patient-4711-marker"
WRONG_PASSWORD = "wrong-password-marker"
SQL = "INSERT INTO entry"


@pytest.fixture
def server(postgres_server: LocalPostgres) -> LocalPostgres:
    end_sleepers(postgres_server)
    create_tables(postgres_server)
    return postgres_server


def add(transaction: SyncTransaction) -> None:
    transaction.execute("INSERT INTO entry VALUES (%s, 1)", (PARAMETER,))


def add_slowly(transaction: SyncTransaction) -> None:
    transaction.execute("INSERT INTO entry SELECT %s, 1 FROM pg_sleep(60)", (PARAMETER,))


def forbidden_in(words: str) -> list[str]:
    """What of all that must not be there is there."""
    return [secret for secret in (PASSWORD, PARAMETER, WRONG_PASSWORD, SQL) if secret in words]


def test_logs_and_spans(server: LocalPostgres, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    spans = InMemorySpanExporter()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    with rest_apis(True) as (answers,):
        members = [answers.member(server)]
        watching = opentelemetry.observers(tracer_provider=tracers)
        with SyncStorage(members, CREDENTIALS, observers=watching) as storage:
            storage.run(add)
            with pytest.raises(NotApplied) as refused:
                storage.run(add)  # PostgreSQL names the key in its error
            assert PARAMETER in str(refused.value)
            with pytest.raises(DeadlineExceeded):
                storage.run(add_slowly, deadline_s=0.5)
            storage.read(lambda tx: tx.execute("SELECT 1 WHERE 'x' <> %s", (PARAMETER,)))
            server.query(
                "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
                " WHERE application_name = 'bascule'"
            )
            storage.run(lambda tx: tx.execute("SELECT 1"))
        wrong = Credentials(user=SUPERUSER, password=WRONG_PASSWORD, dbname="postgres")
        with SyncStorage(members, wrong) as storage, pytest.raises(NotAdmitted) as denied:
            storage.run(add)
    nowhere = Credentials(user=SUPERUSER, password=WRONG_PASSWORD, dbname="nowhere")
    with (
        rest_apis(True) as (answers,),
        SyncStorage([answers.member(server)], nowhere) as storage,
        pytest.raises(NotApplied),
    ):
        storage.run(add, deadline_s=1)
    lines = [record.getMessage() + str(record.exc_text or "") for record in caplog.records]
    assert any("attempt 1" in line for line in lines)  # DEBUG was heard
    assert [line for line in lines if forbidden_in(line)] == []
    assert forbidden_in(str(denied.value)) == []
    written = [span.to_json() for span in spans.get_finished_spans()]
    assert {"unit of work", "transaction", "read"} <= {json.loads(span)["name"] for span in written}
    assert [span for span in written if forbidden_in(span)] == []
