"""Whether a history is consistent at the level that somebody relies on: a verdict with proof."""
