"""SQLAlchemy engines and sessions over the storage layer."""
