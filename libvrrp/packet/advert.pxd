from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    ADVERT_MAX = 20 + 24 + 8 + 255 * 16 + 40   # bytes: the largest datagram that any encoder here writes
    AH_LENGTH = 24
    ICV_LENGTH = 12

# Why a datagram was refused.  FAILURES in advert.pyx gives each its field and sentence.
cdef enum Failure:
    FAIL_NONE
    FAIL_IP_TRUNCATED
    FAIL_IP_VERSION
    FAIL_IP_HEADER_LENGTH
    FAIL_IP_CHECKSUM
    FAIL_IP_TOTAL_LENGTH
    FAIL_IP_FRAGMENT
    FAIL_IP_PROTOCOL
    FAIL_AH_TRUNCATED
    FAIL_AH_NEXT_HEADER
    FAIL_AH_LENGTH
    FAIL_TRUNCATED
    FAIL_VERSION
    FAIL_TYPE
    FAIL_VRID
    FAIL_COUNT
    FAIL_AUTH_TYPE
    FAIL_INTERVAL
    FAIL_LENGTH
    FAIL_CHECKSUM
    FAIL_AUTH_MISSING_AH
    FAIL_COUNT_OF_FAILURES

# One advert.  Everything except `addresses`, `datagram` is by value; those two point into the caller's buffer.
cdef struct CAdvert:
    uint8_t family              # 4 or 6: the IP version that carries it, and that of its addresses
    uint8_t version             # 2 (RFC 3768) or 3 (RFC 5798, RFC 9568)
    uint8_t vrid                # 1..255
    uint8_t priority            # 0 = resigning, 255 = owner
    uint8_t count               # number of addresses, 1..255
    uint8_t auth_type           # v2: 0 none, 1 PASS, 2 AH; v3: 0
    uint8_t ttl                 # TTL or hop limit
    uint8_t tos                 # ToS or traffic class
    uint8_t pseudo              # 1 = the checksum covers the pseudo-header, 0 = the message only
    uint16_t identification     # IPv4 header
    uint16_t fragment           # IPv4 header: flags and fragment offset
    uint32_t flow_label         # IPv6 header
    uint32_t interval_cs        # advert interval in centiseconds (v2: a multiple of 100)
    uint32_t spi                # AH
    uint32_t sequence           # AH
    uint8_t[12] icv             # AH
    uint8_t[8] auth_data        # v2
    uint8_t[16] source          # IPv4 uses the first 4 bytes
    uint8_t[16] destination
    const uint8_t* addresses    # count * (4 or 16) bytes
    const uint8_t* datagram     # the IPv4 datagram it was decoded from (AH's digest covers it), or NULL
    uint32_t datagram_length
    uint32_t bad_offset         # after a failure: where the field starts, how long it is
    uint32_t bad_length

# RFC 2402 section 3.4.3 with a window of 64: bit i of `seen` stands for sequence number `highest - i`.
cdef struct Replay:
    uint32_t highest
    uint32_t started
    uint64_t seen

cdef int advert_decode_ipv4(CAdvert* a, const uint8_t* data, size_t length) noexcept nogil
cdef int advert_decode_ipv6(CAdvert* a, const uint8_t* data, size_t length) noexcept nogil
cdef int advert_decode_message(CAdvert* a, const uint8_t* base, size_t offset, size_t length) noexcept nogil
cdef int advert_encode_message(const CAdvert* a, uint8_t* out, size_t room) noexcept nogil
cdef int advert_encode_ipv4(const CAdvert* a, const uint8_t* key, size_t key_length, uint8_t* out, size_t room) noexcept nogil
cdef int advert_encode_ipv6(const CAdvert* a, uint8_t* out, size_t room) noexcept nogil
cdef bint advert_icv_valid(const CAdvert* a, const uint8_t* key, size_t key_length) noexcept nogil
cdef bint replay_accept(Replay* r, uint32_t sequence) noexcept nogil

cdef class Advert:
    cdef CAdvert c
    cdef bytes held             # what c.addresses and c.datagram point into

cdef Advert advert_object(const CAdvert* c)
