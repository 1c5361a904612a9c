"""The images that containers run from: built from this source tree, or there already."""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cluster.errors import EngineError, PrerequisiteError
from cluster.substrates.docker import client as docker
from cluster.substrates.docker import machine
from cluster.substrates.docker.contents import DIGEST_DIGITS, DOCKERFILE, digest_of
from cluster.substrates.docker.labels import label_options
from cluster.substrates.owner import this_process

SOURCE = Path(__file__).parents[3]
"""The source tree, where this is one; else the folder of installed packages."""
COMPOSE_FILE = SOURCE / "docker-compose.yml"
BUILD_PROJECT = "bascule"
"""As ``docker-compose.yml`` calls itself: an image is labelled with it, and with another label it
would be another image."""
BUILT_BY = {"postgres": "secrets", "etcd": "dcs-paris", "bascule": "prepare"}
"""The images that a drill needs, and the service of ``docker-compose.yml`` that builds each."""
OF_A_CLUSTER = ("postgres", "etcd")
"""The images of the hosts that have a service."""
BUILD_COMMAND = "docker compose --profile cluster build"
ID_LENGTH = 12
CONTENT_TAG = re.compile(rf":[^:]+-[0-9a-f]{{{DIGEST_DIGITS}}}$")
"""The end of the name of an image that is called by its content."""
LAST_LINES = 15
BUILD_TIMEOUT_S = 1800.0
"""The first build fetches some hundred megabytes; later ones take two seconds."""
PSYCOPG = "from importlib.metadata import version; print(version('psycopg'))"
LOOK = {
    "postgres": "echo postgresql $(postgres --version); echo patroni $(patroni --version)",
    "etcd": "echo etcd $(etcd --version | head -n 1)",
    "bascule": f'echo python $(python --version); echo psycopg $(python -c "{PSYCOPG}")',
}
"""What says the versions of the programs in an image: a line each, its name first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Images:
    """Images that are there."""

    ids: dict[str, str]
    """By short name."""
    versions: dict[str, str]
    """Of the programs in them."""
    variables: dict[str, str]
    """``tag_variables``, for processes that must use these even if the source changes."""


def image_name(short: str) -> str:
    """The name and tag of one of our images, as of the source now.

    ``bascule/postgres:0.1.0-3f2a91c07d4e`` in a checkout, with the digest of what goes into it;
    ``bascule/postgres:0.1.0`` where there is no source, as ``docker compose build`` makes it.
    """
    return f"bascule/{short}:{image_tag(short)}"


def image_tag(short: str) -> str:
    """The tag of one of our images: what the environment says, as ``docker-compose.yml`` heeds it
    too, else that of the source."""
    if asked := os.environ.get(_variable(short)):
        return asked
    released = version("bascule")
    if not (SOURCE / DOCKERFILE).exists():
        return released
    return f"{released}-{digest_of(SOURCE, short)}"


def tag_variables() -> dict[str, str]:
    """What has ``docker-compose.yml`` build, and run, the images of this source."""
    return {_variable(short): image_tag(short) for short in BUILT_BY}


def forget_changed(tags: Mapping[str, str]) -> bool:
    """Whether the source changed since ``tags``: then what was built meanwhile may be of both, and
    must not be called by the content that it was to have."""
    now = tag_variables()
    changed = [short for short in BUILT_BY if now[_variable(short)] != tags[_variable(short)]]
    for short in changed:
        with suppress(EngineError):  # something runs from it, or it was not built
            docker.run_now(["image", "rm", f"bascule/{short}:{tags[_variable(short)]}"])
    return bool(changed)


def _variable(short: str) -> str:
    return f"BASCULE_{short.upper()}_TAG"


def sweep_images() -> list[str]:
    """Remove images that were called by their content, and are not those of this source; which.

    What a container runs from stays.
    """
    ours = {image_name(short) for short in BUILT_BY}
    removed = []
    for short in BUILT_BY:
        form = ["--format", "{{.Repository}}:{{.Tag}}"]
        names = docker.run_now(["image", "ls", *form, f"bascule/{short}"]).split()
        for name in sorted(set(names) - ours):
            if CONTENT_TAG.search(name) is None or _has_containers(name):
                continue
            with suppress(EngineError):  # another process was quicker
                docker.run_now(["image", "rm", name])
                removed.append(name)
    return removed


def _has_containers(name: str) -> bool:
    listed = docker.run_now(["ps", "--all", "--quiet", "--filter", f"ancestor={name}"])
    return bool(listed.strip())


def prepare_images() -> Images:
    """Build the images where there is source (quick when nothing changed), and look at them.

    Raises:
        PrerequisiteError: an image is missing and cannot be built, with the builder's words; or
            the engine is on another machine.
    """
    tags = tag_variables()
    before: dict[str, str | None] = {}
    if COMPOSE_FILE.exists():
        before = {short: _id(short) for short in BUILT_BY}
        _build(tags)
        if forget_changed(tags):
            raise PrerequisiteError(CHANGED)
    try:
        _drop_replaced(before)
        images = Images(ids=_ids(), versions=_versions(), variables=tags)
    except (EngineError, PrerequisiteError):
        _require_unchanged(tags)  # else its name was never built
        raise
    _require_unchanged(tags)
    return images


def _require_unchanged(tags: Mapping[str, str]) -> None:
    """What was looked at is what was built.

    Raises:
        PrerequisiteError: the source is another one by now.
    """
    if tag_variables() != tags:
        raise PrerequisiteError(CHANGED)


def _ids() -> dict[str, str]:
    """Of our images, by short name.

    Raises:
        PrerequisiteError: one is missing.
    """
    ids = {}
    for short in BUILT_BY:
        if (found := _id(short)) is None:
            raise PrerequisiteError(
                f"the image {image_name(short)} is missing, and there is no source here to build"
                " it from.\n"
                "  remedy: docker compose build, in a checkout of this version of bascule"
            )
        ids[short] = found
    return ids


def _id(short: str) -> str | None:
    """The id of one of our images, None when it is not there."""
    return _id_of(image_name(short))


def _id_of(name: str) -> str | None:
    try:
        answer = docker.run_now(["image", "inspect", "--format", "{{.Id}}", name])
    except EngineError as error:
        if "No such image" in str(error):
            return None
        raise
    return answer.strip().removeprefix("sha256:")[:ID_LENGTH]


def _drop_replaced(before: Mapping[str, str | None]) -> None:
    """A new image takes the name of the old one, which would stay for ever without one."""
    for short, old in before.items():
        if old is not None and old != _id(short):
            with suppress(EngineError):  # a container still runs from it, or it is gone
                form = ["--format", "{{json .RepoTags}}"]
                if not json.loads(docker.run_now(["image", "inspect", *form, old])):
                    docker.run_now(["image", "rm", old])


def _build(tags: Mapping[str, str], services: Iterable[str] = BUILT_BY.values()) -> None:
    file = docker.compose(BUILD_PROJECT, SOURCE, COMPOSE_FILE)
    try:
        docker.run_now(
            [*file, "--profile", "*", "--progress", "plain", "build", *services],
            timeout_s=BUILD_TIMEOUT_S,
            variables=tags,
        )
    except EngineError as error:
        last = "\n".join(f"    {line}" for line in str(error).splitlines()[-LAST_LINES:])
        raise PrerequisiteError(
            f"the images could not be built; the last that the builder said:\n{last}\n"
            "  remedy: docker compose --progress plain build, in the source tree, shows every step;"
            " where no registry can be reached: sh scripts/docker-base-images.sh, no package index:"
            " sh scripts/docker-wheels.sh"
        ) from error


def need_images(names: Collection[str], say: Callable[[str], object]) -> None:
    """Have images; build ours when one is missing and there is source.

    Of several processes one builds, and the others wait for it.

    Args:
        names: of the images, with their tags.
        say: told of what takes long.

    Raises:
        PrerequisiteError: one is missing, and cannot be built here.
        EngineError: the engine did not say which it has.
    """
    if not (missing := _missing(names)):
        return
    remedy = f"in a checkout of bascule: {BUILD_COMMAND}"
    if not COMPOSE_FILE.exists():
        raise PrerequisiteError(f"no image {', '.join(missing)}\n  remedy: {remedy}")
    with _alone_with(SOURCE, say):
        if not (missing := _missing(names)):
            return
        say(f"building {', '.join(missing)}, which takes some minutes ...")
        tags, words = tag_variables(), ""
        try:
            _build(tags, [BUILT_BY[short] for short in OF_A_CLUSTER])
        except PrerequisiteError as error:
            words = f"\n{error}"
        if forget_changed(tags):
            words = f"\n  {CHANGED}"
    if still := _missing(names):
        said = f"no image {', '.join(still)}, and it could not be built"
        raise PrerequisiteError(f"{said}\n  remedy: {remedy}{words}")


def _missing(names: Collection[str]) -> list[str]:
    return [name for name in names if _id_of(name) is None]


@contextmanager
def _alone_with(folder: Path, say: Callable[[str], object]) -> Iterator[None]:
    """Only one process at a time, of those that ask for the same folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building the images; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _versions() -> dict[str, str]:
    """Asked of the programs themselves.

    Raises:
        PrerequisiteError: they run on another machine.
    """
    found = {}
    for short, command in LOOK.items():
        since_s = machine.uptime_s()
        for line in _ask(short, f"{command}; {machine.ASK}").splitlines():
            if machine.is_answer(line):
                if not machine.is_this_machine(line, since_s):
                    raise PrerequisiteError(ELSEWHERE)
                continue
            program, *words = line.split()
            found[program] = next((word for word in words if word[0].isdigit()), "unknown")
    return found


def is_engine_here() -> bool:
    """Whether a container of one of our images says that the engine is on this machine; False too
    where there is no such image."""
    for short in BUILT_BY:
        if _id(short) is not None:
            since_s = machine.uptime_s()
            return machine.is_this_machine(_ask(short, machine.ASK).strip(), since_s)
    return False


def _ask(short: str, command: str) -> str:
    """What a shell in a container of one of our images prints."""
    ours = label_options(f"look-{secrets.token_hex(4)}", this_process())
    alone = ["run", "--rm", *ours, "--network", "none", "--entrypoint", "sh", image_name(short)]
    return docker.run_now([*alone, "-c", command])


CHANGED = (
    "the source was changed while the images were built from it, or looked at: they may have some"
    " of both.\n"
    "  remedy: run it again"
)
ELSEWHERE = (
    "the Docker engine runs on another machine than this command: its containers' clock is another"
    " one, and their addresses cannot be reached from here.\n"
    "  remedy: run bascule where the engine runs (docker context ls says which is used), or use"
    " --substrate lab"
)
