"""What ``bascule lint`` says of shipped topologies, confirmed by drills.

The drills are made by ``benchmarks/promises.py``, which goes through every sentence of every
topology where there is time for it. Here: a loss that every site survives, one that all other sites
survive, one that nobody does, and one that only a topology without a witness does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "promises.py"
NO_MAJORITY = "2 of 3 etcd members are out of reach: no majority is left, nobody leads"
CLAIMS = {
    "three-sites": {
        "host db-saint-cloud": "survives the loss of host db-saint-cloud",
        "site paris (cut off)": "survives the loss of site paris (cut off)",
    },
    "two-sites-no-witness": {
        "site paris (power)": f"does not survive the loss of site paris (power): {NO_MAJORITY}",
    },
}
"""By topology: parts of sentences by which they are chosen, and the sentences."""


def tried(topology: str, folder: Path, *options: str) -> list[dict[str, Any]]:
    """What the program answers; its results are kept in the folder."""
    command = [sys.executable, str(PROGRAM), topology, "--json", *options]
    command += ["--results", str(folder / "results.jsonl"), "--only", *CLAIMS[topology]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["claims"]
    return found


@pytest.mark.parametrize("topology", CLAIMS)
def test_sentences_of_the_linter_are_confirmed(tmp_path: Path, topology: str) -> None:
    answers = tried(topology, tmp_path, "--keep", str(tmp_path), "--rate", "20", "--tries", "2")
    wanted = dict.fromkeys(CLAIMS[topology].values(), "confirmed")
    assert {one["claim"]: one["answer"] for one in answers} == wanted, answers
    assert tried(topology, tmp_path) == answers  # from the file: nothing is drilled again
    for one in answers:
        if "(cut off)" in one["claim"]:
            assert one["why"].endswith("in the lead orsay, saint-cloud could write")
    drilled = sorted(tmp_path.glob("drill-*"))
    assert 1 <= len(drilled) <= 2  # a claim stays open where another node led
    for folder in drilled:
        verdict = json.loads((folder / "run" / "verdict.json").read_text())
        assert (verdict["lost"], verdict["split_brain"]) == (0, False)
