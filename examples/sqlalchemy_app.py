"""SQLAlchemy's ORM on a cluster: units of work that come through a failover, and a plain engine.

Needs ``bascule.toml`` in the current folder (docs/reference/settings.md) and the tables of
``schema.sql``.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from replication import SyncStorage, load_config
from replication.sqlalchemy.engines import create_engine
from replication.sqlalchemy.orm import Orm


class Base(DeclarativeBase):
    """The tables of this example."""


class Sample(Base):
    """A blood sample; its label is unique."""

    __tablename__ = "sample"

    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    volume_ml: Mapped[float]


def main() -> None:
    """Register samples: exactly once each, whatever happens to the primary."""
    with SyncStorage.from_config(load_config("bascule.toml")) as storage:
        engine = create_engine(storage)  # for what SQLAlchemy does by itself
        Base.metadata.create_all(engine)

        orm = Orm(storage)  # for what must be applied exactly once

        @orm.unit_of_work(deadline_s=20)
        def register(session: Session, label: str, volume_ml: float) -> Sample:
            sample = Sample(label=label, volume_ml=volume_ml)
            session.add(sample)
            try:
                session.flush()
            except IntegrityError:
                session.rollback()  # of the session; the unit of work goes on
                sample = session.scalars(select(Sample).where(Sample.label == label)).one()
                sample.volume_ml += volume_ml
            return sample

        for label, volume_ml in [("L-1", 4.5), ("L-2", 3.0), ("L-1", 0.5)]:
            sample = register(label, volume_ml)
            print(f"{sample.label}: {sample.volume_ml} ml")

        total = orm.read(lambda session: session.scalar(select(func.sum(Sample.volume_ml))))
        print(f"{total.value} ml in all, read on {total.node}")
        engine.dispose()


if __name__ == "__main__":
    main()
