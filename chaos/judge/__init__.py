"""Judging: from a run folder to its verdict, and to the exit code that says it to scripts."""
