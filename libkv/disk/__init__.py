"""Files: the one way from a store to the disk."""
