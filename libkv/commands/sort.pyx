"""SORT and SORT_RO (https://redis.io/docs/latest/commands/sort/).

The elements are gathered, weighed (by themselves, or by the key that BY names for each), sorted by pointers, and answered
or stored.  Where Redis leaves nothing to chance, equal elements come in its order: whole rows are sorted stably, and
parts of rows that are sorted BY a pattern with structures/sorting's partial sort.  Two oddities of Redis's are kept: a
sorted set becomes a tree ("skiplist") by being sorted, and a set in no order that is stored is sorted by its bytes.
Its memory of an earlier command's overflow (errno) is not: it makes it refuse numbers that are well.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcmp, memcpy, memset

from libkv.engine.acl cimport acl_reads_all
from libkv.engine.acl cimport acl_reads_all
from libkv.engine.args cimport arg_int, arg_is
from libkv.engine.entry cimport Entry, entry_cell, entry_set_cell, entry_string, entry_type
from libkv.engine.keyspace cimport changed, changed_n, keyspace_delete, keyspace_put, lookup_read
from libkv.engine.registry cimport Command, registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_error, reply_int, reply_nil, reply_oom, reply_syntax, reply_wrong_type,
)
from libkv.engine.types cimport (
    CALL_DONE, EVENT_GENERIC, EVENT_LIST, S_SCRIPT, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STRING, TYPE_ZSET, Arg, Ctx, Reply,
)
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.cell cimport ZSET_PACKED, Cell, Slice
from libkv.structures.hash cimport HASH_SCRATCH, hash_get
from libkv.structures.list cimport ListIter, list_free, list_length, list_new, list_push, list_seek, list_step, list_value
from libkv.structures.number cimport number_parse_weight
from libkv.structures.packed cimport PACKED_SCRATCH
from libkv.structures.set cimport SetIter, set_iter, set_length, set_next
from libkv.structures.siphash cimport siphash
from libkv.structures.sorting cimport sorting_partial, sorting_stable
from libkv.structures.zset cimport ZsetIter, zset_iter, zset_length, zset_next, zset_to_tree

cdef struct Item:
    Slice text                  # the element: lies in the collection, or (p NULL) in `digits`
    double weight
    Slice by                    # ALPHA with BY: the value, p NULL and `there`: in `by_digits`
    bint there                  # the key that BY names is there
    char digits[PACKED_SCRATCH]
    char by_digits[HASH_SCRATCH]

cdef struct Job:
    bint read_only
    bint all_keys               # the user may read every key: BY and GET lead anywhere
    bint alpha
    bint descending
    bint unsorted               # BY something without a "*"
    Arg* by                     # NULL: by the elements themselves
    Arg* store
    int64_t limit_first
    int64_t limit_count         # -1: all
    int gets
    int type                    # of the collection; TYPE_LIST when there is none
    bint exists
    Cell cell
    Item* items
    int64_t n                   # items gathered
    int64_t first               # of them [first, last] are answered
    int64_t last
    char* name                  # where names of keys are put together
    size_t name_cap


# ---- arguments

cdef bint reads_all(Ctx* c, Arg* argv, int argc, Reply* r, const char* refusal) noexcept nogil:
    """Which keys a pattern names is known only in the end: so the user must be one who may read all."""
    if acl_reads_all(c.session, <Command*>c.cmd, argv, argc):
        return True
    reply_error(r, refusal)
    return False


cdef int job_option(Ctx* c, Job* job, Arg* argv, int argc, int i, Reply* r) noexcept nogil:
    """Reads the option argv[i].  How many words it took, 0 when it is none, -1 when an error is replied."""
    cdef Arg* a = &argv[i]
    cdef int left = argc - i - 1
    if arg_is(a, b"asc", 3):
        job.descending = False
    elif arg_is(a, b"desc", 4):
        job.descending = True
    elif arg_is(a, b"alpha", 5):
        job.alpha = True
    elif arg_is(a, b"limit", 5) and left >= 2:
        return 3 if arg_int(a + 1, &job.limit_first, r) and arg_int(a + 2, &job.limit_count, r) else -1
    elif arg_is(a, b"store", 5) and left >= 1 and not job.read_only:
        job.store = a + 1
        return 2
    elif arg_is(a, b"by", 2) and left >= 1:
        job.by = a + 1
        if star(a + 1) == NULL:
            job.unsorted = True
        elif not job.all_keys:
            reply_error(r, b"ERR BY option of SORT denied due to insufficient ACL permissions.")
            return -1
        return 2
    elif arg_is(a, b"get", 3) and left >= 1:
        if not job.all_keys:
            reply_error(r, b"ERR GET option of SORT denied due to insufficient ACL permissions.")
            return -1
        job.gets += 1
        return 2
    else:
        return 0
    return 1


cdef bint job_options(Ctx* c, Job* job, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int i = 2
    cdef int took
    while i < argc:
        took = job_option(c, job, argv, argc, i, r)
        if took == 0:
            reply_syntax(r)
        if took <= 0:
            return False
        i += took
    return True


cdef inline bint is_get(Arg* argv, int i) noexcept nogil:
    """Whether argv[i] is an option GET and not an option's argument: to be asked of options in turn."""
    return arg_is(&argv[i], b"get", 3)


cdef inline int option_words(Arg* a) noexcept nogil:
    """Words of an option that is known to be one."""
    if arg_is(a, b"limit", 5):
        return 3
    return 2 if arg_is(a, b"store", 5) or arg_is(a, b"by", 2) or arg_is(a, b"get", 3) else 1


# ---- patterns

cdef inline size_t c_length(const char* p, size_t n) noexcept nogil:
    """Up to a NUL."""
    cdef const void* end = memchr(p, 0, n) if n else NULL
    return n if end == NULL else <const char*>end - p


cdef const char* star(Arg* pattern) noexcept nogil:
    """The first "*", as C's functions find it."""
    cdef size_t n = c_length(pattern.p, pattern.n)
    return <const char*>memchr(pattern.p, b"*", n) if n else NULL


cdef size_t arrow(Arg* pattern, size_t after) noexcept nogil:
    """Where "->" and a field's name stand behind the "*"; pattern.n: nowhere."""
    cdef size_t n = c_length(pattern.p, pattern.n)
    cdef size_t i = after
    while i + 1 < n:
        if pattern.p[i] == b"-" and pattern.p[i + 1] == b">":
            return i if i + 2 < n else pattern.n
        i += 1
    return pattern.n


cdef bint is_self(Arg* pattern) noexcept nogil:
    return pattern.n > 0 and pattern.p[0] == b"#" and (pattern.n == 1 or pattern.p[1] == 0)


cdef inline Slice item_text(Item* item) noexcept nogil:
    cdef Slice s = item.text
    if s.p == NULL:
        s.p = item.digits
    return s


cdef int pattern_value(Ctx* c, Job* job, Arg* pattern, Item* item, Slice* out, char* scratch) noexcept nogil:
    """The value that a pattern names for an element: 1 found, 0 not there, -1 no memory."""
    cdef Slice text = item_text(item)
    cdef const char* mark = star(pattern)
    cdef size_t before
    cdef size_t field
    cdef size_t n
    cdef Arg key
    cdef Entry* e
    cdef Cell cell
    if is_self(pattern):
        out[0] = text
        return 1
    if mark == NULL:
        return 0
    before = mark - pattern.p
    field = arrow(pattern, before + 1)
    n = before + text.n + (field - before - 1)
    if n + 1 > job.name_cap:
        if job.name_cap:
            heap_free(c.heap, job.name, job.name_cap)
        job.name_cap = 0
        job.name = <char*>heap_alloc(c.heap, 2 * n + 64)
        if job.name == NULL:
            return -1
        job.name_cap = 2 * n + 64
    memcpy(job.name, pattern.p, before)
    if text.n:
        memcpy(job.name + before, text.p, text.n)
    memcpy(job.name + before + text.n, mark + 1, field - before - 1)
    memset(&key, 0, sizeof(Arg))
    key.p = job.name
    key.n = n
    e = lookup_read(c, &key)
    if e == NULL:
        return 0
    if field == pattern.n:
        if entry_type(e) != TYPE_STRING:
            return 0
        entry_string(e, scratch, out)
        return 1
    if entry_type(e) != TYPE_HASH:
        return 0
    entry_cell(e, &cell)
    field += 2
    return hash_get(c.heap, &cell, pattern.p + field, pattern.n - field,
                    siphash(c.heap.seed, pattern.p + field, pattern.n - field), out, scratch)


# ---- gathering

cdef bint job_open(Ctx* c, Job* job, Arg* key, Reply* r) noexcept nogil:
    """Finds the collection, and which of its elements are wanted."""
    cdef Entry* e = lookup_read(c, key)
    cdef int64_t length = 0
    job.type = TYPE_LIST
    job.exists = e != NULL
    if e != NULL:
        job.type = entry_type(e)
        if job.type != TYPE_LIST and job.type != TYPE_SET and job.type != TYPE_ZSET:
            reply_wrong_type(r)
            return False
        entry_cell(e, &job.cell)
        if job.type == TYPE_ZSET and job.cell.layout == ZSET_PACKED:
            if zset_to_tree(c.heap, &job.cell) != 0:
                reply_oom(r)
                return False
            entry_set_cell(e, &job.cell)
        if job.type == TYPE_LIST:
            length = <int64_t>list_length(&job.cell)
        elif job.type == TYPE_SET:
            length = <int64_t>set_length(&job.cell)
        else:
            length = <int64_t>zset_length(&job.cell)
    if job.unsorted and job.type == TYPE_SET and (job.store != NULL or c.session.flags & S_SCRIPT):
        job.unsorted = False
        job.alpha = True
        job.by = NULL
    job.n = length
    job.first = min(max(job.limit_first, 0), length)
    job.last = length - 1
    if job.limit_count >= 0:
        job.last = min(job.first + min(job.limit_count, length) - 1, length - 1)
    if job.first >= length:
        job.first = length - 1
        job.last = length - 2
    return True


cdef inline void item_take(Item* item, Slice* text, char* scratch) noexcept nogil:
    item.text = text[0]
    item.there = False
    item.weight = 0
    if text.p >= scratch and text.p < scratch + PACKED_SCRATCH:
        memcpy(item.digits, text.p, text.n)
        item.text.p = NULL


cdef void gather_list(Job* job, int64_t from_) noexcept nogil:
    """In no order and DESC: from its end."""
    cdef bint backwards = job.unsorted and job.descending
    cdef ListIter it
    cdef Slice text
    cdef char scratch[PACKED_SCRATCH]
    cdef int64_t i
    list_seek(&it, &job.cell, -1 - from_ if backwards else from_, backwards)
    for i in range(job.n):
        text = list_value(&it, scratch)
        item_take(&job.items[i], &text, scratch)
        list_step(&it)


cdef void gather_set(Job* job) noexcept nogil:
    cdef SetIter it
    cdef Slice text
    cdef char scratch[PACKED_SCRATCH]
    cdef int64_t i = 0
    set_iter(&it, &job.cell)
    while i < job.n and set_next(&it, &text, scratch):
        item_take(&job.items[i], &text, scratch)
        i += 1


cdef void gather_zset(Job* job, int64_t from_) noexcept nogil:
    """As gather_list."""
    cdef ZsetIter it
    cdef Slice text
    cdef double score
    cdef char scratch[PACKED_SCRATCH]
    cdef bint backwards = job.unsorted and job.descending
    cdef int64_t i = 0
    zset_iter(&it, &job.cell, <uint64_t>(<int64_t>zset_length(&job.cell) - 1 - from_ if backwards else from_), backwards)
    while i < job.n and zset_next(&it, &text, &score, scratch):
        item_take(&job.items[i], &text, scratch)
        i += 1


cdef bint job_gather(Ctx* c, Job* job) noexcept nogil:
    """False: no memory."""
    cdef int64_t from_ = 0
    if job.unsorted and job.type != TYPE_SET:       # only those that are wanted
        from_ = job.first
        job.n = max(job.last - job.first + 1, 0)
        job.last -= job.first
        job.first = 0
    if job.n == 0 or not job.exists:
        job.n = 0
        return True
    job.items = <Item*>heap_alloc(c.heap, <size_t>job.n * sizeof(Item))
    if job.items == NULL:
        return False
    if job.type == TYPE_LIST:
        gather_list(job, from_)
    elif job.type == TYPE_SET:
        gather_set(job)
    else:
        gather_zset(job, from_)
    return True


# ---- weighing and sorting

cdef bint weigh_item(Ctx* c, Job* job, Item* item, bint* wrong, bint* memory) noexcept nogil:
    """Finds what the item is sorted by; wrong[0]: it is no number."""
    cdef Slice value = item_text(item)
    cdef char scratch[HASH_SCRATCH]
    cdef int found = 1
    if job.by != NULL:
        found = pattern_value(c, job, job.by, item, &value, scratch)
        if found < 0:
            memory[0] = False
            return False
        if found == 0:
            return True
    elif job.alpha:
        return True
    if not job.alpha:
        if not number_parse_weight(value.p, value.n, &item.weight):
            wrong[0] = True
        return True
    item.there = True
    item.by = value
    if value.p >= scratch and value.p < scratch + HASH_SCRATCH:
        memcpy(item.by_digits, value.p, value.n)
        item.by.p = NULL
    return True


cdef inline int bytes_order(Slice* a, Slice* b) noexcept nogil:
    cdef int order = memcmp(a.p, b.p, min(a.n, b.n)) if a.n and b.n else 0
    if order:
        return order
    return (a.n > b.n) - (a.n < b.n)


cdef inline int text_order(Slice* a, Slice* b, bint storing) noexcept nogil:
    """What is answered is compared as C's strings in the "C" locale, up to a NUL; what is stored, whole."""
    if not storing:
        a.n = c_length(a.p, a.n)
        b.n = c_length(b.p, b.n)
    return bytes_order(a, b)


cdef int items_order(const void* x, const void* y, void* arg) noexcept nogil:
    cdef Job* job = <Job*>arg
    cdef Item* a = <Item*>x
    cdef Item* b = <Item*>y
    cdef Slice s
    cdef Slice t
    cdef int order
    if not job.alpha:
        order = (a.weight > b.weight) - (a.weight < b.weight)
        if order == 0:
            s = item_text(a)
            t = item_text(b)
            order = bytes_order(&s, &t)
    elif job.by == NULL:
        s = item_text(a)
        t = item_text(b)
        order = text_order(&s, &t, job.store != NULL)
    elif not a.there or not b.there:
        order = a.there - b.there
    else:
        s = a.by
        t = b.by
        if s.p == NULL:
            s.p = a.by_digits
        if t.p == NULL:
            t.p = b.by_digits
        order = text_order(&s, &t, job.store != NULL)
    if not job.descending:
        return order
    return (order < 0) - (order > 0)


cdef bint job_sort(Ctx* c, Job* job, Item** row) noexcept nogil:
    """False: no memory."""
    cdef void** scratch
    if job.unsorted:
        return True
    if job.by != NULL and (job.first != 0 or job.last != job.n - 1):
        if job.last >= job.first:
            sorting_partial(<void**>row, <size_t>job.n, items_order, job, <size_t>job.first, <size_t>job.last)
        return True
    scratch = <void**>heap_alloc(c.heap, <size_t>job.n * sizeof(void*))
    if scratch == NULL:
        return False
    sorting_stable(<void**>row, scratch, <size_t>job.n, items_order, job)
    heap_free(c.heap, scratch, <size_t>job.n * sizeof(void*))
    return True


# ---- the result

cdef bint put_value(Ctx* c, Job* job, Cell* result, int found, Slice* value, Reply* r) noexcept nogil:
    """One element of the result: stored (what is not there as ""), or replied."""
    if found < 0:
        return False
    if result != NULL:
        if not found:
            value.p = b""
            value.n = 0
        return list_push(c.heap, result, value.p, value.n, False, <int>c.kv.settings.list_max_listpack_size) == 0
    if found:
        reply_bulk(r, value.p, value.n)
    else:
        reply_nil(r)
    return True


cdef bint put_result(Ctx* c, Job* job, Arg* argv, int argc, Item** row, Cell* result, Reply* r) noexcept nogil:
    """The wanted elements, or what GET's patterns name for each.  False: no memory."""
    cdef Slice value
    cdef char scratch[HASH_SCRATCH]
    cdef int64_t i
    cdef int k
    cdef int found
    for i in range(job.first, job.last + 1):
        if job.gets == 0:
            value = item_text(row[i])
            if not put_value(c, job, result, 1, &value, r):
                return False
            continue
        k = 2
        while k < argc:
            if is_get(argv, k):
                found = pattern_value(c, job, &argv[k + 1], row[i], &value, scratch)
                if not put_value(c, job, result, found, &value, r):
                    return False
            k += option_words(&argv[k])
    return True


cdef void job_store(Ctx* c, Job* job, Arg* argv, int argc, Item** row, Reply* r) noexcept nogil:
    cdef Cell result
    cdef int64_t n
    if job.last < job.first:
        if keyspace_delete(c, c.db, job.store):
            changed(c, c.db, job.store, EVENT_GENERIC, b"del")
        reply_int(r, 0)
        return
    if list_new(c.heap, &result) != 0:
        reply_oom(r)
        return
    if not put_result(c, job, argv, argc, row, &result, r):
        list_free(c.heap, &result)
        reply_oom(r)
        return
    n = <int64_t>list_length(&result)
    if keyspace_put(c, c.db, job.store, TYPE_LIST, &result) == NULL:
        list_free(c.heap, &result)
        reply_oom(r)
        return
    changed_n(c, c.db, job.store, EVENT_LIST, b"sortstore", <uint64_t>n)
    reply_int(r, n)


cdef void job_answer(Ctx* c, Job* job, Arg* argv, int argc, Item** row, Reply* r) noexcept nogil:
    cdef size_t mark = r.out.n
    reply_array(r, max(job.last - job.first + 1, 0) * (job.gets if job.gets else 1))
    if not put_result(c, job, argv, argc, row, NULL, r):
        r.out.n = mark
        reply_oom(r)


cdef void job_run(Ctx* c, Job* job, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef bint wrong = False
    cdef bint memory = job_gather(c, job)
    cdef Item** row = NULL
    cdef int64_t i
    if memory and job.n:
        row = <Item**>heap_alloc(c.heap, <size_t>job.n * sizeof(void*))
        memory = row != NULL
    for i in range(job.n if memory else 0):
        row[i] = &job.items[i]
        if not job.unsorted and not weigh_item(c, job, row[i], &wrong, &memory):
            break
    if memory and not wrong:
        memory = job.n == 0 or job_sort(c, job, row)
    if not memory:
        reply_oom(r)
    elif wrong:
        reply_error(r, b"ERR One or more scores can't be converted into double")
    elif job.store != NULL:
        job_store(c, job, argv, argc, row, r)
    else:
        job_answer(c, job, argv, argc, row, r)
    if row != NULL:
        heap_free(c.heap, row, <size_t>job.n * sizeof(void*))
    if job.items != NULL:
        heap_free(c.heap, job.items, <size_t>job.n * sizeof(Item))
    if job.name_cap:
        heap_free(c.heap, job.name, job.name_cap)


cdef int sort(Ctx* c, Arg* argv, int argc, Reply* r, bint read_only) noexcept nogil:
    cdef Job job
    memset(&job, 0, sizeof(Job))
    job.read_only = read_only
    job.all_keys = acl_reads_all(c.session, <Command*>c.cmd, argv, argc)
    job.limit_count = -1
    if job_options(c, &job, argv, argc, r) and job_open(c, &job, &argv[1], r):
        job_run(c, &job, argv, argc, r)
    return CALL_DONE


cdef int cmd_sort(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return sort(c, argv, argc, r, False)


cdef int cmd_sort_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return sort(c, argv, argc, r, True)


registry_bind("sort", cmd_sort)
registry_bind("sort_ro", cmd_sort_ro)
