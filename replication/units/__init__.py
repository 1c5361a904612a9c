"""Units of work: applied exactly once, and provably so."""
