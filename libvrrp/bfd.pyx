"""Bidirectional Forwarding Detection: one session's state machine (RFC 5880, asynchronous mode, no authentication).

Pure, as the VRRP machine is: bfd_step(session, event, now), and bfd_next_deadline instead of timers.  The jitter that
RFC 5880 section 6.8.7 asks for comes from a generator in the session's own state, seeded by its creator.

    Down --(Down)--> Init --(Init, Up)--> Up       (received state)
    Down --(Init)--> Up
    Up, Init --(detection time)--> Down            diagnostic 1
    Up --(Down)--> Down, any --(AdminDown)--> Down diagnostic 3

`peer_down` is set when a session goes from Up to Down by itself: the detection time ended, or the peer says Down.  It
is not set for AdminDown (somebody meant it), nor for a session that never was Up.

Deviations: a packet is sent at once when the state changes (section 6.8.7 allows it), so that a peer learns of it
within the path's delay.  The Echo function and Demand mode are not offered; a peer's Demand bit is honoured.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset
from libvrrp.packet.control cimport CControl, ControlPacket

from typing import NamedTuple

from libvrrp.errors import ConfigError
from libvrrp.packet.control import STATES

cdef enum:
    DIAGNOSTIC_NONE = 0
    DIAGNOSTIC_TIMEOUT = 1
    DIAGNOSTIC_NEIGHBOUR = 3
    DIAGNOSTIC_ADMIN = 7
    SLOW_US = 1000000       # RFC 5880 section 6.8.3: not Up, not more often than once a second

cdef int64_t NEVER = 0x7FFFFFFFFFFFFFFF


cdef uint32_t larger(uint32_t a, uint32_t b) noexcept nogil:
    return a if a > b else b


cdef uint64_t next_random(CSession* s) noexcept nogil:
    """xorshift64."""
    s.random ^= s.random << 13
    s.random ^= s.random >> 7
    s.random ^= s.random << 17
    return s.random


cdef uint32_t desired_tx(const CSession* s) noexcept nogil:
    return s.wanted_tx_us if s.state == BFD_UP else larger(s.idle_us, s.wanted_tx_us)


cdef int64_t transmit_interval_ns(CSession* s) noexcept nogil:
    """The larger of ours and what the peer accepts, less 0 to 25 % (10 to 25 % with a multiplier of 1)."""
    cdef int64_t interval = <int64_t>larger(s.used_tx_us, s.remote_rx_us) * 1000
    cdef int64_t low = 100 if s.multiplier == 1 else 0
    cdef int64_t thousandths = low + <int64_t>(next_random(s) % <uint64_t>(251 - low))
    return interval - interval * thousandths // 1000


cdef int64_t detection_ns(const CSession* s) noexcept nogil:
    """RFC 5880 section 6.8.4: the peer's multiplier times the agreed interval at which it sends."""
    return <int64_t>s.remote_multiplier * larger(s.used_rx_us, s.remote_tx_us) * 1000


cdef bint quiet(const CSession* s) noexcept nogil:
    """Whether no periodic packets are sent (RFC 5880 section 6.8.7)."""
    if s.passive and s.remote_discriminator == 0:
        return True
    if s.remote_rx_us == 0:
        return True
    return s.remote_demand and s.state == BFD_UP and s.remote_state == BFD_UP and not s.polling


cdef void send(CSession* s, bint final) noexcept nogil:
    cdef CControl* c
    if s.out_count >= BFD_OUT:
        return
    c = &s.out[s.out_count]
    s.out_count += 1
    s.sent += 1
    memset(c, 0, sizeof(CControl))
    c.state, c.diagnostic, c.multiplier = s.state, s.diagnostic, s.multiplier
    c.mine, c.yours = s.discriminator, s.remote_discriminator
    c.min_tx_us, c.min_rx_us = desired_tx(s), s.wanted_rx_us
    c.final = final
    c.poll = s.polling and not final


cdef void schedule(CSession* s, int64_t now) noexcept nogil:
    s.transmit_at = NEVER if quiet(s) else now + transmit_interval_ns(s)


cdef void apply_intervals(CSession* s) noexcept nogil:
    """What may take effect now: all of it, except that while Up an increase of TX and a decrease of RX wait for the end
    of the Poll Sequence (RFC 5880 section 6.8.3)."""
    cdef uint32_t tx = desired_tx(s)
    if not s.polling or s.state != BFD_UP:
        s.used_tx_us, s.used_rx_us = tx, s.wanted_rx_us
        return
    if tx < s.used_tx_us:
        s.used_tx_us = tx
    if s.wanted_rx_us > s.used_rx_us:
        s.used_rx_us = s.wanted_rx_us


cdef void enter(CSession* s, uint8_t state, uint8_t diagnostic, int64_t now) noexcept nogil:
    s.changed, s.old_state = 1, s.state
    if state == BFD_UP:
        s.ups += 1
        s.polling = 1           # the transmit interval changes from idle to the wanted one
    elif s.state == BFD_UP:
        s.downs += 1
        s.polling = 0
    s.state, s.diagnostic = state, diagnostic
    apply_intervals(s)
    if not (s.passive and s.remote_discriminator == 0):
        send(s, False)
    schedule(s, now)


cdef void receive(CSession* s, const CControl* p, int64_t now) noexcept nogil:
    """RFC 5880 section 6.8.6, from "select the session" on."""
    cdef bint agreed
    if (p.yours != 0 and p.yours != s.discriminator) or s.state == BFD_ADMIN_DOWN:
        s.discarded += 1
        return
    s.received += 1
    agreed = s.remote_rx_us == p.min_rx_us and s.remote_discriminator != 0
    s.remote_discriminator, s.remote_state, s.remote_multiplier = p.mine, p.state, p.multiplier
    s.remote_demand, s.remote_tx_us, s.remote_rx_us = p.demand, p.min_tx_us, p.min_rx_us
    if p.final and s.polling:
        s.polling = 0
        apply_intervals(s)
    s.received_at = now
    if p.state == BFD_ADMIN_DOWN:
        if s.state != BFD_DOWN:
            enter(s, BFD_DOWN, DIAGNOSTIC_NEIGHBOUR, now)
    elif s.state == BFD_DOWN:
        if p.state == BFD_DOWN:
            enter(s, BFD_INIT, DIAGNOSTIC_NONE, now)
        elif p.state == BFD_INIT:
            enter(s, BFD_UP, DIAGNOSTIC_NONE, now)
    elif s.state == BFD_INIT:
        if p.state >= BFD_INIT:
            enter(s, BFD_UP, DIAGNOSTIC_NONE, now)
    elif p.state == BFD_DOWN:
        s.peer_down = 1
        enter(s, BFD_DOWN, DIAGNOSTIC_NEIGHBOUR, now)
    s.detect_at = now + detection_ns(s) if s.state >= BFD_INIT else NEVER
    if p.poll:
        send(s, True)
    if not s.changed and not agreed:
        schedule(s, now)


cdef void detect(CSession* s, int64_t now) noexcept nogil:
    """The detection time ended."""
    s.detect_at = NEVER
    s.remote_discriminator = 0
    s.remote_demand = 0
    s.remote_rx_us = 1
    s.peer_down = s.state == BFD_UP
    enter(s, BFD_DOWN, DIAGNOSTIC_TIMEOUT, now)


cdef void bfd_start(CSession* s, uint32_t discriminator, uint64_t seed) noexcept nogil:
    """The initial state (RFC 5880 section 6.8.1); the settings are already there.  The first packet is due at once."""
    s.discriminator = discriminator
    s.state = s.remote_state = BFD_DOWN
    s.remote_rx_us = 1
    s.random = seed ^ <uint64_t>0x9E3779B97F4A7C15ULL
    if s.random == 0:
        s.random = 1
    s.detect_at = NEVER
    s.idle_us = larger(s.idle_us, SLOW_US)
    apply_intervals(s)
    s.transmit_at = NEVER if s.passive else 0


cdef void bfd_step(CSession* s, int event, const CControl* packet, int64_t now) noexcept nogil:
    """Applies an event at `now` (ns); s.out, s.changed and s.peer_down say what is to be done."""
    s.out_count = 0
    s.changed = s.peer_down = 0
    if event == BFD_EV_PACKET:
        receive(s, packet, now)
    elif event == BFD_EV_DISABLE:
        if s.state != BFD_ADMIN_DOWN:
            s.detect_at = NEVER
            enter(s, BFD_ADMIN_DOWN, DIAGNOSTIC_ADMIN, now)
    elif event == BFD_EV_ENABLE:
        if s.state == BFD_ADMIN_DOWN:
            s.remote_discriminator = 0
            s.remote_rx_us = 1
            enter(s, BFD_DOWN, DIAGNOSTIC_NONE, now)
    elif event == BFD_EV_INTERVALS:
        s.wanted_tx_us, s.wanted_rx_us, s.multiplier = packet.min_tx_us, packet.min_rx_us, packet.multiplier
        s.polling = s.state == BFD_UP
        apply_intervals(s)
        schedule(s, now)
    else:
        if s.detect_at <= now:
            detect(s, now)
        if s.transmit_at <= now:
            send(s, False)
            schedule(s, now)


cdef int64_t bfd_next_deadline(const CSession* s) noexcept nogil:
    return s.transmit_at if s.transmit_at < s.detect_at else s.detect_at


class Send(NamedTuple):
    """Send this packet to the peer."""

    packet: object


class Changed(NamedTuple):
    """The session went from one state to another; diagnostic is RFC 5880 section 4.1's number.

    peer_down: it was Up and is Down, and nobody meant it to be."""

    old: str
    new: str
    diagnostic: int
    peer_down: bool


cdef class Session:
    """One BFD session.

    discriminator: ours, 1..2**32-1, unique in the host.  min_tx, min_rx: microseconds; multiplier 1..255.
    idle_tx: transmit interval while not Up, microseconds, at least 1 s.  passive: wait for the peer's first packet.
    seed: of the jitter.  `step_*` apply an event at a time in ns and return a list of Send and Changed.
    """

    def __init__(self, discriminator, *, min_tx=10_000, min_rx=10_000, multiplier=5, idle_tx=1_000_000, passive=False,
                 seed=1):
        memset(&self.c, 0, sizeof(CSession))
        if not 1 <= discriminator <= 0xFFFFFFFF:
            raise ConfigError("BFD session: discriminator: 1 to 4294967295")
        self.settings(min_tx, min_rx, multiplier)
        if not SLOW_US <= idle_tx <= 0xFFFFFFFF:
            raise ConfigError("BFD session: idle_tx: 1000000 to 4294967295 microseconds")
        self.c.wanted_tx_us, self.c.wanted_rx_us, self.c.multiplier = min_tx, min_rx, multiplier
        self.c.idle_us, self.c.passive = idle_tx, bool(passive)
        bfd_start(&self.c, discriminator, seed & 0xFFFFFFFFFFFFFFFF)

    cdef int settings(self, object min_tx, object min_rx, object multiplier) except -1:
        for name, value in (("min_tx", min_tx), ("min_rx", min_rx)):
            if not 1 <= value <= 0xFFFFFFFF:
                raise ConfigError(f"BFD session: {name}: 1 to 4294967295 microseconds")
        if not 1 <= multiplier <= 255:
            raise ConfigError("BFD session: multiplier: 1 to 255")
        return 0

    cdef list results(self):
        cdef list out = []
        cdef ControlPacket packet
        cdef int i
        if self.c.changed:
            out.append(Changed(STATES[self.c.old_state], STATES[self.c.state], self.c.diagnostic,
                               bool(self.c.peer_down)))
        for i in range(self.c.out_count):
            packet = ControlPacket.__new__(ControlPacket)
            packet.c = self.c.out[i]
            out.append(Send(packet))
        return out

    def step_packet(self, ControlPacket packet not None, int64_t now):
        """A packet from the peer."""
        bfd_step(&self.c, BFD_EV_PACKET, &packet.c, now)
        return self.results()

    def step_deadline(self, int64_t now):
        """next_deadline() has come."""
        bfd_step(&self.c, BFD_EV_DEADLINE, NULL, now)
        return self.results()

    def step_enable(self, enabled, int64_t now):
        """Take the session down on purpose (False), or let it come up again (True)."""
        bfd_step(&self.c, BFD_EV_ENABLE if enabled else BFD_EV_DISABLE, NULL, now)
        return self.results()

    def step_intervals(self, min_tx, min_rx, multiplier, int64_t now):
        """Change the intervals (microseconds) and the multiplier; while Up a Poll Sequence announces them."""
        cdef CControl wanted
        self.settings(min_tx, min_rx, multiplier)
        memset(&wanted, 0, sizeof(CControl))
        wanted.min_tx_us, wanted.min_rx_us, wanted.multiplier = min_tx, min_rx, multiplier
        bfd_step(&self.c, BFD_EV_INTERVALS, &wanted, now)
        return self.results()

    def next_deadline(self):
        """When step_deadline is due (ns), or None."""
        cdef int64_t at = bfd_next_deadline(&self.c)
        return None if at == NEVER else at

    @property
    def state(self):
        return STATES[self.c.state]

    def status(self):
        """The session's variables and counters as a dict of plain values."""
        return {
            "state": STATES[self.c.state],
            "remote_state": STATES[self.c.remote_state],
            "diagnostic": self.c.diagnostic,
            "discriminator": self.c.discriminator,
            "remote_discriminator": self.c.remote_discriminator,
            "transmit_us": larger(self.c.used_tx_us, self.c.remote_rx_us),
            "detection_us": detection_ns(&self.c) // 1000,
            "polling": bool(self.c.polling),
            "sent": self.c.sent,
            "received": self.c.received,
            "discarded": self.c.discarded,
            "ups": self.c.ups,
            "downs": self.c.downs,
        }
