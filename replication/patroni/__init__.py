"""What Patroni's REST API says: of a member, and of who the members are."""
