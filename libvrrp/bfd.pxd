from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libvrrp.packet.control cimport CControl

cdef enum:
    BFD_ADMIN_DOWN
    BFD_DOWN
    BFD_INIT
    BFD_UP

cdef enum:
    BFD_EV_DEADLINE
    BFD_EV_PACKET       # packet
    BFD_EV_DISABLE      # to AdminDown
    BFD_EV_ENABLE       # from AdminDown to Down
    BFD_EV_INTERVALS    # min_tx_us, min_rx_us, multiplier in `packet`
    BFD_OUT = 4

# Intervals on the wire are microseconds, times are nanoseconds.
cdef struct CSession:
    # settings
    uint8_t passive
    uint8_t multiplier
    uint32_t discriminator
    uint32_t idle_us            # transmit interval while not Up, at least 1 s
    uint32_t wanted_tx_us       # desired min TX while Up
    uint32_t wanted_rx_us       # required min RX
    # RFC 5880 section 6.8.1
    uint8_t state
    uint8_t remote_state
    uint8_t diagnostic
    uint8_t remote_multiplier
    uint8_t remote_demand
    uint8_t polling
    uint32_t remote_discriminator
    uint32_t remote_tx_us
    uint32_t remote_rx_us
    uint32_t used_tx_us         # the transmit interval in force (an increase waits for the end of a Poll Sequence)
    uint32_t used_rx_us         # the receive interval in force (a decrease waits for it)
    int64_t transmit_at
    int64_t detect_at
    int64_t received_at
    uint64_t random
    # what the last step wants
    int32_t out_count
    CControl[4] out             # BFD_OUT
    uint8_t changed
    uint8_t old_state
    uint8_t peer_down           # the session was Up and is Down, and nobody meant it to be
    # counters
    uint64_t sent
    uint64_t received
    uint64_t discarded
    uint64_t ups
    uint64_t downs

cdef void bfd_start(CSession* s, uint32_t discriminator, uint64_t seed) noexcept nogil
cdef void bfd_step(CSession* s, int event, const CControl* packet, int64_t now) noexcept nogil
cdef int64_t bfd_next_deadline(const CSession* s) noexcept nogil

cdef class Session:
    cdef CSession c
    cdef int settings(self, object min_tx, object min_rx, object multiplier) except -1
    cdef list results(self)
