"""What the benchmarks share: medians with ranges, drills run and read, the machine named."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED, USAGE

DRILL_TIMEOUT_S = 300.0
RESULTS = Path(__file__).parent / "results"
"""What drills have said so far, a file a benchmark, a line a drill or an answer."""
COULD_NOT = (USAGE, COULD_NOT_RUN, INTERRUPTED)
"""Exit codes of a drill that did not come to its end, whatever it could say of its evidence."""


def machine() -> str:
    """What the numbers were taken on."""
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{os.cpu_count()} cores, {memory_gib:.0f} GiB, Linux {platform.release()},"
        f" Python {platform.python_version()}"
    )


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """``4.02 s (3.81 to 4.60)``: the median and the range."""
    if not values:
        return "did not happen"
    median = statistics.median(values)
    low, high = min(values), max(values)
    return f"{median:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f})"


def drill(
    *arguments: str, out: Path | None = None, timeout_s: float = DRILL_TIMEOUT_S
) -> dict[str, Any]:
    """Run ``bascule drill`` to its verdict; what ``verdict.json`` says.

    Args:
        arguments: of ``bascule drill``.
        out: the run folder; a temporary one if None.
        timeout_s: after which it is killed.

    Raises:
        RuntimeError: it did not run, or not to its end in time.
    """
    with tempfile.TemporaryDirectory(prefix="bascule-bench-") as folder:
        command = [sys.executable, "-m", "chaos", "drill", *arguments]
        command += ["--json", "--quiet", "--out", str(out or Path(folder) / "run")]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired as error:
            words = f"{' '.join(command)}: killed after {timeout_s:g} s"
            raise RuntimeError(words) from error
        verdict = dict(json.loads(done.stdout)) if done.stdout.startswith("{") else {}
        if not verdict or done.returncode in COULD_NOT:
            found = [one["summary"] for one in verdict.get("findings", ())]
            raise RuntimeError(f"{' '.join(command)}: {done.stderr or ' '.join(found)}")
        return verdict


def digest_of(*texts: str) -> str:
    """What was drilled, in a few letters: a result of another text is none of this one."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:12]


def tell(words: str) -> None:
    """Progress, on standard error."""
    print(words, file=sys.stderr, flush=True)
