"""``bascule exporter``: the metrics of a cluster, for Prometheus (docs/metrics.md)."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

import anyio
import click

from chaos.exit_codes import INTERRUPTED
from replication.credentials import Credentials
from replication.exporter.service import exporter as exporter_service
from replication.exporter.settings import PORT_MAX, ExporterSettings, parse_member
from replication.lag import heartbeat_row
from replication.members import Member

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.1, 60.0


@click.command()
@click.option("--cluster", metavar="NAME", help="The cluster's name, which Patroni calls scope.")
@click.option(
    "--member",
    "member_texts",
    multiple=True,
    metavar="NAME=REST_URL,HOST:PORT[,SITE]",
    help="A member of the cluster; give all of them.",
)
@click.option("--user", metavar="ROLE", help="Who to connect as; see --setup-sql.")
@click.option("--dbname", default="postgres", show_default=True, metavar="NAME")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="[default: PGPASSWORD, else the role's line in ~/.pgpass]",
)
@click.option(
    "--dcs",
    "dcs_endpoints",
    multiple=True,
    metavar="URL",
    help="The client URL of an etcd member; give all of them.",
)
@click.option(
    "--listen",
    default="127.0.0.1:9187",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Prometheus finds the metrics. There is no authentication.",
)
@click.option(
    "--interval",
    "interval_s",
    type=click.FloatRange(INTERVAL_S_MIN, INTERVAL_S_MAX),
    default=1.0,
    show_default=True,
    metavar="S",
    help="Between two questions to a member, and between two heartbeats.",
)
@click.option(
    "--setup-sql",
    is_flag=True,
    help="Print the SQL that makes the heartbeat's table and grants --user what it needs, and end.",
)
def exporter(  # noqa: PLR0913 (one argument an option)
    *,
    cluster: str | None,
    member_texts: tuple[str, ...],
    user: str | None,
    dbname: str,
    password_file: Path | None,
    dcs_endpoints: tuple[str, ...],
    listen: str,
    interval_s: float,
    setup_sql: bool,
) -> None:
    """Watch a Patroni cluster and show it to Prometheus.

    One process for the whole cluster: lag in bytes and seconds, roles, timelines, slots,
    synchronous standbys, the DCS. It goes on whatever happens to the members; SIGTERM ends it.

    \b
    bascule exporter --setup-sql --user bascule_exporter | psql ...   (once, on the primary)
    """
    if user is None:
        raise click.UsageError("--user is missing.")
    if setup_sql:
        print(setup_statements(user))
        return
    if cluster is None:
        raise click.UsageError("--cluster is missing.")
    if not member_texts:
        raise click.UsageError("--member is missing: give every member of the cluster.")
    settings = ExporterSettings(
        cluster=cluster,
        members=tuple(map(_member, member_texts)),
        credentials=Credentials(
            user=user,
            password=_password(password_file),
            dbname=dbname,
            application_name="bascule-exporter",
        ),
        interval_s=interval_s,
        dcs_endpoints=tuple(map(_endpoint, dcs_endpoints)),
    )
    names = [member.name for member in settings.members]
    if len(set(names)) != len(names):
        raise click.BadParameter("two members have one name", param_hint="--member")
    host, port = _host_port(listen)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    try:
        ended_by = anyio.run(_serve, settings, host, port)
    except OSError as error:  # anyio says of a port that is taken only that one is
        raise OSError(error.errno, os.strerror(error.errno or 0), listen) from error
    if ended_by is signal.SIGINT:
        sys.exit(INTERRUPTED)


async def _serve(settings: ExporterSettings, host: str, port: int) -> signal.Signals:
    """Serve until a signal comes; returns it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with exporter_service(settings, host, port) as bound:
            where = f"[{host}]:{bound}" if ":" in host else f"{host}:{bound}"
            print(f"bascule exporter: http://{where}/metrics", flush=True)
            async for received in signals:
                return received
    raise AssertionError("the receiver of signals ends with a signal")


def setup_statements(role: str) -> str:
    """What whoever owns the database runs once: the table, and the rights of ``role``."""
    grants = [grant.as_string() for grant in heartbeat_row.grants(role)]
    return "\n".join(f"{sql.strip()};" for sql in (*heartbeat_row.SCHEMA_STATEMENTS, *grants))


def _member(text: str) -> Member:
    try:
        return parse_member(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--member") from error


def _endpoint(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise click.BadParameter(f"{text!r} is no http:// or https:// URL", param_hint="--dcs")
    return text.rstrip("/")


def _password(path: Path | None) -> str:
    """An empty one lets libpq look into ~/.pgpass."""
    if path is None:
        return os.environ.get("PGPASSWORD", "")
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _host_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)
