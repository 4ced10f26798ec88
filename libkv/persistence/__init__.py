"""RDB and AOF: the store's files."""
