"""Transactions that append to lists and read them whole, judged at any isolation level."""
