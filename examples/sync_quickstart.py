"""The storage layer from ordinary, synchronous code: units of work, a read, an outcome.

Needs ``bascule.toml`` in the current folder (docs/reference/settings.md) and the tables of
``schema.sql``.
"""

from __future__ import annotations

from replication import AlreadyApplied, SyncStorage, SyncTransaction, load_config


def admit(tx: SyncTransaction, patient: str, reason: str) -> int:
    """Returns how many have come for that reason."""
    tx.execute("INSERT INTO visit (patient, reason) VALUES (%s, %s)", (patient, reason))
    return int(tx.execute("SELECT count(*) FROM visit WHERE reason = %s", (reason,)).rows[0][0])


def main() -> None:
    """Two patients come, and the second one is announced twice."""
    with SyncStorage.from_config(load_config("bascule.toml")) as storage:
        first = storage.run(lambda tx: admit(tx, "Marie", "cough"))
        print(f"{first.value} with a cough, written on {first.node}")

        # With an id of its own a unit of work can be given again by whoever is not sure that it
        # was applied: another thread, another process, tomorrow.
        admission = storage.unit_of_work(deadline_s=20)(admit)
        admission.run("visit-8812", "Paul", "cough")
        try:
            admission.run("visit-8812", "Paul", "cough")
        except AlreadyApplied:
            print("visit-8812 was applied before, and was not applied again")
        print(f"outcome: applied={storage.outcome('visit-8812').applied}")

        # Served by the nearest member that has at least the first visit.
        count = "SELECT count(*) FROM visit WHERE reason = 'cough'"
        read = storage.read(lambda tx: tx.execute(count).rows[0][0], after=first.token)
        print(f"{read.value} visits are seen")

        # psycopg's own connection, for what wants one.
        with storage.connection() as connection:
            row = connection.execute("SELECT max(patient) FROM visit").fetchone()
        print(f"the last in the alphabet is {row[0] if row else None}")


if __name__ == "__main__":
    main()
