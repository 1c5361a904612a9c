"""Images: what a build replaced goes, what the user has named stays, and who looked is labelled."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.docker_client import FakeClient

from cluster.compose.images import prepare_images
from cluster.compose.labels import DRILL, KEEPER, OWNER
from cluster.compose.machine import ASK
from cluster.processes import this_process

ENGINE = f"""
case "$*" in
    compose*build*) touch "$here/built" ;;
    *RepoTags*) cat "$here/tags" ;;
    *'image inspect'*) test -e "$here/built" && echo sha256:new || echo sha256:old ;;
    run*) echo program 1.2.3; {ASK} ;;
esac
exit 0
"""
"""An engine with images that a build replaces; ``tags`` are the old ones' other names."""


@pytest.mark.parametrize(
    ("tags", "removals"), [("[]", 3), ("null", 3), ('["mine/postgres:kept"]', 0)]
)
def test_an_image_that_was_replaced_goes_unless_somebody_named_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tags: str, removals: int
) -> None:
    client = FakeClient(tmp_path / "bin", ENGINE)
    client.use(monkeypatch)
    (client.folder / "tags").write_text(tags)
    assert prepare_images().ids == {"postgres": "new", "etcd": "new", "bascule": "new"}
    assert [call for call in client.calls if " rm " in call] == ["image rm old"] * removals


def test_what_looks_into_an_image_is_labelled_and_goes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that a sweep sees one that stayed."""
    client = FakeClient(tmp_path / "bin", ENGINE)
    client.use(monkeypatch)
    (client.folder / "tags").write_text("[]")
    assert prepare_images().versions == {"program": "1.2.3"}
    looks = [call for call in client.calls if call.startswith("run ")]
    assert len(looks) == 3
    for look in looks:
        assert look.startswith("run --rm ")
        assert f"--label={OWNER}={DRILL} " in look
        assert f"--label={KEEPER}={this_process()} " in look


def test_images_are_built_of_the_file_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", ENGINE)
    client.use(monkeypatch)
    (client.folder / "tags").write_text("[]")
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "somebody-elses")
    prepare_images()
    build = next(call for call in client.calls if call.startswith("compose "))
    assert build.startswith("compose --project-name bascule --project-directory ")
    assert " --env-file /dev/null --profile * --progress plain build " in build
    assert not [line for line in client.environment if line.startswith("COMPOSE_")]
