"""The command table (contract: registry.pxd).

It is built once, at the end of `import libkv`: every module of libkv.commands has bound its functions by then, and
registry_seal() makes a Command of each bound row of libkv.commands.facts.  Nothing is freed or changed afterwards, so
that all stores and threads of the process read it without a lock.

Finding a command is one hash and, nearly always, one comparison:

    struct Slot, 32 bytes, two a cache line
    +--------+--------+----------+-----+
    | first  | last   | command  | n   |   first and last: the name's first and last 8 bytes in lower case, as numbers
    +--------+--------+----------+-----+   (a name shorter than 8 bytes is all in `first`)

The hash is (first ^ rotated last ^ n) times an odd number, its top bits the slot; the number is the one of a fixed row
of candidates that leaves the fewest names beside their slot.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset, strlen

from libkv.engine.keyspecs cimport keyspecs_find, keyspecs_legacy, keyspecs_new, keyspecs_text
from libkv.structures.alloc cimport LIKELY
from libkv.structures.siphash cimport sip_rotl, sip_tail

cdef extern from "<stdlib.h>" nogil:
    void* aligned_alloc(size_t alignment, size_t size)

cdef enum:
    SLOT_BITS = 10
    SLOT_COUNT = 1 << SLOT_BITS     # 240 names, so that few meet
    NAME_MAX = 40               # no command's name is longer

cdef struct Slot:
    uint64_t first
    uint64_t last
    Command* command
    uint64_t n

cdef Slot* slots = NULL
cdef uint64_t multiplier = 0
cdef Command** commands = NULL  # by id
cdef int command_count = 0

cdef const char* flag_names[FLAG_NAMES]
flag_names[:] = [
    b"write", b"readonly", b"denyoom", b"admin", b"pubsub", b"noscript", b"blocking", b"loading", b"stale",
    b"skip_monitor", b"skip_slowlog", b"asking", b"fast", b"no_auth", b"may_replicate", b"no_async_loading", b"no_multi",
    b"movablekeys", b"allow_busy", b"no_mandatory_keys",
]
cdef int told_order[FLAGS_TOLD]
told_order[:] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 19, 15, 16, 17, 18]   # Redis's, not the bits'
cdef const char* category_names[CATEGORY_NAMES]
category_names[:] = [
    b"keyspace", b"read", b"write", b"set", b"sortedset", b"list", b"hash", b"string", b"bitmap", b"hyperloglog", b"geo",
    b"stream", b"pubsub", b"admin", b"fast", b"slow", b"blocking", b"dangerous", b"connection", b"transaction",
    b"scripting",
]
cdef const char* key_flag_names[KEY_FLAG_NAMES]
key_flag_names[:] = [
    b"RO", b"RW", b"OW", b"RM", b"access", b"update", b"insert", b"delete", b"not_key", b"incomplete", b"variable_flags",
]

# Commands that write nothing themselves, but whose effect may go to replicas (EVAL's script, PUBLISH's message, PFCOUNT's
# cached count).  Redis keeps this flag to itself.
MAY_REPLICATE = frozenset("eval evalsha fcall pfcount publish spublish".split())

# Commands whose work is bounded by one small step each: they may run with the GIL held (the keys' sizes don't matter).
HOT = frozenset("""
get set setnx setex psetex getset getdel getex strlen append incr decr incrby decrby incrbyfloat getbit exists del unlink
type ttl pttl expire pexpire expireat pexpireat expiretime pexpiretime persist touch
hget hset hsetnx hexists hdel hlen hstrlen hincrby hincrbyfloat
llen lpush rpush lpushx rpushx lpop rpop lmove rpoplpush
sadd srem sismember scard zadd zrem zscore zcard zincrby zrank zrevrank
ping echo select dbsize time
""".split())


# --- finding ---------------------------------------------------------------------------------------------------------

cdef inline uint64_t lower8(uint64_t w) noexcept nogil:
    """Eight bytes with the letters A to Z made small."""
    cdef uint64_t ones = <uint64_t>0x0101010101010101
    cdef uint64_t low = w & (0x7f * ones)
    cdef uint64_t letters = (low + 0x3f * ones) & ~(low + 0x25 * ones) & ~w & (0x80 * ones)
    return w | (letters >> 2)


cdef inline void name_words(const char* p, size_t n, uint64_t* first, uint64_t* last) noexcept nogil:
    last[0] = 0
    if n < 8:
        first[0] = lower8(sip_tail(p, n))
        return
    memcpy(first, p, 8)
    memcpy(last, p + n - 8, 8)
    first[0] = lower8(first[0])
    last[0] = lower8(last[0])


cdef inline uint64_t name_slot(uint64_t first, uint64_t last, uint64_t n, uint64_t factor) noexcept nogil:
    return ((first ^ sip_rotl(last, 23) ^ n) * factor) >> (64 - SLOT_BITS)


cdef bint same_name(const char* p, const char* lower, size_t n) noexcept nogil:
    cdef size_t i
    cdef char ch
    for i in range(n):
        ch = p[i]
        if 65 <= ch <= 90:
            ch += 32
        if ch != lower[i]:
            return False
    return True


cdef Command* command_find(const char* p, size_t n) noexcept nogil:
    cdef uint64_t first, last, i
    cdef Slot* s
    if n > NAME_MAX or slots == NULL:
        return NULL
    name_words(p, n, &first, &last)
    i = name_slot(first, last, n, multiplier)
    while True:
        s = &slots[i]
        if LIKELY(s.first == first and s.last == last and s.n == n and s.command != NULL):
            if n <= 16 or same_name(p, s.command.name, n):
                return s.command
        if s.command == NULL:
            return NULL
        i = (i + 1) & (SLOT_COUNT - 1)


cdef Command* command_sub(Command* parent, const char* p, size_t n) noexcept nogil:
    cdef int i
    for i in range(parent.n_subs):
        if parent.subs[i].name_n == n and same_name(p, parent.subs[i].name, n):
            return parent.subs[i]
    return NULL


cdef Command* command_find_full(const char* p, size_t n) noexcept nogil:
    cdef Command* parent
    cdef size_t i
    for i in range(n):
        if p[i] == 124:
            parent = command_find(p, i)
            return command_sub(parent, p + i + 1, n - i - 1) if parent != NULL else NULL
    return command_find(p, n)


cdef Command* command_of(Arg* argv, int argc) noexcept nogil:
    cdef Command* cmd = command_find(argv[0].p, argv[0].n)
    if cmd == NULL or cmd.n_subs == 0 or argc == 1:
        return cmd
    return command_sub(cmd, argv[1].p, argv[1].n)


cdef Command* command_by_id(int i) noexcept nogil:
    return commands[i]


cdef int registry_count() noexcept nogil:
    return command_count


cdef int command_keys(Command* cmd, Arg* argv, int argc, int* positions, uint32_t* flags, int room) noexcept nogil:
    return keyspecs_find((<Facts*>cmd.specs).keys, argv, argc, positions, flags, room)


cdef const char* command_flag_name(int bit) noexcept nogil:
    return flag_names[bit]


cdef int command_flag_told(int i) noexcept nogil:
    return told_order[i]


cdef const char* command_category_name(int bit) noexcept nogil:
    return category_names[bit]


cdef const char* command_key_flag_name(int bit) noexcept nogil:
    return key_flag_names[bit]


cdef int command_category(const char* p, size_t n) noexcept nogil:
    cdef int i
    for i in range(CATEGORY_NAMES):
        if strlen(category_names[i]) == n and same_name(p, category_names[i], n):
            return i
    return -1


# --- building --------------------------------------------------------------------------------------------------------

cdef dict bound = {}            # full name: the function's address
cdef dict facts = None          # full name: (group, row), read at the first bind
cdef bint sealed = False


cdef int registry_bind(str full_name, command_fn f) except -1:
    """Binds the function to the row of this name.

    Raises KeyError for a name without a row, ValueError for one that is bound already, RuntimeError after the table was
    sealed.
    """
    global facts
    if sealed:
        raise RuntimeError(f"{full_name} is bound after the command table was sealed")
    if facts is None:
        from libkv.commands.facts import rows   # not above: the modules of that package import this one
        facts = {row.name: (group, row) for group, row in rows()}
    if full_name not in facts:
        raise KeyError(f"no row of libkv.commands.facts is named {full_name!r}")
    if full_name in bound:
        raise ValueError(f"{full_name} is bound twice")
    bound[full_name] = <size_t>f
    return 0


def registry_seal():
    """Builds the table from what is bound.  Called once, when all modules of commands are imported; again, it does
    nothing."""
    global sealed, commands, command_count, facts
    if sealed:
        return
    wanted = set(bound) | {name.partition("|")[0] for name in bound}
    table = [entry for name, entry in (facts or {}).items() if name in wanted]
    cdef Command** built = <Command**>calloc(len(table) + 1, sizeof(Command*))
    if built == NULL:
        raise MemoryError
    cdef int i
    for i, (group, row) in enumerate(table):
        built[i] = new_command(group, row)
        built[i].id = i
    link_subcommands(built, len(table))
    build_slots(built, len(table))
    commands = built
    command_count = len(table)
    sealed = True
    facts = None


cdef Command* new_command(str group, row) except NULL:
    cdef Command* c = <Command*>calloc(1, sizeof(Command))
    cdef Facts* f = <Facts*>calloc(1, sizeof(Facts))
    if c == NULL or f == NULL:
        raise MemoryError
    c.full = keyspecs_text(row.name)
    c.full_n = len(row.name)
    c.name_n = len(row.name.rpartition("|")[2])
    c.name = c.full + c.full_n - c.name_n
    c.fn = <command_fn><size_t>bound.get(row.name, 0)
    c.arity = row.arity
    c.flags = bits(row.flags, flag_names, FLAG_NAMES)
    if row.name in MAY_REPLICATE:
        c.flags |= CMD_MAY_REPLICATE
    if row.name in HOT:
        c.flags |= CMD_HOT
    c.categories = bits(row.acl.replace("@", ""), category_names, CATEGORY_NAMES)
    c.specs = f
    f.keys = keyspecs_new(row)
    keyspecs_legacy(f.keys, &c.first_key, &c.last_key, &c.key_step)
    f.group = keyspecs_text(group)
    f.since = keyspecs_text(row.since)
    f.summary = keyspecs_text(row.summary)
    f.complexity = keyspecs_text(row.complexity)
    f.tips = keyspecs_text(row.tips)
    f.doc = keyspecs_text(row.doc)
    since, instead = row.deprecated or ("", "")
    f.deprecated_since = keyspecs_text(since)
    f.replaced_by = keyspecs_text(instead)
    f.args = keyspecs_text(row.args)
    f.history = <const char**>calloc(2 * len(row.history) + 1, sizeof(char*))
    if f.history == NULL:
        raise MemoryError
    for i, entry in enumerate(row.history):
        version, _, text = entry.partition(" ")
        f.history[2 * i] = keyspecs_text(version)
        f.history[2 * i + 1] = keyspecs_text(text)
    return c


cdef uint64_t bits(str words, const char** names, int count) except? 0xffffffffffffffff:
    """One bit for each word, at its place among the names."""
    cdef uint64_t flags = 0
    cdef int i
    for word in words.split():
        for i in range(count):
            if names[i] == <bytes>word.encode():
                flags |= <uint64_t>1 << i
                break
        else:
            raise ValueError(f"unknown flag or category: {word}")
    return flags


cdef int link_subcommands(Command** built, int count) except -1:
    """A container's subcommands follow it directly."""
    cdef int i, j, k
    for i in range(count):
        if b"|" in built[i].full[:built[i].full_n]:
            continue
        j = i + 1
        while j < count and b"|" in built[j].full[:built[j].full_n]:
            j += 1
        built[i].n_subs = j - i - 1
        if j == i + 1:
            continue
        built[i].flags |= CMD_CONTAINER
        built[i].subs = <Command**>calloc(j - i, sizeof(Command*))
        if built[i].subs == NULL:
            raise MemoryError
        for k in range(i + 1, j):
            built[k].parent = built[i]
            built[i].subs[k - i - 1] = built[k]
    return 0


cdef int build_slots(Command** built, int count) except -1:
    """Those that are asked for most take their own slots first."""
    global slots, multiplier
    cdef Slot* trial = <Slot*>aligned_alloc(64, SLOT_COUNT * sizeof(Slot))
    cdef uint64_t factor = <uint64_t>0x9e3779b97f4a7c15     # the golden ratio, and then what a fixed generator makes of it
    cdef uint64_t best = factor
    cdef int fewest = SLOT_COUNT
    cdef int beside
    if trial == NULL:
        raise MemoryError
    for _ in range(200):
        beside = fill_slots(trial, built, count, factor)
        if beside < fewest:
            fewest = beside
            best = factor
        factor = (factor * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407) | 1
    fill_slots(trial, built, count, best)
    multiplier = best
    slots = trial
    return 0


cdef int fill_slots(Slot* table, Command** built, int count, uint64_t factor) noexcept nogil:
    """How many names are not in their own slot."""
    cdef int hot, i
    cdef int beside = 0
    cdef uint64_t first, last, at, home
    memset(table, 0, SLOT_COUNT * sizeof(Slot))
    for hot in range(1, -1, -1):
        for i in range(count):
            if built[i].parent != NULL or (built[i].flags & CMD_HOT != 0) != hot:
                continue
            name_words(built[i].name, built[i].name_n, &first, &last)
            home = at = name_slot(first, last, built[i].name_n, factor)
            while table[at].command != NULL:
                at = (at + 1) & (SLOT_COUNT - 1)
            beside += at != home
            table[at] = Slot(first, last, built[i], built[i].name_n)
    return beside


# --- the table as Python sees it: for documentation and tests -----------------------------------------------------------

def commands_bound():
    """The full names of all rows in the table that have a function, in the order of their ids."""
    return [commands[i].full.decode() for i in range(command_count) if commands[i].fn != NULL]


def command_row(name):
    """What the table holds of one command ("get", b"Config|Get"), or None.

    Returns a dict: full name, arity, flags and categories (lists of names), legacy key triple, id, names of the
    subcommands, and whether there is a function.
    """
    cdef bytes raw = name if isinstance(name, bytes) else name.encode()
    cdef Command* c = command_find_full(raw, len(raw))
    if c == NULL:
        return None
    return {
        "name": c.full.decode(),
        "arity": c.arity,
        "flags": [flag_names[told_order[i]].decode() for i in range(FLAGS_TOLD) if c.flags >> told_order[i] & 1],
        "categories": [category_names[i].decode() for i in range(CATEGORY_NAMES) if c.categories >> i & 1],
        "keys": (c.first_key, c.last_key, c.key_step),
        "id": c.id,
        "subcommands": [c.subs[i].full.decode() for i in range(c.n_subs)],
        "function": c.fn != NULL,
        "hot": (c.flags & CMD_HOT) != 0,
    }


def key_positions(row, argv):
    """Where the keys are in these arguments of a row's command, which need not be bound.

    row: of libkv.commands.facts; argv: a list of bytes, the command's own words included, enough for its arity.
    Returns [(position, [names of flags])], or None when the arguments are invalid.
    """
    cdef int argc = len(argv)
    cdef Arg* args = <Arg*>calloc(argc, sizeof(Arg))
    cdef int* positions = <int*>calloc(argc + 1, sizeof(int))
    cdef uint32_t* flags = <uint32_t*>calloc(argc + 1, sizeof(uint32_t))
    cdef int i
    cdef bytes word
    try:
        if args == NULL or positions == NULL or flags == NULL:
            raise MemoryError
        for i in range(argc):
            word = argv[i]
            args[i].p = word
            args[i].n = len(word)
        n = keyspecs_find(specs_of(row), args, argc, positions, flags, argc + 1)
        if n < 0:
            return None
        return [
            (positions[i], [key_flag_names[b].decode() for b in range(KEY_FLAG_NAMES) if flags[i] >> b & 1])
            for i in range(n)
        ]
    finally:
        free(args)
        free(positions)
        free(flags)


cdef dict specs_made = {}       # rows that key_positions was asked for


cdef KeySpecs* specs_of(row) except NULL:
    if row.name not in specs_made:
        specs_made[row.name] = <size_t>keyspecs_new(row)
    return <KeySpecs*><size_t>specs_made[row.name]
