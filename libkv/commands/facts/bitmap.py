"""Facts of the commands about bits of strings, as of Redis 7.0.15."""

from libkv.commands.facts.row import Row

GROUP = "bitmap"

# fmt: off
ROWS = [
    Row("bitcount", "2.6.0", -2, "readonly", "@read @bitmap @slow",
        "Counts the bits that are set in a string", "O(N)",
        keys=["RO access @1"], history=["7.0.0 BYTE and BIT"],
        args='key:key@0 index:block?(start:integer end:integer index_unit:oneof?^7.0.0(byte="BYTE" bit="BIT"))'),
    Row("bitfield", "3.2.0", -2, "write denyoom", "@write @bitmap @slow",
        "Reads, sets and increments integers of any width inside a string", "O(1) a subcommand",
        keys=["RW access update variable_flags @1 # This command allows both access and modification of the key"],
        args='key:key@0 operation:oneof?*(encoding_offset:block="GET"(encoding offset:integer) '
             'write:block(wrap_sat_fail:oneof="OVERFLOW"?(wrap="WRAP" sat="SAT" fail="FAIL") '
             'write_operation:oneof(encoding_offset_value:block="SET"(encoding offset:integer value:integer) '
             'encoding_offset_increment:block="INCRBY"(encoding offset:integer increment:integer))))'),
    Row("bitfield_ro", "6.0.0", -2, "readonly fast", "@read @bitmap @fast",
        "Reads integers of any width inside a string", "O(1) a subcommand",
        keys=["RO access @1"], args='key:key@0 encoding_offset:block="GET"?+(encoding offset:integer)'),
    Row("bitop", "2.6.0", -4, "write denyoom", "@write @bitmap @slow",
        "Combines strings bit by bit into another key", "O(N)",
        keys=["OW update @2", "RO access @3 range -1 1"], args="operation destkey:key@0 key:key@1*"),
    Row("bitpos", "2.8.7", -3, "readonly", "@read @bitmap @slow",
        "Finds the first bit that is set or clear", "O(N)",
        keys=["RO access @1"], history=["7.0.0 BYTE and BIT"],
        args='key:key@0 bit:integer index:block?(start:integer end_index:block?(end:integer '
             'index_unit:oneof?^7.0.0(byte="BYTE" bit="BIT")))'),
    Row("getbit", "2.2.0", 3, "readonly fast", "@read @bitmap @fast",
        "Tells one bit of a string", "O(1)",
        keys=["RO access @1"], args="key:key@0 offset:integer"),
    Row("setbit", "2.2.0", 4, "write denyoom", "@write @bitmap @slow",
        "Sets or clears one bit of a string", "O(1)",
        keys=["RW access update @1"], args="key:key@0 offset:integer value:integer"),
]
