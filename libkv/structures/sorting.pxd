# Sorting rows of pointers: all of a row, stably; or only some places of it.
#
# A comparison returns below 0, 0 or above 0, is consistent, and gets two of the pointers and the caller's own.

ctypedef int (*sorting_compare)(const void* a, const void* b, void* arg) noexcept nogil

cdef void sorting_stable(void** row, void** scratch, size_t n, sorting_compare compare, void* arg) noexcept nogil
    # equal ones stay as they were; scratch has room for n pointers
cdef void sorting_partial(void** row, size_t n, sorting_compare compare, void* arg, size_t first, size_t last) noexcept nogil
    # afterwards the places first .. last (last < n) hold what they would if all were sorted; equal ones in any order, which
    # is the one that Redis answers
