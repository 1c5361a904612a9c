"""Run a notebook as a program: ``python -m support.commands.notebook FILE``. Its code cells are run
from top to bottom, in one namespace, as a kernel does; what a cell raises ends it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

FORMAT = 4
"""Of notebooks, since 2015 (nbformat's own documentation)."""


def code_cells(path: Path) -> list[str]:
    """The sources of the code cells, of a notebook that was committed without outputs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == FORMAT
    sources = []
    for cell in notebook["cells"]:
        assert cell["cell_type"] in {"code", "markdown"}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None), cell["id"]
            sources.append("".join(cell["source"]))
    return sources


def main(path: Path) -> None:
    """Run all of it."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    for number, source in enumerate(code_cells(path)):
        exec(compile(source, f"{path.name}, code cell {number + 1}", "exec"), namespace)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
