# What the disk takes long for, on its way to the latency monitor.
#
# The journal is written, forced to disk and exchanged without the store's lock, which the latency monitor's events need.  So
# the worst time of each kind waits in Durable.spikes, and goes to the monitor as soon as somebody has the lock: a
# command's effects are taken, the keeper looks around, LATENCY asks.

from libc.stdint cimport int64_t

from libkv.engine.types cimport Kv
from libkv.persistence.durable cimport Durable

cdef enum:
    SPIKE_WRITE = 0             # a write to the journal, each; and where it fell, one of these three:
    SPIKE_WRITE_HELD = 1        # a fsync was so late that replies had to wait: how long they did
    SPIKE_WRITE_CHILD = 2       # a child was writing a snapshot or a base
    SPIKE_WRITE_ALONE = 3       # neither
    SPIKE_FSYNC_ALWAYS = 4      # a fsync that replies wait for
    SPIKE_RENAME = 5            # the rename of a rewrite's base, or of the increment behind it
    SPIKE_STAT = 6              # asking for a file's size

cdef int64_t spike_began(Durable* d) noexcept nogil
    # m not held.  Now, in monotonic us; 0: the monitor is off, nothing is measured
cdef void spike_put(Durable* d, int what, int64_t us) noexcept nogil        # m held
cdef void spike_end(Durable* d, int what, int64_t began) noexcept nogil
    # m not held; began: spike_began's
cdef void spikes_tell(Kv* kv) noexcept nogil            # store's lock held
