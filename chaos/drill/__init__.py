"""A drill: the life of one run, from an empty machine to a verdict."""
