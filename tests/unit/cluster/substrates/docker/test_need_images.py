"""Images that tests need: what is there is not built, and of several processes one builds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from support.docker.docker_client import FakeClient

from cluster.errors import EngineError, PrerequisiteError
from cluster.substrates.docker import images
from cluster.substrates.docker.images import image_name, need_images

IMAGES = ("bascule/postgres:0", "bascule/etcd:0")
ENGINE = r"""
case "$*" in
    *' build '*)
        echo >>"$here/builds"
        test -e "$here/words" && { cat "$here/words" >&2; exit 1; }
        sleep "$(cat "$here/takes_s")"
        touch "$here/built" ;;
    'image inspect'*)
        test -e "$here/failing" && { cat "$here/failing" >&2; exit 1; }
        test -e "$here/built" || { echo 'Error: No such image' >&2; exit 1; }
        echo sha256:there ;;
esac
exit 0
"""


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    fake = FakeClient(tmp_path / "bin", ENGINE)
    fake.use(monkeypatch)
    (fake.folder / "takes_s").write_text("0")
    return fake


def builds(client: FakeClient) -> int:
    path = client.folder / "builds"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_images_that_are_there_are_not_built(client: FakeClient) -> None:
    (client.folder / "built").touch()
    need_images(IMAGES, print)
    assert builds(client) == 0


@pytest.mark.parametrize("words", ["no space left on device", "connection reset"])
def test_the_engine_fails_while_it_is_asked_for_images(client: FakeClient, words: str) -> None:
    (client.folder / "failing").write_text(words)
    with pytest.raises(EngineError, match=words):
        need_images(IMAGES, print)


def test_several_at_once_build_once(client: FakeClient) -> None:
    (client.folder / "takes_s").write_text("1")
    said: list[str] = []
    others = [
        threading.Thread(target=need_images, args=(IMAGES, said.append), daemon=True)
        for _ in range(3)
    ]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert builds(client) == 1
    assert sum("building bascule/postgres:0, bascule/etcd:0" in words for words in said) == 1


def test_what_is_built_is_called_as_it_is_asked_for(client: FakeClient) -> None:
    """By its content: another checkout on this engine keeps its own."""
    names = tuple(image_name(short) for short in ("postgres", "etcd"))
    need_images(names, print)
    tags = dict(line.split("=", 1) for line in client.environment if line.startswith("BASCULE_"))
    assert names == (
        f"bascule/postgres:{tags['BASCULE_POSTGRES_TAG']}",
        f"bascule/etcd:{tags['BASCULE_ETCD_TAG']}",
    )
    [build] = [call for call in client.calls if " build " in call]
    assert build.endswith("build secrets dcs-paris")  # not the image of the loads


def test_a_build_that_takes_too_long(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> None:
    (client.folder / "takes_s").write_text("60")
    monkeypatch.setattr(images, "BUILD_TIMEOUT_S", 0.3)
    with pytest.raises(PrerequisiteError, match=r"could not be built[\s\S]*not done after 0.3 s"):
        need_images(IMAGES, print)


def test_a_build_that_fails_says_why_and_what_helps(client: FakeClient) -> None:
    (client.folder / "words").write_text("failed to solve: No space left on device")
    with pytest.raises(PrerequisiteError, match=r"failed to solve[\s\S]*docker system df"):
        need_images(IMAGES, print)


def test_without_source_it_says_where_there_is_some(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(images, "COMPOSE_FILE", tmp_path / "none.yml")
    with pytest.raises(PrerequisiteError, match=r"no image bascule/postgres:0[\s\S]*compose"):
        need_images(IMAGES, print)
    assert builds(client) == 0
