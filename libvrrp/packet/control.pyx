"""BFD control packets: RFC 5880 section 4.1, with the reception checks of section 6.8.6 that need no session.

    0       1       2       3
    +-------+-------+-------+-------+
    |1| diag|St PFCADM|mult | length|     M (multipoint) must be 0
    | my discriminator              |
    | your discriminator            |
    | desired min TX interval, us   |
    | required min RX interval, us  |
    | required min echo RX, us      |
    +-------+-------+-------+-------+

Authentication sections (A bit) are recognised and refused: no session here uses authentication.
"""

from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint8_t
from libc.string cimport memset
from libvrrp.packet.checksum cimport get32, put32

from libvrrp.errors import PacketError

cdef enum:
    BAD_LENGTH = 1
    BAD_VERSION
    BAD_LENGTH_FIELD
    BAD_MULTIPLIER
    BAD_MULTIPOINT
    BAD_MINE
    BAD_YOURS
    BAD_AUTHENTICATION

PROBLEMS = (
    None,
    ("bfd.header", "the packet is cut short", 0, 24),
    ("bfd.version", "not version 1", 0, 1),
    ("bfd.length", "24 is the length without authentication, and no more than the datagram holds", 3, 4),
    ("bfd.detect_mult", "a detection multiplier of 0", 2, 3),
    ("bfd.multipoint", "the multipoint bit is reserved", 1, 2),
    ("bfd.my_discriminator", "0 is not a discriminator", 4, 8),
    ("bfd.your_discriminator", "0 in state Init or Up", 8, 12),
    ("bfd.authentication", "an authentication section, and no session uses one", 1, 2),
)
STATES = ("AdminDown", "Down", "Init", "Up")


cdef int control_decode(CControl* c, const uint8_t* data, size_t length) noexcept nogil:
    """Fills c; returns 0 or the number of the problem (an index of PROBLEMS)."""
    memset(c, 0, sizeof(CControl))
    if length < 24:
        return BAD_LENGTH
    if data[0] >> 5 != 1:
        return BAD_VERSION
    c.diagnostic = data[0] & 31
    c.state = data[1] >> 6
    c.poll = (data[1] >> 5) & 1
    c.final = (data[1] >> 4) & 1
    c.independent = (data[1] >> 3) & 1
    c.authenticated = (data[1] >> 2) & 1
    c.demand = (data[1] >> 1) & 1
    c.multiplier = data[2]
    if data[3] < (26 if c.authenticated else 24) or data[3] > length:
        return BAD_LENGTH_FIELD
    if c.multiplier == 0:
        return BAD_MULTIPLIER
    if data[1] & 1:
        return BAD_MULTIPOINT
    c.mine = get32(data + 4)
    c.yours = get32(data + 8)
    if c.mine == 0:
        return BAD_MINE
    if c.yours == 0 and c.state >= 2:
        return BAD_YOURS
    if c.authenticated:
        return BAD_AUTHENTICATION
    c.min_tx_us = get32(data + 12)
    c.min_rx_us = get32(data + 16)
    c.min_echo_rx_us = get32(data + 20)
    return 0


cdef void control_encode(const CControl* c, uint8_t* out) noexcept nogil:
    """Writes the 24 bytes."""
    out[0] = (1 << 5) | c.diagnostic
    out[1] = (c.state << 6) | (c.poll << 5) | (c.final << 4) | (c.independent << 3) | (c.demand << 1)
    out[2] = c.multiplier
    out[3] = 24
    put32(out + 4, c.mine)
    put32(out + 8, c.yours)
    put32(out + 12, c.min_tx_us)
    put32(out + 16, c.min_rx_us)
    put32(out + 20, c.min_echo_rx_us)


cdef object within(object value, str field, object high):
    if not isinstance(value, int) or not 0 <= value <= high:
        raise PacketError(field, f"{value!r} is not an integer from 0 to {high}")
    return value


cdef class ControlPacket:
    """A BFD control packet.

    state: "AdminDown", "Down", "Init" or "Up".  my_discriminator: 1..2**32-1; your_discriminator: 0 while unknown.
    detect_mult: 1..255.  Intervals: microseconds.  diagnostic: 0..31 (RFC 5880 section 4.1).
    """

    def __init__(self, *, state, my_discriminator, your_discriminator=0, detect_mult=3, desired_min_tx_us=1_000_000,
                 required_min_rx_us=1_000_000, required_min_echo_rx_us=0, diagnostic=0, poll=False, final=False,
                 control_plane_independent=False, demand=False):
        cdef CControl* c = &self.c
        memset(c, 0, sizeof(CControl))
        if state not in STATES:
            raise PacketError("bfd.state", f"{state!r} is not one of {', '.join(STATES)}")
        c.state = STATES.index(state)
        c.mine = within(my_discriminator, "bfd.my_discriminator", 0xFFFFFFFF)
        c.yours = within(your_discriminator, "bfd.your_discriminator", 0xFFFFFFFF)
        c.multiplier = within(detect_mult, "bfd.detect_mult", 255)
        c.min_tx_us = within(desired_min_tx_us, "bfd.desired_min_tx", 0xFFFFFFFF)
        c.min_rx_us = within(required_min_rx_us, "bfd.required_min_rx", 0xFFFFFFFF)
        c.min_echo_rx_us = within(required_min_echo_rx_us, "bfd.required_min_echo_rx", 0xFFFFFFFF)
        c.diagnostic = within(diagnostic, "bfd.diagnostic", 31)
        c.poll, c.final = bool(poll), bool(final)
        c.independent, c.demand = bool(control_plane_independent), bool(demand)
        cdef uint8_t[24] out
        cdef CControl again
        control_encode(c, out)
        problem = control_decode(&again, out, 24)
        if problem:
            raise PacketError(PROBLEMS[problem][0], PROBLEMS[problem][1])

    @staticmethod
    def decode(bytes data not None):
        """Decodes a UDP payload (bytes).  Raises PacketError."""
        cdef ControlPacket packet = ControlPacket.__new__(ControlPacket)
        cdef int problem = control_decode(&packet.c, <const uint8_t*>PyBytes_AS_STRING(data), len(data))
        if problem:
            field, reason, start, end = PROBLEMS[problem]
            raise PacketError(field, reason, data[start:end], start)
        return packet

    def encode(self):
        """The 24 bytes of the packet."""
        cdef uint8_t[24] out
        control_encode(&self.c, out)
        return out[:24]

    @property
    def state(self):
        return STATES[self.c.state]

    @property
    def diagnostic(self):
        return self.c.diagnostic

    @property
    def poll(self):
        return bool(self.c.poll)

    @property
    def final(self):
        return bool(self.c.final)

    @property
    def control_plane_independent(self):
        return bool(self.c.independent)

    @property
    def demand(self):
        return bool(self.c.demand)

    @property
    def detect_mult(self):
        return self.c.multiplier

    @property
    def my_discriminator(self):
        return self.c.mine

    @property
    def your_discriminator(self):
        return self.c.yours

    @property
    def desired_min_tx_us(self):
        return self.c.min_tx_us

    @property
    def required_min_rx_us(self):
        return self.c.min_rx_us

    @property
    def required_min_echo_rx_us(self):
        return self.c.min_echo_rx_us

    def __repr__(self):
        return (
            f"<ControlPacket {self.state} mine={self.c.mine} yours={self.c.yours} mult={self.c.multiplier}"
            f" tx={self.c.min_tx_us}us rx={self.c.min_rx_us}us{' P' * self.c.poll}{' F' * self.c.final}>"
        )
