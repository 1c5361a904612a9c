"""A cluster that stays up and is broken by hand."""
