"""What ``bascule lint`` says of the default topology, confirmed by a drill.

The drill is made by ``benchmarks/promises.py``.

One sentence of each sort: a loss that every site survives, one that all other sites survive, and
one that nobody does.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "promises.py"
CLAIMS = {
    "host db-saint-cloud": "survives the loss of host db-saint-cloud",
    "site paris (cut off)": "survives the loss of site paris (cut off)",
    "dcs-paris and dcs-orsay": "does not survive the loss of hosts dcs-paris and dcs-orsay: 2 of 3 "
    "etcd members are out of reach: no majority is left, nobody leads",
}


def test_three_sentences_of_the_linter_are_confirmed(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "three-sites", "--json", "--rest", "25"]
    command += ["--keep", str(tmp_path), "--only", *CLAIMS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    answers = json.loads(done.stdout)["claims"]
    assert {one["claim"]: one["answer"] for one in answers} == dict.fromkeys(
        CLAIMS.values(), "confirmed"
    ), answers
    [cut] = [one for one in answers if "cut off" in one["claim"]]
    assert cut["why"].endswith("in the lead orsay, saint-cloud could write")
    verdict = json.loads((tmp_path / "drill-0" / "run" / "verdict.json").read_text())
    assert verdict["lost"] == 0
    assert verdict["split_brain"] is False
    assert verdict["sites"]["paris"]["could_be_served"] is False
