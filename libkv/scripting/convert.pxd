# Between replies and Lua's values, both ways, as Redis converts them.
#
#   reply          Lua                                  Lua          reply
#   :1             1                                    number       integer, cut to it
#   $1 a           "a"                                  string       bulk string
#   $-1, *-1       false                                false        null (after setresp(3): #f)
#   +OK            {ok = "OK"}                          true         :1 (after setresp(3): #t)
#   -ERR x         {err = "ERR x", ignore_...}          nil          null
#   *              {...}                                {...}        array up to the first nil
#   %  ~  ,  (     {map = {}}, {set = {}},              the same tables, back again
#   =              {double = }, {big_number = },
#                  {verbatim_string = {format, string}}
#   _  #t          nil, true

from libkv.engine.types cimport Reply
from libkv.scripting.lua cimport LuaState

cdef const char* convert_push(LuaState* L, const char* p) noexcept nogil       # a reply's bytes: pushes it, returns its end
cdef void convert_reply(LuaState* L, Reply* r, int resp) noexcept nogil
    # pops a value and replies it; resp: what the script chose.  Needs room for a value on the stack, allocates nothing.
cdef void convert_error(LuaState* L, Reply* r, const char* p, size_t n, bint counted) noexcept nogil
    # -p up to a NUL, its lines' ends as spaces; counted: in INFO's errorstats already, by the command it came from
cdef void convert_number_text(double v, char* out, int* n) noexcept nogil      # NUMBER_DOUBLE bytes; as "%.17g"
