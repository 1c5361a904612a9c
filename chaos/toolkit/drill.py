"""A whole ``bascule drill`` in a separate process, and what a journal keeps of a verdict."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaos.drill.launch import default_folder
from chaos.errors import ChaosError
from chaos.evidence.folder import read_run
from chaos.gameday.errors import OptionError
from chaos.judge.exit_codes import FINDINGS, INCONCLUSIVE, PASSED
from chaos.judge.judging import build_verdict
from chaos.report import REPORT
from chaos.report.sentence import verdict_sentence
from chaos.toolkit.activity import logger

JUDGED = (PASSED, FINDINGS, INCONCLUSIVE)
"""Exit codes of a drill that ran to its end: passed, findings, inconclusive."""
STOPPED_WITH_US = ("setpriv", "--pdeathsig", "TERM", "--")
"""However ``chaos run`` ends, ``kill -9`` included, its drill is asked to stop (setpriv(1), of
util-linux, which the lab needs anyway)."""
STOP_TIMEOUT_S = 30.0
"""A drill that is asked to stop heals, judges what there is, and ends: usually within seconds."""
WORDS_LINES = 8
MAIN = (
    *("verdict", "scenario", "workload", "seed", "topology", "started_at", "command"),
    *("acknowledged", "lost", "duplicated", "split_brain"),
    *("rto_s", "unservable_outage_s", "rto_phases_s", "rto_predicted_s"),
    *("availability", "rpo", "versions"),
)
"""Of ``verdict.json``, as they stand there."""


FLAGS = frozenset({"witness"})
"""Options of the command that are on or off."""


def run_drill(scenario: str, options: Mapping[str, object], out: str | None) -> Path:
    """Run a drill to its end; its progress goes to the log.

    Interrupted, it asks the drill to stop, and waits for that.

    Args:
        scenario: a built-in one or a TOML file.
        options: of the command, by their names without the dashes; None is one not given.
        out: the run folder, new or empty; None: ``runs/<time>-<scenario>``.

    Returns:
        The run folder.

    Raises:
        OptionError: an option is neither a text nor a number, or the scenario is an option.
        ChaosError: the drill could not be run, or was stopped: what it said.
    """
    folder = Path(out) if out is not None else default_folder(Path(scenario).stem)
    if scenario.startswith("-"):
        raise OptionError(f"scenario={scenario!r}: expected a name or a file")
    command = [*STOPPED_WITH_US, sys.executable, "-m", "chaos", "drill", scenario]
    command.append(f"--out={folder}")
    for name, value in options.items():
        if name in FLAGS and isinstance(value, bool):
            command.append(f"--{name}" if value else f"--no-{name}")
        elif value is not None:
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise OptionError(f"{name}={value!r}: expected a text or a number")
            command.append(f"--{name}={value}")
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # only this process gets the Ctrl-C; it is passed on once
    )
    assert process.stderr is not None
    said: deque[str] = deque(maxlen=WORDS_LINES)
    try:
        with process.stderr:
            for line in process.stderr:
                said.append(line.rstrip())
                logger.info(said[-1])
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    if code not in JUDGED:
        words = "\n".join(said)
        raise ChaosError(f"the drill {scenario} ended with {code}:\n{words}")
    return folder.resolve()


def _stop(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def verdict_of(folder: Path) -> dict[str, Any]:
    """The main fields of a run's verdict, judged again from its evidence; nothing is written.

    Returns:
        Those of ``MAIN``, and ``sentence``, ``findings`` (kind, verdict, summary), ``run`` and
        ``report`` (paths).

    Raises:
        RunFolderError: it is no run folder, or its ``run.json`` cannot be understood.
    """
    run = read_run(folder)
    verdict = build_verdict(run)
    whole = verdict.to_json()
    return {
        **{name: whole[name] for name in MAIN},
        "sentence": verdict_sentence(run, verdict),
        "findings": [
            {"kind": one.kind.word, "verdict": one.verdict.word, "summary": one.summary}
            for one in verdict.findings
        ],
        "run": str(folder),
        "report": str(folder / REPORT),
    }
