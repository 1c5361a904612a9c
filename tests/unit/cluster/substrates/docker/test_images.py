"""Images: what a build replaced goes, what the user has named stays, and who looked is labelled."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from support.docker.docker_client import FakeClient

from cluster.errors import PrerequisiteError
from cluster.substrates.docker import images
from cluster.substrates.docker.contents import DIGEST_DIGITS
from cluster.substrates.docker.images import BUILT_BY, image_name, prepare_images, sweep_images
from cluster.substrates.docker.labels import DRILL, KEEPER, OWNER
from cluster.substrates.docker.machine import ASK
from cluster.substrates.owner import this_process

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


@pytest.mark.parametrize("then", ["echo sha256:new", "exit 1"])
def test_a_source_that_changes_while_images_are_looked_at_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Not that an image is missing that nobody has built."""
    look = 'test -e "$here/built" && touch "$here/changed"; test ! -e "$here/changed" ||'
    script = ENGINE.replace("*'image inspect'*) ", f"*'image inspect'*) {look} {then}; ")
    client = FakeClient(tmp_path / "bin", script)
    client.use(monkeypatch)
    (client.folder / "tags").write_text("[]")
    changed = client.folder / "changed"
    digest = lambda *_: ("b" if changed.exists() else "a") * DIGEST_DIGITS  # noqa: E731
    monkeypatch.setattr(images, "digest_of", digest)
    with pytest.raises(PrerequisiteError, match="the source was changed while the images"):
        prepare_images()
    assert changed.exists()


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


def test_what_is_built_and_looked_at_is_called_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", ENGINE)
    client.use(monkeypatch)
    (client.folder / "tags").write_text("[]")
    found = prepare_images()
    assert set(found.variables) == {f"BASCULE_{short.upper()}_TAG" for short in BUILT_BY}
    assert {f"{name}={tag}" for name, tag in found.variables.items()} <= set(client.environment)
    for short in BUILT_BY:
        name = f"bascule/{short}:{version('bascule')}-"
        assert image_name(short).startswith(name)
        assert [call for call in client.calls if call.startswith("run ") and name in call]


def test_the_environment_says_which_images_are_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``docker-compose.yml`` heeds it; a drill keeps to the images that it began with."""
    before = image_name("etcd")
    monkeypatch.setenv("BASCULE_POSTGRES_TAG", "mine")
    assert image_name("postgres") == "bascule/postgres:mine"
    assert image_name("etcd") == before


def test_source_that_changes_while_images_are_built_of_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeClient(tmp_path / "bin", ENGINE)
    client.use(monkeypatch)
    (client.folder / "tags").write_text("[]")
    digests = (f"{number:012x}" for number in range(100))
    monkeypatch.setattr(images, "digest_of", lambda source, short: next(digests))
    with pytest.raises(PrerequisiteError, match=r"changed while the images were built(.|\n)*again"):
        prepare_images()
    removed = [call for call in client.calls if call.startswith("image rm ")]
    assert len(removed) == len(BUILT_BY)  # else it would be taken for what it is not


def test_a_sweep_takes_other_contents_that_nobody_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not those of this source, nor what ``docker compose up`` and the user have called."""
    old, used, own = "0.1.0-0123456789ab", "0.1.0-00000000cafe", image_name("postgres")
    script = f"""
case "$*" in
    *'image ls'*bascule/postgres*)
        for tag in 0.1.0 mine {old} {used}; do echo bascule/postgres:$tag; done; echo {own} ;;
    *'ps --all'*{used}*) echo a1b2c3 ;;
esac
exit 0
"""
    client = FakeClient(tmp_path / "bin", script)
    client.use(monkeypatch)
    assert sweep_images() == [f"bascule/postgres:{old}"]
    assert [call for call in client.calls if " rm " in call] == [f"image rm bascule/postgres:{old}"]
