"""Runs Chaos Toolkit's command as a user does, and reads the journal that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHAOS = Path(sys.executable).with_name("chaos")
EXAMPLES = Path(__file__).parents[3] / "examples" / "chaostoolkit"
TIMEOUT_S = 600.0
"""For an experiment with two failovers, on a machine that does much else."""
JOURNAL = "journal.json"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How an experiment ended."""

    code: int
    said: str
    journal: Mapping[str, Any]

    def output(self, activity: str) -> object:
        """What an activity of the method, or of the rollbacks, returned."""
        runs = [*self.journal["run"], *self.journal["rollbacks"]]
        return next(run["output"] for run in runs if run["activity"]["name"] == activity)

    @property
    def extension(self) -> Mapping[str, Any]:
        """What our control wrote down."""
        found = self.journal["experiment"]["extensions"]
        return next(one for one in found if one["name"] == "bascule")


def temporary(folder: Path) -> Path:
    """Where what runs in ``folder`` has its temporary files: nobody else's are there."""
    path = folder / "temporary"
    path.mkdir(exist_ok=True)
    return path


def environment(folder: Path) -> dict[str, str]:
    """Ours, with a folder for temporary files of its own."""
    return {**os.environ, "TMPDIR": str(temporary(folder))}


def left_behind(folder: Path) -> list[str]:
    """The temporary files that are still there."""
    return sorted(path.name for path in temporary(folder).iterdir())


def command(folder: Path, *arguments: str) -> list[str]:
    """``chaos`` with nothing of this user's: no settings, no look for a newer version."""
    settings = folder / "settings.yaml"
    return [str(CHAOS), "--no-version-check", f"--settings={settings}", *arguments]


def chaos(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``chaos`` in ``folder`` to its end."""
    return subprocess.run(
        command(folder, *arguments),
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def run(folder: Path, experiment: Path | Mapping[str, Any], *options: str) -> Ended:
    """Run an experiment to its end."""
    done = chaos(folder, "run", *options, str(_file_of(folder, experiment)))
    return Ended(code=done.returncode, said=done.stdout, journal=journal_in(folder))


def journal_in(folder: Path) -> dict[str, Any]:
    """The journal; empty where the experiment was refused."""
    path = folder / JOURNAL
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


@contextmanager
def running(
    folder: Path, experiment: Path | Mapping[str, Any], *options: str
) -> Iterator[subprocess.Popen[str]]:
    """An experiment while it runs, its words on ``stdout``; killed on the way out."""
    process = subprocess.Popen(
        command(folder, "run", *options, str(_file_of(folder, experiment))),
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_said(process: subprocess.Popen[str], words: str) -> str:
    """Read what it says until ``words`` are in a line; AssertionError when it ends before."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if words in line:
            return "".join(said)
    raise AssertionError(f"it ended without {words!r}:\n{''.join(said)}")


def activity(
    kind: str, module: str, func: str, arguments: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """An activity of ours, as an experiment has it."""
    provider = {"type": "python", "module": f"chaos.toolkit.{module}", "func": func}
    return {
        "type": kind,
        "name": func,
        "provider": {**provider, "arguments": dict(arguments or {})},
    }


def demanding(
    probe: Mapping[str, Any], tolerance: object, *, method: list[Mapping[str, Any]]
) -> dict[str, Any]:
    """An experiment whose steady state is one probe, looked at after the method only."""
    return {
        "title": "of a test",
        "description": "of a test",
        "runtime": {"hypothesis": {"strategy": "after-method-only"}},
        "steady-state-hypothesis": {
            "title": "one probe",
            "probes": [{**probe, "tolerance": tolerance}],
        },
        "method": method,
        "rollbacks": [],
    }


def _file_of(folder: Path, experiment: Path | Mapping[str, Any]) -> Path:
    if isinstance(experiment, Path):
        return experiment
    path = folder / "experiment.json"
    path.write_text(json.dumps(experiment), encoding="utf-8")
    return path
