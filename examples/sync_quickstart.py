"""The storage layer from ordinary, synchronous code: a unit of work, a read, an outcome.

    PGPASSWORD=... python examples/sync_quickstart.py \\
        --member db-paris http://10.0.1.1:8008 10.0.1.1 5432 \\
        --member db-orsay http://10.0.2.1:8008 10.0.2.1 5432
"""

from __future__ import annotations

from cluster_argument import parse_cluster

from replication import AlreadyApplied, SyncStorage, SyncTransaction


def admit(tx: SyncTransaction, patient: str, ward: str) -> int:
    """Returns how many patients are on the ward then."""
    tx.execute("INSERT INTO admission (patient, ward) VALUES (%s, %s)", (patient, ward))
    return int(tx.execute("SELECT count(*) FROM admission WHERE ward = %s", (ward,)).rows[0][0])


def main() -> None:
    """Admit two patients, the second one twice."""
    members, credentials = parse_cluster("Admits two patients.")
    with SyncStorage(members, credentials) as storage:
        storage.run(
            lambda tx: tx.execute(
                "CREATE TABLE IF NOT EXISTS admission (patient text NOT NULL, ward text NOT NULL)"
            )
        )
        first = storage.run(lambda tx: admit(tx, "A. Martin", "3B"))
        print(f"{first.value} on ward 3B, written on {first.node}")

        # With an id of its own a unit of work can be given again by whoever is not sure that it
        # was applied: another thread, another process, tomorrow.
        admit_durand = storage.unit_of_work(deadline_s=20)(admit)
        admit_durand.run("admission-8812", "B. Durand", "3B")
        try:
            admit_durand.run("admission-8812", "B. Durand", "3B")
        except AlreadyApplied:
            print("admission-8812 was applied before, and was not applied again")
        print(f"outcome: applied={storage.outcome('admission-8812').applied}")

        # Served by the nearest member that has at least the first admission.
        read = storage.read(
            lambda tx: tx.execute("SELECT count(*) FROM admission").rows[0][0], after=first.token
        )
        print(f"{read.value} patients, read from a {read.source}")

        # psycopg's own connection, for what wants one.
        with storage.connection() as connection:
            row = connection.execute("SELECT max(ward) FROM admission").fetchone()
        print(f"the last ward is {row[0] if row else None}")


if __name__ == "__main__":
    main()
