"""``bascule exporter``: the metrics of a cluster, for Prometheus (docs/reference/metrics.md)."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NoReturn

import anyio
import click

from chaos.cli.exporter_settings import Words, settings_of
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from replication.config.file import SECTION
from replication.monitoring.exporter.service import exporter as exporter_service
from replication.monitoring.exporter.settings import PORT_MAX
from replication.monitoring.lag import heartbeat_row
from replication.patroni.discovery import DiscoveryError

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.1, 60.0


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The members and the role to connect as, in TOML (docs/reference/settings.md), instead of"
    " options.",
)
@click.option(
    "--section",
    default=SECTION,
    show_default=True,
    metavar="NAME",
    help="The table of --config that has them.",
)
@click.option(
    "--cluster",
    metavar="NAME",
    help="The cluster's name, which Patroni calls scope. [default: the scope in --config]",
)
@click.option(
    "--member",
    "member_texts",
    multiple=True,
    metavar="NAME=REST_URL,HOST:PORT[,SITE]",
    help="A member of the cluster; give all of them.",
)
@click.option("--user", metavar="ROLE", help="The role to connect as; see --setup-sql.")
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
    help="Print the SQL that creates the heartbeat's table and grants --user what it needs; end.",
)
def exporter(  # noqa: PLR0913 (one argument an option)
    *,
    config: Path | None,
    section: str,
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
    """Watch a Patroni cluster and export its state to Prometheus.

    One process serves the whole cluster: lag in bytes and seconds, roles, timelines, slots,
    synchronous standbys, the DCS. It keeps running whatever happens to the members; SIGTERM ends
    it.

    \b
    bascule exporter --setup-sql --user bascule_exporter | psql ...   (once, on the primary)
    """
    if setup_sql:
        if user is None:
            raise click.UsageError("--setup-sql needs --user.")
        print(heartbeat_row.setup_text(user))
        return
    words = Words(
        config=config,
        section=section,
        cluster=cluster,
        members=member_texts,
        user=user,
        dbname=dbname,
        password_file=password_file,
        dcs=dcs_endpoints,
        interval_s=interval_s,
    )
    host, port = host_port(listen)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    ended_by = anyio.run(_serve, words, host, port)
    if ended_by is signal.SIGINT:
        sys.exit(INTERRUPTED)


async def _serve(words: Words, host: str, port: int) -> signal.Signals:
    """Serve until a signal comes; returns it."""
    try:
        settings = await settings_of(words)
    except DiscoveryError as error:
        fail(error)
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with AsyncExitStack() as stack:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                bound = await stack.enter_async_context(exporter_service(settings, host, port))
            except OSError as error:  # anyio says of a port that is taken only that one is
                raise OSError(error.errno, os.strerror(error.errno or 0), where) from error
            where = where.removesuffix(str(port)) + str(bound)
            print(f"bascule exporter: http://{where}/metrics", flush=True)
            async for received in signals:
                return received
    raise AssertionError("the receiver of signals ends with a signal")


def fail(error: Exception) -> NoReturn:
    """Print why it could not run, and exit."""
    print(f"bascule: {error}", file=sys.stderr)
    sys.exit(COULD_NOT_RUN)


def host_port(text: str) -> tuple[str, int]:
    """The two parts of ``--listen``.

    Raises:
        BadParameter: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="--listen")
    return host.removeprefix("[").removesuffix("]"), int(port)
