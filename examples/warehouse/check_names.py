"""Compare the warehouse's names with OMOP 5.4 as the package ``omop-cdm`` knows it.

    pip install omop-cdm        # in an environment of its own: nothing else here needs it
    python examples/warehouse/check_names.py

Every table and column must be OMOP's, and every column that OMOP demands must be there. Exit 1
where one is not.
"""

from __future__ import annotations

import sys

try:
    from omop_cdm.regular.cdm54 import Base
except ImportError as error:
    sys.exit(f"{error}: run  pip install omop-cdm  first")

from chaos.workloads.warehouse.tables import TABLES


def differences() -> list[str]:
    """What is not OMOP's, a line each."""
    known = {table.name: table.columns for table in Base.metadata.tables.values()}
    found = []
    for table in TABLES:
        if table.schema != "warehouse":
            continue  # identities are no part of OMOP
        columns = known.get(table.name)
        if columns is None:
            found.append(f"{table.name}: no table of OMOP 5.4")
            continue
        names = {column.name for column in columns}
        demanded = {column.name for column in columns if not column.nullable}
        found += [f"{table.name}.{name}: no column" for name in table.names if name not in names]
        missing = sorted(demanded - set(table.names))
        found += [f"{table.name}.{name}: demanded, and missing" for name in missing]
    return found


if __name__ == "__main__":
    lines = differences()
    print("\n".join(lines) or "every name is OMOP 5.4's")
    sys.exit(1 if lines else 0)
