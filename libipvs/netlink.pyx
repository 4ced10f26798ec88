# cython: autotestdict=False
"""The IPVS generic-netlink messages, both ways: bytes from model values, model values from bytes.

Source: Linux <linux/ip_vs.h>, <linux/netlink.h>, <linux/genetlink.h>; byte orders and lengths as measured on Linux 6.1.
Decoding makes model values without validating them again: what the kernel holds is shown, even when this library
would not have made it.

A message, all fields in host order unless marked (be):

    0        4     6      8     12    16   17   18     20
    | length | type | flags | seq | pid | cmd | ver | 0 | attributes ...
    `------------- nlmsghdr -----------'`-- genlmsghdr --'

    an attribute, padded to 4 bytes:  | length u16 | type u16 | value ... |

    top level   1 SERVICE  2 DEST  3 DAEMON (nested)   4 5 6 TIMEOUT_TCP, _TCP_FIN, _UDP u32
    SERVICE     1 AF u16  2 PROTOCOL u16  3 ADDR 16 bytes (be)  4 PORT u16 (be)  5 FWMARK u32  6 SCHED_NAME  7 FLAGS
                {flags u32, mask u32}  8 TIMEOUT u32  9 NETMASK u32 (IPv4 be, IPv6 prefix length)  10 STATS  11 PE_NAME
                12 STATS64
    DEST        1 ADDR 16 bytes (be)  2 PORT u16 (be)  3 FWD_METHOD u32  4 WEIGHT s32  5 U_THRESH  6 L_THRESH
                7 ACTIVE_CONNS  8 INACT_CONNS  9 PERSIST_CONNS  10 STATS  11 ADDR_FAMILY u16  12 STATS64
                13 TUN_TYPE u8  14 TUN_PORT u16 (be)  15 TUN_FLAGS u16
    DAEMON      1 STATE u32  2 MCAST_IFN  3 SYNC_ID u32  4 SYNC_MAXLEN u16  5 MCAST_GROUP 4 bytes (be)
                6 MCAST_GROUP6 16 bytes (be)  7 MCAST_PORT u16  8 MCAST_TTL u8
    STATS       1 CONNS  2 INPKTS  3 OUTPKTS  4 INBYTES  5 OUTBYTES  6..10 their rates  (u32 or u64, told by length)
    INFO        1 VERSION u32  2 CONN_TAB_SIZE u32
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject_GenericSetAttr
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from libipvs.model import (
    Checksum,
    DaemonState,
    Forward,
    Info,
    Protocol,
    RealServer,
    ServerStatus,
    ServiceStatus,
    Stats,
    SyncDaemon,
    Timeouts,
    Tunnel,
    VirtualService,
)

cdef extern from "arpa/inet.h" nogil:
    enum:
        AF_INET
        AF_INET6
    int inet_pton(int family, const char *text, void *address)
    const char *inet_ntop(int family, const void *address, char *text, uint32_t size)
    uint16_t htons(uint16_t value)
    uint16_t ntohs(uint16_t value)

# Commands.
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST = 5, 6, 7, 8
NEW_DAEMON, DEL_DAEMON, GET_DAEMON = 9, 10, 11
SET_CONFIG, GET_CONFIG, SET_INFO, GET_INFO, ZERO, FLUSH = 12, 13, 14, 15, 16, 17

# nlmsghdr flags.
REQUEST, ACK, DUMP = 1, 4, 0x300
DUMP_INTERRUPTED = 0x10

cdef enum:
    TYPE_ERROR = 2
    TYPE_DONE = 3
    HEADER = 16
    GENL_HEADER = 4
    MESSAGE_MAX = 512  # the longest request is below 300 bytes
    F_PERSISTENT = 1
    F_ONEPACKET = 4
    F_CAPPED = 0x100   # NLM_F_CAPPED: the answer quotes only the header of the refused message
    F_ACK_TLVS = 0x200

cdef tuple FORWARDS = (Forward.NAT, Forward.LOCAL, Forward.TUN, Forward.DR)
cdef tuple TUNNELS = (Tunnel.IPIP, Tunnel.GUE, Tunnel.GRE)
cdef dict FORWARD_NUMBER = {name: number for number, name in enumerate(FORWARDS)}
cdef dict TUNNEL_NUMBER = {name: number for number, name in enumerate(TUNNELS)}
cdef dict CHECKSUM_NUMBER = {Checksum.NONE: 0, Checksum.FULL: 1, Checksum.REMOTE: 2}
cdef dict PROTOCOL_NUMBER = {name: name.number for name in Protocol}
cdef dict PROTOCOL_NAME = {name.number: name for name in Protocol}
# The eight combinations of the three scheduler flags, indexed by bits 3..5 of the flags word.
cdef tuple FLAG_SETS = tuple(
    frozenset(name for bit, name in ((1, "flag-1"), (2, "flag-2"), (4, "flag-3")) if bits & bit) for bits in range(8)
)
cdef object CHECKSUM_NONE = Checksum.NONE
cdef object CHECKSUM_FULL = Checksum.FULL
cdef object CHECKSUM_REMOTE = Checksum.REMOTE
cdef object MASTER = DaemonState.MASTER
cdef object BACKUP = DaemonState.BACKUP
cdef object NO_STATS = Stats()
cdef tuple STATS_FIELDS = (
    "connections", "in_packets", "out_packets", "in_bytes", "out_bytes",
    "connection_rate", "in_packet_rate", "out_packet_rate", "in_byte_rate", "out_byte_rate",
)


# ---- encoding ----

cdef struct Writer:
    uint32_t length
    bint full
    char data[MESSAGE_MAX]


cdef void put_attribute(Writer *w, uint16_t kind, const void *value, uint32_t size) noexcept nogil:
    cdef uint32_t padded = (size + 3) & ~<uint32_t> 3
    cdef uint16_t length = <uint16_t> (size + 4)
    if size > MESSAGE_MAX or w.length + 4 + padded > MESSAGE_MAX:
        w.full = True
        return
    memcpy(w.data + w.length, &length, 2)
    memcpy(w.data + w.length + 2, &kind, 2)
    if size:
        memcpy(w.data + w.length + 4, value, size)
    memset(w.data + w.length + 4 + size, 0, padded - size)
    w.length += 4 + padded


cdef inline void put_u8(Writer *w, uint16_t kind, uint8_t value) noexcept nogil:
    put_attribute(w, kind, &value, 1)


cdef inline void put_u16(Writer *w, uint16_t kind, uint16_t value) noexcept nogil:
    put_attribute(w, kind, &value, 2)


cdef inline void put_u32(Writer *w, uint16_t kind, uint32_t value) noexcept nogil:
    put_attribute(w, kind, &value, 4)


cdef uint32_t open_nest(Writer *w, uint16_t kind) noexcept nogil:
    cdef uint32_t start = w.length
    put_attribute(w, kind | 0x8000, NULL, 0)  # NLA_F_NESTED
    return start


cdef void close_nest(Writer *w, uint32_t start) noexcept nogil:
    cdef uint16_t length = <uint16_t> (w.length - start)
    if not w.full:
        memcpy(w.data + start, &length, 2)


cdef int put_name(Writer *w, uint16_t kind, str name) except -1:
    cdef bytes text = name.encode("ascii")
    put_attribute(w, kind, PyBytes_AS_STRING(text), <uint32_t> PyBytes_GET_SIZE(text) + 1)
    return 0


cdef int pack_address(object address, int family, char *packed) except -1:
    cdef bytes text = address.encode("ascii")
    memset(packed, 0, 16)
    if inet_pton(family, PyBytes_AS_STRING(text), packed) != 1:
        raise ValueError(f"{address!r} is no address of family {family}")
    return 0


cdef int put_key(Writer *w, object key) except -1:
    """The attributes that name a service; `key` is a ServiceKey or a VirtualService."""
    cdef char address[16]
    cdef int family = key.family
    put_u16(w, 1, <uint16_t> family)
    if key.protocol is None:
        put_u32(w, 5, key.mark)
        return 0
    pack_address(key.address, family, address)
    put_u16(w, 2, PROTOCOL_NUMBER[key.protocol])
    put_attribute(w, 3, address, 16)
    put_u16(w, 4, htons(key.port))
    return 0


cdef int put_service(Writer *w, object service) except -1:
    cdef uint32_t flags[2]
    cdef uint32_t mask
    cdef char packed[16]
    put_key(w, service)
    put_name(w, 6, service.scheduler)
    flags[0] = (F_PERSISTENT if service.persistence else 0) | (F_ONEPACKET if service.one_packet else 0)
    for name in service.flags:
        flags[0] |= 8 if name == "flag-1" else 0x10 if name == "flag-2" else 0x20
    flags[1] = 0xFFFFFFFF
    put_attribute(w, 7, flags, 8)
    put_u32(w, 8, service.persistence)
    if service.family == AF_INET6:
        put_u32(w, 9, int(service.netmask))
    else:
        pack_address(service.netmask, AF_INET, packed)
        memcpy(&mask, packed, 4)
        put_u32(w, 9, mask)
    if service.engine:
        put_name(w, 11, service.engine)
    return 0


cdef int put_server(Writer *w, object server, bint full) except -1:
    cdef char address[16]
    cdef int family = server.family
    pack_address(server.address, family, address)
    put_attribute(w, 1, address, 16)
    put_u16(w, 2, htons(server.port))
    put_u16(w, 11, <uint16_t> family)
    if not full:
        return 0
    put_u32(w, 3, FORWARD_NUMBER[server.forward])
    put_u32(w, 4, <uint32_t> <int32_t> server.weight)
    put_u32(w, 5, server.upper)
    put_u32(w, 6, server.lower)
    put_u8(w, 13, TUNNEL_NUMBER[server.tunnel])
    put_u16(w, 14, htons(server.tunnel_port))
    put_u16(w, 15, CHECKSUM_NUMBER[server.checksum])
    return 0


cdef int put_daemon(Writer *w, object daemon, bint full) except -1:
    cdef char group[16]
    put_u32(w, 1, 1 if daemon.state is MASTER else 2)
    if not full:
        return 0
    put_name(w, 2, daemon.interface)
    put_u32(w, 3, daemon.sync_id)
    if daemon.max_length:
        put_u16(w, 4, daemon.max_length)
    if daemon.group and ":" in daemon.group:
        pack_address(daemon.group, AF_INET6, group)
        put_attribute(w, 6, group, 16)
    elif daemon.group:
        pack_address(daemon.group, AF_INET, group)
        put_attribute(w, 5, group, 4)
    if daemon.port:
        put_u16(w, 7, daemon.port)
    if daemon.ttl:
        put_u8(w, 8, daemon.ttl)
    return 0


def encode(int family_id, int command, int flags, uint32_t sequence, key=None, service=None, server=None,
           daemon=None, timeouts=None):
    """One request as bytes.

    family_id: the number generic netlink gave IPVS.  command, flags: constants of this module.
    key or service: the virtual service meant, or wanted; server: likewise (its address alone for DEL_DEST);
    daemon: for NEW_DAEMON and DEL_DAEMON; timeouts: for SET_CONFIG (0 leaves a value).
    Returns the message with its header.
    """
    cdef Writer w
    cdef uint32_t nest
    cdef uint16_t short_field
    cdef uint32_t zero = 0
    memset(&w, 0, sizeof(w))
    w.length = HEADER + GENL_HEADER
    if service is not None or key is not None:
        nest = open_nest(&w, 1)
        if service is not None:
            put_service(&w, service)
        else:
            put_key(&w, key)
        close_nest(&w, nest)
    if server is not None:
        nest = open_nest(&w, 2)
        put_server(&w, server, command != 7)
        close_nest(&w, nest)
    if daemon is not None:
        nest = open_nest(&w, 3)
        put_daemon(&w, daemon, command == 9)
        close_nest(&w, nest)
    if timeouts is not None:
        put_u32(&w, 4, timeouts.tcp)
        put_u32(&w, 5, timeouts.tcp_fin)
        put_u32(&w, 6, timeouts.udp)
    if w.full:
        raise ValueError("the request is too long for one message")
    memcpy(w.data, &w.length, 4)
    short_field = <uint16_t> family_id
    memcpy(w.data + 4, &short_field, 2)
    short_field = <uint16_t> flags
    memcpy(w.data + 6, &short_field, 2)
    memcpy(w.data + 8, &sequence, 4)
    memcpy(w.data + 12, &zero, 4)
    w.data[16] = <char> command
    w.data[17] = 1
    return PyBytes_FromStringAndSize(w.data, w.length)


# ---- decoding ----

cdef struct Span:
    const char *data
    uint32_t size


cdef int split_attributes(const char *data, uint32_t size, Span *table, int count) noexcept nogil:
    """Point table[type] at each attribute's value; -1 if the bytes are no attributes."""
    cdef uint16_t length, kind
    cdef uint32_t step
    memset(table, 0, count * sizeof(Span))
    while size >= 4:
        memcpy(&length, data, 2)
        memcpy(&kind, data + 2, 2)
        if length < 4 or length > size:
            return -1
        kind &= 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER
        if kind < count:
            table[kind].data = data + 4
            table[kind].size = length - 4
        step = (length + 3) & ~<uint32_t> 3
        if step >= size:
            return 0
        data += step
        size -= step
    return 0


cdef inline uint64_t get_number(Span *span) noexcept nogil:
    """An integer of 1, 2, 4 or 8 bytes; 0 when absent."""
    cdef uint8_t one
    cdef uint16_t two
    cdef uint32_t four
    cdef uint64_t eight
    if span.data == NULL:
        return 0
    if span.size == 4:
        memcpy(&four, span.data, 4)
        return four
    if span.size == 2:
        memcpy(&two, span.data, 2)
        return two
    if span.size == 8:
        memcpy(&eight, span.data, 8)
        return eight
    if span.size == 1:
        memcpy(&one, span.data, 1)
        return one
    return 0


cdef str get_name(Span *span):
    cdef uint32_t size = 0
    if span.data == NULL:
        return ""
    while size < span.size and span.data[size] != 0:
        size += 1
    return span.data[:size].decode("ascii", "replace")


cdef str get_address(Span *span, int family):
    cdef char packed[16]
    cdef char text[64]
    memset(packed, 0, 16)
    if span.data != NULL:
        memcpy(packed, span.data, min(span.size, <uint32_t> 16))
    if inet_ntop(family, packed, text, 64) == NULL:
        raise ValueError(f"the kernel sent an address of the unknown family {family}")
    return text.decode("ascii")


cdef object blank(object kind):
    return kind.__new__(kind)


cdef object get_stats(Span *span):
    cdef Span table[11]
    cdef int i
    cdef bint any_set = False
    if span.data == NULL or split_attributes(span.data, span.size, table, 11) < 0:
        return NO_STATS
    for i in range(1, 11):
        if get_number(&table[i]):
            any_set = True
            break
    if not any_set:
        return NO_STATS
    stats = blank(Stats)
    for i in range(10):
        PyObject_GenericSetAttr(stats, STATS_FIELDS[i], get_number(&table[i + 1]))
    return stats


cdef object decode_service(const char *data, uint32_t size):
    cdef Span top[4]
    cdef Span a[13]
    cdef uint64_t flags
    cdef int family
    cdef uint32_t mask
    if split_attributes(data, size, top, 4) < 0 or top[1].data == NULL:
        raise ValueError("the kernel's answer holds no service")
    if split_attributes(top[1].data, top[1].size, a, 13) < 0:
        raise ValueError("the kernel's answer holds a broken service")
    service = blank(VirtualService)
    family = <int> get_number(&a[1])
    flags = get_number(&a[7])
    if a[5].data != NULL:
        PyObject_GenericSetAttr(service, "protocol", None)
        PyObject_GenericSetAttr(service, "address", "")
        PyObject_GenericSetAttr(service, "port", 0)
    else:
        protocol = PROTOCOL_NAME.get(get_number(&a[2]))
        if protocol is None:
            raise ValueError(f"the kernel sent a service of the unknown protocol {get_number(&a[2])}")
        PyObject_GenericSetAttr(service, "protocol", protocol)
        PyObject_GenericSetAttr(service, "address", get_address(&a[3], family))
        PyObject_GenericSetAttr(service, "port", ntohs(<uint16_t> get_number(&a[4])))
    PyObject_GenericSetAttr(service, "mark", get_number(&a[5]))
    PyObject_GenericSetAttr(service, "family", family)
    PyObject_GenericSetAttr(service, "scheduler", get_name(&a[6]))
    PyObject_GenericSetAttr(service, "flags", FLAG_SETS[(flags >> 3) & 7])
    # The kernel keeps a timeout even where the persistence flag is off; then it means nothing.
    PyObject_GenericSetAttr(service, "persistence", get_number(&a[8]) if flags & F_PERSISTENT else 0)
    PyObject_GenericSetAttr(service, "one_packet", (flags & F_ONEPACKET) != 0)
    PyObject_GenericSetAttr(service, "engine", get_name(&a[11]))
    mask = <uint32_t> get_number(&a[9])
    PyObject_GenericSetAttr(service, "netmask", str(mask) if family == AF_INET6 else get_address(&a[9], AF_INET))
    status = blank(ServiceStatus)
    PyObject_GenericSetAttr(status, "service", service)
    PyObject_GenericSetAttr(status, "stats", get_stats(&a[12] if a[12].data != NULL else &a[10]))
    PyObject_GenericSetAttr(status, "servers", ())
    return status


cdef object decode_server(const char *data, uint32_t size, int service_family):
    cdef Span top[4]
    cdef Span a[16]
    cdef int family, number
    if split_attributes(data, size, top, 4) < 0 or top[2].data == NULL:
        raise ValueError("the kernel's answer holds no real server")
    if split_attributes(top[2].data, top[2].size, a, 16) < 0:
        raise ValueError("the kernel's answer holds a broken real server")
    family = <int> get_number(&a[11]) if a[11].data != NULL else service_family
    server = blank(RealServer)
    PyObject_GenericSetAttr(server, "address", get_address(&a[1], family))
    PyObject_GenericSetAttr(server, "port", ntohs(<uint16_t> get_number(&a[2])))
    # The low two bits are the method; the kernel keeps flags of its own above them.
    PyObject_GenericSetAttr(server, "forward", FORWARDS[get_number(&a[3]) & 3])
    PyObject_GenericSetAttr(server, "weight", <int32_t> get_number(&a[4]))
    PyObject_GenericSetAttr(server, "upper", get_number(&a[5]))
    PyObject_GenericSetAttr(server, "lower", get_number(&a[6]))
    number = <int> get_number(&a[13])
    PyObject_GenericSetAttr(server, "tunnel", TUNNELS[number] if number < 3 else TUNNELS[0])
    PyObject_GenericSetAttr(server, "tunnel_port", ntohs(<uint16_t> get_number(&a[14])))
    number = <int> get_number(&a[15])
    checksum = CHECKSUM_FULL if number & 1 else CHECKSUM_REMOTE if number & 2 else CHECKSUM_NONE
    PyObject_GenericSetAttr(server, "checksum", checksum)
    status = blank(ServerStatus)
    PyObject_GenericSetAttr(status, "server", server)
    PyObject_GenericSetAttr(status, "active", get_number(&a[7]))
    PyObject_GenericSetAttr(status, "inactive", get_number(&a[8]))
    PyObject_GenericSetAttr(status, "persistent", get_number(&a[9]))
    PyObject_GenericSetAttr(status, "stats", get_stats(&a[12] if a[12].data != NULL else &a[10]))
    return status


cdef object decode_daemon(const char *data, uint32_t size):
    cdef Span top[4]
    cdef Span a[9]
    if split_attributes(data, size, top, 4) < 0 or top[3].data == NULL:
        raise ValueError("the kernel's answer holds no sync daemon")
    if split_attributes(top[3].data, top[3].size, a, 9) < 0:
        raise ValueError("the kernel's answer holds a broken sync daemon")
    group = ""
    if a[6].data != NULL:
        group = get_address(&a[6], AF_INET6)
    elif a[5].data != NULL:
        group = get_address(&a[5], AF_INET)
    daemon = blank(SyncDaemon)
    PyObject_GenericSetAttr(daemon, "state", MASTER if get_number(&a[1]) == 1 else BACKUP)
    PyObject_GenericSetAttr(daemon, "interface", get_name(&a[2]))
    PyObject_GenericSetAttr(daemon, "sync_id", get_number(&a[3]))
    PyObject_GenericSetAttr(daemon, "max_length", get_number(&a[4]))
    PyObject_GenericSetAttr(daemon, "group", group)
    PyObject_GenericSetAttr(daemon, "port", get_number(&a[7]))
    PyObject_GenericSetAttr(daemon, "ttl", get_number(&a[8]))
    return daemon


cdef object decode_config(const char *data, uint32_t size):
    cdef Span a[7]
    if split_attributes(data, size, a, 7) < 0:
        raise ValueError("the kernel's answer holds no timeouts")
    return Timeouts(get_number(&a[4]), get_number(&a[5]), get_number(&a[6]))


cdef object decode_info(const char *data, uint32_t size):
    cdef Span a[3]
    cdef uint64_t version
    if split_attributes(data, size, a, 3) < 0:
        raise ValueError("the kernel's answer holds no information")
    version = get_number(&a[1])
    return Info(((version >> 16) & 0xFF, (version >> 8) & 0xFF, version & 0xFF), get_number(&a[2]))


cdef object decode_one(int command, const char *data, uint32_t size, int service_family):
    # The kernel names its answers by the command that would make what they hold.
    if command == 1:
        return decode_service(data, size)
    if command == 5:
        return decode_server(data, size, service_family)
    if command == 9:
        return decode_daemon(data, size)
    if command == 12:
        return decode_config(data, size)
    if command == 14:
        return decode_info(data, size)
    raise ValueError(f"the kernel answered with the unexpected command {command}")


cdef tuple decode_error(const char *data, uint32_t size, uint16_t flags):
    """(errno, text) of an NLMSG_ERROR or NLMSG_DONE payload; the text is the extended acknowledgement's or ""."""
    cdef int32_t number = 0
    cdef uint32_t skip, quoted = 0
    cdef Span a[2]
    if size >= 4:
        memcpy(&number, data, 4)
    text = ""
    if flags & F_ACK_TLVS and size >= 4 + HEADER:
        memcpy(&quoted, data + 4, 4)
        skip = 4 + (HEADER if flags & F_CAPPED else (quoted + 3) & ~<uint32_t> 3)
        if skip <= size and split_attributes(data + skip, size - skip, a, 2) == 0:
            text = get_name(&a[1])
    return (-number if number < 0 else 0, text)


def decode(bytes data, uint32_t first, uint32_t last, list values, dict errors, int service_family=0):
    """Read one datagram of answers to the requests numbered first to last.

    Values are appended to `values`; `errors[sequence] = (errno, text)` for each acknowledgement (errno 0) and refusal.
    Answers to other requests are passed over.  service_family: for kernels that do not say a server's family.
    Returns the flags seen on the answers (see DUMP_INTERRUPTED).
    Raises ValueError when the bytes are no netlink messages.
    """
    cdef const char *p = PyBytes_AS_STRING(data)
    cdef Py_ssize_t left = PyBytes_GET_SIZE(data)
    cdef uint32_t length, sequence
    cdef uint16_t kind, flags
    cdef int seen = 0
    while left >= HEADER:
        memcpy(&length, p, 4)
        memcpy(&kind, p + 4, 2)
        memcpy(&flags, p + 6, 2)
        memcpy(&sequence, p + 8, 4)
        if length < HEADER or length > left:
            raise ValueError("the kernel's answer is cut short")
        if first <= sequence <= last:
            seen |= flags
            if kind == TYPE_ERROR:
                errors[sequence] = decode_error(p + HEADER, length - HEADER, flags)
            elif kind == TYPE_DONE:
                errors[sequence] = decode_error(p + HEADER, min(length - HEADER, <uint32_t> 4), 0)
            elif kind >= 16 and length >= HEADER + GENL_HEADER:
                values.append(decode_one(<uint8_t> p[HEADER], p + HEADER + GENL_HEADER,
                                         length - HEADER - GENL_HEADER, service_family))
        length = (length + 3) & ~<uint32_t> 3
        if length >= left:
            break
        p += length
        left -= length
    return seen
