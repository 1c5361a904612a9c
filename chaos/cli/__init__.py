"""The command ``bascule``: one file a subcommand."""

from __future__ import annotations

import errno
import sys
import traceback

import click

from chaos.cli.main import bascule
from chaos.errors import ChaosError
from chaos.gameday.errors import ClusterInTestsError, LabDiedError
from chaos.judge.exit_codes import COULD_NOT_RUN, INTERRUPTED, USAGE
from cluster.errors import BackupError, ClusterError, EngineError, PrerequisiteError

COULD_NOT = (PrerequisiteError, BackupError, EngineError, ClusterInTestsError, LabDiedError)
NO_SPACE = (
    "\n  remedy: free some space there, or choose another place (--out); what a run has written can"
    " be judged afterwards (bascule check RUN)"
)


def main() -> None:
    """Run the command; an error is one message on standard error, never a traceback."""
    try:
        sys.exit(bascule.main(standalone_mode=False))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C: click's own code for it is that of findings
        print("bascule: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except COULD_NOT as error:
        fail(error, COULD_NOT_RUN)
    except (ChaosError, ClusterError) as error:
        fail(error, USAGE)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        remedy = NO_SPACE if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        print(f"bascule: {where}{error.strerror or error}{remedy}", file=sys.stderr)
        sys.exit(COULD_NOT_RUN)
    except Exception:  # our bug: shown in full, and with another exit code than a finding (1)
        traceback.print_exc()
        sys.exit(COULD_NOT_RUN)


def fail(error: Exception, code: int) -> None:
    """Print what is wrong, and exit."""
    print(f"bascule: {error}", file=sys.stderr)
    sys.exit(code)
