"""The storage layer for code that is not asynchronous."""
