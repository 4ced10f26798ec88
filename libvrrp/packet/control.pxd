from libc.stdint cimport uint8_t, uint32_t

# RFC 5880 section 4.1, without the optional authentication section.  Intervals are microseconds.
cdef struct CControl:
    uint8_t diagnostic      # 0..31
    uint8_t state           # 0 AdminDown, 1 Down, 2 Init, 3 Up
    uint8_t poll
    uint8_t final
    uint8_t independent     # C: the control plane is independent
    uint8_t authenticated   # A: an authentication section follows
    uint8_t demand
    uint8_t multiplier
    uint32_t mine           # my discriminator
    uint32_t yours
    uint32_t min_tx_us
    uint32_t min_rx_us
    uint32_t min_echo_rx_us

cdef int control_decode(CControl* c, const uint8_t* data, size_t length) noexcept nogil
cdef void control_encode(const CControl* c, uint8_t* out) noexcept nogil

cdef class ControlPacket:
    cdef CControl c
