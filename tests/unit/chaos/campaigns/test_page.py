"""docs/use/campaigns.md: every limit is there, and its example is one that is read."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from chaos.campaigns.canary import CANARIES
from chaos.campaigns.limits import FAMILIES, Limits, load_limits

PAGE = (Path(__file__).parents[4] / "docs" / "use" / "campaigns.md").read_text(encoding="utf-8")


def test_the_example_has_every_limit_and_is_read(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    path = tmp_path / "limits.toml"
    path.write_text(example)
    found = load_limits(path)
    assert found.without == ("site-lost-for-good", "dcs-restored")
    for field in fields(Limits):
        assert re.search(rf"^{field.name} = ", example, flags=re.MULTILINE), field.name


def test_the_table_has_every_limit_every_family_and_every_default() -> None:
    own = Limits()
    for field in fields(Limits):
        [row] = re.findall(rf"^\| `{field.name}` \|.*$", PAGE, flags=re.MULTILINE)
        value = getattr(own, field.name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            assert f"| {value:g} |" in row
    assert all(f"`{family}`" in PAGE for family in FAMILIES)
    assert all(f"`{name}`" in PAGE for name in CANARIES)
