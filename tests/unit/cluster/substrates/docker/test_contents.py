"""The digest of what goes into an image: the same for the same content, and only then."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.substrates.docker.contents import (
    DOCKERFILE,
    FROM_LOCKS,
    digest_of,
    parse_stages,
    sources_of,
)
from cluster.substrates.docker.images import BUILT_BY

ROOT = Path(__file__).parents[5]
STAGES = parse_stages((ROOT / DOCKERFILE).read_text())


def test_what_goes_into_each_image() -> None:
    assert sources_of(STAGES, "postgres") == {
        *("locks/build.txt", "locks/run.txt", "docker/install.sh", FROM_LOCKS),
        *("cluster/patroni/daemon.py", "replication/witness/gate.py"),
        *("docker/patroni.yml", "docker/start-patroni.sh"),
    }
    assert sources_of(STAGES, "etcd") == set()
    assert {"replication", "cluster", "chaos", "pyproject.toml"} <= sources_of(STAGES, "bascule")
    assert set(BUILT_BY) <= set(STAGES)


def test_every_source_is_there() -> None:
    every = set().union(*(stage.sources for stage in STAGES.values())) - {FROM_LOCKS}
    assert every
    assert [source for source in sorted(every) if not (ROOT / source).exists()] == []


def test_a_stage_has_what_those_have_that_it_is_made_of() -> None:
    stages = parse_stages(
        "# COPY nothing /\n"
        "FROM debian AS base\nCOPY a b /base/\n"
        "FROM base AS made\nRUN x \\\n    && y\nCOPY --chmod=0755 c \\\n    d /made/\n"
        "FROM debian AS last\nCOPY --from=made /made /last\nADD e /last/\n"
    )
    assert sources_of(stages, "base") == {"a", "b"}
    assert sources_of(stages, "made") == {"a", "b", "c", "d"}
    assert sources_of(stages, "last") == {"a", "b", "c", "d", "e"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the images are made of."""
    copy = tmp_path / "checkout"
    for source in (DOCKERFILE, *set().union(*(stage.sources for stage in STAGES.values()))):
        found = ROOT / source
        if found.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(found, copy / source, ignore=ignored, dirs_exist_ok=True)
        elif found.exists():
            (copy / source).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, copy / source)
    return copy


def digests(checkout: Path) -> dict[str, str]:
    return {short: digest_of(checkout, short) for short in BUILT_BY}


def append(name: str) -> Callable[[Path], None]:
    def change(checkout: Path) -> None:
        with (checkout / name).open("a") as file:
            file.write("# more\n")

    return change


def new_file(checkout: Path) -> None:
    (checkout / "chaos" / "new.py").write_text("")


def renamed(checkout: Path) -> None:
    (checkout / "chaos" / "errors.py").rename(checkout / "chaos" / "mistakes.py")


def compiled(checkout: Path) -> None:
    (checkout / "chaos" / "__pycache__").mkdir()
    (checkout / "chaos" / "__pycache__" / "errors.pyc").write_bytes(b"x")


def wheels(checkout: Path) -> None:
    (checkout / "docker" / "wheels").mkdir()
    (checkout / "docker" / "wheels" / "a.whl").write_bytes(b"x")


ALL, OURS, NONE = {"postgres", "etcd", "bascule"}, {"bascule"}, set[str]()


@pytest.mark.parametrize(
    ("change", "others"),
    [
        (append("chaos/errors.py"), OURS),
        (append("replication/errors.py"), OURS),
        (append("docker/load.py"), OURS),
        (append("docker/patroni.yml"), {"postgres"}),
        (append("cluster/patroni/daemon.py"), {"postgres", "bascule"}),
        (append("locks/run.txt"), {"postgres", "bascule"}),
        (append("docker/Dockerfile"), ALL),
        (append("docker/haproxy.cfg"), NONE),
        (new_file, OURS),
        (renamed, OURS),
        (compiled, NONE),
        (wheels, NONE),
    ],
)
def test_an_image_has_another_name_when_its_content_is_another(
    checkout: Path, change: Callable[[Path], None], others: set[str]
) -> None:
    before = digests(checkout)
    assert before == digests(ROOT)  # another checkout with the same content has the same images
    change(checkout)
    after = digests(checkout)
    assert {short for short in BUILT_BY if after[short] != before[short]} == others
