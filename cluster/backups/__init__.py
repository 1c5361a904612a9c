"""Backups of a real cluster: full and incremental, verified, kept for as long as asked."""
