"""Writes ``docs/whats-here.md``: one sentence a module, taken from its docstring.

``python scripts/whats_here.py`` writes it, ``--check`` says whether it is fresh.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "whats-here.md"
PACKAGES = ("replication", "cluster", "chaos")

HEAD = """# What's here

One sentence a module. `chaos` imports `cluster` and `replication`; those two never import each
other, so that the rig cannot inherit a bug of what it tests. Written by `scripts/whats_here.py`
from the modules' own docstrings; a test holds it fresh.
"""

BESIDE = """
## Beside the packages

"""
MODULES = ("pytest_bascule.py",)

TAIL = """\
- `tests/unit/` (no sockets), `tests/integration/` (real processes), `tests/drills/` (whole drills),
  `tests/support/` (what they share).
- `benchmarks/`: the measured claims, `make bench`; `examples/`: runnable, tested.
- `docker-compose.yml` and `docker/`: the sites in [containers](compose.md), and their images.
- `docs/`: the storage layer ([begin here](storage.md)), the exporter and alerts
  ([monitoring](monitoring.md), [metrics](metrics.md), [runbooks](runbooks/README.md)), drills
  ([scenarios](scenarios.md), [topologies](topologies.md), [verdicts](verdicts.md),
  [the run folder](run-folder.md)), [your own tests](testing.md), [decisions](decisions/README.md).
- `locks/`: the pinned packages; `scripts/`: set-up, locking, images, generated pages.
"""


def first_sentence(path: Path) -> str:
    """The first paragraph of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split())


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for package in PACKAGES:
        folder = ROOT / package
        parts.append(f"\n## `{package}/`\n\n{first_sentence(folder / '__init__.py')}\n")
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if path == folder / "__init__.py" or not path.read_text(encoding="utf-8").strip():
                continue
            parts.append(f"- `{name}`: {first_sentence(path)}")
    beside = "".join(f"- `{name}`: {first_sentence(ROOT / name)}\n" for name in MODULES)
    return "\n".join(parts) + "\n" + BESIDE + beside + TAIL


def main() -> int:
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.read_text(encoding="utf-8") == page() else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
