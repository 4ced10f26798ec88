"""Reading the value of a directive (contract: values.pxd).

One function a kind of directives.py.  Follows Redis 7.0.15's answers; numbers of bytes wrap and saturate as its do.
"""

from libc.errno cimport errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport free, strtoll, strtoull
from libc.string cimport memchr, memcmp, memcpy, strerror, strlen

from libkv.engine.config cimport (
    DIRECTIVE_MULTI, FROM_CLIENT, FROM_FILE, KIND_BIND, KIND_BOOL, KIND_DEFRAG, KIND_DIR, KIND_ENUM, KIND_EVENTS,
    KIND_FILENAME, KIND_HOSTNAME, KIND_INTEGER, KIND_MEMORY, KIND_OCTAL, KIND_OOM_VALUES, KIND_OUTPUT_LIMIT,
    KIND_PERCENT, KIND_PERCENTILES, KIND_REPLICAOF, KIND_SAVE, KIND_TITLE, Value,
)
from libkv.engine.settings cimport NOTIFY_KEYEVENT, NOTIFY_KEYSPACE, NOTIFY_MODULE
from libkv.engine.types cimport (
    EVENT_EVICTED, EVENT_EXPIRED, EVENT_GENERIC, EVENT_HASH, EVENT_LIST, EVENT_MISS, EVENT_NEW, EVENT_SET, EVENT_STREAM,
    EVENT_STRING, EVENT_ZSET,
)
from libkv.structures.buffer cimport buffer_add
from libkv.structures.number cimport number_parse_double, number_parse_i64, number_print_i64, number_print_u64

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

cdef extern from "<stdlib.h>" nogil:
    char* realpath(const char*, char*)

cdef extern from "<sys/stat.h>" nogil:
    cdef struct stat_t "stat":
        unsigned int st_mode
    int stat(const char*, stat_t*)
    bint S_ISDIR(unsigned int)

cdef extern from "<errno.h>" nogil:
    enum:
        ENOTDIR
        ENOENT

cdef enum:
    MAX_WORDS = 256             # words of one value
    MAX_BIND = 16
    TEXT = 512                  # longest word that is read as a number

cdef const char* WRONG_WORDS = b"wrong number of arguments"
cdef const char* BAD_NUMBER = b"argument couldn't be parsed into an integer"
cdef const char* BAD_MEMORY = b"argument must be a memory value"


cdef const char* value_read(Config* f, Directive* d, int source, Arg* words, int n, Buffer* out) noexcept nogil:
    cdef Arg[MAX_WORDS] split
    if d.flags & DIRECTIVE_MULTI:
        if n == 1:
            n = split_words(&words[0], split)
            if n < 0:
                return WRONG_WORDS
            words = split
        return read_words(f, d, source, words, n, out)
    if n != 1:
        return WRONG_WORDS
    if d.kind == KIND_BOOL or d.kind == KIND_DEFRAG:
        return read_bool(d, words, out)
    if d.kind == KIND_ENUM:
        return read_enum(f, d, words, 1, out)
    if d.kind == KIND_INTEGER:
        return read_integer(f, d, source, words, out)
    if d.kind == KIND_OCTAL:
        return read_octal(f, d, words, out)
    if d.kind == KIND_MEMORY or d.kind == KIND_PERCENT:
        return read_memory(f, d, source, words, out)
    if d.kind == KIND_EVENTS:
        return read_events(words, out)
    if d.kind == KIND_DIR:
        return read_dir(f, d, words, out)
    if d.kind == KIND_TITLE and not title_is_valid(f, words):
        return b"template format is invalid or contains unknown variables"
    if d.kind == KIND_HOSTNAME:
        return read_hostname(words, out)
    if d.kind == KIND_FILENAME:
        return read_filename(f, d, words, out)
    buffer_add(out, words.p, words.n)
    return NULL


cdef const char* read_words(Config* f, Directive* d, int source, Arg* words, int n, Buffer* out) noexcept nogil:
    if d.kind == KIND_SAVE:
        return read_save(f, d, source, words, n, out)
    if d.kind == KIND_OUTPUT_LIMIT:
        return read_output_limit(f, d, words, n, out)
    if d.kind == KIND_OOM_VALUES:
        return read_oom_values(words, n, out)
    if d.kind == KIND_PERCENTILES:
        return read_percentiles(words, n, out)
    if d.kind == KIND_BIND:
        return read_bind(words, n, out)
    if d.kind == KIND_REPLICAOF:
        return read_replicaof(words, n, out)
    return read_enum(f, d, words, n, out)


# ---- words and numbers

cdef int split_words(Arg* a, Arg* out) noexcept nogil:
    """At single spaces, so that two in a row make an empty word; the empty text has none.  -1: more than MAX_WORDS."""
    cdef size_t i = 0
    cdef size_t start = 0
    cdef int n = 0
    if a.n == 0:
        return 0
    while i <= a.n:
        if i == a.n or a.p[i] == b" ":
            if n == MAX_WORDS:
                return -1
            out[n].p = a.p + start
            out[n].n = i - start
            out[n].hashed = False
            n += 1
            start = i + 1
        i += 1
    return n


cdef bint word_is(Arg* a, const char* text) noexcept nogil:
    """In any case."""
    return a.n == strlen(text) and strncasecmp(a.p, text, a.n) == 0


cdef bint word_text(Arg* a, char* text) noexcept nogil:
    """As a C string of fewer than TEXT bytes; False: too long, or with a NUL inside."""
    if a.n >= TEXT or (a.n and memchr(a.p, 0, a.n) != NULL):
        return False
    if a.n:
        memcpy(text, a.p, a.n)
    text[a.n] = 0
    return True


cdef bint word_long(Arg* a, int64_t* v) noexcept nogil:
    """As strtol reads it, to the end of the word; the empty word is 0."""
    cdef char[TEXT] text
    cdef char* end
    if not word_text(a, text):
        return False
    v[0] = strtoll(text, &end, 10)
    return end[0] == 0


cdef bint word_bytes(Arg* a, uint64_t* v) noexcept nogil:
    """Digits and one of b, k, kb, m, mb, g, gb; saturates at 2**64 - 1, then wraps by its unit."""
    cdef size_t i = 0
    cdef uint64_t unit
    cdef Arg rest
    cdef char[TEXT] text
    while i < a.n and 48 <= a.p[i] <= 57:
        i += 1
    rest.p = a.p + i
    rest.n = a.n - i
    if rest.n == 0 or word_is(&rest, b"b"):
        unit = 1
    elif word_is(&rest, b"k"):
        unit = 1000
    elif word_is(&rest, b"kb"):
        unit = 1024
    elif word_is(&rest, b"m"):
        unit = 1000 * 1000
    elif word_is(&rest, b"mb"):
        unit = 1024 * 1024
    elif word_is(&rest, b"g"):
        unit = 1000 * 1000 * 1000
    elif word_is(&rest, b"gb"):
        unit = 1024 * 1024 * 1024
    else:
        return False
    if i >= 128:
        return False
    if i:
        memcpy(text, a.p, i)
    text[i] = 0
    v[0] = strtoull(text, NULL, 10) * unit
    return True


cdef void add_int(Buffer* out, int64_t v) noexcept nogil:
    cdef char[24] text
    buffer_add(out, text, number_print_i64(text, v))


cdef const char* out_of_range(Config* f, Directive* d) noexcept nogil:
    cdef const char* form = b"argument must be between %lld and %llu inclusive"
    if d.kind == KIND_OCTAL:
        form = b"argument must be between %llo and %llo inclusive"
    snprintf(f.error, sizeof(f.error), form, <long long>d.low, <unsigned long long>d.high)
    return f.error


# ---- one value a directive

cdef const char* read_bool(Directive* d, Arg* a, Buffer* out) noexcept nogil:
    if word_is(a, b"yes"):
        if d.kind == KIND_DEFRAG:
            return (
                b"Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified Jemalloc "
                b"like the one shipped by default with the Redis source distribution"
            )
        buffer_add(out, b"yes", 3)
    elif word_is(a, b"no"):
        buffer_add(out, b"no", 2)
    else:
        return b"argument must be 'yes' or 'no'"
    return NULL


cdef const char* read_enum(Config* f, Directive* d, Arg* words, int n, Buffer* out) noexcept nogil:
    """One word, or (shutdown-on-sigint, -sigterm) several; they read back in the table's order."""
    cdef uint64_t bits = 0
    cdef int i
    cdef int k
    cdef bint first = True
    for i in range(n):
        for k in range(d.n_words):
            if word_is(&words[i], d.words[k]):
                bits |= <uint64_t>1 << k
                break
        else:
            return must_be_one_of(f, d)
    if bits == 0:
        return must_be_one_of(f, d)
    if d.flags & DIRECTIVE_MULTI:
        if bits & 6 == 6:       # words 1 and 2
            return b"shutdown options SAVE and NOSAVE can't be used simultaneously"
        if bits != 1:
            bits &= ~<uint64_t>1            # "default" says nothing beside another word
    for k in range(d.n_words):
        if bits >> k & 1:
            if not first:
                buffer_add(out, b" ", 1)
            buffer_add(out, d.words[k], strlen(d.words[k]))
            first = False
    return NULL


cdef const char* must_be_one_of(Config* f, Directive* d) noexcept nogil:
    cdef int k
    cdef size_t at = 0
    at = snprintf(f.error, sizeof(f.error), b"argument(s) must be one of the following: ")
    for k in range(d.n_words):
        if at < sizeof(f.error):
            at += snprintf(f.error + at, sizeof(f.error) - at, b"%s%s", b", " if k else b"", d.words[k])
    return f.error


cdef const char* read_integer(Config* f, Directive* d, int source, Arg* a, Buffer* out) noexcept nogil:
    cdef int64_t v
    if not number_parse_i64(a.p, a.n, &v):
        return BAD_NUMBER
    if v < d.low or v > <int64_t>d.high:
        return out_of_range(f, d)
    if d.name_n == 2 and memcmp(d.name, b"hz", 2) == 0:     # clipped, not refused
        v = min(max(v, 1), 500)
    add_int(out, v)
    return NULL


cdef const char* read_octal(Config* f, Directive* d, Arg* a, Buffer* out) noexcept nogil:
    cdef char[TEXT] text
    cdef char* end
    cdef int64_t v
    if a.n == 0 or not word_text(a, text):
        return b"argument couldn't be parsed as an octal number"
    v = strtoll(text, &end, 8)
    if end[0] != 0:
        return b"argument couldn't be parsed as an octal number"
    if v < d.low or v > <int64_t>d.high:
        return out_of_range(f, d)
    buffer_add(out, text, snprintf(text, sizeof(text), b"%llo", <long long>v))
    return NULL


cdef const char* read_memory(Config* f, Directive* d, int source, Arg* a, Buffer* out) noexcept nogil:
    cdef uint64_t v
    cdef int64_t percent
    cdef char[24] text
    if d.kind == KIND_PERCENT:
        if a.n and a.p[a.n - 1] == b"%":
            if not number_parse_i64(a.p, a.n - 1, &percent) or percent < 0:
                return b"argument must be a memory or percent value"
        else:
            if not word_bytes(a, &v):
                return b"argument must be a memory or percent value"
            if v <= <uint64_t>0x7fffffffffffffff:
                add_int(out, <int64_t>v)
                return NULL
            percent = <int64_t>(0 - v) if v != <uint64_t>1 << 63 else 101     # Redis keeps a percentage as a negative size
        if percent > 100:
            return b"percentage argument must be less or equal to 100"
        add_int(out, percent)
        if percent:
            buffer_add(out, b"%", 1)
        return NULL
    if not word_bytes(a, &v):
        return BAD_MEMORY
    if v > d.high or v < <uint64_t>d.low:
        return out_of_range(f, d)
    if source == FROM_CLIENT and v < 16384 and d.name_n == 17 and memcmp(d.name, b"repl-backlog-size", 17) == 0:
        v = 16384               # the smallest backlog
    buffer_add(out, text, number_print_u64(text, v))
    return NULL


cdef const char* read_events(Arg* a, Buffer* out) noexcept nogil:
    cdef int bits = value_events(a.p, a.n)
    cdef char[16] text
    if bits < 0:
        return b"Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
    buffer_add(out, text, value_events_print(bits, text))
    return NULL


cdef const char* read_dir(Config* f, Directive* d, Arg* a, Buffer* out) noexcept nogil:
    """An existing directory, made absolute against the present value."""
    cdef char[8192] path
    cdef Value* now = &f.values[d.id]
    cdef size_t n = 0
    cdef stat_t info
    cdef char* whole
    if a.n == 0 or a.n >= 4096 or memchr(a.p, 0, a.n) != NULL:
        return b"No such file or directory"
    if a.p[0] != b"/" and now.n < 4000:
        memcpy(path, now.p, now.n)
        path[now.n] = b"/"
        n = now.n + 1
    memcpy(path + n, a.p, a.n)
    path[n + a.n] = 0
    whole = realpath(path, NULL)
    if whole == NULL:
        return strerror(errno)
    if stat(whole, &info) == 0 and not S_ISDIR(info.st_mode):
        free(whole)
        return strerror(ENOTDIR)
    buffer_add(out, whole, strlen(whole))
    free(whole)
    return NULL


cdef bint title_is_valid(Config* f, Arg* a) noexcept nogil:
    """Every {name} is known, braces are closed ("{{" is one brace), and something is left without the surrounding space."""
    cdef size_t i = 0
    cdef size_t end
    cdef Arg name
    cdef bint something = False
    while i < a.n:
        if a.p[i] != b"{":
            something = something or a.p[i] != b" "
            i += 1
            continue
        if i + 1 < a.n and a.p[i + 1] == b"{":
            something = True
            i += 2
            continue
        end = i + 1
        while end < a.n and a.p[end] != b"}":
            end += 1
        name.p = a.p + i + 1
        name.n = end - i - 1
        if end == a.n or not title_name(&name):
            return False
        # these may be empty, and server-mode is: it names only a cluster or a sentinel
        if word_is(&name, b"unixsocket"):
            something = something or f.values[f.unixsocket].n != 0
        else:
            something = something or not (word_is(&name, b"title") or word_is(&name, b"server-mode"))
        i = end + 1
    return something


cdef bint title_name(Arg* a) noexcept nogil:
    cdef const char** known = [
        b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file", NULL
    ]
    cdef int i = 0
    while known[i] != NULL:
        if a.n == strlen(known[i]) and memcmp(a.p, known[i], a.n) == 0:
            return True
        i += 1
    return False


cdef const char* read_hostname(Arg* a, Buffer* out) noexcept nogil:
    cdef size_t i
    if a.n >= 256:
        return b"Hostnames must be less than 256 characters"
    for i in range(a.n):
        if not (97 <= a.p[i] <= 122 or 65 <= a.p[i] <= 90 or 48 <= a.p[i] <= 57 or a.p[i] == b"-" or a.p[i] == b"."):
            return b"Hostnames may only contain alphanumeric characters, hyphens or dots"
    buffer_add(out, a.p, a.n)
    return NULL


cdef const char* read_filename(Config* f, Directive* d, Arg* a, Buffer* out) noexcept nogil:
    if a.n == 0 and d.name[0] == b"a":      # appendfilename, appenddirname
        snprintf(f.error, sizeof(f.error), b"%s can't be empty", d.name)
        return f.error
    if a.n and memchr(a.p, b"/", a.n) != NULL:
        snprintf(
            f.error, sizeof(f.error), b"%s can't be a path, just a %s", d.name,
            b"dirname" if d.name_n == 13 else b"filename",
        )
        return f.error
    buffer_add(out, a.p, a.n)
    return NULL


# ---- several words a directive

cdef const char* read_save(Config* f, Directive* d, int source, Arg* words, int n, Buffer* out) noexcept nogil:
    """Pairs of seconds and changes; further lines of a file add theirs, and an empty one removes all."""
    cdef int64_t seconds
    cdef int64_t changes
    cdef int i
    cdef Value* now = &f.values[d.id]
    if n == 1 and words[0].n == 0:
        n = 0
    if n & 1:
        return b"Invalid save parameters"
    if source == FROM_FILE and f.save_read and n:
        buffer_add(out, now.p, now.n)
    for i in range(0, n, 2):
        if (
            not word_long(&words[i], &seconds) or not word_long(&words[i + 1], &changes)
            or seconds < 1 or changes < 0 or changes > 2147483647
        ):
            return b"Invalid save parameters"
        if out.n:
            buffer_add(out, b" ", 1)
        add_int(out, seconds)
        buffer_add(out, b" ", 1)
        add_int(out, changes)
    return NULL


cdef const char* read_output_limit(Config* f, Directive* d, Arg* words, int n, Buffer* out) noexcept nogil:
    """Groups of class, hard, soft, seconds; classes that are not named keep theirs."""
    cdef int64_t[9] limits
    cdef uint64_t hard
    cdef uint64_t soft
    cdef int64_t seconds
    cdef int i
    cdef int k
    cdef const char** classes = [b"normal", b"slave", b"pubsub"]
    if n % 4:
        return b"Wrong number of arguments in buffer limit configuration."
    for k in range(3):
        limits[3 * k] = f.settings.client_output_hard[k]
        limits[3 * k + 1] = f.settings.client_output_soft[k]
        limits[3 * k + 2] = f.settings.client_output_soft_seconds[k]
    for i in range(0, n, 4):
        for k in range(3):
            if word_is(&words[i], classes[k]) or (k == 1 and word_is(&words[i], b"replica")):
                break
        else:
            return b"Invalid client class specified in buffer limit configuration."
        if (
            not word_bytes(&words[i + 1], &hard) or not word_bytes(&words[i + 2], &soft)
            or not word_long(&words[i + 3], &seconds) or seconds < 0
        ):
            return b"Error in hard, soft or soft_seconds setting in buffer limit configuration."
        limits[3 * k] = <int64_t>hard
        limits[3 * k + 1] = <int64_t>soft
        limits[3 * k + 2] = seconds
    for k in range(3):
        if k:
            buffer_add(out, b" ", 1)
        buffer_add(out, classes[k], strlen(classes[k]))
        for i in range(3):
            buffer_add(out, b" ", 1)
            add_int(out, limits[3 * k + i])
    return NULL


cdef const char* read_oom_values(Arg* words, int n, Buffer* out) noexcept nogil:
    cdef int64_t v
    cdef int i
    if n != 3:
        return WRONG_WORDS
    for i in range(3):
        if not word_long(&words[i], &v) or v < -2000 or v > 2000:
            return b"Invalid oom-score-adj-values, elements must be between -2000 and 2000."
        if i:
            buffer_add(out, b" ", 1)
        add_int(out, v)
    return NULL


cdef const char* read_percentiles(Arg* words, int n, Buffer* out) noexcept nogil:
    """Numbers from 0 to 100, of which six decimals are kept."""
    cdef double v
    cdef int i
    if n == 1 and words[0].n == 0:
        n = 0
    for i in range(n):
        if not number_parse_double(words[i].p, words[i].n, &v):
            return b"Invalid latency-tracking-info-percentiles parameters"
        if v < 0.0 or v > 100.0:
            return b"latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
        if i:
            buffer_add(out, b" ", 1)
        add_millionths(out, <int64_t>(v * 1e6 + 0.5))
    return NULL


cdef void add_millionths(Buffer* out, int64_t v) noexcept nogil:
    """v / 10**6 without trailing zeros."""
    cdef char[7] digits
    cdef int64_t rest = v % 1000000
    cdef int i
    cdef int n = 6
    add_int(out, v // 1000000)
    digits[0] = b"."
    for i in range(6, 0, -1):
        digits[i] = <char>(48 + rest % 10)
        rest //= 10
    while n and digits[n] == b"0":
        n -= 1
    if n:
        buffer_add(out, digits, n + 1)


cdef const char* read_bind(Arg* words, int n, Buffer* out) noexcept nogil:
    cdef int i
    if n > MAX_BIND:
        return b"Too many bind addresses specified."
    if n == 1 and words[0].n == 0:
        n = 0
    for i in range(n):
        if i:
            buffer_add(out, b" ", 1)
        buffer_add(out, words[i].p, words[i].n)
    return NULL


cdef const char* read_replicaof(Arg* words, int n, Buffer* out) noexcept nogil:
    cdef int64_t port
    if n != 2:
        return WRONG_WORDS
    if word_is(&words[0], b"no") and word_is(&words[1], b"one"):
        return NULL
    if not word_long(&words[1], &port) or port < 0 or port > 65535:
        return b"Invalid master port"
    buffer_add(out, words[0].p, words[0].n)
    buffer_add(out, b" ", 1)
    add_int(out, port)
    return NULL


# ---- notify-keyspace-events

cdef enum:
    EVENTS_ALL = (
        EVENT_GENERIC | EVENT_STRING | EVENT_LIST | EVENT_SET | EVENT_HASH | EVENT_ZSET | EVENT_EXPIRED | EVENT_EVICTED
        | EVENT_STREAM | NOTIFY_MODULE
    )                           # A: all but m and n
    N_EVENT_LETTERS = 11

cdef const char* EVENT_LETTERS = b"g$lshzxetdn"
cdef int[11] EVENT_LETTER_BITS = [
    EVENT_GENERIC, EVENT_STRING, EVENT_LIST, EVENT_SET, EVENT_HASH, EVENT_ZSET, EVENT_EXPIRED, EVENT_EVICTED, EVENT_STREAM,
    NOTIFY_MODULE, EVENT_NEW,
]


cdef int value_events(const char* p, size_t n) noexcept nogil:
    """-1: an unknown letter."""
    cdef int bits = 0
    cdef size_t i
    cdef int k
    cdef int bit
    for i in range(n):
        bit = 0
        for k in range(N_EVENT_LETTERS):
            if EVENT_LETTERS[k] == p[i]:
                bit = EVENT_LETTER_BITS[k]
        if p[i] == b"A":
            bit = EVENTS_ALL
        elif p[i] == b"K":
            bit = NOTIFY_KEYSPACE
        elif p[i] == b"E":
            bit = NOTIFY_KEYEVENT
        elif p[i] == b"m":
            bit = EVENT_MISS
        if bit == 0:
            return -1
        bits |= bit
    return bits


cdef int value_events_print(int bits, char* out) noexcept nogil:
    """Redis's order: A or the single classes and n, then K, E and m.  Beside A, Redis 7.0 obeys n and does not tell it:
    it stands at the end, since this text is what is kept, and CONFIG GET leaves it out."""
    cdef int n = 0
    cdef int k
    if bits & EVENTS_ALL == EVENTS_ALL:
        out[n] = b"A"
        n += 1
    else:
        for k in range(N_EVENT_LETTERS):
            if bits & EVENT_LETTER_BITS[k]:
                out[n] = EVENT_LETTERS[k]
                n += 1
    if bits & NOTIFY_KEYSPACE:
        out[n] = b"K"
        n += 1
    if bits & NOTIFY_KEYEVENT:
        out[n] = b"E"
        n += 1
    if bits & EVENT_MISS:
        out[n] = b"m"
        n += 1
    if bits & EVENTS_ALL == EVENTS_ALL and bits & EVENT_NEW:
        out[n] = b"n"
        n += 1
    return n
