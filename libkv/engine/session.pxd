# A client, sans-IO: bytes in, reply bytes out.  Parses RESP and inline commands, runs them in batches.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Arg, Kv, Queued, Reply, Session

cdef Session* session_new(Kv* kv, const char* addr, const char* laddr, int fd, uint32_t flags) noexcept nogil
    # takes the lock itself; NULL without memory.  flags: S_UNIX, S_EMBEDDED
cdef void session_free(Session* s) noexcept nogil       # takes the lock itself; frees buffers, watches, queue
cdef bint session_data(Session* s, const char* p, size_t n) noexcept nogil
    # bytes from the client (borrowed: what is unfinished is copied).  Parses outside the lock, executes batches of at
    # most 32 commands or 200 us under it; replies are appended to s.out.  False: the session ended (protocol error, QUIT, ...):
    # send s.out, then close.  Protocol errors are logged by the caller from s.flags.
cdef int session_run(Session* s, Arg* argv, int argc, Reply* r) noexcept nogil      # one command, lock held, gates and all
cdef void session_drop_queue(Session* s) noexcept nogil     # forgets the queued commands of a transaction
cdef size_t session_memory(Session* s) noexcept nogil   # bytes of buffers and queue
