"""The scripts that prepare Docker on a bare machine: what fails leaves nothing half done."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from replication.witness.config import load_witness_config
from replication.witness.gate import options_of

ROOT = Path(__file__).parents[2]
DEADLINE_S = 20.0
DOCKERD = """
while [ "$1" != --pidfile ]; do shift; done
echo $$ >"$2"
trap 'rm "$2"; touch ending; sleep 0.5; exit' TERM  # like the real one: its file goes first
echo $$ >up
while :; do sleep 0.1; done
"""
ENGINE = 'case "$1" in version) test -e up ;; compose) test -e plugin ;; esac'
PIP = """
case "$*" in
    -m\\ venv*) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
    *' wheel '*)
        case "$*" in *run.txt*) test ! -e broken || exit 1 ;; esac
        while [ "$1" != -w ]; do shift; done
        mkdir -p "$2"; touch "$2/$(date +%s%N).whl" ;;
esac
"""


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A checkout with the scripts; programs of a test's own go into ``bin``."""
    for name in ("scripts", "locks"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("bin", "docker", "tmp"):
        (tmp_path / name).mkdir()
    yield tmp_path
    if (up := tmp_path / "up").exists():
        with suppress(ProcessLookupError):
            os.killpg(int(up.read_text()), signal.SIGKILL)


def program(tree: Path, name: str, script: str) -> None:
    """In POSIX sh; each call is written down."""
    path = tree / "bin" / name
    path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tree}/calls"\n{script}\n')
    path.chmod(0o755)


def run(tree: Path, script: str, *arguments: str) -> int:
    """A script's exit code."""
    path = f"{tree}/bin:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", f"scripts/{script}", *arguments],
        cwd=tree,
        env={**os.environ, "PATH": path, "PYTHON": "python3", "TMPDIR": str(tree / "tmp")},
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=DEADLINE_S,
    ).returncode


def calls(tree: Path, program: str) -> list[str]:
    """The calls of a program so far."""
    return [line for line in (tree / "calls").read_text().splitlines() if line.startswith(program)]


def test_what_a_failed_mmdebstrap_left_is_no_image(tree: Path) -> None:
    program(tree, "docker", 'test "$1" = version || test "$1" = import')
    program(tree, "mmdebstrap", 'for last; do :; done; echo half >"$last"; exit 1')
    assert run(tree, "docker-base-images.sh") != 0
    assert calls(tree, "mmdebstrap")
    assert not calls(tree, "docker import")
    assert list((tree / "tmp").iterdir()) == []


def test_wheels_are_made_anew_when_the_locks_are_others(tree: Path) -> None:
    program(tree, "python3", PIP)
    wheels = tree / "docker" / "wheels"
    wheels.mkdir()
    (wheels / "stale.whl").touch()
    assert run(tree, "docker-wheels.sh") == 0
    made = sorted(wheels.glob("*.whl"))
    assert len(made) == 2
    assert wheels / "stale.whl" not in made
    assert run(tree, "docker-wheels.sh") == 0
    assert sorted(wheels.glob("*.whl")) == made
    with (tree / "locks" / "run.txt").open("a") as lock:
        lock.write("# another\n")
    assert run(tree, "docker-wheels.sh") == 0
    assert not set(wheels.glob("*.whl")) & set(made)


def test_wheels_that_cannot_all_be_made_are_none(tree: Path) -> None:
    program(tree, "python3", PIP)
    (tree / "broken").touch()
    assert run(tree, "docker-wheels.sh") != 0
    assert list((tree / "docker").iterdir()) == []


def test_an_engine_is_stopped_when_it_has_ended(tree: Path) -> None:
    program(tree, "docker", ENGINE)
    program(tree, "dockerd", DOCKERD)
    (tree / "plugin").touch()
    assert run(tree, "docker-engine.sh", "engine") == 0
    engine = psutil.Process(int((tree / "up").read_text()))
    assert engine.is_running()
    assert run(tree, "docker-engine.sh", "--stop", "engine") == 0
    assert is_over(engine)
    assert run(tree, "docker-engine.sh", "--stop", "engine") == 0


def test_an_engine_without_a_plugin_for_its_client_does_not_stay(tree: Path) -> None:
    program(tree, "docker", ENGINE)
    program(tree, "dockerd", DOCKERD)
    program(tree, "python3", "exit 1")
    assert run(tree, "docker-engine.sh", "engine") != 0
    assert (tree / "ending").exists()
    assert not psutil.pid_exists(int((tree / "up").read_text()))


def is_over(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_gate_is_in_patronis_configuration_where_it_is_asked_for(tmp_path: Path) -> None:
    """Of ``start-patroni.sh``: as PyYAML and Patroni's ``shlex`` read it."""
    (tmp_path / "python").write_text('#!/bin/sh\ncat "$2"\n')
    (tmp_path / "python").chmod(0o755)
    done = subprocess.run(
        ["sh", str(ROOT / "docker" / "start-patroni.sh"), "--secrets-from-stdin"],
        env={
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "PATRONICTL_CONFIG_FILE": str(ROOT / "docker" / "patroni.yml"),
            "PATRONI_NAME": "db-paris",
            "PATRONI_ETCD3_HOSTS": "dcs-paris:2379,dcs-orsay:2379",
            "BASCULE_GATE": "on",
            "TMPDIR": str(tmp_path),
        },
        input="one\ntwo\nthree\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    found = yaml.safe_load(done.stdout)
    plain = yaml.safe_load((ROOT / "docker" / "patroni.yml").read_text())
    command = shlex.split(found["postgresql"].pop("pre_promote"))
    program, words = command[:4], command[4:]
    assert found == plain
    assert program == ["python", "-I", "-S", "/opt/patroni/gate.py"]
    options = options_of(words)
    assert (options.name, options.scope) == ("db-paris", plain["scope"])
    assert options.etcd == ["http://dcs-paris:2379", "http://dcs-orsay:2379"]


@pytest.mark.parametrize("site", ["paris", "orsay", "saint-cloud"])
def test_each_witness_of_the_compose_file_has_its_table(site: str) -> None:
    """Its own site's etcd is the first, and the scope is Patroni's."""
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    service = compose["services"][f"witness-{site}"]
    words = service["command"]
    section = words[words.index("--section") + 1]
    found = load_witness_config(ROOT / "docker" / "witness.toml", section)
    assert (found.settings.site, section) == (site, site)
    assert found.settings.sites == {"paris", "orsay", "saint-cloud"}
    assert found.dcs.endpoints[0] == f"http://dcs-{site}:2379"
    assert found.dcs.scope == yaml.safe_load((ROOT / "docker" / "patroni.yml").read_text())["scope"]
    assert site in service["networks"]
