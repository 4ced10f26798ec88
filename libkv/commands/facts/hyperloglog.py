"""Facts of the commands about HyperLogLogs, as of Redis 7.0.15."""

from libkv.commands.facts.row import Row

GROUP = "hyperloglog"

# fmt: off
ROWS = [
    Row("pfadd", "2.8.9", -2, "write denyoom fast", "@write @hyperloglog @fast",
        "Adds elements to a HyperLogLog", "O(1) an element",
        keys=["RW insert @1"], args="key:key@0 element?*"),
    Row("pfcount", "2.8.9", -2, "readonly may_replicate", "@read @hyperloglog @slow",
        "Estimates how many distinct elements HyperLogLogs have seen", "O(1) for one key, O(N) for N keys",
        keys=["RW access @1 range -1 1 # RW because it may change the internal representation of the key, and "
              "propagate to replicas"],
        args="key:key@0*"),
    Row("pfdebug", "2.8.9", 3, "write denyoom admin", "@write @hyperloglog @admin @slow @dangerous",
        "Looks into a HyperLogLog, for tests", "n/a",
        keys=["RW access @2"], doc="syscmd", args="subcommand key:key@0"),
    Row("pfmerge", "2.8.9", -2, "write denyoom", "@write @hyperloglog @slow",
        "Merges HyperLogLogs into one", "O(N), N keys",
        keys=["RW access insert @1", "RO access @2 range -1 1"], args="destkey:key@0 sourcekey:key@1*"),
    Row("pfselftest", "2.8.9", 1, "admin", "@hyperloglog @admin @slow @dangerous",
        "Tests the HyperLogLog code", "n/a",
        doc="syscmd"),
]
