"""PID 1 of a host of the lab: starts its processes (units), reaps, reports deaths, dies atomically.

Run by a bare interpreter (``python -I -S``) as the first process of the host's PID namespace, so it
imports only the standard library. Killing it is the power cut: the kernel ends every process of the
host in the same moment. It also ends when its standard input does, that is with the director.

It holds the capabilities of the lab's root; its units do not: each runs in one more user namespace
as uid 1000, since PostgreSQL refuses uid 0 (docs/decisions/0004-lab-namespaces.md). Only what is
part of the machine keeps them: the process of its disk, which mounts that.

The host's shared memory is its own: ``/dev/shm`` is mounted anew, and System V objects belong to
the host's IPC namespace. A killed PostgreSQL leaves both behind; they vanish when the host loses
its power.

Standard input, one JSON object a line, each answered in turn:
    {"op": "start", "unit", "argv", "env", "log", "stdin", "is_fed", "as_root"}
                                            stdin: text or null; is_fed: it comes later, by "feed";
                                            as_root: it is part of the machine
    {"op": "feed", "unit", "stdin"}                         all that it finds there; once
    {"op": "signal", "pid", "signal"}                       pid: as seen inside the host
    {"op": "signal-each", "pids", "signal"}                 those that have ended are passed over
    {"op": "signal-all", "signal"}                          all but this one, in one moment
    {"op": "processes"}                                     all but this one
Standard output, one JSON object a line:
    {"event": "up"}
    {"event": "done", "pid"}                            the answer; after SIGKILL: it is gone
    {"event": "done", "pid", "processes"}               the answer to "processes"
    {"event": "refused", "error"}                       the answer, when it could not be done
    {"event": "exited", "unit", "status"}               exit code, or minus the signal
"""

import json
import os
import select
import signal
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEATH_TIMEOUT_MS = 5000
PARENT, RESIDENT_PAGES = 1, 21
"""Where they are in ``read_stat``: fields 4 and 24 of proc(5)."""
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
MOUNT_SHARED_MEMORY = ("mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", "/dev/shm")
AS_ORDINARY_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000", "--")


class HostInit:
    """The units of one host, by name and by pid."""

    def __init__(self) -> None:
        self.pids: dict[str, int] = {}
        self.inputs: dict[str, int] = {}
        """The ends of pipes that are still to be written to."""

    def start(self, request: "dict[str, Any]") -> int:
        """Fork a unit: own session, output to its log, text of ``stdin`` in a memory file, or a
        pipe where that comes later."""
        if request["is_fed"]:
            request["pipe"], self.inputs[request["unit"]] = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                become_unit(request)
            except BaseException as error:
                os.write(2, f"cannot start {request['argv']}: {error!r}\n".encode())
            finally:
                os._exit(127)
        if request["is_fed"]:
            os.close(request["pipe"])
        self.pids[request["unit"]] = pid
        return pid

    def feed(self, request: "dict[str, Any]") -> int:
        """Give a unit its standard input; the pipe holds it until it is read."""
        with os.fdopen(self.inputs.pop(request["unit"]), "wb") as end:
            end.write(request["stdin"].encode())
        return self.pids[request["unit"]]

    def signal(self, request: "dict[str, Any]") -> int:
        """Send a signal to any process of this host; after SIGKILL wait for its end."""
        pid = int(request["pid"])
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, request["signal"])
            if request["signal"] == signal.SIGKILL:
                end = select.poll()
                end.register(handle, select.POLLIN)
                if not end.poll(DEATH_TIMEOUT_MS):
                    raise TimeoutError(f"process {pid} did not die")
        finally:
            os.close(handle)
        return pid

    def signal_each(self, request: "dict[str, Any]") -> int:
        """Send a signal to each of these processes that is there still."""
        for pid in request["pids"]:
            try:
                os.kill(int(pid), request["signal"])
            except ProcessLookupError:
                continue
        return 0

    def signal_all(self, request: "dict[str, Any]") -> int:
        """Send a signal to every process of this host but this one (kill(2), pid -1)."""
        try:
            os.kill(-1, request["signal"])
        except ProcessLookupError:  # there is no other
            return 0
        return 0

    def reap(self) -> None:
        """Collect every dead child. Orphans are reaped too: a zombie looks alive to Patroni."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for unit, unit_pid in list(self.pids.items()):
                if unit_pid == pid:
                    del self.pids[unit]
                    if unit in self.inputs:
                        os.close(self.inputs.pop(unit))
                    tell(event="exited", unit=unit, status=os.waitstatus_to_exitcode(status))

    def handle(self, line: bytes) -> None:
        """Do what one line asks, or report why not."""
        request = json.loads(line)
        try:
            if request["op"] == "processes":
                tell(event="done", pid=0, processes=look_at_processes())
                return
            pid = {
                "start": self.start,
                "feed": self.feed,
                "signal": self.signal,
                "signal-each": self.signal_each,
                "signal-all": self.signal_all,
            }[request["op"]](request)
            tell(event="done", pid=pid)
        except (OSError, KeyError) as error:
            tell(event="refused", error=str(error))


def become_unit(request: "dict[str, Any]") -> None:
    """In the child: set up descriptors and environment, then exec."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    if request["is_fed"]:
        stdin = request["pipe"]
    elif request["stdin"] is None:
        stdin = os.open("/dev/null", os.O_RDONLY)
    else:
        stdin = os.memfd_create("stdin")
        os.write(stdin, request["stdin"].encode())
        os.lseek(stdin, 0, os.SEEK_SET)
    for target, source in enumerate((stdin, log, log)):
        os.dup2(source, target)
    argv = [*(() if request["as_root"] else AS_ORDINARY_USER), *request["argv"]]
    os.execvpe(argv[0], argv, request["env"])


def mount_shared_memory() -> None:
    """Mount a new ``/dev/shm`` that ends with this mount namespace."""
    pid = os.posix_spawnp(MOUNT_SHARED_MEMORY[0], MOUNT_SHARED_MEMORY, os.environ)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        raise OSError(f"{' '.join(MOUNT_SHARED_MEMORY)} failed")  # mount has said why


def look_at_processes() -> "list[dict[str, Any]]":
    """Every process of this host but this one, as ``base.HostProcess`` says (proc(5))."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            stat = read_stat(f"/proc/{name}/stat")
            tasks = f"/proc/{name}/task"
            states = "".join(read_stat(f"{tasks}/{task}/stat")[0] for task in os.listdir(tasks))
            with open(f"/proc/{name}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        found.append(
            {
                "pid": int(name),
                "parent": int(stat[PARENT]),
                "state": state_of(states),
                "resident_kb": int(stat[RESIDENT_PAGES]) * PAGE_KB,
                "command": command,
            }
        )
    return found


def state_of(threads: str) -> str:
    """What ``base.HostProcess.state`` says, from the states of the threads (proc(5), ``stat``)."""
    live = [state for state in threads if state not in "ZXx"]
    going = [state for state in live if state not in "Tt"]
    return going[0] if going else "T" if live else "Z"


def read_stat(path: str) -> "list[str]":
    """The fields of a ``stat`` from the state on; the name before it may have any character."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(")")[2].split()


def tell(**event: object) -> None:
    """Report to the director; a long line needs several writes."""
    line = json.dumps(event).encode() + b"\n"
    while line:
        line = line[os.write(1, line) :]


def main() -> None:
    socket.sethostname(sys.argv[1])
    mount_shared_memory()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    host = HostInit()
    tell(event="up")
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    pending = b""
    while True:
        for fd, _ in poll.poll():
            if fd == wake_read:
                os.read(wake_read, 512)
                host.reap()
                continue
            data = os.read(0, 65536)
            if not data:
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                host.handle(line)


if __name__ == "__main__":
    main()
    os._exit(0)
