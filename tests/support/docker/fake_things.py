"""A docker client with things of ours that can be listed and removed."""

from __future__ import annotations

from pathlib import Path

from support.docker.docker_client import FakeClient

ENGINE = r"""
tab=$(printf '\t')
case "$*" in
    rm\ *) shift 3; what=containers ;;
    'network rm'*) shift 2; what=networks ;;
    ps*) what=containers; listed=yes ;;
    'network ls'*) what=networks; listed=yes ;;
    *) exit 0 ;;
esac
if test -z "$listed"; then
    for one; do
        test -e "$here/refused" && { cat "$here/refused" >&2; exit 1; }
        rm -f "$here/$what/$one"
    done
    exit 0
fi
for one in "$here/$what"/*; do
    test -e "$one" || continue
    line=$(cat "$one")
    case "$*" in
        *label=org.bascule.run=*)
            case "$*" in *"org.bascule.run=${line%%$tab*} "*) ;; *) continue ;; esac ;;
    esac
    printf '%s\t%s\n' "${one##*/}" "$line"
done
exit 0
"""


class FakeThings:
    """An engine that has containers and networks: a file each, with its labels.

    Args:
        folder: where it is; new.
    """

    def __init__(self, folder: Path) -> None:
        self.client = FakeClient(folder, ENGINE)
        for kind in ("containers", "networks"):
            (folder / kind).mkdir()

    def put(self, kind: str, name: str, run: str, keeper: str, owner: str) -> None:
        """Have one more."""
        (self.client.folder / kind / name).write_text(f"{run}\t{keeper}\t{owner}")

    def refuse(self, words: str) -> None:
        """Refuse every removal from now on; "" allows it again."""
        path = self.client.folder / "refused"
        path.write_text(words)
        if not words:
            path.unlink()

    @property
    def left(self) -> list[str]:
        """The names of what there is."""
        folder = self.client.folder
        paths = [*(folder / "containers").iterdir(), *(folder / "networks").iterdir()]
        return sorted(path.name for path in paths)
