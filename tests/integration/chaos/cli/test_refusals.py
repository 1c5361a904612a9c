"""What ``bascule drill`` refuses before anything is raised; what it says of a disk that is full."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from support.commands.commands import BASCULE, bascule, running
from support.evidence.stories import STEADY
from support.evidence.synthetic_run import write_run

from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED
from cluster.topology.load import find_topology, to_toml


def test_a_load_that_would_die_with_the_primary_is_refused(tmp_path: Path) -> None:
    text = to_toml(find_topology("three-sites")).replace('["postgres"]', '["postgres", "client"]')
    topology = tmp_path / "shared.toml"
    topology.write_text(text)
    out = tmp_path / "run"
    done = bascule("drill", "host-loss", "--topology", str(topology), "--out", str(out))
    assert done.returncode == 2, done.stderr
    assert "fault[0]: host-power-cut would end the load together with PostgreSQL" in done.stderr
    assert "give the client a host of its own" in done.stderr
    assert not out.exists()


def test_a_workload_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = bascule("drill", "--workload", "ledgers", "--out", str(out))
    assert done.returncode == 2
    assert "'ledger', 'transfers', 'bulk'" in done.stderr
    assert not out.exists()


def test_a_run_folder_that_no_host_would_see_is_refused() -> None:
    out = Path("/dev/shm/bascule-run-that-no-host-sees")
    done = bascule("drill", "--out", str(out))
    assert done.returncode == 2, done.stderr
    assert f"--out: {out} is in /dev/shm, which every host of the lab has for itself" in done.stderr
    assert not out.exists()


@pytest.mark.slow
def test_a_disk_that_is_full_ends_the_drill_with_a_remedy_and_nothing_stays(tmp_path: Path) -> None:
    """A run folder of 400 kB is full within seconds of load."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=400k none "$1" && shift && "$@"; code=$?; ls -a "$0"; exit $code'
    )
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script),
            *(str(disk / "run"), str(disk), *BASCULE, "drill", "--out", str(disk / "run")),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == COULD_NOT_RUN, done.stderr
    assert done.stderr.count("No space left on device") <= 3, done.stderr
    assert f"bascule: {disk / 'run'}/" in done.stderr
    assert "remedy: free some space there, or choose another place (--out)" in done.stderr
    assert "Traceback" not in done.stderr
    assert ".part" not in done.stdout


def test_a_check_that_is_interrupted_does_not_say_findings(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", STEADY)
    history = run / "history-paris.jsonl"
    history.unlink()
    os.mkfifo(history)
    with running("check", str(run)) as check, history.open("wb"):  # opens when the command reads
        check.send_signal(signal.SIGINT)
        assert check.wait(timeout=30) == INTERRUPTED
        assert check.stderr is not None
        assert check.stderr.read().strip() == "bascule: interrupted"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--through", "haproxy", "--client", "storage"), "straight to the members"),
        (("--through", "haproxy"), "no host has the role haproxy; three-sites-proxies has some"),
        (
            ("--through", "pgbouncer", "--workload", "bulk", "--topology", "three-sites-proxies"),
            "the workload bulk needs the storage layer",
        ),
    ],
)
def test_a_proxy_that_nobody_can_go_through_is_refused(
    tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    out = tmp_path / "run"
    done = bascule("drill", "host-loss", *options, "--out", str(out))
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert not out.exists()
