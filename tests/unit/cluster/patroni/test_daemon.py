"""The interpreter from which Patroni starts PostgreSQL loads little, and can load the rest."""

from __future__ import annotations

import subprocess
import sys

CHILD = """
import sys
from cluster.patroni.daemon import load_postmaster_alone
load_postmaster_alone()
import patroni.postgresql.postmaster
assert patroni.postgresql.postmaster.pg_ctl_start.__module__ == "patroni.postgresql.postmaster"
heavy = {"psycopg", "urllib3", "dns", "patroni.postgresql.config"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
from patroni.postgresql import Postgresql
assert Postgresql.__module__ == "patroni.postgresql"
assert "patroni.postgresql.config" in sys.modules
assert patroni.postgresql.postmaster.PostmasterProcess
"""


def test_the_postmaster_is_loaded_alone_and_the_package_on_demand() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
