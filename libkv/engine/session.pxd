# A client, sans-IO: bytes in, reply bytes out.  Parses RESP and inline commands, runs them in batches.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.parser cimport Parser
from libkv.engine.types cimport Arg, Kv, Queued, Reply, Session

cdef struct Intake:             # session.parser points to it
    Parser parser
    # a long argument of the command in work is read straight into a piece that can become a value (keyspace_set)
    char* piece                 # NULL: none
    size_t piece_n              # its bytes: the argument and the line's end behind it
    size_t piece_have           # that have come
    size_t piece_at             # where in `unread` it would stand
    int piece_arg               # which argument it is

cdef Session* session_new(Kv* kv, const char* addr, const char* laddr, int fd, uint32_t flags) noexcept nogil
    # takes the lock itself; NULL without memory.  flags: S_UNIX, S_EMBEDDED
cdef void session_free(Session* s) noexcept nogil       # takes the lock itself; frees buffers, watches, queue
cdef bint session_data(Session* s, const char* p, size_t n) noexcept nogil
    # bytes from the client (borrowed: what is unfinished is copied).  Parses outside the lock, executes batches of at
    # most 32 commands or 200 us under it; replies are appended to s.out.  False: the session ended (protocol error, QUIT, ...):
    # send s.out, then close.  Protocol errors are logged by the caller from s.flags.
    # After a command that waits (S_BLOCKED, S_PAUSED) nothing more is run: the rest lies in s.unread until session_resume.
cdef bint session_resume(Session* s) noexcept nogil     # S_RESUME is set: runs what lies in s.unread; returns as session_data
cdef int session_run(Session* s, Arg* argv, int argc, Reply* r) noexcept nogil
    # one command, lock held, gates and all; CALL_DONE, CALL_BLOCK (the reply will be in s.out) or CALL_PAUSED
cdef void session_after_reply(Session* s, size_t mark) noexcept nogil   # a command's reply starts at s.out[mark]: CLIENT REPLY
cdef void session_drop_queue(Session* s) noexcept nogil     # forgets the queued commands of a transaction
cdef size_t session_unread(Session* s) noexcept nogil   # bytes of an unfinished command, or of what waits behind one
cdef size_t session_memory(Session* s) noexcept nogil   # bytes of buffers and queue
