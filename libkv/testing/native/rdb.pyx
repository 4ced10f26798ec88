"""CRC-64 and LZF from Python, for their tests: the bytes lie in pieces of memory of exactly their size."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from libkv.persistence.crc64 cimport crc64 as crc64_of
from libkv.persistence.lzf cimport Lzf, lzf_compress, lzf_decompress

cdef Lzf* state = NULL


def crc64(bytes data, crc=0) -> int:
    """CRC-64 of data, going on from `crc`."""
    return crc64_of(crc, data, len(data))


cdef char* exact(bytes data) except NULL:
    cdef size_t n = len(data)
    cdef char* p = <char*>malloc(n if n else 1)
    if p == NULL:
        raise MemoryError
    memcpy(p, <char*>data, n)
    return p


def compress(bytes data, size_t room) -> bytes | None:
    """LZF of at most `room` bytes, or None."""
    global state
    cdef char* p
    cdef char* out
    cdef size_t n
    if state == NULL:
        state = <Lzf*>calloc(1, sizeof(Lzf))
    p = exact(data)
    out = <char*>malloc(room if room else 1)
    if state == NULL or out == NULL:
        raise MemoryError
    n = lzf_compress(state, p, len(data), out, room)
    made = out[:n] if n else None
    free(p)
    free(out)
    return made


def decompress(bytes data, size_t n) -> bytes | None:
    """The n bytes that data is LZF of, or None: it is not."""
    cdef char* p = exact(data)
    cdef char* out = <char*>malloc(n if n else 1)
    if out == NULL:
        raise MemoryError
    made = out[:n] if lzf_decompress(p, len(data), out, n) else None
    free(p)
    free(out)
    return made
