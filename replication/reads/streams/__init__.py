"""Large reads: many rows, in key order, page by page, from whichever member can serve the next."""
