"""Patroni as a process of a host: ``python -m cluster.patroni.daemon CONFIG``.

It is Patroni's own ``main``; only its start is made quicker:

- Patroni asks etcd as soon as it runs, and when etcd is not there yet it sleeps five seconds before
  it asks again. Here it is first loaded, all of it, then started once an etcd answers.
- Its list of PostgreSQL's parameters is read with PyYAML's loader in C; that in Python takes 0.3 s.
- It starts PostgreSQL from a fresh interpreter (multiprocessing's "spawn"), which loads this module
  again, and for one function of ``patroni.postgresql.postmaster`` all of ``patroni.postgresql``,
  0.2 s. There, the package itself is loaded only if something of it is asked for.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
import types
from pkgutil import resolve_name

LOADED_EARLY = ("patroni.__main__", "patroni.api", "patroni.dcs.etcd3", "patroni.ha")
"""What Patroni would import only after its first word with etcd: 0.3 s."""
ETCD_PATIENCE_S = 30.0
"""After that Patroni starts anyway, and reports the problem itself."""
POLL_S = 0.1
CLOCK_VARIABLE = "BASCULE_CLOCK_FILE"
"""Of the environment, on a host whose clock can be put wrong: where it stands (``wall_clock``)."""


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


def use_loader_in_c() -> None:
    """Have PyYAML read with libyaml, where it was built with it."""
    import yaml  # noqa: PLC0415 (see the docstring)

    if hasattr(yaml, "CSafeLoader"):
        yaml.SafeLoader = yaml.CSafeLoader  # type: ignore[misc,assignment]


class _LazyPackage(types.ModuleType):
    """A package whose own code runs when something of it is first asked for: its modules can be
    imported without it."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(name)
        self.__class__ = types.ModuleType  # type: ignore[assignment]
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def load_postmaster_alone() -> None:
    """Let ``patroni.postgresql.postmaster`` be imported without all that its package imports."""
    spec = importlib.util.find_spec("patroni.postgresql")
    assert spec is not None
    package = importlib.util.module_from_spec(spec)
    package.__class__ = _LazyPackage
    parent, _, name = spec.name.rpartition(".")
    sys.modules[spec.name] = package
    setattr(sys.modules[parent], name, package)


def main() -> None:
    """Load Patroni, wait for etcd, be Patroni."""
    if CLOCK_VARIABLE in os.environ:
        # By its name: in containers this file stands alone.
        resolve_name("cluster.patroni.wall_clock:follow_clock")()
    use_loader_in_c()
    import yaml  # noqa: PLC0415 (see the docstring)

    for name in LOADED_EARLY:
        importlib.import_module(name)
    with open(sys.argv[1], encoding="utf-8") as file:
        wait_etcd(etcd_hosts(yaml.safe_load(file)))
    sys.modules["patroni.__main__"].main()


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__":  # as multiprocessing names this module in the fresh interpreter
    load_postmaster_alone()
