"""The transition table of a virtual router, as data.

States: RFC 9568 section 6.4 (Master is its "Active Router") plus Fault, which keepalived has: the router takes no part
until what is wrong (link, tracker, address, hung owner, another member of its sync group) is right again.

An *input* is an event with its guards already applied: an advert, for example, is ADVERT_ZERO, _KEEP, _HOLD, _HIGHER,
_HIGHER_LOUD,
_LOWER or _LOWER_QUIET by its priority and the router's settings.  A row says: in this state, on this input, go to that
state and do these operations in this order.  What has no row changes nothing.  Entering another state always reports a
TRANSITION, before the operations.

The addresses are deleted before priority 0 is sent: nobody can take them over while they are still here.
"""

from typing import NamedTuple

STATES = ("Initialize", "Backup", "Master", "Fault")

INPUTS = (
    "STARTUP",
    "STARTUP_OWNER",
    "STOP",
    "STOP_SCRIPTED",
    "STOP_DONE",
    "STOP_TIMER",
    "FAULT",
    "CLEAR",
    "CLEAR_OWNER",
    "HOLD_TIMER",
    "MASTER_DOWN",
    "MASTER_DOWN_WAIT",
    "PEER_DOWN",
    "ADVERT_ZERO",
    "ADVERT_KEEP",
    "ADVERT_HOLD",
    "ADVERT_HIGHER",
    "ADVERT_HIGHER_LOUD",
    "ADVERT_LOWER",
    "ADVERT_LOWER_QUIET",
    "GROUP_BACKUP",
    "ADVERT_TIMER",
    "ANNOUNCE_TIMER",
    "LEASE_TIMER",
    "LEASE_GAP",
    "GAP",
    "ADDED",
    "ADD_FAILED",
    "DELETE_FAILED",
    "DELETE_TIMER",
    "REFRESH_FAILED",
    "ADDRESS_LOST",
    "ADDRESS_FIGHT",
    "CLAIMED",
)

OPERATIONS = (
    "ADVERT",  # send an advert with the effective priority
    "ADVERT_ZERO",  # send an advert with priority 0, unless the link is down
    "ADVERT_TIMER",  # the next advert one interval later
    "ADD",  # add the addresses with a fresh lease
    "DELETE",  # delete the addresses
    "DELETE_TIMER",  # delete them again in an interval
    "REFRESH",  # refresh the lease
    "ANNOUNCE",  # gratuitous ARP / neighbour advertisements now, and again after the delay
    "ANNOUNCE_AGAIN",  # repeat them
    "LEARN",  # remember the sender as master, with its interval and priority
    "FORGET",  # no master known, own interval
    "MASTER_DOWN_TIMER",  # down_adverts * master's interval + skew
    "SKEW_TIMER",  # the skew time, if that is earlier
    "WANT",  # this member of a sync group would be master
    "CANCEL",  # no timer runs
    "HOLD",  # the router has a fault of its own for hold_time
    "RELEASE",  # ... which is over
    "STOP_SCRIPT",  # run it; its done, or a timer, goes on
    "CONFLICT",  # report that another router acts as master
)


class Row(NamedTuple):
    """In `state`, on `input`: go to `next` and do `operations`, in order."""

    state: str
    input: str
    next: str
    operations: tuple[str, ...]


_TAKE = ("FORGET", "ADVERT", "ADVERT_TIMER", "ADD")
_WAIT = ("FORGET", "MASTER_DOWN_TIMER")
_LEAVE = ("CANCEL", "DELETE", "ADVERT_ZERO")

TABLE = (
    Row("Initialize", "STARTUP", "Backup", _WAIT),
    Row("Initialize", "STARTUP_OWNER", "Master", _TAKE),
    Row("Initialize", "FAULT", "Fault", ()),
    Row("Initialize", "DELETE_FAILED", "Initialize", ("DELETE_TIMER",)),
    Row("Initialize", "DELETE_TIMER", "Initialize", ("DELETE",)),
    #
    Row("Backup", "MASTER_DOWN", "Master", _TAKE),
    Row("Backup", "MASTER_DOWN_WAIT", "Backup", ("WANT",)),
    Row("Backup", "PEER_DOWN", "Backup", ("SKEW_TIMER",)),
    Row("Backup", "ADVERT_ZERO", "Backup", ("SKEW_TIMER",)),
    Row("Backup", "ADVERT_KEEP", "Backup", ("LEARN", "MASTER_DOWN_TIMER")),
    Row("Backup", "ADVERT_HOLD", "Backup", ("LEARN", "MASTER_DOWN_TIMER")),
    Row("Backup", "FAULT", "Fault", ("CANCEL",)),
    Row("Backup", "STOP", "Initialize", ("CANCEL",)),
    Row("Backup", "DELETE_FAILED", "Backup", ("DELETE_TIMER",)),
    Row("Backup", "DELETE_TIMER", "Backup", ("DELETE",)),
    #
    Row("Master", "ADVERT_TIMER", "Master", ("ADVERT", "ADVERT_TIMER")),
    Row("Master", "ADVERT_ZERO", "Master", ("ADVERT", "ADVERT_TIMER")),
    Row("Master", "ADVERT_HIGHER", "Backup", ("CANCEL", "DELETE", "LEARN", "MASTER_DOWN_TIMER", "CONFLICT")),
    Row(
        "Master",
        "ADVERT_HIGHER_LOUD",
        "Backup",
        ("ADVERT", "CANCEL", "DELETE", "LEARN", "MASTER_DOWN_TIMER", "CONFLICT"),
    ),
    Row("Master", "ADVERT_LOWER", "Master", ("ADVERT", "ADVERT_TIMER", "CONFLICT", "ANNOUNCE_AGAIN")),
    Row("Master", "ADVERT_LOWER_QUIET", "Master", ("CONFLICT", "ANNOUNCE_AGAIN")),
    Row("Master", "GROUP_BACKUP", "Backup", (*_LEAVE, "MASTER_DOWN_TIMER")),
    Row("Master", "GAP", "Backup", ("CANCEL", "DELETE", "MASTER_DOWN_TIMER")),
    Row("Master", "ADDED", "Master", ("ANNOUNCE",)),
    Row("Master", "ADD_FAILED", "Fault", (*_LEAVE, "HOLD")),
    Row("Master", "ANNOUNCE_TIMER", "Master", ("ANNOUNCE_AGAIN",)),
    Row("Master", "LEASE_TIMER", "Master", ("REFRESH",)),
    Row("Master", "LEASE_GAP", "Master", ("ADD",)),
    Row("Master", "REFRESH_FAILED", "Master", ("ADD",)),
    Row("Master", "ADDRESS_LOST", "Master", ("ADD",)),
    Row("Master", "ADDRESS_FIGHT", "Fault", (*_LEAVE, "HOLD")),
    Row("Master", "CLAIMED", "Master", ("CONFLICT", "ANNOUNCE_AGAIN")),
    Row("Master", "FAULT", "Fault", _LEAVE),
    Row("Master", "STOP", "Initialize", _LEAVE),
    Row("Master", "STOP_SCRIPTED", "Master", ("STOP_SCRIPT",)),
    Row("Master", "STOP_DONE", "Initialize", _LEAVE),
    Row("Master", "STOP_TIMER", "Initialize", _LEAVE),
    #
    Row("Fault", "CLEAR", "Backup", _WAIT),
    Row("Fault", "CLEAR_OWNER", "Master", _TAKE),
    Row("Fault", "HOLD_TIMER", "Fault", ("RELEASE",)),
    Row("Fault", "STOP", "Initialize", ("CANCEL",)),
    Row("Fault", "DELETE_FAILED", "Fault", ("DELETE_TIMER",)),
    Row("Fault", "DELETE_TIMER", "Fault", ("DELETE",)),
)


def diagram(table: tuple[Row, ...] = TABLE) -> str:
    """The table as a Mermaid state diagram: one arrow for each pair of different states, then the rows that stay."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in table:
        arrows.setdefault((row.state, row.next), []).append(row.input)
    lines = ["stateDiagram-v2", "    [*] --> Initialize"]
    for (start, end), inputs in arrows.items():
        if start != end:
            lines.append(f"    {start} --> {end}: {', '.join(inputs)}")
    return "\n".join(lines)


def listing(table: tuple[Row, ...] = TABLE) -> str:
    """The table as Markdown, one line a row."""
    lines = ["| state | input | next | operations |", "|---|---|---|---|"]
    lines += [f"| {r.state} | {r.input} | {r.next} | {', '.join(r.operations) or '-'} |" for r in table]
    return "\n".join(lines)
