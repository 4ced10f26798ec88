"""Functions: FCALL and FUNCTION.

Source: redis.io, "Redis functions" and the commands' pages; replies and errors are those of redis-server 7.0.15.  The
payload of DUMP is a piece of an RDB file: an opcode and its text a library, the version, a checksum.
"""

from libc.stdint cimport uint32_t, uint64_t

from libkv.engine.args cimport arg_is, glob_match
from libkv.engine.clock cimport mono_ns
from libkv.engine.config cimport config_id, config_value
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_errorf, reply_help, reply_int, reply_later,
    reply_later_array, reply_map, reply_nil, reply_ok, reply_oom, reply_set, reply_status,
)
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.persistence.rdb_decode cimport rdb_get_string, rdb_restorable
from libkv.persistence.rdb_encode cimport rdb_put_string
from libkv.persistence.rdb_format cimport RDB_OK, RDB_OP_FUNCTION2, RDB_VERSION, RdbError
from libkv.persistence.rio cimport (
    Sink, Source, sink_byte, sink_close, sink_crc, sink_open_memory, source_close, source_open_memory, source_left,
    source_take,
)
from libkv.scripting.flags cimport SCRIPT_FLAGS, script_flag_name
from libkv.scripting.libraries cimport (
    function_find, libraries_each, libraries_flush, libraries_free, libraries_join, library_compile, library_find,
    library_remove,
)
from libkv.scripting.register cimport LIBRARY_AT, Function, Library
from libkv.scripting.run cimport run_allowed, run_busy, run_execute, run_kill, run_words
from libkv.scripting.script_engine cimport scripting_of
from libkv.scripting.vm cimport VM_FUNCTIONS, VM_SCRIPTS, Run, Scripting
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free, buffer_init
from libkv.structures.cell cimport Slice
from libkv.structures.prefixed cimport prefixed_read
from libkv.structures.table cimport TableIter, table_iter, table_next

cdef enum:
    RESTORE_APPEND = 0
    RESTORE_FLUSH = 1
    RESTORE_REPLACE = 2
    FOOTER = 10                 # bytes of version and checksum

cdef const char* UNKNOWN = b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try FUNCTION HELP."
cdef int COMPRESSION = config_id(b"rdbcompression")


cdef int call_function(Ctx* c, Arg* argv, int argc, Reply* r, bint readonly) noexcept nogil:
    cdef Scripting* s = scripting_of(c.kv)
    cdef Function* f
    cdef Run run
    if s == NULL:
        reply_oom(r)
        return CALL_DONE
    if run_busy(s, r):
        return CALL_DONE
    f = function_find(s, argv[1].p, argv[1].n)
    if f == NULL:
        reply_error(r, b"ERR Function not found")
        return CALL_DONE
    if not run_words(&run, argv, argc, b"ERR Bad number of keys provided", r):
        return CALL_DONE
    if not run_allowed(c, f.flags, readonly, r):
        return CALL_DONE
    run.name = f.name
    run.name_n = f.name_n
    run.function_ref = f.ref
    run_execute(c, s.functions_vm, &run, f.flags, readonly, r)
    return CALL_DONE


cdef int cmd_fcall(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return call_function(c, argv, argc, r, False)


cdef int cmd_fcall_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return call_function(c, argv, argc, r, True)


# ---- loading and deleting

cdef void refuse(Reply* r, Buffer* why) noexcept nogil:
    """An error whose text is in a buffer: without line ends."""
    cdef size_t i
    r.errors += 1
    while why.n and (why.p[why.n - 1] == 13 or why.p[why.n - 1] == 10):
        why.n -= 1
    for i in range(why.n):
        if why.p[i] == 13 or why.p[i] == 10:
            why.p[i] = 32
    buffer_add(r.out, b"-ERR ", 5)
    buffer_add(r.out, why.p, why.n)
    buffer_add(r.out, b"\r\n", 2)


cdef const char* name_of(Library* library, size_t* n) noexcept nogil:
    return prefixed_read(<const char*>library + LIBRARY_AT, n)


cdef int cmd_function_load(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s
    cdef Library* library
    cdef Buffer why
    cdef bint replace = argc > 3
    cdef const char* name
    cdef size_t n
    cdef int i
    for i in range(2, argc - 1):
        if not arg_is(&argv[i], b"replace", 7):
            reply_errorf(r, b"ERR Unknown option given: %.*s", argv[i].p, argv[i].n)
            return CALL_DONE
    s = scripting_of(c.kv)
    if s == NULL:
        reply_oom(r)
        return CALL_DONE
    if run_busy(s, r):
        return CALL_DONE
    buffer_init(&why)
    library = library_compile(s, argv[argc - 1].p, argv[argc - 1].n, replace, &why)
    if library == NULL:
        refuse(r, &why)
    elif not libraries_join(s, library, replace, False, &why):
        refuse(r, &why)
        libraries_free(s, library)
    else:
        name = name_of(library, &n)
        c.kv.dirty += 1
        reply_bulk(r, name, n)
    buffer_free(&why)
    return CALL_DONE


cdef int cmd_function_delete(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = <Scripting*>c.kv.scripting
    cdef Library* library = library_find(s, argv[2].p, argv[2].n) if s != NULL else NULL
    if library == NULL:
        reply_error(r, b"ERR Library not found")
        return CALL_DONE
    if run_busy(s, r):
        return CALL_DONE
    library_remove(s, library)
    c.kv.dirty += 1
    reply_ok(r)
    return CALL_DONE


cdef int cmd_function_flush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = <Scripting*>c.kv.scripting
    if argc > 3:
        reply_errorf(r, UNKNOWN, argv[1].p, argv[1].n)
        return CALL_DONE
    if argc == 3 and not arg_is(&argv[2], b"sync", 4) and not arg_is(&argv[2], b"async", 5):
        reply_error(r, b"ERR FUNCTION FLUSH only supports SYNC|ASYNC option")
        return CALL_DONE
    if s != NULL:
        if run_busy(s, r):
            return CALL_DONE
        libraries_flush(s)
    c.kv.dirty += 1
    reply_ok(r)
    return CALL_DONE


# ---- telling

cdef void tell_function(Function* f, Reply* r) noexcept nogil:
    cdef int i
    cdef int n = 0
    cdef uint32_t flag
    cdef const char* name
    reply_map(r, 3)
    reply_cstring(r, b"name")
    reply_bulk(r, f.name, f.name_n)
    reply_cstring(r, b"description")
    if f.about != NULL:
        reply_bulk(r, f.about, f.about_n)
    else:
        reply_nil(r)
    reply_cstring(r, b"flags")
    for i in range(SCRIPT_FLAGS):
        script_flag_name(i, &flag)
        n += f.flags & flag != 0
    reply_set(r, n)
    for i in range(SCRIPT_FLAGS):
        name = script_flag_name(i, &flag)
        if f.flags & flag:
            reply_status(r, name)


cdef void tell_library(Library* library, bint code, Reply* r) noexcept nogil:
    cdef size_t n
    cdef const char* name = name_of(library, &n)
    cdef Function* f = library.functions
    reply_map(r, 4 if code else 3)
    reply_cstring(r, b"library_name")
    reply_bulk(r, name, n)
    reply_cstring(r, b"engine")
    reply_cstring(r, b"LUA")
    reply_cstring(r, b"functions")
    reply_array(r, <long long>library.n_functions)
    while f != NULL:
        tell_function(f, r)
        f = f.next
    if code:
        reply_cstring(r, b"library_code")
        reply_bulk(r, library.code, library.code_n)


cdef int cmd_function_list(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = <Scripting*>c.kv.scripting
    cdef Arg* pattern = NULL
    cdef bint code = False
    cdef int i = 2
    cdef TableIter it
    cdef Library* library
    cdef const char* name
    cdef size_t n
    cdef size_t mark
    cdef long long found = 0
    while i < argc:
        if not code and arg_is(&argv[i], b"withcode", 8):
            code = True
        elif pattern == NULL and arg_is(&argv[i], b"libraryname", 11):
            if i + 1 >= argc:
                reply_error(r, b"ERR library name argument was not given")
                return CALL_DONE
            i += 1
            pattern = &argv[i]
        else:
            reply_errorf(r, b"ERR Unknown argument %.*s", argv[i].p, argv[i].n)
            return CALL_DONE
        i += 1
    mark = reply_later(r)
    if s != NULL and s.n_libraries:
        table_iter(&it, &s.libraries)
        while True:
            library = <Library*>table_next(&it)
            if library == NULL:
                break
            name = name_of(library, &n)
            if pattern == NULL or glob_match(pattern.p, pattern.n, name, n, True):
                tell_library(library, code, r)
                found += 1
    reply_later_array(r, mark, found)
    return CALL_DONE


cdef int cmd_function_stats(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = <Scripting*>c.kv.scripting
    cdef Run* run = s.run if s != NULL else NULL
    cdef int i
    if run != NULL and run.vm.kind == VM_SCRIPTS:
        reply_error(r, b"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
        return CALL_DONE
    reply_map(r, 2)
    reply_cstring(r, b"running_script")
    if run != NULL:
        reply_map(r, 3)
        reply_cstring(r, b"name")
        reply_bulk(r, run.name, run.name_n)
        reply_cstring(r, b"command")
        reply_array(r, run.argc)
        for i in range(run.argc):
            reply_bulk(r, run.argv[i].p, run.argv[i].n)
        reply_cstring(r, b"duration_ms")
        reply_int(r, (mono_ns() // 1000 - run.started_us) // 1000)
    else:
        reply_nil(r)
    reply_cstring(r, b"engines")
    reply_map(r, 1)
    reply_cstring(r, b"LUA")
    reply_map(r, 2)
    reply_cstring(r, b"libraries_count")
    reply_int(r, <long long>s.n_libraries if s != NULL else 0)
    reply_cstring(r, b"functions_count")
    reply_int(r, <long long>s.n_functions if s != NULL else 0)
    return CALL_DONE


cdef int cmd_function_kill(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = scripting_of(c.kv)
    if s == NULL:
        reply_oom(r)
    else:
        run_kill(s, VM_FUNCTIONS, r)
    return CALL_DONE


# ---- dump and restore

cdef int put_library(void* arg, const char* code, size_t n) noexcept nogil:
    cdef Sink* sink = <Sink*>arg
    sink_byte(sink, RDB_OP_FUNCTION2)
    rdb_put_string(sink, code, n)
    return 0


cdef void put_little(Sink* sink, uint64_t v, int bytes) noexcept nogil:
    cdef int i
    for i in range(bytes):
        sink_byte(sink, <int>(v >> (8 * i) & 0xff))


cdef int cmd_function_dump(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Sink sink
    if sink_open_memory(&sink, True, config_value(c.kv, COMPRESSION).p[0] == c"y") != 0:
        reply_oom(r)
        return CALL_DONE
    libraries_each(c.kv, put_library, &sink)
    put_little(&sink, RDB_VERSION, 2)
    put_little(&sink, sink_crc(&sink), 8)
    if sink.error:
        reply_oom(r)
    else:
        reply_bulk(r, sink.buf, sink.n)
    sink_close(&sink)
    return CALL_DONE


cdef Library* restored(Scripting* s, Source* source, Buffer* why) noexcept nogil:
    """Compiles all libraries of a payload, in its order; NULL: `why`, or there are none."""
    cdef const char* op
    cdef Slice code
    cdef RdbError error
    cdef Library* first = NULL
    cdef Library** last = &first
    while source_left(source):
        op = source_take(source, 1)
        if op == NULL or (<const unsigned char*>op)[0] != RDB_OP_FUNCTION2:
            buffer_add(why, b"given type is not a function", 28)
            break
        if rdb_get_string(source, &code, &error) != RDB_OK:
            buffer_add(why, b"Failed loading library data", 27)
            break
        last[0] = library_compile(s, code.p, code.n, True, why)
        if last[0] == NULL:
            break
        last = &last[0].next
    else:
        return first
    libraries_free(s, first)
    return NULL


cdef int restore_policy(Arg* argv, int argc) noexcept nogil:
    if argc == 3 or arg_is(&argv[3], b"append", 6):
        return RESTORE_APPEND
    if arg_is(&argv[3], b"replace", 7):
        return RESTORE_REPLACE
    return RESTORE_FLUSH if arg_is(&argv[3], b"flush", 5) else -1


cdef int cmd_function_restore(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = scripting_of(c.kv)
    cdef int policy
    cdef Source source
    cdef Buffer why
    cdef Library* list
    if argc > 4:
        reply_errorf(r, UNKNOWN, argv[1].p, argv[1].n)
        return CALL_DONE
    policy = restore_policy(argv, argc)
    if policy < 0:
        reply_error(r, b"ERR Wrong restore policy given, value should be either FLUSH, APPEND or REPLACE.")
        return CALL_DONE
    if not rdb_restorable(argv[2].p, argv[2].n):
        reply_error(r, b"ERR DUMP payload version or checksum are wrong")
        return CALL_DONE
    if s == NULL:
        reply_oom(r)
        return CALL_DONE
    if run_busy(s, r):
        return CALL_DONE
    buffer_init(&why)
    source_open_memory(&source, argv[2].p, argv[2].n - FOOTER, False)
    list = restored(s, &source, &why)
    source_close(&source)
    if why.n or not libraries_join(s, list, policy == RESTORE_REPLACE, policy == RESTORE_FLUSH, &why):
        libraries_free(s, list)
        refuse(r, &why)
    else:
        c.kv.dirty += 1
        reply_ok(r)
    buffer_free(&why)
    return CALL_DONE


cdef const char* FUNCTION_HELP[38]
FUNCTION_HELP[0] = b"LOAD [REPLACE] <FUNCTION CODE>"
FUNCTION_HELP[1] = b"    Create a new library with the given library name and code."
FUNCTION_HELP[2] = b"DELETE <LIBRARY NAME>"
FUNCTION_HELP[3] = b"    Delete the given library."
FUNCTION_HELP[4] = b"LIST [LIBRARYNAME PATTERN] [WITHCODE]"
FUNCTION_HELP[5] = b"    Return general information on all the libraries:"
FUNCTION_HELP[6] = b"    * Library name"
FUNCTION_HELP[7] = b"    * The engine used to run the Library"
FUNCTION_HELP[8] = b"    * Library description"
FUNCTION_HELP[9] = b"    * Functions list"
FUNCTION_HELP[10] = b"    * Library code (if WITHCODE is given)"
FUNCTION_HELP[11] = b"    It also possible to get only function that matches a pattern using LIBRARYNAME argument."
FUNCTION_HELP[12] = b"STATS"
FUNCTION_HELP[13] = b"    Return information about the current function running:"
FUNCTION_HELP[14] = b"    * Function name"
FUNCTION_HELP[15] = b"    * Command used to run the function"
FUNCTION_HELP[16] = b"    * Duration in MS that the function is running"
FUNCTION_HELP[17] = b"    If no function is running, return nil"
FUNCTION_HELP[18] = b"    In addition, returns a list of available engines."
FUNCTION_HELP[19] = b"KILL"
FUNCTION_HELP[20] = b"    Kill the current running function."
FUNCTION_HELP[21] = b"FLUSH [ASYNC|SYNC]"
FUNCTION_HELP[22] = b"    Delete all the libraries."
FUNCTION_HELP[23] = b"    When called without the optional mode argument, the behavior is determined by the"
FUNCTION_HELP[24] = b"    lazyfree-lazy-user-flush configuration directive. Valid modes are:"
FUNCTION_HELP[25] = b"    * ASYNC: Asynchronously flush the libraries."
FUNCTION_HELP[26] = b"    * SYNC: Synchronously flush the libraries."
FUNCTION_HELP[27] = b"DUMP"
FUNCTION_HELP[28] = (
    b"    Return a serialized payload representing the current libraries, can be restored "
    b"using FUNCTION RESTORE command")
FUNCTION_HELP[29] = b"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]"
FUNCTION_HELP[30] = (
    b"    Restore the libraries represented by the given payload, it is possible to give "
    b"a restore policy to")
FUNCTION_HELP[31] = b"    control how to handle existing libraries (default APPEND):"
FUNCTION_HELP[32] = b"    * FLUSH: delete all existing libraries."
FUNCTION_HELP[33] = b"    * APPEND: appends the restored libraries to the existing libraries. On collision, abort."
FUNCTION_HELP[34] = (
    b"    * REPLACE: appends the restored libraries to the existing libraries, On collision, "
    b"replace the old")
FUNCTION_HELP[35] = (
    b"      libraries with the new libraries (notice that even on this option there is "
    b"a chance of failure")
FUNCTION_HELP[36] = b"      in case of functions name collision with another library)."
FUNCTION_HELP[37] = NULL

cdef int cmd_function_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"FUNCTION", FUNCTION_HELP)
    return CALL_DONE


registry_bind("fcall", cmd_fcall)
registry_bind("fcall_ro", cmd_fcall_ro)
registry_bind("function|load", cmd_function_load)
registry_bind("function|delete", cmd_function_delete)
registry_bind("function|flush", cmd_function_flush)
registry_bind("function|list", cmd_function_list)
registry_bind("function|stats", cmd_function_stats)
registry_bind("function|kill", cmd_function_kill)
registry_bind("function|dump", cmd_function_dump)
registry_bind("function|restore", cmd_function_restore)
registry_bind("function|help", cmd_function_help)
