"""VRRP adverts: version 2 (RFC 3768, authentication as in RFC 2338) and version 3 (RFC 5798, RFC 9568).

    version 2                                          version 3
     0       1       2       3                          0       1       2       3
    +-------+-------+-------+-------+                  +-------+-------+-------+-------+
    |2 | 1  | VRID  | prio  | count |                  |3 | 1  | VRID  | prio  | count |
    +-------+-------+-------+-------+                  +-------+-------+-------+-------+
    | auth  | adver | checksum      |                  |0| max adver    | checksum      |
    +-------+-------+-------+-------+                  +-------+-------+-------+-------+
    | IPv4 addresses, 4 bytes each  |                  | addresses, 4 or 16 bytes each |
    +-------+-------+-------+-------+                  +-------+-------+-------+-------+
    | authentication data, 8 bytes  |
    +-------+-------+-------+-------+

    AH (RFC 2402), between the IPv4 header and the v2 message
    +-------+-------+-------+-------+
    | 112   | 4     | 0             |    4 = AH's length in 32-bit words less 2
    | SPI                           |    the sender's address
    | sequence number               |
    | ICV: HMAC-MD5-96, 12 bytes    |
    +-------+-------+-------+-------+

Two forms of the version-3 IPv4 checksum are on the wire: with the IPv4 pseudo-header (RFC 5798; keepalived 2.2 and
FRR 8.4) and over the message only (RFC 9568).  Both are accepted; which was used is `Advert.pseudo_header`.

The ICV covers the IPv4 header with ToS, flags, fragment offset and checksum as zero, the AH with the ICV as zero, and
the message.  The identification is covered; the TTL is covered for a multicast destination and zero for a unicast one
(what keepalived does; RFC 2402 would zero it always).

The decoder accepts nothing that is longer or shorter than its address count says: a version-3 message of 20 bytes for
one IPv4 address, which some routers send, is refused by name.
"""

import ipaddress

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from libvrrp.packet.checksum cimport fold16, get16, get32, pseudo_sum, put16, put32, sum16
from libvrrp.packet.digest cimport Md5, hmac_md5_finish, hmac_md5_start, md5_add

from libvrrp.errors import PacketError

AUTH_NONE, AUTH_PASS, AUTH_AH = 0, 1, 2
PROTOCOL_VRRP, PROTOCOL_AH = 112, 51
GROUP4 = ipaddress.IPv4Address("224.0.0.18")
GROUP6 = ipaddress.IPv6Address("ff02::12")

FIELDS = (
    "", "ip.header", "ip.version", "ip.header_length", "ip.checksum", "ip.total_length", "ip.fragment_offset",
    "ip.protocol", "ah.header", "ah.next_header", "ah.length", "vrrp.header", "vrrp.version", "vrrp.type",
    "vrrp.vrid", "vrrp.count", "vrrp.auth_type", "vrrp.interval", "vrrp.length", "vrrp.checksum", "vrrp.auth_type",
)
REASONS = (
    "", "the IP header is cut short", "neither IPv4 nor IPv6 as expected", "the header length is impossible",
    "the header checksum is wrong", "the length disagrees with the datagram", "a fragment, not a whole datagram",
    "not VRRP (112) or AH (51)", "the authentication header is cut short", "AH does not carry VRRP (112)",
    "AH with HMAC-MD5-96 has length 4", "the message is cut short", "neither version 2 nor 3, or 2 over IPv6",
    "not an advertisement (1)", "0 is not a virtual router id", "no address at all", "not 0, 1 or 2",
    "an advert interval of 0", "the message's length disagrees with its address count", "the checksum is wrong",
    "AH authentication is announced but the datagram has no AH, or the other way round",
)


cdef inline int refuse(CAdvert* a, int failure, size_t offset, size_t length) noexcept nogil:
    a.bad_offset = <uint32_t>offset
    a.bad_length = <uint32_t>length
    return failure


cdef int message_length(const CAdvert* a) noexcept nogil:
    cdef int width = 4 if a.family == 4 else 16
    return 8 + a.count * width + (8 if a.version == 2 else 0)


cdef int advert_decode_message(CAdvert* a, const uint8_t* base, size_t offset, size_t length) noexcept nogil:
    """Decodes the VRRP message base[offset:length].  The caller has set family, source, destination, ttl, and whether
    an AH was there (spi non-zero or icv set -> datagram != NULL and `sequence`), as far as the IP layer knows them."""
    cdef const uint8_t* p = base + offset
    cdef size_t n = length - offset if length > offset else 0
    cdef uint32_t total
    if n < 8:
        return refuse(a, FAIL_TRUNCATED, offset, n)
    a.version = p[0] >> 4
    a.vrid = p[1]
    a.priority = p[2]
    a.count = p[3]
    if a.version != 3 and not (a.version == 2 and a.family == 4):
        return refuse(a, FAIL_VERSION, offset, 1)
    if p[0] & 15 != 1:
        return refuse(a, FAIL_TYPE, offset, 1)
    if a.vrid == 0:
        return refuse(a, FAIL_VRID, offset + 1, 1)
    if a.count == 0:
        return refuse(a, FAIL_COUNT, offset + 3, 1)
    if a.version == 2:
        a.auth_type = p[4]
        if a.auth_type > 2:
            return refuse(a, FAIL_AUTH_TYPE, offset + 4, 1)
        a.interval_cs = <uint32_t>p[5] * 100
    else:
        a.auth_type = 0
        a.interval_cs = get16(p + 4) & 0x0FFF
    if a.interval_cs == 0:
        return refuse(a, FAIL_INTERVAL, offset + (5 if a.version == 2 else 4), 1 if a.version == 2 else 2)
    if n != <size_t>message_length(a):
        return refuse(a, FAIL_LENGTH, offset, n)
    total = sum16(p, n, 0)
    a.pseudo = 0
    if a.version == 3 and (a.family == 6 or fold16(total) != 0):
        total += pseudo_sum(a.family, a.source, a.destination, <uint32_t>n, 112)
        a.pseudo = 1
    if fold16(total) != 0:
        return refuse(a, FAIL_CHECKSUM, offset + 6, 2)
    a.addresses = p + 8
    memset(a.auth_data, 0, 8)
    if a.version == 2:
        memcpy(a.auth_data, p + n - 8, 8)
    return FAIL_NONE


cdef int advert_decode_ipv4(CAdvert* a, const uint8_t* data, size_t length) noexcept nogil:
    """Decodes a whole IPv4 datagram, as a raw socket delivers it.  Bytes after its total length are ignored."""
    cdef size_t header, total, at
    cdef int failure
    cdef bint protected = False
    memset(a, 0, sizeof(CAdvert))
    a.family = 4
    if length < 20:
        return refuse(a, FAIL_IP_TRUNCATED, 0, length)
    if data[0] >> 4 != 4:
        return refuse(a, FAIL_IP_VERSION, 0, 1)
    header = (data[0] & 15) * 4
    if header < 20 or header > length:
        return refuse(a, FAIL_IP_HEADER_LENGTH, 0, 1)
    total = get16(data + 2)
    if total < header or total > length:
        return refuse(a, FAIL_IP_TOTAL_LENGTH, 2, 2)
    a.tos = data[1]
    a.identification = get16(data + 4)
    a.fragment = get16(data + 6)
    if a.fragment & 0x3FFF:
        return refuse(a, FAIL_IP_FRAGMENT, 6, 2)
    a.ttl = data[8]
    if fold16(sum16(data, header, 0)) != 0:
        return refuse(a, FAIL_IP_CHECKSUM, 10, 2)
    memcpy(a.source, data + 12, 4)
    memcpy(a.destination, data + 16, 4)
    a.datagram = data
    a.datagram_length = <uint32_t>total
    at = header
    if data[9] == 51:
        if total - at < AH_LENGTH:
            return refuse(a, FAIL_AH_TRUNCATED, at, total - at)
        if data[at] != 112:
            return refuse(a, FAIL_AH_NEXT_HEADER, at, 1)
        if data[at + 1] != 4:
            return refuse(a, FAIL_AH_LENGTH, at + 1, 1)
        a.spi = get32(data + at + 4)
        a.sequence = get32(data + at + 8)
        memcpy(a.icv, data + at + 12, ICV_LENGTH)
        at += AH_LENGTH
        protected = True
    elif data[9] != 112:
        return refuse(a, FAIL_IP_PROTOCOL, 9, 1)
    failure = advert_decode_message(a, data, at, total)
    if failure == FAIL_NONE and protected != (a.version == 2 and a.auth_type == 2):
        return refuse(a, FAIL_AUTH_MISSING_AH, at + 4, 1)
    return failure


cdef int advert_decode_ipv6(CAdvert* a, const uint8_t* data, size_t length) noexcept nogil:
    """Decodes a whole IPv6 datagram without extension headers."""
    cdef size_t payload
    memset(a, 0, sizeof(CAdvert))
    a.family = 6
    if length < 40:
        return refuse(a, FAIL_IP_TRUNCATED, 0, length)
    if data[0] >> 4 != 6:
        return refuse(a, FAIL_IP_VERSION, 0, 1)
    payload = get16(data + 4)
    if payload + 40 > length:
        return refuse(a, FAIL_IP_TOTAL_LENGTH, 4, 2)
    if data[6] != 112:
        return refuse(a, FAIL_IP_PROTOCOL, 6, 1)
    a.tos = <uint8_t>((get16(data) >> 4) & 0xFF)
    a.flow_label = get32(data) & 0xFFFFF
    a.ttl = data[7]
    memcpy(a.source, data + 8, 16)
    memcpy(a.destination, data + 24, 16)
    return advert_decode_message(a, data, 40, 40 + payload)


cdef int advert_encode_message(const CAdvert* a, uint8_t* out, size_t room) noexcept nogil:
    """Writes the VRRP message; returns its length in bytes, or -1 when room is too small."""
    cdef int n = message_length(a)
    cdef int width = 4 if a.family == 4 else 16
    cdef uint32_t total
    if room < <size_t>n:
        return -1
    out[0] = <uint8_t>((a.version << 4) | 1)
    out[1] = a.vrid
    out[2] = a.priority
    out[3] = a.count
    if a.version == 2:
        out[4] = a.auth_type
        out[5] = <uint8_t>(a.interval_cs // 100)
        memcpy(out + n - 8, a.auth_data, 8)
    else:
        put16(out + 4, a.interval_cs & 0x0FFF)
    put16(out + 6, 0)
    memcpy(out + 8, a.addresses, a.count * width)
    total = sum16(out, n, 0)
    if a.version == 3 and (a.family == 6 or a.pseudo):
        total += pseudo_sum(a.family, a.source, a.destination, n, 112)
    put16(out + 6, fold16(total))
    return n


cdef void compute_icv(
    const uint8_t* data, size_t length, const uint8_t* key, size_t key_length, uint8_t* icv
) noexcept nogil:
    """HMAC-MD5-96 of an IPv4 datagram whose AH follows its header."""
    cdef Md5 m
    cdef uint8_t[16] digest
    cdef uint8_t[60 + 24] head
    cdef size_t header = (data[0] & 15) * 4
    memcpy(head, data, header + AH_LENGTH)
    head[1] = 0
    put16(head + 6, 0)
    put16(head + 10, 0)
    if head[16] >> 4 != 14:     # a unicast destination
        head[8] = 0
    memset(head + header + 12, 0, ICV_LENGTH)
    hmac_md5_start(&m, key, key_length)
    md5_add(&m, head, header + AH_LENGTH)
    md5_add(&m, data + header + AH_LENGTH, length - header - AH_LENGTH)
    hmac_md5_finish(&m, key, key_length, digest)
    memcpy(icv, digest, ICV_LENGTH)


cdef bint advert_icv_valid(const CAdvert* a, const uint8_t* key, size_t key_length) noexcept nogil:
    """Whether the ICV of an advert decoded from an AH datagram is the one that key gives."""
    cdef uint8_t[12] icv
    cdef uint8_t difference = 0
    cdef int i
    if a.datagram == NULL or a.auth_type != 2:
        return False
    compute_icv(a.datagram, a.datagram_length, key, key_length, icv)
    for i in range(ICV_LENGTH):
        difference |= icv[i] ^ a.icv[i]
    return difference == 0


cdef int advert_encode_ipv4(
    const CAdvert* a, const uint8_t* key, size_t key_length, uint8_t* out, size_t room
) noexcept nogil:
    """Writes the whole IPv4 datagram, with an AH when auth_type is 2; returns its length, or -1 for want of room."""
    cdef bint protected = a.version == 2 and a.auth_type == 2
    cdef size_t head = 20 + (AH_LENGTH if protected else 0)
    cdef int n
    if room < head:
        return -1
    n = advert_encode_message(a, out + head, room - head)
    if n < 0:
        return -1
    out[0] = 0x45
    out[1] = a.tos
    put16(out + 2, <uint32_t>head + n)
    put16(out + 4, a.identification)
    put16(out + 6, a.fragment)
    out[8] = a.ttl
    out[9] = 51 if protected else 112
    put16(out + 10, 0)
    memcpy(out + 12, a.source, 4)
    memcpy(out + 16, a.destination, 4)
    put16(out + 10, fold16(sum16(out, 20, 0)))
    if protected:
        out[20] = 112
        out[21] = 4
        put16(out + 22, 0)
        put32(out + 24, a.spi)
        put32(out + 28, a.sequence)
        compute_icv(out, head + n, key, key_length, out + 32)
    return <int>head + n


cdef int advert_encode_ipv6(const CAdvert* a, uint8_t* out, size_t room) noexcept nogil:
    """Writes the whole IPv6 datagram; returns its length, or -1 when room is too small."""
    cdef int n
    if room < 40:
        return -1
    n = advert_encode_message(a, out + 40, room - 40)
    if n < 0:
        return -1
    put32(out, (<uint32_t>6 << 28) | (<uint32_t>a.tos << 20) | a.flow_label)
    put16(out + 4, n)
    out[6] = 112
    out[7] = a.ttl
    memcpy(out + 8, a.source, 16)
    memcpy(out + 24, a.destination, 16)
    return n + 40


cdef bint replay_accept(Replay* r, uint32_t sequence) noexcept nogil:
    """RFC 2402 section 3.4.3: True, and remembered, when the number is new and not left of the window of 64."""
    cdef uint32_t behind
    if not r.started:
        r.started = 1
        r.highest = sequence
        r.seen = 1
        return True
    if sequence > r.highest:
        behind = sequence - r.highest
        r.seen = (r.seen << behind) | 1 if behind < 64 else 1
        r.highest = sequence
        return True
    behind = r.highest - sequence
    if behind >= 64 or (r.seen >> behind) & 1:
        return False
    r.seen |= <uint64_t>1 << behind
    return True


cdef bytes raw_address(object value, int family, str field):
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise PacketError(field, str(error)) from None
    if address.version != family:
        raise PacketError(field, f"{address} is not IPv{family}", address.packed)
    return address.packed


cdef object checked(object value, str field, long long low, long long high):
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise PacketError(field, f"{value!r} is not an integer from {low} to {high}")
    return value


cdef Advert advert_object(const CAdvert* c):
    """A Python object with its own copy of the bytes that c points to."""
    cdef Advert self = Advert.__new__(Advert)
    cdef size_t width = 4 if c.family == 4 else 16
    cdef const char* data
    self.c = c[0]
    if c.datagram != NULL:
        self.held = PyBytes_FromStringAndSize(<const char*>c.datagram, c.datagram_length)
        data = PyBytes_AS_STRING(self.held)
        self.c.datagram = <const uint8_t*>data
        self.c.addresses = self.c.datagram + (c.addresses - c.datagram)
    else:
        self.held = PyBytes_FromStringAndSize(<const char*>c.addresses, c.count * width)
        data = PyBytes_AS_STRING(self.held)
        self.c.addresses = <const uint8_t*>data
    return self


cdef Advert decoded(const CAdvert* c, int failure, bytes data):
    if failure:
        offset, length = c.bad_offset, c.bad_length
        raise PacketError(FIELDS[failure], REASONS[failure], data[offset:offset + length], offset)
    return advert_object(c)


cdef class Advert:
    """One VRRP advertisement with the parts of its IP header that matter.

    vrid: 1..255.  priority: 0..255.  addresses: the virtual addresses, in wire order, all of one family.
    interval_cs: advert interval in centiseconds; version 2 carries whole seconds, so a multiple of 100 up to 25500.
    source, destination: the IP header's; destination defaults to the VRRP group.  auth_type, auth_data (8 bytes,
    padded with zeros): version 2 only.  sequence, spi: AH; spi defaults to the source address.
    pseudo_header: the checksum form (version 3 over IPv4).  Raises PacketError for what does not fit.
    """

    def __init__(self, *, vrid, priority, addresses, source, interval_cs=100, version=3, destination=None,
                 auth_type=0, auth_data=b"", sequence=0, spi=None, ttl=255, tos=0xC0, identification=0, fragment=0,
                 flow_label=0, pseudo_header=True):
        cdef CAdvert* c = &self.c
        memset(c, 0, sizeof(CAdvert))
        try:
            where = ipaddress.ip_address(source)
        except ValueError as error:
            raise PacketError("ip.source", str(error)) from None
        c.family = where.version
        c.version = checked(version, "vrrp.version", 2, 3)
        if c.version == 2 and c.family == 6:
            raise PacketError("vrrp.version", "version 2 has no IPv6")
        c.vrid = checked(vrid, "vrrp.vrid", 1, 255)
        c.priority = checked(priority, "vrrp.priority", 0, 255)
        c.interval_cs = checked(interval_cs, "vrrp.interval", 1, 25500 if c.version == 2 else 4095)
        if c.version == 2 and c.interval_cs % 100:
            raise PacketError("vrrp.interval", "version 2 carries whole seconds")
        c.auth_type = checked(auth_type, "vrrp.auth_type", 0, 2 if c.version == 2 else 0)
        c.ttl = checked(ttl, "ip.ttl", 0, 255)
        c.tos = checked(tos, "ip.tos", 0, 255)
        c.identification = checked(identification, "ip.identification", 0, 65535)
        c.fragment = checked(fragment, "ip.fragment_offset", 0, 65535)
        if c.fragment & 0x3FFF:
            raise PacketError("ip.fragment_offset", "an advert is never a fragment")
        c.flow_label = checked(flow_label, "ip.flow_label", 0, 0xFFFFF)
        c.sequence = checked(sequence, "ah.sequence", 0, 0xFFFFFFFF)
        c.pseudo = 1 if c.version == 3 and (pseudo_header or c.family == 6) else 0
        cdef bytes raw = where.packed
        memcpy(c.source, PyBytes_AS_STRING(raw), len(raw))
        if c.auth_type == 2:
            c.spi = get32(c.source) if spi is None else checked(spi, "ah.spi", 0, 0xFFFFFFFF)
        if destination is None:
            destination = GROUP4 if c.family == 4 else GROUP6
        raw = raw_address(destination, c.family, "ip.destination")
        memcpy(c.destination, PyBytes_AS_STRING(raw), len(raw))
        if not isinstance(auth_data, bytes) or len(auth_data) > 8 or (c.version == 3 and auth_data):
            raise PacketError("vrrp.auth_data", "at most 8 bytes, in version 2 only")
        raw = auth_data
        memcpy(c.auth_data, PyBytes_AS_STRING(raw), len(raw))
        listed = [raw_address(address, c.family, "vrrp.address") for address in addresses]
        c.count = checked(len(listed), "vrrp.count", 1, 255)
        self.held = b"".join(listed)
        cdef const char* data = PyBytes_AS_STRING(self.held)
        c.addresses = <const uint8_t*>data

    @staticmethod
    def decode(bytes data not None):
        """Decodes a whole IPv4 or IPv6 datagram (bytes).  Raises PacketError."""
        cdef CAdvert c
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t n = len(data)
        cdef int failure
        if n and <uint8_t>p[0] >> 4 == 6:
            failure = advert_decode_ipv6(&c, <const uint8_t*>p, n)
        else:
            failure = advert_decode_ipv4(&c, <const uint8_t*>p, n)
        return decoded(&c, failure, data)

    @staticmethod
    def decode_message(bytes data not None, source, destination, ttl=255):
        """Decodes a VRRP message whose IP header the kernel took off (IPv6 raw sockets).  Raises PacketError."""
        cdef CAdvert c
        memset(&c, 0, sizeof(CAdvert))
        try:
            c.family = ipaddress.ip_address(source).version
        except ValueError as error:
            raise PacketError("ip.source", str(error)) from None
        cdef bytes raw = raw_address(source, c.family, "ip.source")
        memcpy(c.source, PyBytes_AS_STRING(raw), len(raw))
        raw = raw_address(destination, c.family, "ip.destination")
        memcpy(c.destination, PyBytes_AS_STRING(raw), len(raw))
        c.ttl = checked(ttl, "ip.ttl", 0, 255)
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef int failure = advert_decode_message(&c, <const uint8_t*>p, 0, len(data))
        if not failure and c.auth_type == 2:
            failure = refuse(&c, FAIL_AUTH_MISSING_AH, 4, 1)
        return decoded(&c, failure, data)

    def encode_message(self):
        """The VRRP message alone, with its checksum."""
        cdef uint8_t[ADVERT_MAX] out
        cdef int n = advert_encode_message(&self.c, out, ADVERT_MAX)
        return PyBytes_FromStringAndSize(<char*>out, n)

    def encode(self, bytes key=b""):
        """The whole IP datagram.  key: AH's key, bytes (used when auth_type is 2)."""
        cdef uint8_t[ADVERT_MAX] out
        cdef int n
        if self.c.family == 6:
            n = advert_encode_ipv6(&self.c, out, ADVERT_MAX)
        else:
            n = advert_encode_ipv4(&self.c, <const uint8_t*>PyBytes_AS_STRING(key), len(key), out, ADVERT_MAX)
        return PyBytes_FromStringAndSize(<char*>out, n)

    def icv_valid(self, bytes key not None):
        """Whether the ICV fits key (only for an advert decoded from an AH datagram; else False)."""
        return advert_icv_valid(&self.c, <const uint8_t*>PyBytes_AS_STRING(key), len(key))

    @property
    def family(self):
        return self.c.family

    @property
    def version(self):
        return self.c.version

    @property
    def vrid(self):
        return self.c.vrid

    @property
    def priority(self):
        return self.c.priority

    @property
    def interval_cs(self):
        return self.c.interval_cs

    @property
    def auth_type(self):
        return self.c.auth_type

    @property
    def auth_data(self):
        return self.c.auth_data[:8]

    @property
    def spi(self):
        return self.c.spi

    @property
    def sequence(self):
        return self.c.sequence

    @property
    def icv(self):
        return self.c.icv[:12]

    @property
    def ttl(self):
        return self.c.ttl

    @property
    def tos(self):
        return self.c.tos

    @property
    def identification(self):
        return self.c.identification

    @property
    def fragment(self):
        return self.c.fragment

    @property
    def flow_label(self):
        return self.c.flow_label

    @property
    def pseudo_header(self):
        return bool(self.c.pseudo)

    @property
    def source(self):
        return ipaddress.ip_address(self.c.source[:4 if self.c.family == 4 else 16])

    @property
    def destination(self):
        return ipaddress.ip_address(self.c.destination[:4 if self.c.family == 4 else 16])

    @property
    def addresses(self):
        width = 4 if self.c.family == 4 else 16
        raw = PyBytes_FromStringAndSize(<const char*>self.c.addresses, self.c.count * width)
        return tuple([ipaddress.ip_address(raw[i:i + width]) for i in range(0, len(raw), width)])

    def __repr__(self):
        return (
            f"<Advert v{self.c.version} vrid={self.c.vrid} priority={self.c.priority} interval_cs={self.c.interval_cs}"
            f" {self.source} -> {self.destination} {', '.join(map(str, self.addresses))}>"
        )


cdef class ReplayWindow:
    """The anti-replay window of RFC 2402 section 3.4.3 (64 wide) for one sender's sequence numbers."""

    cdef Replay c

    def accept(self, uint32_t sequence):
        """True when the sequence number (0..2**32-1) is new; it is then remembered."""
        return replay_accept(&self.c, sequence)


def virtual_mac(vrid, family):
    """The virtual router's MAC: 00:00:5e:00:01:VRID (IPv4) or 00:00:5e:00:02:VRID (IPv6), as 6 bytes."""
    checked(vrid, "vrrp.vrid", 1, 255)
    if family not in (4, 6):
        raise PacketError("family", f"{family!r} is neither 4 nor 6")
    return bytes((0, 0, 0x5E, 0, 1 if family == 4 else 2, vrid))
