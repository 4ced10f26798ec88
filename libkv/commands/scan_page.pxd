# One page of HSCAN and ZSCAN: the arguments in Redis's order of checks, the loop's bounds, the reply around the elements.

from libc.stdint cimport int64_t, uint64_t

from libkv.engine.args cimport ScanOptions, glob_match
from libkv.engine.types cimport Arg, Ctx, Reply
from libkv.structures.cell cimport Cell

cdef struct ScanPage:
    ScanOptions options
    Reply* r
    size_t mark                 # where the elements start in the reply
    int64_t seen
    int64_t kept
    int64_t visits              # buckets that may still be looked at

cdef bint scan_page_open(Ctx* c, Arg* argv, int argc, int type, ScanPage* page, Cell* cell, Reply* r) noexcept nogil
    # False: everything is replied (an error, or the key is missing)
cdef bint scan_page_full(ScanPage* page, uint64_t cursor) noexcept nogil    # after a step that ended at this cursor
cdef void scan_page_close(ScanPage* page, uint64_t cursor) noexcept nogil   # `kept` pairs of bulk strings were replied

cdef inline bint scan_page_takes(ScanPage* page, const char* p, size_t n) noexcept nogil:
    """Counts an element; False: the pattern leaves it out."""
    page.seen += 1
    if page.options.pattern != NULL and not glob_match(page.options.pattern, page.options.pattern_n, p, n, False):
        return False
    page.kept += 1
    return True
