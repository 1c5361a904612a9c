"""What docs/use/storage.md offers to try without a cluster runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "use" / "storage.md"


@pytest.mark.slow
def test_a_first_cluster(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    [code] = [block for block in blocks if "PatroniCluster()" in block]
    (tmp_path / "first.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "first.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = re.fullmatch(r"applied on (\S+), then on (\S+), which has 2 rows\n", done.stdout)
    assert said, done.stdout
    assert said[1] != said[2]
