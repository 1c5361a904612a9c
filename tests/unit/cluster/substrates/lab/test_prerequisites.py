"""Where the lab looks for programs."""

from __future__ import annotations

from cluster.substrates.lab.prerequisites import with_system_programs


def test_folders_of_system_programs_come_last() -> None:
    """A user of Debian has none of them on the PATH, and ``nft`` is nowhere else."""
    users = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/home/somebody"}
    assert with_system_programs(users) == {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/home/somebody",
    }


def test_a_path_that_has_them_stays_as_it_is() -> None:
    roots = {"PATH": "/sbin:/usr/sbin:/bin"}
    assert with_system_programs(roots) == roots
