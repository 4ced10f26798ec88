"""The structs of the host's thread.

    CHost ---- CInterface[]     sockets, index, MAC, own addresses; by the machine's interface number
       |------ CPlace[]         one a router, by the machine's slot: its VIPs, its advert, its announcements
       |------ CShared*         memory shared with the guardian: who is master, AH sequence numbers
       |------ CNode*           the machine
       `------ CNotice[]        ring of things that Python should know
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libvrrp.bfd cimport CSession
from libvrrp.fsm.node cimport CAction, CNode, Node
from libvrrp.host.linux cimport pthread_mutex_t

cdef enum:
    SOCKET_V4           # protocol 112
    SOCKET_AH           # protocol 51
    SOCKET_V6
    SOCKET_COUNT

cdef enum:
    BATCH_ROOM = 65536
    BATCH_MESSAGES = 700
    NOTICES = 1024
    RECEIVE_ROOM = 65536

cdef struct CVip:
    uint8_t family
    uint8_t prefix
    uint8_t scope
    uint8_t deprecated
    uint8_t has_broadcast
    uint8_t foreign         # it was there before us, or somebody else put it there: never touched
    uint8_t was_foreign     # ... before the dump that is being read
    uint8_t held            # we added it, and nobody has deleted it since
    uint8_t changed         # ... but in the dump it has lost our mark
    uint8_t has_peer
    uint16_t flags          # IFA_F_ that it always has
    uint8_t seen            # in the dump that is being read
    int32_t device          # interface number
    uint8_t[16] address
    uint8_t[16] peer
    uint8_t[4] broadcast
    char[16] label

cdef struct CInterface:
    char[16] name
    int32_t index           # 0 while it does not exist
    uint8_t running         # as far as its delays let it count
    uint8_t carrier         # up and running this moment
    uint8_t silent          # no ARP or neighbour discovery there
    uint8_t seen            # in the dump that is being read
    uint8_t link            # what the machine was told
    uint8_t[3] wanted       # SOCKET_COUNT: which sockets its routers need
    uint8_t[6] mac
    uint8_t has_v4
    uint8_t has_v6
    uint8_t had_v4          # ... before the dump that is being read
    uint8_t had_v6
    uint32_t table          # of a VRF
    int64_t down_delay
    int64_t up_delay
    int64_t settles_at      # when carrier becomes running, or 0 where they agree
    int64_t[2] pace         # between two gratuitous ARPs, two neighbour advertisements; 0: none
    int64_t[2] paced_until
    uint8_t[4] v4           # its own first IPv4 address
    uint8_t[16] v6          # its own link-local address
    int32_t[3] sockets      # -1 while closed

# A route or rule: its two messages, sent as they are except for the sequence number and what `blanks` say.
cdef struct CBlank:
    uint32_t at             # bytes from the start
    int32_t device          # interface number
    uint8_t table           # its VRF's table, not its index

cdef struct CExtra:
    uint8_t* add
    uint8_t* remove
    size_t length           # of both
    int32_t blank_count
    CBlank* blanks

cdef struct CPlace:
    uint8_t used
    uint8_t failed          # a message of the batch that is under way was refused
    uint8_t pending         # the batch holds messages of this router
    uint8_t kind            # ... of this action
    uint8_t fixed_source    # its source is configured
    uint8_t lease
    uint8_t pseudo
    uint8_t vmac            # it needs the macvlan `device`
    uint8_t framed          # multicast adverts leave with `mac` as their source
    uint8_t ttl             # of unicast adverts
    uint8_t[16] group       # of multicast ones
    uint8_t[6] mac
    int32_t device          # interface number of the macvlan, or of the router's interface
    int32_t announcements   # still to be sent for each VIP
    int32_t announce_next   # the VIP whose turn it is
    int32_t send_errno      # of the last advert that could not be sent
    uint64_t send_errors
    uint64_t action
    int64_t claimed_at      # when a claim by another MAC was last told
    int32_t vip_count
    CVip* vips
    int32_t extra_count
    CExtra* extras
    uint32_t lease_seconds

cdef struct CBfd:
    CSession session
    uint8_t family
    uint8_t multihop
    uint8_t[16] local
    uint8_t[16] remote
    int32_t lowest_ttl
    int32_t device          # interface number of a link-local peer, or -1
    int32_t tracker         # the machine's tracker that follows the session, or -1
    int sender

# A tracker that follows an interface's link.
cdef struct CFollow:
    int32_t device          # interface number
    int32_t tracker         # the machine's number
    int32_t told            # -1: nothing yet

cdef struct CShared:
    uint8_t master
    uint32_t sequence

cdef struct CNotice:
    uint64_t id
    int32_t kind            # an ACT_ of the machine, or NOTICE_
    int32_t router
    int32_t argument
    int32_t cause
    int64_t at

cdef enum:
    NOTICE_LINK = 100       # router = interface number, argument = up
    NOTICE_NETLINK_LOST     # the monitor lost messages; everything was compared
    NOTICE_SOCKET           # router = interface number, argument = errno
    NOTICE_ADDRESS          # router, argument = errno: an address change was refused
    NOTICE_BFD              # router = session, argument = old state * 16 + new, cause = diagnostic
    NOTICE_BFD_SOCKET       # router = session, argument = errno
    NOTICE_REFUSED          # router = interface number, argument = Failure; at most one in 10 s
    NOTICE_REMOVED          # router, argument = netlink port of who deleted an address of a master

cdef struct CHost:
    CNode* node
    CInterface* interfaces
    int32_t interface_count
    CPlace* places
    int32_t place_count
    CFollow* follows
    int32_t follow_count
    CShared* shared
    int32_t shared_count
    pthread_mutex_t mutex
    int epoll
    int timer
    int wake                # eventfd: Python -> thread
    int told                # eventfd: thread -> Python; belongs to the Host
    int request             # netlink socket for changes
    uint32_t request_port
    int monitor             # netlink socket for notifications
    int packet              # AF_PACKET, to send ARP and ND
    int arp                 # AF_PACKET, to hear ARP
    int ndp                 # AF_PACKET, to hear neighbour advertisements
    uint32_t sequence
    uint16_t identification
    uint8_t stopping
    uint8_t compare         # addresses must be compared with a dump
    uint8_t marks           # this kernel keeps our mark (since Linux 5.18)
    uint8_t look            # links must be compared, too
    uint8_t prepared        # the first look at links is over: from now on their delays count
    uint8_t hung
    uint8_t quiet           # a dump is being read: nothing else may use its socket
    int64_t touched
    int64_t hang_timeout
    int32_t announcing      # routers with announcements to send
    int64_t announce_at     # when the next of them may go
    # batch of address changes
    uint8_t* batch
    size_t batch_length
    int32_t batch_count
    uint32_t batch_first
    int32_t* batch_owner
    # actions under way
    CAction* work
    int32_t work_count
    int32_t work_room
    # notices
    CNotice* notices
    uint64_t notice_head
    uint64_t notice_tail
    uint64_t notices_lost
    uint8_t* received
    # BFD
    CBfd* bfd
    int32_t bfd_count
    int32_t bfd_ports       # source ports handed out
    int[4] bfd_receivers    # single-hop IPv4, IPv6, multi-hop IPv4, IPv6
    uint64_t bfd_refused
    # guardian
    int guardian_pipe
    int guardian_pid
    int owner               # the process that made it: a fork of it must not act
    uint8_t guardian_wanted
    uint8_t guardian_stale
    uint64_t wakeups
    int64_t refused_told    # when the last NOTICE_REFUSED was

cdef class Worker:
    cdef CHost h
    cdef public Node node
    cdef public object names
    cdef public object interface_names
    cdef public object sessions
    cdef int open_all(self) except -1
    cdef int place_session(self, CBfd* b, object session) except -1
    cdef int place_router(self, int slot, object router) except -1
    cdef int place_extra(self, CExtra* extra, object given) except -1
    cdef int place_interface(self, CInterface* device, object given) except -1
    cdef int place_vip(self, CVip* vip, object address, object router) except -1
