"""PID 1 of a lab: reaps, and ends the lab when its lifeline is closed.

Run by a bare interpreter (``python -I -S``) as the first process of the lab's PID namespace, so it
imports only the standard library. Its exit is the teardown: the kernel then kills every process of
the namespace, and the network and mount namespaces go with the last of them.

The lifeline is a pipe whose only writer is the command outside. End of file means that the command
has ended, however it ended (``kill -9`` included): the lab ends at once. One byte asks it to stop:
the director inside gets SIGTERM, heals and writes down what it knows.

Usage: lab_init.py LIFELINE_FD COMMAND [ARGUMENT ...]
"""

import os
import select
import signal
import sys

COULD_NOT_RUN = 3


def main() -> int:
    lifeline = int(sys.argv[1])
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    director = os.posix_spawnp(
        sys.argv[2],
        sys.argv[2:],
        os.environ,
        setsigdef=[signal.SIGCHLD, signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
    )
    poll = select.poll()
    poll.register(wake_read, select.POLLIN)
    poll.register(lifeline, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake_read:
                os.read(wake_read, 512)
            elif os.read(lifeline, 1):
                os.kill(director, signal.SIGTERM)
            else:
                return COULD_NOT_RUN
        status = reap(director)
        if status is not None:
            return status


def reap(director: int) -> "int | None":
    """Collect every dead child; the director's exit code (128 + signal) when it is among them."""
    result = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return result
        if pid == 0:
            return result
        if pid == director:
            code = os.waitstatus_to_exitcode(status)
            result = code if code >= 0 else 128 - code


if __name__ == "__main__":
    # Not sys.exit: nothing is left to flush, and a PID 1 must not linger in interpreter shutdown.
    os._exit(main())
