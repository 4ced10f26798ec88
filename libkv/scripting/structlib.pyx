"""struct (contract: structlib.pxd).

Source: the documentation of the struct library for Lua (inf.puc-rio.br/~roberto/struct), sizes as on 64-bit Linux, and
redis-server 7.0.15's results and errors.

    > <      big, little endian (little by default)     ! n      alignment, a power of 2 (1 by default; alone: 8)
    b B      1 byte     h H   2    l L T   8            i n I n  n bytes (4 by default), at most 32
    f d      4, 8 bytes x     a zero byte               s        text up to a zero byte
    c n      n characters; c0: as many as the number before it says (unpack), or all (pack)
"""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memchr, memcpy, memset

from libkv.scripting.lua cimport lua, lua_function, lua_pop
from libkv.scripting.vm cimport Vm, vm_of
from libkv.structures.buffer cimport Buffer, buffer_add, buffer_free

cdef enum:
    INT_MOST = 32               # bytes of an integer
    ALIGN_MOST = 8
    COUNT_MOST = 0x7fffffff

cdef struct Layout:
    const char* at              # in the format
    bint big
    size_t align


cdef size_t count_after(LuaState* L, Layout* f, size_t otherwise) noexcept nogil:
    """The digits that follow an option."""
    cdef uint64_t v = 0
    cdef int digit
    if not 48 <= f.at[0] <= 57:
        return otherwise
    while 48 <= f.at[0] <= 57:
        digit = f.at[0] - 48
        if v > COUNT_MOST // 10 or v * 10 > <uint64_t>(COUNT_MOST - digit):
            lua.L_error(L, b"integral size overflow")
        v = v * 10 + digit
        f.at += 1
    return v


cdef size_t size_of(LuaState* L, Layout* f, char option) noexcept nogil:
    cdef size_t n
    if option == c"b" or option == c"B" or option == c"x":
        return 1
    if option == c"h" or option == c"H":
        return 2
    if option == c"f":
        return 4
    if option == c"l" or option == c"L" or option == c"T" or option == c"d":
        return 8
    if option == c"c":
        return count_after(L, f, 1)
    if option == c"i" or option == c"I":
        n = count_after(L, f, 4)
        if n > INT_MOST:
            lua.L_error(L, b"integral size %d is larger than limit of %d", <int>n, <int>INT_MOST)
        return n
    return 0


cdef size_t padding(Layout* f, size_t at, char option, size_t size) noexcept nogil:
    if size == 0 or option == c"c":
        return 0
    if size > f.align:
        size = f.align
    return (size - (at & (size - 1))) & (size - 1)


cdef void control(LuaState* L, Layout* f, char option) noexcept nogil:
    cdef char[32] text
    cdef size_t n
    if option == c" ":
        return
    if option == c">" or option == c"<":
        f.big = option == c">"
    elif option == c"!":
        n = count_after(L, f, ALIGN_MOST)
        if n == 0 or n & (n - 1):
            lua.L_error(L, b"alignment %d is not a power of 2", <int>n)
        f.align = n
    else:
        memcpy(text, b"invalid format option 'x'", 26)
        text[23] = option
        lua.L_argerror(L, 1, text)


# ---- pack

cdef uint64_t as_bits(double v) noexcept nogil:
    """As the processor converts, where C leaves it open."""
    if v < 0:
        return <uint64_t><int64_t>v if v >= -9223372036854775808.0 else <uint64_t>1 << 63
    if v < 18446744073709551616.0:
        return <uint64_t>v
    return <uint64_t>1 << 63 if v != v else 0


cdef void put_integer(Buffer* out, uint64_t v, size_t size, bint big) noexcept nogil:
    cdef char[INT_MOST] bytes
    cdef size_t i
    for i in range(size):
        bytes[size - 1 - i if big else i] = <char>(v & 0xff)
        v >>= 8
    buffer_add(out, bytes, size)


cdef void put_real(Buffer* out, double v, size_t size, bint big) noexcept nogil:
    cdef float f = <float>v
    cdef uint64_t u = 0
    memcpy(&u, &v if size == 8 else <void*>&f, size)
    put_integer(out, u, size, big)


cdef void put_text(LuaState* L, Buffer* out, int argument, char option, size_t size) noexcept nogil:
    cdef size_t n
    cdef const char* p = lua.L_checklstring(L, argument, &n)
    if size == 0:
        size = n
    if n < size:
        lua.L_argerror(L, argument + 1, b"string too short")
    buffer_add(out, p, size)
    if option == c"s":
        buffer_add(out, b"", 1)


cdef void put_zeros(Buffer* out, size_t n) noexcept nogil:
    cdef char[ALIGN_MOST] zeros
    memset(zeros, 0, ALIGN_MOST)
    while n:
        buffer_add(out, zeros, n if n < ALIGN_MOST else ALIGN_MOST)
        n -= n if n < ALIGN_MOST else ALIGN_MOST


cdef int struct_pack(LuaState* L) noexcept nogil:
    cdef Vm* vm = vm_of(L)
    cdef Buffer* out = &vm.text
    cdef Layout f
    cdef char option
    cdef size_t size
    cdef int argument = 2
    f.at = lua.L_checklstring(L, 1, NULL)
    f.big = False
    f.align = 1
    lua.pushnil(L)              # an argument too many is nil
    out.n = 0
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        size = size_of(L, &f, option)
        put_zeros(out, padding(&f, out.n, option, size))
        if option == c"x":
            put_zeros(out, 1)
        elif option == c"f" or option == c"d":
            put_real(out, lua.L_checknumber(L, argument), size, f.big)
            argument += 1
        elif option == c"c" or option == c"s":
            put_text(L, out, argument, option, size)
            argument += 1
        elif is_integer(option):
            put_integer(out, as_bits(lua.L_checknumber(L, argument)), size, f.big)
            argument += 1
        else:
            control(L, &f, option)
        if out.failed or out.n > vm.limit:
            buffer_free(out)
            lua.L_error(L, b"not enough memory")
    lua.pushlstring(L, out.p, out.n)
    return 1


cdef bint is_integer(char option) noexcept nogil:
    return memchr(b"bBhHlLTiI", option, 9) != NULL


# ---- unpack

cdef double get_integer(const char* p, size_t size, bint big, bint signed_) noexcept nogil:
    """The last 64 bits, when there are more."""
    cdef uint64_t v = 0
    cdef uint64_t sign
    cdef size_t i
    for i in range(size):
        v = (v << 8) | <unsigned char>p[i if big else size - 1 - i]
    if not signed_:
        return <double>v
    sign = ~<uint64_t>0 << ((size * 8 - 1) & 63)        # of more than 8 bytes: as the processor shifts
    if v & sign:
        v |= sign
    return <double><int64_t>v


cdef double get_real(const char* p, size_t size, bint big) noexcept nogil:
    cdef char[8] bytes
    cdef float f
    cdef double d
    cdef size_t i
    for i in range(size):
        bytes[i] = p[size - 1 - i] if big else p[i]
    if size == 4:
        memcpy(&f, bytes, 4)
        return f
    memcpy(&d, bytes, 8)
    return d


cdef void check_data(LuaState* L, size_t size, size_t at, size_t n) noexcept nogil:
    if size > n or at > n - size:
        lua.L_argerror(L, 2, b"data string too short")


cdef int struct_unpack(LuaState* L) noexcept nogil:
    cdef Layout f
    cdef size_t n, size
    cdef const char* end
    cdef const char* data
    cdef size_t at
    cdef int found = 0
    cdef char option
    f.at = lua.L_checklstring(L, 1, NULL)
    data = lua.L_checklstring(L, 2, &n)
    at = <size_t>lua.L_optinteger(L, 3, 1)
    if at == 0:
        lua.L_argerror(L, 3, b"offset must be 1 or greater")
    at -= 1
    f.big = False
    f.align = 1
    lua.settop(L, 2)
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        size = size_of(L, &f, option)
        at += padding(&f, at, option, size)
        check_data(L, size, at, n)
        lua.L_checkstack(L, 2, b"too many results")
        if is_integer(option):
            lua.pushnumber(L, get_integer(data + at, size, f.big, option >= c"a"))
            found += 1
        elif option == c"f" or option == c"d":
            lua.pushnumber(L, get_real(data + at, size, f.big))
            found += 1
        elif option == c"c":
            if size == 0:
                if found == 0 or not lua.isnumber(L, -1):
                    lua.L_error(L, b"format 'c0' needs a previous size")
                size = as_bits(lua.tonumber(L, -1))
                lua_pop(L, 1)
                found -= 1
                check_data(L, size, at, n)
            lua.pushlstring(L, data + at, size)
            found += 1
        elif option == c"s":
            end = <const char*>memchr(data + at, 0, n - at)
            if end == NULL:
                lua.L_error(L, b"unfinished string in data")
            size = end - (data + at) + 1
            lua.pushlstring(L, data + at, size - 1)
            found += 1
        elif option != c"x":
            control(L, &f, option)
        at += size
    lua.pushnumber(L, <double><int64_t>(at + 1))
    return found + 1


cdef int struct_size(LuaState* L) noexcept nogil:
    cdef Layout f
    cdef size_t at = 0
    cdef size_t size
    cdef char option
    f.at = lua.L_checklstring(L, 1, NULL)
    f.big = False
    f.align = 1
    while f.at[0]:
        option = f.at[0]
        f.at += 1
        size = size_of(L, &f, option)
        at += padding(&f, at, option, size)
        if option == c"s":
            lua.L_argerror(L, 1, b"option 's' has no fixed size")
        elif option == c"c" and size == 0:
            lua.L_argerror(L, 1, b"option 'c0' has no fixed size")
        if not is_sized(option):
            control(L, &f, option)
        at += size
    lua.pushnumber(L, <double>at)
    return 1


cdef bint is_sized(char option) noexcept nogil:
    """What struct.size passes over: options with a size, and those it does not know."""
    return option != c"!" and option != c">" and option != c"<"


cdef void structlib_open(LuaState* L) noexcept nogil:
    lua.createtable(L, 0, 3)
    lua_function(L, b"pack", struct_pack)
    lua_function(L, b"unpack", struct_unpack)
    lua_function(L, b"size", struct_size)
