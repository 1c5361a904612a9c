"""Who is the primary, and sessions to it."""
