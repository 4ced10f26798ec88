"""COMMAND and its subcommands: the command table as clients ask for it.

Everything is told straight from the table, in RESP2's or RESP3's shapes as Redis 7.0.15 has them.  The order of commands
is the table's (Redis's is that of its hash table, and so undefined).  Summaries and complexities are this project's words.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr, memcpy, strchr, strlen

from libkv.engine.args cimport arg_is, glob_match
from libkv.engine.config cimport config_of
from libkv.engine.keyspecs cimport (
    BEGIN_INDEX, BEGIN_KEYWORD, FIND_KEYNUM, FIND_RANGE, KeySpec, KeySpecs,
)
from libkv.engine.registry cimport (
    CATEGORY_NAMES, CMD_KEY_NOT_KEY, CMD_NO_MANDATORY_KEYS, Command, FLAGS_TOLD, Facts, KEY_FLAG_NAMES, command_by_id,
    command_category, command_category_name, command_flag_name, command_flag_told,
    command_key_flag_name, command_keys, registry_bind, registry_count,
)
from libkv.engine.renames cimport rename_find_full, rename_find_words, rename_hides
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_errorf, reply_help, reply_int, reply_later,
    reply_later_array, reply_later_map, reply_map, reply_nil, reply_oom, reply_set, reply_status, reply_syntax,
)
from libkv.engine.types cimport Arg, CALL_DONE, Ctx, Kv, Reply
from libkv.structures.alloc cimport heap_alloc, heap_free

ctypedef const char* (*bit_name)(int bit) noexcept nogil


# --- COMMAND, COMMAND INFO -------------------------------------------------------------------------------------------

cdef inline bint told(Kv* kv, Command* cmd) noexcept nogil:
    """Whether it stands in a list of commands: no subcommand, and not removed by rename-command."""
    return cmd.parent == NULL and not (config_of(kv).renames != NULL and rename_hides(kv, cmd))


cdef int top_level(Kv* kv) noexcept nogil:
    """How many commands there are, subcommands not counted."""
    cdef int i
    cdef int n = 0
    for i in range(registry_count()):
        n += told(kv, command_by_id(i))
    return n


cdef void tell_bits(Reply* r, uint64_t flags, int names, bit_name name, bint category) noexcept nogil:
    """A set of status words."""
    cdef char word[40]
    cdef const char* text
    cdef size_t n
    cdef int i
    cdef int count = 0
    for i in range(names):
        count += flags >> i & 1
    reply_set(r, count)
    for i in range(names):
        if not flags >> i & 1:
            continue
        text = name(i)
        if category:
            n = min(strlen(text), sizeof(word) - 2)
            word[0] = 64        # @
            word[n + 1] = 0
            memcpy(word + 1, text, n)
            text = word
        reply_status(r, text)


cdef void tell_flags(Reply* r, uint64_t flags) noexcept nogil:
    cdef int i
    cdef int count = 0
    for i in range(FLAGS_TOLD):
        count += flags >> command_flag_told(i) & 1
    reply_set(r, count)
    for i in range(FLAGS_TOLD):
        if flags >> command_flag_told(i) & 1:
            reply_status(r, command_flag_name(command_flag_told(i)))


cdef void tell_words(Reply* r, const char* words, bint as_status) noexcept nogil:
    """A set of the words that spaces part."""
    cdef char word[64]
    cdef const char* end
    cdef size_t n
    cdef int count = words[0] != 0
    cdef const char* at = words
    while at[0]:
        count += at[0] == 32
        at += 1
    reply_set(r, count)
    at = words
    while at[0]:
        end = strchr(at, 32)
        n = end - at if end != NULL else strlen(at)
        if as_status:
            n = min(n, sizeof(word) - 1)
            memcpy(word, at, n)
            word[n] = 0
            reply_status(r, word)
        else:
            reply_bulk(r, at, n)
        at = end + 1 if end != NULL else at + n


cdef void tell_number(Reply* r, const char* name, int v) noexcept nogil:
    reply_cstring(r, name)
    reply_int(r, v)


cdef void tell_key_spec(Reply* r, const KeySpec* s) noexcept nogil:
    reply_map(r, 4 if s.notes != NULL else 3)
    if s.notes != NULL:
        reply_cstring(r, b"notes")
        reply_cstring(r, s.notes)
    reply_cstring(r, b"flags")
    tell_bits(r, s.flags, KEY_FLAG_NAMES, command_key_flag_name, False)
    reply_cstring(r, b"begin_search")
    reply_map(r, 2)
    reply_cstring(r, b"type")
    if s.begin == BEGIN_INDEX:
        reply_cstring(r, b"index")
        reply_cstring(r, b"spec")
        reply_map(r, 1)
        tell_number(r, b"index", s.at)
    elif s.begin == BEGIN_KEYWORD:
        reply_cstring(r, b"keyword")
        reply_cstring(r, b"spec")
        reply_map(r, 2)
        reply_cstring(r, b"keyword")
        reply_cstring(r, s.label)
        tell_number(r, b"startfrom", s.at)
    else:
        tell_unknown(r)
    reply_cstring(r, b"find_keys")
    reply_map(r, 2)
    reply_cstring(r, b"type")
    if s.find == FIND_RANGE:
        reply_cstring(r, b"range")
        reply_cstring(r, b"spec")
        reply_map(r, 3)
        tell_number(r, b"lastkey", s.last)
        tell_number(r, b"keystep", s.step)
        tell_number(r, b"limit", s.limit)
    elif s.find == FIND_KEYNUM:
        reply_cstring(r, b"keynum")
        reply_cstring(r, b"spec")
        reply_map(r, 3)
        tell_number(r, b"keynumidx", s.last)
        tell_number(r, b"firstkey", s.step)
        tell_number(r, b"keystep", s.limit)
    else:
        tell_unknown(r)


cdef void tell_unknown(Reply* r) noexcept nogil:
    reply_cstring(r, b"unknown")
    reply_cstring(r, b"spec")
    reply_map(r, 0)


cdef void tell_command(Reply* r, Command* cmd) noexcept nogil:
    """One element of COMMAND's reply."""
    cdef Facts* f
    cdef int i
    if cmd == NULL:
        reply_nil(r)
        return
    f = <Facts*>cmd.specs
    reply_array(r, 10)
    reply_bulk(r, cmd.full, cmd.full_n)
    reply_int(r, cmd.arity)
    tell_flags(r, cmd.flags)
    reply_int(r, cmd.first_key)
    reply_int(r, cmd.last_key)
    reply_int(r, cmd.key_step)
    tell_bits(r, cmd.categories, CATEGORY_NAMES, command_category_name, True)
    tell_words(r, f.tips, False)
    reply_set(r, f.keys.n)
    for i in range(f.keys.n):
        tell_key_spec(r, &f.keys.spec[i])
    if cmd.n_subs:
        reply_array(r, cmd.n_subs)
    else:
        reply_set(r, 0)
    for i in range(cmd.n_subs):
        tell_command(r, cmd.subs[i])


cdef void tell_all(Kv* kv, Reply* r) noexcept nogil:
    cdef int i
    reply_array(r, top_level(kv))
    for i in range(registry_count()):
        if told(kv, command_by_id(i)):
            tell_command(r, command_by_id(i))


cdef int cmd_command(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if argc > 1:
        reply_errorf(r, b"ERR unknown subcommand '%.*s'. Try COMMAND HELP.", argv[1].p, argv[1].n)
    else:
        tell_all(c.kv, r)
    return CALL_DONE


cdef int cmd_command_info(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef int i
    if argc == 2:
        tell_all(c.kv, r)
        return CALL_DONE
    reply_array(r, argc - 2)
    for i in range(2, argc):
        tell_command(r, rename_find_full(c.kv, argv[i].p, argv[i].n))
    return CALL_DONE


cdef int cmd_command_count(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, top_level(c.kv))
    return CALL_DONE


# --- COMMAND DOCS ----------------------------------------------------------------------------------------------------

cdef struct Argument:           # one argument of a row, as libkv.commands.facts.row describes its text
    const char* name
    size_t name_n
    const char* kind
    size_t kind_n
    int spec                    # -1: none
    const char* token           # NULL: none
    size_t token_n
    const char* since
    size_t since_n
    const char* deprecated
    size_t deprecated_n
    bint optional
    bint multiple
    bint multiple_token
    bint block                  # inner arguments follow


cdef size_t span(const char* at, const char* accept) noexcept nogil:
    cdef size_t n = 0
    while at[n] and strchr(accept, at[n]) != NULL:
        n += 1
    return n


cdef const char* read_argument(const char* at, Argument* a) noexcept nogil:
    """Fills *a from the text; returns what follows it: its inner arguments' first byte when it has some."""
    cdef const char* colon = NULL
    cdef const char* name = at
    while at[0] and strchr(b" ()=@?*+^~", at[0]) == NULL:
        if at[0] == 58:
            colon = at
        at += 1
    a.name = name
    a.name_n = (colon if colon != NULL else at) - name
    a.kind = colon + 1 if colon != NULL else NULL
    a.kind_n = at - a.kind if colon != NULL else 0
    a.spec = -1
    if at[0] == 64:             # @
        a.spec = 0
        at += 1
        while 48 <= at[0] <= 57:
            a.spec = a.spec * 10 + at[0] - 48
            at += 1
    a.token = NULL
    a.token_n = 0
    if at[0] == 61:             # ="
        a.token = at + 2
        a.token_n = strchr(a.token, 34) - a.token
        at = a.token + a.token_n + 1
    if a.kind == NULL:
        a.kind = b"string" if a.token == NULL else b"pure-token"
        a.kind_n = strlen(a.kind)
    a.optional = at[0] == 63    # ?
    at += a.optional
    a.multiple_token = at[0] == 43
    a.multiple = at[0] == 42 or a.multiple_token
    at += a.multiple
    at = read_version(at, 94, &a.since, &a.since_n)
    at = read_version(at, 126, &a.deprecated, &a.deprecated_n)
    a.block = at[0] == 40
    return at + a.block


cdef const char* read_version(const char* at, char mark, const char** version, size_t* n) noexcept nogil:
    version[0] = NULL
    n[0] = 0
    if at[0] != mark:
        return at
    version[0] = at + 1
    n[0] = span(at + 1, b"0123456789.")
    return at + 1 + n[0]


cdef int count_arguments(const char* at) noexcept nogil:
    """Arguments up to the end or the closing parenthesis, inner ones not counted."""
    cdef int depth = 0
    cdef int n = 0
    cdef bint quoted = False
    cdef bint between = True
    while at[0]:
        if at[0] == 34:
            quoted = not quoted
        elif quoted:
            pass
        elif at[0] == 40:
            depth += 1
        elif at[0] == 41:
            if depth == 0:
                break
            depth -= 1
        elif at[0] == 32:
            between = True
            at += 1
            continue
        if between and depth == 0:
            n += 1
        between = False
        at += 1
    return n


cdef const char* tell_arguments(Reply* r, const char* at) noexcept nogil:
    """An array of maps; returns where the end or the closing parenthesis is."""
    cdef Argument a
    cdef int left = count_arguments(at)
    reply_array(r, left)
    while left:
        left -= 1
        at += span(at, b" ")
        at = read_argument(at, &a)
        reply_map(r, 2 + (a.spec >= 0) + (a.token != NULL) + (a.since != NULL) + (a.deprecated != NULL)
                  + (a.optional or a.multiple) + a.block)
        tell_text(r, b"name", a.name, a.name_n)
        tell_text(r, b"type", a.kind, a.kind_n)
        if a.spec >= 0:
            tell_number(r, b"key_spec_index", a.spec)
        if a.token != NULL:
            tell_text(r, b"token", a.token, a.token_n)
        if a.since != NULL:
            tell_text(r, b"since", a.since, a.since_n)
        if a.deprecated != NULL:
            tell_text(r, b"deprecated_since", a.deprecated, a.deprecated_n)
        if a.optional or a.multiple:
            reply_cstring(r, b"flags")
            reply_set(r, a.optional + a.multiple + a.multiple_token)
            if a.optional:
                reply_status(r, b"optional")
            if a.multiple:
                reply_status(r, b"multiple")
            if a.multiple_token:
                reply_status(r, b"multiple_token")
        if a.block:
            reply_cstring(r, b"arguments")
            at = tell_arguments(r, at) + 1
    return at


cdef void tell_text(Reply* r, const char* name, const char* p, size_t n) noexcept nogil:
    reply_cstring(r, name)
    reply_bulk(r, p, n)


cdef void tell_docs(Reply* r, Command* cmd) noexcept nogil:
    """One value of COMMAND DOCS's map."""
    cdef Facts* f = <Facts*>cmd.specs
    cdef size_t mark = reply_later(r)
    cdef int pairs = 3
    cdef int i
    tell_text(r, b"summary", f.summary, strlen(f.summary))
    tell_text(r, b"since", f.since, strlen(f.since))
    tell_text(r, b"group", f.group, strlen(f.group))
    if f.complexity[0]:
        pairs += 1
        tell_text(r, b"complexity", f.complexity, strlen(f.complexity))
    if f.doc[0]:
        pairs += 1
        reply_cstring(r, b"doc_flags")
        tell_words(r, f.doc, True)
    if f.deprecated_since[0]:
        pairs += 2
        tell_text(r, b"deprecated_since", f.deprecated_since, strlen(f.deprecated_since))
        tell_text(r, b"replaced_by", f.replaced_by, strlen(f.replaced_by))
    if f.history[0] != NULL:
        pairs += 1
        reply_cstring(r, b"history")
        tell_history(r, f.history)
    if f.args[0]:
        pairs += 1
        reply_cstring(r, b"arguments")
        tell_arguments(r, f.args)
    if cmd.n_subs:
        pairs += 1
        reply_cstring(r, b"subcommands")
        reply_map(r, cmd.n_subs)
        for i in range(cmd.n_subs):
            reply_bulk(r, cmd.subs[i].full, cmd.subs[i].full_n)
            tell_docs(r, cmd.subs[i])
    reply_later_map(r, mark, pairs)


cdef void tell_history(Reply* r, const char** history) noexcept nogil:
    cdef int i
    cdef int n = 0
    while history[2 * n] != NULL:
        n += 1
    reply_set(r, n)
    for i in range(n):
        reply_array(r, 2)
        reply_cstring(r, history[2 * i])
        reply_cstring(r, history[2 * i + 1])


cdef int cmd_command_docs(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """Names that are not known are left out."""
    cdef Command* cmd
    cdef int i
    cdef int n = 0
    cdef size_t mark
    if argc == 2:
        reply_map(r, top_level(c.kv))
        for i in range(registry_count()):
            cmd = command_by_id(i)
            if told(c.kv, cmd):
                reply_bulk(r, cmd.full, cmd.full_n)
                tell_docs(r, cmd)
        return CALL_DONE
    mark = reply_later(r)
    for i in range(2, argc):
        cmd = rename_find_full(c.kv, argv[i].p, argv[i].n)
        if cmd != NULL:
            reply_bulk(r, cmd.full, cmd.full_n)
            tell_docs(r, cmd)
            n += 1
    reply_later_map(r, mark, n)
    return CALL_DONE


# --- COMMAND LIST ----------------------------------------------------------------------------------------------------

cdef enum:
    BY_NOTHING
    BY_MODULE
    BY_CATEGORY
    BY_PATTERN


cdef int cmd_command_list(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    """COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]; subcommands are listed, too."""
    cdef int by = BY_NOTHING
    cdef int category = -1
    cdef int i
    cdef int n = 0
    cdef Command* cmd
    cdef size_t mark
    if argc == 5 and arg_is(&argv[2], b"filterby", 8):
        if arg_is(&argv[3], b"module", 6):
            by = BY_MODULE
        elif arg_is(&argv[3], b"aclcat", 6):
            by = BY_CATEGORY
            category = command_category(argv[4].p, argv[4].n)
        elif arg_is(&argv[3], b"pattern", 7):
            by = BY_PATTERN
    if argc != 2 and by == BY_NOTHING:
        reply_syntax(r)
        return CALL_DONE
    if by == BY_MODULE or (by == BY_CATEGORY and category < 0):     # no command is a module's
        reply_array(r, 0)
        return CALL_DONE
    mark = reply_later(r)
    for i in range(registry_count()):
        cmd = command_by_id(i)
        if config_of(c.kv).renames != NULL and rename_hides(c.kv, cmd):
            continue
        if by == BY_CATEGORY and not cmd.categories >> category & 1:
            continue
        if by == BY_PATTERN and not glob_match(argv[4].p, argv[4].n, cmd.full, cmd.full_n, True):
            continue
        reply_bulk(r, cmd.full, cmd.full_n)
        n += 1
    reply_later_array(r, mark, n)
    return CALL_DONE


# --- COMMAND GETKEYS -------------------------------------------------------------------------------------------------

cdef enum:
    KEYS_AT_ONCE = 256          # positions kept on the stack; more take a piece of the heap


cdef int tell_keys(Ctx* c, Arg* argv, int argc, Reply* r, bint with_flags) noexcept nogil:
    """argv: the words of the command in question."""
    cdef int positions_here[KEYS_AT_ONCE]
    cdef uint32_t flags_here[KEYS_AT_ONCE]
    cdef int* positions = positions_here
    cdef uint32_t* flags = flags_here
    cdef Command* cmd = NULL
    cdef int i, n
    if memchr(argv[0].p, 124, argv[0].n) == NULL:
        cmd = rename_find_words(c.kv, argv, argc)
    if cmd == NULL:
        reply_error(r, b"ERR Invalid command specified")
        return CALL_DONE
    if not has_keys(cmd):
        reply_error(r, b"ERR The command has no key arguments")
        return CALL_DONE
    if (cmd.arity > 0 and argc != cmd.arity) or argc < -cmd.arity:
        reply_error(r, b"ERR Invalid number of arguments specified for command")
        return CALL_DONE
    n = command_keys(cmd, argv, argc, positions, flags, KEYS_AT_ONCE)
    if n <= 0:
        if cmd.flags & CMD_NO_MANDATORY_KEYS:
            reply_array(r, 0)
        else:
            reply_error(r, b"ERR Invalid arguments specified for command")
        return CALL_DONE
    if n > KEYS_AT_ONCE:
        positions = <int*>heap_alloc(c.heap, <size_t>n * 8)
        if positions == NULL:
            reply_oom(r)
            return CALL_DONE
        flags = <uint32_t*>(positions + n)
        command_keys(cmd, argv, argc, positions, flags, n)
    reply_array(r, n)
    for i in range(n):
        if with_flags:
            reply_array(r, 2)
        reply_bulk(r, argv[positions[i]].p, argv[positions[i]].n)
        if with_flags:
            tell_bits(r, flags[i], KEY_FLAG_NAMES, command_key_flag_name, False)
    if n > KEYS_AT_ONCE:
        heap_free(c.heap, positions, <size_t>n * 8)
    return CALL_DONE


cdef bint has_keys(Command* cmd) noexcept nogil:
    cdef KeySpecs* ks = (<Facts*>cmd.specs).keys
    cdef int i
    for i in range(ks.n):
        if not ks.spec[i].flags & CMD_KEY_NOT_KEY:
            return True
    return False


cdef int cmd_command_getkeys(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return tell_keys(c, argv + 2, argc - 2, r, False)


cdef int cmd_command_getkeysandflags(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return tell_keys(c, argv + 2, argc - 2, r, True)


# --- COMMAND HELP ----------------------------------------------------------------------------------------------------

cdef const char* help_lines[17]
help_lines[:] = [
    b"(no subcommand)",
    b"    Describes every command: arity, flags, keys, categories.",
    b"COUNT",
    b"    Tells how many commands there are.",
    b"LIST [FILTERBY MODULE <name>|ACLCAT <category>|PATTERN <pattern>]",
    b"    Names the commands and subcommands.",
    b"INFO [<command-name> ...]",
    b"    Describes the named commands, or all.",
    b"DOCS [<command-name> ...]",
    b"    Documents the named commands, or all: summary, complexity, history,",
    b"    arguments.",
    b"GETKEYS <full-command>",
    b"    Names the keys in a command with all its arguments.",
    b"GETKEYSANDFLAGS <full-command>",
    b"    Names the keys in a command with all its arguments, and tells what",
    b"    happens to them.",
    NULL,
]


cdef int cmd_command_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"COMMAND", help_lines)
    return CALL_DONE


registry_bind("command", cmd_command)
registry_bind("command|count", cmd_command_count)
registry_bind("command|docs", cmd_command_docs)
registry_bind("command|getkeys", cmd_command_getkeys)
registry_bind("command|getkeysandflags", cmd_command_getkeysandflags)
registry_bind("command|help", cmd_command_help)
registry_bind("command|info", cmd_command_info)
registry_bind("command|list", cmd_command_list)
