"""MODULE: there are none, and none can be loaded (Redis's modules are compiled for redis-server alone).

Whether LOAD, LOADEX and UNLOAD may be asked at all is a gate's matter (engine/call): enable-module-command.
MODULE HELP is in our own words.
"""

from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport reply_array, reply_error, reply_help
from libkv.engine.types cimport CALL_DONE, Arg, Ctx, Reply


cdef int cmd_module_list(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_array(r, 0)
    return CALL_DONE


cdef int cmd_module_load(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_error(r, b"ERR Error loading the extension. Please check the server logs.")
    return CALL_DONE


cdef int cmd_module_unload(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_error(r, b"ERR Error unloading module: no such module with that name")
    return CALL_DONE


cdef int cmd_module_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef const char** lines = [
        b"LIST",
        b"    Names the loaded modules: none.",
        b"LOAD <path> [<arg> ...]",
        b"    Would load a module.",
        b"LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        b"    Would load a module with settings.",
        b"UNLOAD <name>",
        b"    Would unload a module.",
        NULL,
    ]
    reply_help(r, b"MODULE", lines)
    return CALL_DONE


registry_bind("module|help", cmd_module_help)
registry_bind("module|list", cmd_module_list)
registry_bind("module|load", cmd_module_load)
registry_bind("module|loadex", cmd_module_load)
registry_bind("module|unload", cmd_module_unload)
