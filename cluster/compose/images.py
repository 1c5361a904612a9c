"""The images that containers run from: built from this source tree, or there already."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cluster.compose import docker, machine
from cluster.compose.labels import label_options
from cluster.errors import EngineError, PrerequisiteError
from cluster.processes import this_process

SOURCE = Path(__file__).parents[2]
"""The source tree, where this is one; else the folder of installed packages."""
COMPOSE_FILE = SOURCE / "docker-compose.yml"
BUILD_PROJECT = "bascule"
"""As ``docker-compose.yml`` calls itself: an image is labelled with it, and with another label it
would be another image."""
BUILT_BY = {"postgres": "secrets", "etcd": "dcs-paris", "bascule": "prepare"}
"""The images that a drill needs, and the service of ``docker-compose.yml`` that builds each."""
ID_LENGTH = 12
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
    """Images that are there. ``ids`` by short name; ``versions`` of the programs in them."""

    ids: dict[str, str]
    versions: dict[str, str]

    def name(self, short: str) -> str:
        """``bascule/postgres:0.1.0`` of "postgres"."""
        return image_name(short)


def image_name(short: str) -> str:
    """The name and tag of one of our images."""
    return f"bascule/{short}:{version('bascule')}"


def prepare_images() -> Images:
    """Build the images where there is source (quick when nothing changed), and look at them.

    Raises:
        PrerequisiteError: an image is missing and cannot be built, with the builder's words; or
            the engine is on another machine.
    """
    if COMPOSE_FILE.exists():
        before = {short: _id(short) for short in BUILT_BY}
        _build()
        _drop_replaced(before)
    ids = {}
    for short in BUILT_BY:
        if (found := _id(short)) is None:
            raise PrerequisiteError(
                f"the image {image_name(short)} is missing, and there is no source here to build"
                " it from.\n"
                "  remedy: docker compose build, in a checkout of this version of bascule"
            )
        ids[short] = found
    return Images(ids=ids, versions=_versions())


def _id(short: str) -> str | None:
    """The id of one of our images, None when it is not there."""
    try:
        answer = docker.run_now(["image", "inspect", "--format", "{{.Id}}", image_name(short)])
    except EngineError as error:
        if "No such image" in str(error):
            return None
        raise
    return answer.strip().removeprefix("sha256:")[:ID_LENGTH]


def _drop_replaced(before: Mapping[str, str | None]) -> None:
    """A new image takes the name of the old one, which would stay for ever without one."""
    for short, old in before.items():
        if old is not None and old != _id(short):
            with suppress(EngineError):  # something still runs from it, or somebody was quicker
                form = ["--format", "{{json .RepoTags}}"]
                if not json.loads(docker.run_now(["image", "inspect", *form, old])):
                    docker.run_now(["image", "rm", old])


def _build() -> None:
    file = docker.compose(BUILD_PROJECT, SOURCE, COMPOSE_FILE)
    try:
        docker.run_now(
            [*file, "--profile", "*", "--progress", "plain", "build", *BUILT_BY.values()],
            timeout_s=BUILD_TIMEOUT_S,
        )
    except EngineError as error:
        last = "\n".join(f"    {line}" for line in str(error).splitlines()[-LAST_LINES:])
        raise PrerequisiteError(
            f"the images could not be built; the last that the builder said:\n{last}\n"
            "  remedy: docker compose --progress plain build, in the source tree, shows every step;"
            " where no registry can be reached: sh scripts/docker-base-images.sh, no package index:"
            " sh scripts/docker-wheels.sh"
        ) from error


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


ELSEWHERE = (
    "the Docker engine runs on another machine than this command: its containers' clock is another"
    " one, and their addresses cannot be reached from here.\n"
    "  remedy: run bascule where the engine runs (docker context ls says which is used), or use"
    " --substrate lab"
)
