from libc.stdint cimport uint8_t

cdef enum:
    ARP_FRAME = 42          # bytes: Ethernet 14, ARP 28
    ADVERTISEMENT_FRAME = 86    # bytes: Ethernet 14, IPv6 40, ICMPv6 32

cdef void arp_announce(uint8_t* frame, const uint8_t* mac, const uint8_t* address) noexcept nogil
cdef void neighbour_announce(
    uint8_t* frame, const uint8_t* mac, const uint8_t* address, bint router, bint override
) noexcept nogil
cdef int neighbour_claim(const uint8_t* frame, size_t n, uint8_t* mac, uint8_t* address) noexcept nogil
