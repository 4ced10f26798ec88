# RESP requests out of a stream of bytes (https://redis.io/docs/latest/develop/reference/protocol-spec/).
#
# A parser looks at each byte once: what it knows of an unfinished command is kept between calls, as offsets from that
# command's first byte.  Arguments of a finished command point into the bytes that were given.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.types cimport Arg
from libkv.structures.buffer cimport Buffer

cdef enum:
    PARSE_MORE = 0              # the command is not finished
    PARSE_COMMAND = 1
    PARSE_NOTHING = 2           # an empty line or array: passed over
    PARSE_ERROR = 3             # parser.error tells why; the stream can't go on
    PARSE_FULL = 4              # this command has more arguments than there is room for
    INLINE_MAX_LINE = 65536     # bytes of an inline command, and of a length's digits

cdef struct Parser:
    int64_t want                # arguments of the array in work; 0 = between commands
    int64_t bulk                # bytes of the argument in work; -1 = its length has not come
    int have                    # arguments that have come
    size_t pos                  # the next byte to look at, from the command's first
    Arg* args                   # of an unfinished command: p is the offset; of a command with many: p is final
    int cap
    Buffer line                 # an inline command's arguments, unquoted
    const char* error           # Redis's text, behind "ERR Protocol error: "
    char text[64]
    int64_t max_bulk            # proto-max-bulk-len
    bint trusted                # authenticated: long requests are taken

cdef void parser_init(Parser* ps) noexcept nogil
cdef void parser_free(Parser* ps) noexcept nogil
cdef int parser_next(Parser* ps, const char* base, size_t n, Arg* room, int room_n, Arg** argv, int* argc) noexcept nogil
    # one command from base[0:n]; ps.pos = bytes it took, PARSE_COMMAND sets argv (room, or the parser's own).
    # room_n 0: the parser's own array.  PARSE_MORE: call again with the same bytes and more behind them.
cdef void parser_restart(Parser* ps) noexcept nogil
    # forgets the command in work: its bytes will be given again from its first
cdef bint parser_take_apart(Parser* ps) noexcept nogil
    # the argument in work has come, but not in the stream: its p, in ps.args, is the caller's to set before each
    # parser_next (relative to the bytes it gives: see there).  False: no memory
cdef size_t parser_expects(Parser* ps) noexcept nogil       # bytes that the argument in work still wants; 0 unknown
