"""The processes that load the sites."""
