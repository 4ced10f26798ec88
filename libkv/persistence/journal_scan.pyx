"""A journal's commands looked at without applying them: how far the file is good, and what is wrong there.

For check_aof.py.  Where redis-check-aof (7.0.15) describes a fault, the words are its words.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

cdef enum:
    NUMBER_MAX = 128            # bytes of a line with a number
    FAULT = -1


cdef class JournalScan:
    """Scans `data` (bytes, a mapping) from `start` on, step by step.

    until: seconds of Unix time: the scan stops at the first annotation (#TS) that is later.
    """

    cdef const unsigned char[::1] view
    cdef const char* p
    cdef readonly uint64_t offset       # of what is looked at next
    cdef uint64_t n
    cdef readonly uint64_t good         # every unit before it is whole
    cdef readonly uint64_t lines        # 1 + lines read
    cdef readonly uint64_t commands
    cdef readonly uint64_t stamps       # annotations seen
    cdef readonly int64_t stamped       # offset of the annotation the scan has stopped at; -1
    cdef int64_t until
    cdef bint unit                      # inside MULTI
    cdef char text[256]
    cdef uint64_t text_offset

    def __cinit__(self, data, start=0, until=0):
        if len(data):
            self.view = data
            self.p = <const char*>&self.view[0]
        self.n = len(data)
        self.offset = self.good = start
        self.until = until
        self.lines = 1
        self.stamped = -1

    def __init__(self, data, start=0, until=0):
        pass

    def step(self, uint64_t size=1 << 22):
        """Looks at about so many bytes more; False: the scan is over (see trouble, stamped)."""
        cdef bint on = True
        cdef uint64_t stop = self.offset + size
        with nogil:
            while on and self.offset < stop:
                on = next_thing(self)
        return on

    @property
    def trouble(self):
        """What is wrong, in words; None: nothing (so far); "": something that is neither command nor annotation."""
        if self.text[0] == 0:
            return None
        return (<bytes>self.text).decode() if self.text[0] != 1 else ""

    @property
    def trouble_offset(self):
        """The first bad byte's offset."""
        return self.text_offset


cdef int64_t fault(JournalScan s, uint64_t at, const char* format, int64_t a, int64_t b) noexcept nogil:
    snprintf(s.text, sizeof(s.text), format, <long long>a, <long long>b)
    s.text_offset = at
    return FAULT


cdef int64_t read_number(JournalScan s, char prefix) noexcept nogil:
    """A line of a prefix and a number; FAULT."""
    cdef uint64_t at = s.offset
    cdef const char* line = s.p + at
    cdef size_t room = <size_t>min(s.n - at, <uint64_t>NUMBER_MAX)
    cdef const char* stop = <const char*>memchr(line, 10, room) if room else NULL
    cdef int64_t v = 0
    cdef const char* q = line + 1
    if room == 0 or (stop == NULL and at + room == s.n and line[0] == prefix):
        return fault(s, at, b"Expected to read a line, got the end of the file%.0lld%.0lld", 0, 0)
    if line[0] != prefix:
        return fault(s, at, b"Expected prefix '%c', got: '%c'" if 32 <= line[0] < 127 else
                     b"Expected prefix '%c', got byte %lld", prefix, <unsigned char>line[0])
    if stop == NULL or stop - line < 3 or (stop - 1)[0] != 13:
        return fault(s, at, b"Expected \\r\\n at the end of a number%.0lld%.0lld", 0, 0)
    while q < stop - 1:
        if not 48 <= q[0] <= 57 or v > (<int64_t>1 << 58):
            return fault(s, at + (q - line), b"Expected a digit, got byte %lld%.0lld", <unsigned char>q[0], 0)
        v = v * 10 + q[0] - 48
        q += 1
    s.offset += stop + 1 - line
    s.lines += 1
    return v


cdef const char* read_argument(JournalScan s, int64_t* n) noexcept nogil:
    """A length and as many bytes; NULL: a fault."""
    cdef const char* value
    cdef uint64_t left
    n[0] = read_number(s, c"$")
    if n[0] < 0:
        return NULL
    left = s.n - s.offset
    if left < <uint64_t>n[0] + 2:
        fault(s, s.offset, b"Expected to read %lld bytes, got %lld bytes", n[0] + 2, <int64_t>left)
        return NULL
    value = s.p + s.offset
    if value[n[0]] != 13 or value[n[0] + 1] != 10:
        fault(s, s.offset + n[0], b"Expected \\r\\n, got: %02llx%02llx", <unsigned char>value[n[0]],
              <unsigned char>value[n[0] + 1])
        return NULL
    s.offset += n[0] + 2
    s.lines += 1
    return value


cdef bint read_command(JournalScan s) noexcept nogil:
    cdef uint64_t at = s.offset
    cdef int64_t count = read_number(s, c"*")
    cdef int64_t n = 0
    cdef int64_t i
    cdef const char* value
    if count < 0:
        return False
    if count == 0:
        fault(s, at, b"Expected a command of one word or more%.0lld%.0lld", 0, 0)
        return False
    for i in range(count):
        value = read_argument(s, &n)
        if value == NULL:
            return False
        if i > 0:
            continue
        if n == 5 and strncasecmp(value, b"multi", 5) == 0:
            if s.unit:
                fault(s, at, b"Unexpected MULTI%.0lld%.0lld", 0, 0)
                return False
            s.unit = True
        elif n == 4 and strncasecmp(value, b"exec", 4) == 0:
            if not s.unit:
                fault(s, at, b"Unexpected EXEC%.0lld%.0lld", 0, 0)
                return False
            s.unit = False
    s.commands += 1
    if not s.unit:
        s.good = s.offset
    return True


cdef bint read_annotation(JournalScan s) noexcept nogil:
    cdef const char* line = s.p + s.offset
    cdef const char* stop = <const char*>memchr(line, 10, s.n - s.offset)
    cdef int64_t when = 0
    cdef const char* q = line + 4
    if stop == NULL:
        fault(s, s.offset, b"Expected \\r\\n at the end of an annotation%.0lld%.0lld", 0, 0)
        return False
    if stop - line > 4 and memcmp(line, b"#TS:", 4) == 0:
        while q < stop and 48 <= q[0] <= 57 and when < (<int64_t>1 << 58):
            when = when * 10 + q[0] - 48
            q += 1
        s.stamps += 1
        if s.until and when > s.until:
            s.stamped = <int64_t>s.offset
            return False
    s.offset += stop + 1 - line         # not counted as a line, as theirs does not
    if not s.unit:
        s.good = s.offset
    return True


cdef bint next_thing(JournalScan s) noexcept nogil:
    """A command or an annotation; False: the scan is over."""
    if s.offset >= s.n:
        if s.unit:
            fault(s, s.offset, b"Reached EOF before reading EXEC for MULTI%.0lld%.0lld", 0, 0)
        return False
    if s.p[s.offset] == c"*":
        return read_command(s)
    if s.p[s.offset] == c"#":
        return read_annotation(s)
    s.text[0] = 1
    s.text[1] = 0
    s.text_offset = s.offset
    return False
