"""Sorting rows of pointers (contract: sorting.pxd).

Stable: merging runs of growing length.  Partial: the quicksort of J. L. Bentley and M. D. McIlroy, "Engineering a sort
function" (Software: Practice and Experience 23, 1993), without the parts that hold no wanted place.  Redis sorts whole
rows by the C library's merge sort and parts of rows by that quicksort, and which of several equal members comes first
follows from them; so the same steps are taken here, except that the smaller part is recursed into, which bounds the
stack by the logarithm of n.
"""

from libc.string cimport memcpy


cdef void sorting_stable(void** row, void** scratch, size_t n, sorting_compare compare, void* arg) noexcept nogil:
    cdef void** from_ = row
    cdef void** to = scratch
    cdef size_t width = 1
    cdef size_t at
    cdef size_t middle
    cdef size_t end
    cdef size_t i
    cdef size_t k
    cdef size_t out
    while width < n:
        at = 0
        while at < n:
            middle = min(at + width, n)
            end = min(middle + width, n)
            i = at
            k = middle
            for out in range(at, end):
                if i < middle and (k == end or compare(from_[i], from_[k], arg) <= 0):
                    to[out] = from_[i]
                    i += 1
                else:
                    to[out] = from_[k]
                    k += 1
            at = end
        from_, to = to, from_
        width *= 2
    if from_ != row:
        memcpy(row, from_, n * sizeof(void*))


cdef inline void swap(void** a, void** b) noexcept nogil:
    cdef void* kept = a[0]
    a[0] = b[0]
    b[0] = kept


cdef inline void swap_runs(void** a, void** b, size_t n) noexcept nogil:
    cdef size_t i
    for i in range(n):
        swap(a + i, b + i)


cdef inline void** median(void** a, void** b, void** c, sorting_compare compare, void* arg) noexcept nogil:
    if compare(a[0], b[0], arg) < 0:
        if compare(b[0], c[0], arg) < 0:
            return b
        return c if compare(a[0], c[0], arg) < 0 else a
    if compare(b[0], c[0], arg) > 0:
        return b
    return a if compare(a[0], c[0], arg) < 0 else c


cdef void insert_sort(void** row, size_t n, sorting_compare compare, void* arg) noexcept nogil:
    cdef size_t i
    cdef size_t k
    for i in range(1, n):
        k = i
        while k > 0 and compare(row[k - 1], row[k], arg) > 0:
            swap(row + k, row + k - 1)
            k -= 1


cdef void choose_pivot(void** row, size_t n, sorting_compare compare, void* arg) noexcept nogil:
    """Brings it to the row's begin: the middle one, the median of three, or of three such."""
    cdef void** middle = row + n // 2
    cdef void** low = row
    cdef void** high = row + (n - 1)
    cdef size_t d
    if n > 7:
        if n > 40:
            d = n // 8
            low = median(low, low + d, low + 2 * d, compare, arg)
            middle = median(middle - d, middle, middle + d, compare, arg)
            high = median(high - 2 * d, high - d, high, compare, arg)
        middle = median(low, middle, high, compare, arg)
    swap(row, middle)


cdef void split(void** row, size_t n, sorting_compare compare, void* arg, size_t* below, size_t* above) noexcept nogil:
    """Around the pivot at the row's begin: the `below` lesser ones first, the `above` greater ones last, equal ones between."""
    cdef void** a = row + 1         # row .. a: equal to the pivot
    cdef void** b = row + 1         # a .. b: less
    cdef void** c = row + (n - 1)   # c+1 .. d+1: greater
    cdef void** d = row + (n - 1)   # d+1 .. end: equal
    cdef void** end = row + n
    cdef int order = 0
    cdef size_t r
    while True:
        while b <= c:
            order = compare(b[0], row[0], arg)
            if order > 0:
                break
            if order == 0:
                swap(a, b)
                a += 1
            b += 1
        while b <= c:
            order = compare(c[0], row[0], arg)
            if order < 0:
                break
            if order == 0:
                swap(c, d)
                d -= 1
            c -= 1
        if b > c:
            break
        swap(b, c)
        b += 1
        c -= 1
    r = min(<size_t>(a - row), <size_t>(b - a))
    swap_runs(row, b - r, r)
    r = min(<size_t>(d - c), <size_t>(end - d - 1))
    swap_runs(b, end - r, r)
    below[0] = b - a
    above[0] = d - c


cdef inline bint wanted(size_t at, size_t n, size_t first, size_t last) noexcept nogil:
    return n > 1 and at <= last and at + n > first


cdef void sort_part(void** all, size_t at, size_t n, sorting_compare compare, void* arg,
                    size_t first, size_t last) noexcept nogil:
    """Sorts all[at : at + n] as far as it holds places from first to last."""
    cdef void** row
    cdef size_t below = 0
    cdef size_t above = 0
    cdef size_t behind
    while n > 1:
        row = all + at
        if n < 7:
            insert_sort(row, n, compare, arg)
            return
        choose_pivot(row, n, compare, arg)
        split(row, n, compare, arg, &below, &above)
        behind = at + n - above
        if not wanted(at, below, first, last):
            at = behind
            n = above if wanted(behind, above, first, last) else 0
        elif not wanted(behind, above, first, last):
            n = below
        elif below < above:
            sort_part(all, at, below, compare, arg, first, last)
            at = behind
            n = above
        else:
            sort_part(all, behind, above, compare, arg, first, last)
            n = below


cdef void sorting_partial(void** row, size_t n, sorting_compare compare, void* arg, size_t first, size_t last) noexcept nogil:
    sort_part(row, 0, n, compare, arg, first, last)
