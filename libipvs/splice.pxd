"""What the other engines of the proxy plane share with the TCP one."""

from libc.stdint cimport uint64_t


cdef class Counter:
    """Bytes up to a server and down from it."""

    cdef uint64_t up_bytes
    cdef uint64_t down_bytes
