"""etcd: its members, and the keys that Patroni keeps there."""
