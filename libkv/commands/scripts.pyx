"""Lua scripts: EVAL and its kin, SCRIPT.

Source: redis.io, "Scripting with Lua" and the commands' pages; replies and errors are those of redis-server 7.0.15.

Deviation: there is no debugger, so SCRIPT DEBUG YES and SYNC are refused.
"""

from libkv.engine.args cimport arg_is
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_bulk, reply_error, reply_help, reply_int, reply_ok, reply_oom
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply
from libkv.scripting.run cimport run_allowed, run_busy, run_execute, run_kill, run_words
from libkv.scripting.script_engine cimport script_find, script_load, scripting_of, scripts_flush
from libkv.scripting.vm cimport VM_SCRIPTS, Run, Script, Scripting
from libkv.structures.sha1 cimport SHA1_BYTES, sha1_hex, sha1_of

cdef enum:
    SHA_HEX = 40

cdef const char* NO_SCRIPT = b"NOSCRIPT No matching script. Please use EVAL."


cdef void sha_of(const char* p, size_t n, char* hex) noexcept nogil:
    cdef unsigned char[SHA1_BYTES] digest
    sha1_of(p, n, digest)
    sha1_hex(digest, hex)


cdef bint sha_given(Arg* a, char* hex) noexcept nogil:
    """A digest in any case, made small letters; False: it has another length."""
    cdef int i
    if a.n != SHA_HEX:
        return False
    for i in range(SHA_HEX):
        hex[i] = a.p[i] + 32 if 65 <= a.p[i] <= 90 else a.p[i]
    return True


cdef int evaluate(Ctx* c, Arg* argv, int argc, Reply* r, bint by_sha, bint readonly) noexcept nogil:
    cdef char[SHA_HEX + 1] sha
    cdef Scripting* s
    cdef Script* script
    cdef Run run
    if by_sha and not sha_given(&argv[1], sha):
        reply_error(r, NO_SCRIPT)
        return CALL_DONE
    if not run_words(&run, argv, argc, b"ERR value is not an integer or out of range", r):
        return CALL_DONE
    s = scripting_of(c.kv)
    if s == NULL:
        reply_oom(r)
        return CALL_DONE
    if run_busy(s, r):
        return CALL_DONE
    if not by_sha:
        sha_of(argv[1].p, argv[1].n, sha)
    script = script_find(s, sha)
    if script == NULL and by_sha:
        reply_error(r, NO_SCRIPT)
        return CALL_DONE
    if script == NULL:
        script = script_load(s, argv[1].p, argv[1].n, sha, r)
    if script == NULL or not run_allowed(c, script.flags, readonly, r):
        return CALL_DONE
    run.name = sha
    run.name_n = SHA_HEX
    run.function_ref = script.ref
    run_execute(c, s.scripts_vm, &run, script.flags, readonly, r)
    return CALL_DONE


cdef int cmd_eval(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return evaluate(c, argv, argc, r, False, False)


cdef int cmd_eval_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return evaluate(c, argv, argc, r, False, True)


cdef int cmd_evalsha(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return evaluate(c, argv, argc, r, True, False)


cdef int cmd_evalsha_ro(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return evaluate(c, argv, argc, r, True, True)


# ---- SCRIPT

cdef int cmd_script_load(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char[SHA_HEX + 1] sha
    cdef Scripting* s = scripting_of(c.kv)
    if s == NULL:
        reply_oom(r)
        return CALL_DONE
    sha_of(argv[2].p, argv[2].n, sha)
    if script_find(s, sha) != NULL or script_load(s, argv[2].p, argv[2].n, sha, r) != NULL:
        reply_bulk(r, sha, SHA_HEX)
    return CALL_DONE


cdef int cmd_script_exists(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef char[SHA_HEX + 1] sha
    cdef Scripting* s = <Scripting*>c.kv.scripting
    cdef int i
    reply_array(r, argc - 2)
    for i in range(2, argc):
        reply_int(r, s != NULL and sha_given(&argv[i], sha) and script_find(s, sha) != NULL)
    return CALL_DONE


cdef int cmd_script_flush(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = <Scripting*>c.kv.scripting
    if argc > 3 or (argc == 3 and not arg_is(&argv[2], b"sync", 4) and not arg_is(&argv[2], b"async", 5)):
        reply_error(r, b"ERR SCRIPT FLUSH only support SYNC|ASYNC option")
        return CALL_DONE
    if s != NULL:
        if run_busy(s, r):
            return CALL_DONE
        scripts_flush(s)
    reply_ok(r)
    return CALL_DONE


cdef int cmd_script_kill(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef Scripting* s = scripting_of(c.kv)
    if s == NULL:
        reply_oom(r)
    else:
        run_kill(s, VM_SCRIPTS, r)
    return CALL_DONE


cdef int cmd_script_debug(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if arg_is(&argv[2], b"no", 2):
        reply_ok(r)
    elif arg_is(&argv[2], b"yes", 3) or arg_is(&argv[2], b"sync", 4):
        reply_error(r, b"ERR scripts can't be debugged here")
    else:
        reply_error(r, b"ERR Use SCRIPT DEBUG YES/SYNC/NO")
    return CALL_DONE


cdef const char* SCRIPT_HELP[16]
SCRIPT_HELP[0] = b"DEBUG (YES|SYNC|NO)"
SCRIPT_HELP[1] = b"    Set the debug mode for subsequent scripts executed."
SCRIPT_HELP[2] = b"EXISTS <sha1> [<sha1> ...]"
SCRIPT_HELP[3] = b"    Return information about the existence of the scripts in the script cache."
SCRIPT_HELP[4] = b"FLUSH [ASYNC|SYNC]"
SCRIPT_HELP[5] = b"    Flush the Lua scripts cache. Very dangerous on replicas."
SCRIPT_HELP[6] = b"    When called without the optional mode argument, the behavior is determined by the"
SCRIPT_HELP[7] = b"    lazyfree-lazy-user-flush configuration directive. Valid modes are:"
SCRIPT_HELP[8] = b"    * ASYNC: Asynchronously flush the scripts cache."
SCRIPT_HELP[9] = b"    * SYNC: Synchronously flush the scripts cache."
SCRIPT_HELP[10] = b"KILL"
SCRIPT_HELP[11] = b"    Kill the currently executing Lua script."
SCRIPT_HELP[12] = b"LOAD <script>"
SCRIPT_HELP[13] = b"    Load a script into the scripts cache without executing it."
SCRIPT_HELP[14] = NULL


cdef int cmd_script_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"SCRIPT", SCRIPT_HELP)
    return CALL_DONE


registry_bind("eval", cmd_eval)
registry_bind("eval_ro", cmd_eval_ro)
registry_bind("evalsha", cmd_evalsha)
registry_bind("evalsha_ro", cmd_evalsha_ro)
registry_bind("script|load", cmd_script_load)
registry_bind("script|exists", cmd_script_exists)
registry_bind("script|flush", cmd_script_flush)
registry_bind("script|kill", cmd_script_kill)
registry_bind("script|debug", cmd_script_debug)
registry_bind("script|help", cmd_script_help)
