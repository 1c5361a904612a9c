"""Transactions on many keys: their columns, what orders them, circles and orders, in any model."""
