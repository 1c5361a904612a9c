"""Where the examples' cluster is: ``--member NAME REST_URL HOST PORT``, once for each PostgreSQL.

The password is taken from ``PGPASSWORD``. The table of the id rows has to be there already.
"""

from __future__ import annotations

import argparse
import os

from replication import Credentials, Member


def parse_cluster(description: str) -> tuple[list[Member], Credentials]:
    """The members and the credentials that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--member",
        nargs=4,
        action="append",
        required=True,
        metavar=("NAME", "REST_URL", "HOST", "PORT"),
    )
    parser.add_argument("--user", default="postgres")
    parser.add_argument("--dbname", default="postgres")
    arguments = parser.parse_args()
    members = [
        Member(name=name, rest_url=rest_url, host=host, port=int(port))
        for name, rest_url, host, port in arguments.member
    ]
    credentials = Credentials(
        user=arguments.user, password=os.environ["PGPASSWORD"], dbname=arguments.dbname
    )
    return members, credentials
