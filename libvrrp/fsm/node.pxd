"""The machine's structs and its C entry points, shared by the Python `Node` and the host's thread.

    CNode ---- CRouter[capacity] ---- CTrack[]   (which trackers, with which weight)
       |            `---- addresses, peers       (packed, 4 or 16 bytes each)
       |---- CGroup[] ---- CTrack[]
       |---- CTracker[]
       `---- CAction[room]                       filled by each step, read before the next one
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libvrrp.packet.advert cimport CAdvert, Replay

# The four enums below are in the order of STATES, INPUTS and OPERATIONS in table.py and of KINDS in events.py.
cdef enum:     # State
    INITIALIZE
    BACKUP
    MASTER
    FAULT
    STATE_COUNT

cdef enum:     # Input
    IN_STARTUP
    IN_STARTUP_OWNER
    IN_STOP
    IN_STOP_SCRIPTED
    IN_STOP_DONE
    IN_STOP_TIMER
    IN_FAULT
    IN_CLEAR
    IN_CLEAR_OWNER
    IN_HOLD_TIMER
    IN_MASTER_DOWN
    IN_MASTER_DOWN_WAIT
    IN_PEER_DOWN
    IN_ADVERT_ZERO
    IN_ADVERT_KEEP
    IN_ADVERT_HOLD
    IN_ADVERT_HIGHER
    IN_ADVERT_HIGHER_LOUD
    IN_ADVERT_LOWER
    IN_ADVERT_LOWER_QUIET
    IN_GROUP_BACKUP
    IN_ADVERT_TIMER
    IN_ANNOUNCE_TIMER
    IN_LEASE_TIMER
    IN_LEASE_GAP
    IN_GAP
    IN_ADDED
    IN_ADD_FAILED
    IN_DELETE_FAILED
    IN_DELETE_TIMER
    IN_REFRESH_FAILED
    IN_ADDRESS_LOST
    IN_ADDRESS_FIGHT
    IN_CLAIMED
    INPUT_COUNT

cdef enum:     # Operation
    OP_ADVERT
    OP_ADVERT_ZERO
    OP_ADVERT_TIMER
    OP_ADD
    OP_DELETE
    OP_DELETE_TIMER
    OP_REFRESH
    OP_ANNOUNCE
    OP_ANNOUNCE_AGAIN
    OP_LEARN
    OP_FORGET
    OP_MASTER_DOWN_TIMER
    OP_SKEW_TIMER
    OP_WANT
    OP_CANCEL
    OP_HOLD
    OP_RELEASE
    OP_STOP_SCRIPT
    OP_CONFLICT
    OPERATION_COUNT

cdef enum:     # ActionKind
    ACT_ADVERT              # argument: the priority to send
    ACT_ADD                 # add all addresses; done -> announce
    ACT_DELETE              # delete all addresses
    ACT_REFRESH             # refresh the addresses' lifetimes
    ACT_ANNOUNCE            # argument: how many gratuitous ARPs / advertisements for each address
    ACT_TRANSITION          # argument: old state * 16 + new state; cause: the input
    ACT_STOP_SCRIPT
    ACT_CONFLICT            # another router acts as master for the same addresses
    ACT_DROPPED             # argument: the reason; at most one for a reason, router and 10 s
    ACTION_KIND_COUNT

cdef enum:     # EventKind
    EV_DEADLINE
    EV_ADVERT               # advert, interface
    EV_LINK                 # interface, value: 1 up, 0 down
    EV_ADDED                # id: done of ACT_ADD
    EV_DONE                 # id: done of another action
    EV_FAILED               # id
    EV_LOST                 # router: somebody else deleted one of its addresses
    EV_EXPIRED              # router: the kernel deleted an address whose lifetime ended
    EV_CLAIMED              # router: an ARP or ND packet claims an address from another MAC
    EV_TRACKER              # tracker (in `router`), value
    EV_PEER_DOWN            # address, family in value
    EV_START                # router, or -1 for all
    EV_STOP
    EV_PRIORITY             # router, value
    EV_HUNG                 # value: 1 the owner does not answer, 0 it does again
    EV_PRIMARY              # router, address: its own source address
    EV_REFUSED              # interface, vrid (in `router`), family (in `id`), value: the Failure of a datagram

cdef enum:     # Drop
    DROP_NONE
    DROP_OWN                # our own packet came back
    DROP_TTL
    DROP_VERSION
    DROP_AUTH_TYPE
    DROP_AUTH_DATA
    DROP_ICV
    DROP_REPLAY
    DROP_INTERVAL           # version 2: not our advert interval
    DROP_ADDRESSES          # the address list is not ours
    DROP_PEER               # not from a configured unicast peer
    DROP_STOPPED            # the router is in Initialize or Fault
    DROP_DESTINATION        # multicast to a router with unicast peers, or the other way round
    DROP_COUNT

# Bits of CRouter.faults.
cdef enum:
    FAULT_LINK = 1
    FAULT_TRACKER = 2
    FAULT_ADDRESS = 4       # an address could not be added, or somebody keeps deleting it
    FAULT_HUNG = 8
    FAULT_GROUP = 16        # another member of the sync group has a fault

cdef enum:     # Timer
    TIMER_HOLD
    TIMER_STOP
    TIMER_LEASE
    TIMER_ADVERT
    TIMER_MASTER_DOWN
    TIMER_ANNOUNCE
    TIMER_DELETE
    TIMER_COUNT

cdef enum:     # RFC 6527: vrrpv3StatisticsProtoErrReason
    PROTOCOL_NO_ERROR
    PROTOCOL_TTL
    PROTOCOL_VERSION
    PROTOCOL_CHECKSUM

cdef enum:     # which announcements come with TIMER_ANNOUNCE, before the periodic ones
    DELAYED_NOTHING
    DELAYED_FIRST           # the second set after becoming master
    DELAYED_LOWER           # ... after a conflict

cdef enum:     # why a backup's timer may end
    HEARD_NOTHING
    HEARD_ZERO              # the master resigned
    HEARD_LOWER             # a lower master, whose adverts are discarded

cdef enum:
    ROW_OPERATIONS = 8
    LATENESS_BUCKETS = 64

    REPLAY_SENDERS = 8

# Whose AH sequence numbers we know.
cdef struct ReplaySender:
    uint8_t[4] source
    uint8_t known
    int64_t last            # when its last advert was accepted
    Replay window

cdef struct CRow:
    uint8_t present
    uint8_t next
    uint8_t count
    uint8_t[8] operations

cdef struct CTrack:
    int32_t tracker
    int32_t weight          # 0: the router (or group) goes to Fault
    uint8_t reverse

cdef struct CTracker:
    uint8_t used
    uint8_t counts          # a file: the value itself is what is weighed
    uint8_t up
    int32_t rise
    int32_t fall
    int32_t streak          # equal results in a row that disagree with `up`
    int64_t value

cdef struct CGroup:
    uint8_t used
    uint8_t tracking_weight
    int32_t count
    int32_t* members
    int32_t track_count
    CTrack* tracks

cdef struct CRouter:
    # settings
    uint8_t used
    uint8_t family
    uint8_t version
    uint8_t vrid
    uint8_t base            # configured priority
    uint8_t preempt
    uint8_t auth_type
    uint8_t check_addresses
    uint8_t answer_lower
    uint8_t answer_higher
    uint8_t unicast
    uint8_t check_peers
    uint8_t peer_down_fast
    uint8_t stop_script
    uint8_t leased
    uint8_t dont_track_link
    uint8_t[8] auth_data
    int32_t interface
    int32_t group
    int32_t ttl_low
    int32_t ttl_high
    int32_t address_count
    int32_t peer_count
    int32_t track_count
    int32_t down_adverts
    int32_t announce_repeat
    int32_t announce_refresh_repeat
    int32_t lower_repeat
    uint8_t* addresses
    uint8_t* peers
    uint8_t* peer_ttls      # lowest and highest accepted of each peer
    CTrack* tracks
    int64_t interval_ns
    int64_t preempt_delay_ns
    int64_t announce_delay_ns
    int64_t announce_refresh_ns
    int64_t lower_delay_ns
    int64_t stop_timeout_ns
    int64_t hold_ns
    int64_t lease_ns        # lifetime of its addresses in the kernel
    int32_t next_same_vrid  # chain of routers with this vrid, -1 at its end
    # state
    uint8_t state
    uint8_t started
    uint8_t effective       # priority in force
    uint8_t wants           # its master-down timer ended, the group does not follow yet
    uint8_t stopping        # 1: the stop script runs, 2: it is done
    uint8_t faults
    uint8_t held            # own faults that only TIMER_HOLD or EV_HUNG clear
    uint8_t delayed         # announcements that are still to come: DELAYED_
    uint8_t last_cause
    uint8_t last_from
    uint8_t heard           # since the master-down timer was set: HEARD_
    uint8_t reason          # why it became master last, in the order of REASONS in events.py
    int64_t started_at
    int64_t counted_since   # when it was started first: its counters begin there
    uint8_t protocol_error  # of the last datagram that had one: PROTOCOL_
    uint8_t[16] primary
    uint8_t[16] master
    uint8_t master_known
    uint8_t master_priority
    int64_t learnt_ns
    int64_t preempt_at
    int64_t sent_at
    int64_t leased_at
    int64_t last_change
    int64_t repair_since
    int32_t repairs
    uint64_t id_add
    uint64_t id_delete
    uint64_t id_refresh
    uint64_t id_stop
    int64_t[7] timers       # TIMER_COUNT; NEVER when not set
    int64_t next            # the earliest of them
    ReplaySender[8] senders     # REPLAY_SENDERS
    # counters
    uint64_t transitions    # to Master
    uint64_t received
    uint64_t sent
    uint64_t zero_received
    uint64_t zero_sent
    uint64_t gaps
    uint64_t conflicts
    uint64_t expiries
    uint64_t repaired
    uint64_t[13] drops      # DROP_COUNT
    int64_t[13] drop_logged
    uint64_t[32] refused    # datagrams with its VRID that are no adverts, by Failure
    int64_t late_max
    uint64_t[64] late       # LATENESS_BUCKETS: two a power of two of nanoseconds

cdef struct CAction:
    uint64_t id
    int32_t kind
    int32_t router
    int32_t argument
    int32_t cause

cdef struct CEvent:
    int32_t kind
    int32_t interface
    int32_t router
    int64_t value
    uint64_t id
    uint8_t[16] address
    const CAdvert* advert

cdef struct CNode:
    CRow[4][34] table       # STATE_COUNT, INPUT_COUNT
    int32_t capacity
    int32_t group_count
    int32_t tracker_count
    int32_t interface_count
    CRouter* routers
    CGroup* groups
    CTracker* trackers
    uint8_t* links          # 1 up, 0 down, by interface number
    int32_t[256] by_vrid    # first router with the vrid, or -1
    CAction* actions
    int32_t room
    int32_t count           # actions of the last step
    uint64_t last_id
    int64_t now
    int64_t counted_since   # the first step
    int64_t next
    int64_t gap_at          # the earliest time at which a master has been silent for too long
    uint64_t unknown_vrid
    uint64_t[32] failures   # refused datagrams by Failure of libvrrp.packet.advert

cdef int node_step(CNode* node, const CEvent* event, int64_t now) noexcept nogil
cdef int64_t node_next_deadline(const CNode* node) noexcept nogil

cdef class Node:
    cdef CNode c
    cdef public object config
    cdef list names
    cdef dict slots
    cdef list interface_names
    cdef dict interfaces
    cdef dict tracker_slots
    cdef dict group_slots
    cdef int configure(self, object config) except -1
    cdef int fill_trackers(self, object config) except -1
    cdef int fill_groups(self, object config) except -1
    cdef list collected(self)
    cdef int decode(self, CAdvert* out, bytes data) except -1
    cdef int other_event(self, CEvent* e, object kind, object event) except -1
    cdef int number(self, dict slots, object name, str what) except -1
    cdef list stop_now(self, object name, int64_t now)
    cdef list again(self, object name)
    cdef dict router_status(self, CRouter* r)
