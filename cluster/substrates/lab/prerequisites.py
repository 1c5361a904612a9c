"""What a lab needs of the machine: some programs, and the right to make namespaces.

An error says what is missing, and the line that installs or allows it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cluster.errors import PrerequisiteError

PROGRAMS: Mapping[str, str] = {
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "mount": "mount",
    "ip": "iproute2",
    "nft": "nftables",
}
"""Program, and the Debian and Ubuntu package that has it."""

SYSTEM_FOLDERS = ("/usr/sbin", "/sbin")

PROBE = (
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--ipc", "--pid", "--fork"),
    *("--kill-child", "--mount-proc", "--", "sh", "-c"),
    "mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /dev/shm && ip netns add probe"
    " && ip link add name veth0 type veth peer name veth1 && ip link add name wan type bridge"
    " && nft add table ip probe"
    " && unshare --user --map-user=1000 --map-group=1000 true",
)
"""A small version of all that the lab does with the kernel."""
PROBE_TIMEOUT_S = 20.0


def with_system_programs(environment: Mapping[str, str]) -> dict[str, str]:
    """``environment`` with the folders of system programs on its PATH, after what is there.

    Debian's users have neither ``/usr/sbin`` nor ``/sbin`` there (``/etc/profile``), and ``nft`` is
    in no other folder.
    """
    path = environment.get("PATH", os.defpath).split(os.pathsep)
    path += [folder for folder in SYSTEM_FOLDERS if folder not in path]
    return {**environment, "PATH": os.pathsep.join(path)}


def check_prerequisites() -> None:
    """Look for the programs and try the namespaces (about 30 ms).

    Raises:
        PrerequisiteError: with the remedy.
    """
    environment = with_system_programs(os.environ)
    path = environment["PATH"]
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        packages = sorted({PROGRAMS[name] for name in missing})
        raise PrerequisiteError(
            f"the lab needs {', '.join(missing)}, which this machine does not have.\n"
            f"  Debian, Ubuntu:  sudo apt-get install {' '.join(packages)}"
        )
    try:
        probe = subprocess.run(
            PROBE,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PrerequisiteError("the kernel did not make a namespace in time") from error
    if probe.returncode != 0:
        raise PrerequisiteError(explain_refusal(probe.stderr.strip(), kernel_settings()))


def kernel_settings() -> dict[str, str]:
    """The settings of this kernel that can forbid namespaces, those that exist."""
    found = {}
    for name in (
        "kernel/unprivileged_userns_clone",
        "kernel/apparmor_restrict_unprivileged_userns",
        "user/max_user_namespaces",
        "user/max_net_namespaces",
        "user/max_pid_namespaces",
    ):
        path = Path("/proc/sys") / name
        if path.exists():
            found[name.replace("/", ".")] = path.read_text().strip()
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        found["container"] = "yes"
    return found


def explain_refusal(words: str, settings: Mapping[str, str]) -> str:
    """Why namespaces are refused here, and how to allow them.

    Args:
        words: what the probe printed.
        settings: as from ``kernel_settings``.
    """
    lines = ["this machine does not let us make the namespaces that the lab lives in."]
    lines.append(f"  the kernel said: {words or 'nothing'}")
    remedies = []
    if settings.get("kernel.unprivileged_userns_clone") == "0":
        remedies.append("sudo sysctl -w kernel.unprivileged_userns_clone=1")
    if settings.get("kernel.apparmor_restrict_unprivileged_userns") == "1":
        remedies.append(
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
            "   (Ubuntu 23.10 and later)"
        )
    remedies += [
        f"sudo sysctl -w {name}=10000"
        for name, value in settings.items()
        if name.startswith("user.max_") and value.isdigit() and int(value) == 0
    ]
    if settings.get("container"):
        remedies.append(
            "in a container: start it with"
            " --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            " --security-opt systempaths=unconfined --cap-add SYS_ADMIN --cap-add NET_ADMIN"
        )
    if not remedies:
        remedies.append("run the same command as root, or on a machine that allows user namespaces")
    lines += ["  what allows them:", *(f"    {remedy}" for remedy in remedies)]
    return "\n".join(lines)
