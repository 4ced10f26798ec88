"""The methods of a store, named and behaving as redis-py's: one module a group of commands, mixed into the handles."""
