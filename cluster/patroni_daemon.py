"""Patroni as a process of a host: ``python -m cluster.patroni_daemon CONFIG``.

It is Patroni's own ``main``; only its start is made quicker:

- Patroni asks etcd as soon as it runs, and when etcd is not there yet it sleeps five seconds before
  it asks again. Here it is first loaded, all of it, then started once an etcd answers.
- It starts PostgreSQL from a fresh interpreter that loads this module again (multiprocessing's
  "spawn"): so nothing heavy is imported at the top level.
- That interpreter, too, reads the list of PostgreSQL's parameters, with PyYAML's loader in Python,
  0.3 s at every load; the loader in C, set at the top level here, reads the same in a tenth.
"""

from __future__ import annotations

import importlib
import os
import sys
import time

import yaml

if hasattr(yaml, "CSafeLoader"):
    yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc,assignment]

LOADED_EARLY = ("patroni.__main__", "patroni.api", "patroni.dcs.etcd3", "patroni.ha")
"""What Patroni would import only after its first word with etcd: 0.3 s."""
ETCD_PATIENCE_S = 30.0
"""After that Patroni starts all the same, and says itself what is wrong."""
POLL_S = 0.05


def wait_etcd(hosts: list[str]) -> None:
    """Wait until an etcd of ``hosts`` (``address:port``) is healthy, or the patience is over."""
    end_s = time.monotonic() + ETCD_PATIENCE_S
    while time.monotonic() < end_s:
        if any(is_healthy(host) for host in hosts):
            return
        time.sleep(POLL_S)


def is_healthy(host: str) -> bool:
    """One etcd says that it is healthy (it has a leader)."""
    from http import client  # noqa: PLC0415 (see the docstring)

    connection = client.HTTPConnection(host, timeout=1.0)
    try:
        connection.request("GET", "/health")
        return b"true" in connection.getresponse().read()
    except (OSError, client.HTTPException):
        return False
    finally:
        connection.close()


def etcd_hosts(config: dict[str, dict[str, list[str]]]) -> list[str]:
    """Where etcd is, as Patroni itself would find it: the environment comes first."""
    if hosts := os.environ.get("PATRONI_ETCD3_HOSTS"):
        return hosts.split(",")
    return config["etcd3"]["hosts"]


def main() -> None:
    """Load Patroni, wait for etcd, be Patroni."""
    for name in LOADED_EARLY:
        importlib.import_module(name)
    with open(sys.argv[1], encoding="utf-8") as file:
        wait_etcd(etcd_hosts(yaml.safe_load(file)))
    sys.modules["patroni.__main__"].main()


if __name__ == "__main__":
    main()
