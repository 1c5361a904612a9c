"""A copy of the project with one more plug in it: one file or folder, and one line in a list."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[3]
COPIED = ("chaos", "cluster", "replication", "scripts")


@dataclass(frozen=True, slots=True, kw_only=True)
class HouseCopy:
    """The copy, and the Python that imports from it."""

    folder: Path
    executable: str = sys.executable

    def add_file(self, name: str, text: str) -> None:
        """A file of the plug, as ``chaos/faults/rain.py``; there is none of that name."""
        path = self.folder / name
        assert not path.exists()
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def add_line(self, name: str, after: str, line: str) -> None:
        """A line in a list, below a line that stands there once."""
        path = self.folder / name
        text = path.read_text(encoding="utf-8")
        assert text.count(f"\n{after}\n") == 1, after
        path.write_text(text.replace(f"\n{after}\n", f"\n{after}\n{line}\n"), encoding="utf-8")

    def python(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run Python with the copy in place of the project."""
        paths = (self.folder, self.folder / "scripts", ROOT / "tests")
        return subprocess.run(
            [self.executable, *arguments],
            cwd=self.folder,  # which Python looks into first
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


def copy_house(folder: Path) -> HouseCopy:
    """A copy of the packages in ``folder``, which may not exist yet."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return HouseCopy(folder=folder)


def with_interpreter(copy: HouseCopy, folder: Path) -> HouseCopy:
    """The copy with a Python in ``folder`` that imports from it by itself.

    The processes on a lab's hosts need it: a lab passes no ``PYTHONPATH`` on.
    """
    venv.create(folder, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    ours = sysconfig.get_path("purelib")
    path_file = folder / "lib" / version / "site-packages" / "house.pth"
    path_file.write_text(f"{copy.folder}\nimport site; site.addsitedir({ours!r})\n")
    return HouseCopy(folder=copy.folder, executable=str(folder / "bin" / "python"))
