"""``bascule witness``: replaces a dead primary before its ttl (docs/operate/witness.md)."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import click

from chaos.cli.exporter import host_port
from chaos.errors import ChaosError
from chaos.judge.exit_codes import INTERRUPTED
from replication.access.problems import ConfigError
from replication.witness.config import SECTION, WitnessConfig, load_witness_config
from replication.witness.service import witness as witness_service


@click.command()
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    required=True,
    help="Its site, the sites that have a witness, and the etcd, in TOML.",
)
@click.option(
    "--section",
    default=SECTION,
    show_default=True,
    metavar="NAME",
    help="The table of --config that has them.",
)
@click.option(
    "--dry-run",
    "is_dry",
    is_flag=True,
    help="Only say what it would have done: vote among witnesses that do the same, end no lease.",
)
@click.option(
    "--check",
    "only_check",
    is_flag=True,
    help="Read --config, say what is wrong with it, and end.",
)
@click.option(
    "--listen",
    default="127.0.0.1:9188",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Prometheus finds its metrics. There is no authentication.",
)
def witness(*, config: Path, section: str, is_dry: bool, only_check: bool, listen: str) -> None:
    """Replace a dead primary before its ttl, with the witnesses of the other sites.

    One runs in each site, beside a Patroni cluster with etcd and synchronous_mode quorum, strict.
    When a majority of the sites agree that the primary is dead, they end its lease in etcd, and
    Patroni elects at once. It keeps running whatever happens to the cluster; SIGTERM ends it.
    """
    try:
        found = load_witness_config(config, section)
        found.check_tls()
    except ConfigError as error:
        raise ChaosError(str(error)) from error
    host, port = host_port(listen)
    if only_check:
        print(f"{config}: a witness of {found.settings.site}, for {found.dcs.scope}")
        return
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    if anyio.run(_serve, found, host, port, is_dry) is signal.SIGINT:
        sys.exit(INTERRUPTED)


async def _serve(config: WitnessConfig, host: str, port: int, is_dry: bool) -> signal.Signals:
    """Serve until a signal comes; returns it."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with AsyncExitStack() as stack:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                bound = await stack.enter_async_context(
                    witness_service(config, host, port, is_dry=is_dry)
                )
            except OSError as error:  # anyio says of a port that is taken only that one is
                raise OSError(error.errno, os.strerror(error.errno or 0), where) from error
            where = where.removesuffix(str(port)) + str(bound)
            print(f"bascule witness: http://{where}/metrics", flush=True)
            async for received in signals:
                return received
    raise AssertionError("the receiver of signals ends with a signal")
