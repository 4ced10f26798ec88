"""Facts of the commands about transactions, as of Redis 7.0.15."""

from libkv.commands.facts.row import Row

GROUP = "transactions"

# fmt: off
ROWS = [
    Row("discard", "2.0.0", 1, "noscript loading stale fast allow_busy", "@fast @transaction",
        "Drops the transaction", "O(N), N queued commands"),
    Row("exec", "1.2.0", 1, "noscript loading stale skip_slowlog", "@slow @transaction",
        "Runs the transaction", "that of the queued commands"),
    Row("multi", "1.2.0", 1, "noscript loading stale fast allow_busy", "@fast @transaction",
        "Begins a transaction", "O(1)"),
    Row("unwatch", "2.2.0", 1, "noscript loading stale fast allow_busy", "@fast @transaction",
        "Stops watching all keys", "O(1)"),
    Row("watch", "2.2.0", -2, "noscript loading stale fast allow_busy", "@fast @transaction",
        "Watches keys: a change of one makes the next EXEC fail", "O(1) a key",
        keys=["RO @1 range -1 1"], args="key:key@0*"),
]
