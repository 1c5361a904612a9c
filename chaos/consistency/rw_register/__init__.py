"""Transactions that write registers and read them, judged at any isolation level."""
