"""SQLAlchemy's suite for dialects, as it comes with the package; nothing is added to it."""

from sqlalchemy.testing.suite import *  # noqa: F403
