"""The directive rename-command (contract: renames.pxd).  Follows Redis 7.0.15: a renamed command keeps its own name in
COMMAND, INFO, ACL rules and error messages; an effect is told as the client called it.
"""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memcpy

from libkv.engine.registry cimport CMD_CONTAINER, command_sub


cdef inline Renames* renames_of(Kv* kv) noexcept nogil:
    return <Renames*>config_of(kv).renames


cdef bint same(const char* a, size_t a_n, const char* b, size_t b_n) noexcept nogil:
    """In any case of the letters A to Z."""
    cdef size_t i
    cdef unsigned char x
    cdef unsigned char y
    if a_n != b_n:
        return False
    for i in range(a_n):
        x = <unsigned char>a[i]
        y = <unsigned char>b[i]
        if 65 <= x <= 90:
            x += 32
        if 65 <= y <= 90:
            y += 32
        if x != y:
            return False
    return True


cdef Rename* rename_of(Kv* kv, Command* cmd) noexcept nogil:
    cdef Renames* all_ = renames_of(kv)
    cdef int i
    for i in range(all_.n if all_ != NULL else 0):
        if all_.rows[i].cmd == cmd:
            return &all_.rows[i]
    return NULL


cdef Command* rename_find(Kv* kv, const char* p, size_t n) noexcept nogil:
    cdef Renames* all_ = renames_of(kv)
    cdef Command* cmd
    cdef int i
    for i in range(all_.n if all_ != NULL else 0):
        if all_.rows[i].name != NULL and same(all_.rows[i].name, all_.rows[i].n, p, n):
            return all_.rows[i].cmd
    cmd = command_find(p, n)
    return cmd if cmd != NULL and rename_of(kv, cmd) == NULL else NULL


cdef Command* rename_find_full(Kv* kv, const char* p, size_t n) noexcept nogil:
    cdef const char* bar = <const char*>memchr(p, b"|", n) if n else NULL
    cdef Command* cmd = rename_find(kv, p, n if bar == NULL else <size_t>(bar - p))
    if bar == NULL or cmd == NULL or not cmd.flags & CMD_CONTAINER:
        return cmd if bar == NULL else NULL
    return command_sub(cmd, bar + 1, n - <size_t>(bar - p) - 1)


cdef Command* rename_find_words(Kv* kv, Arg* argv, int argc) noexcept nogil:
    cdef Command* cmd = rename_find(kv, argv[0].p, argv[0].n)
    if cmd == NULL or cmd.n_subs == 0 or argc == 1:
        return cmd
    return command_sub(cmd, argv[1].p, argv[1].n)


cdef bint rename_hides(Kv* kv, Command* cmd) noexcept nogil:
    cdef Rename* row = rename_of(kv, cmd if cmd.parent == NULL else cmd.parent)
    return row != NULL and row.name == NULL


cdef const char* rename_add(Kv* kv, const char* old, size_t old_n, const char* new_, size_t new_n) noexcept nogil:
    cdef Command* cmd = rename_find(kv, old, old_n)
    cdef Command* taken = rename_find(kv, new_, new_n)
    cdef Renames* all_ = renames_of(kv)
    cdef Rename* rows
    cdef Rename* row
    cdef char* name = NULL
    if cmd == NULL:
        return b"No such command in rename-command"
    if taken != NULL and taken != cmd:
        return b"Target command name already exists"
    if all_ == NULL:
        all_ = <Renames*>malloc(sizeof(Renames))
        if all_ == NULL:
            return b"out of memory"
        all_.rows = NULL
        all_.n = 0
        config_of(kv).renames = all_
    row = rename_of(kv, cmd)
    if row == NULL:
        rows = <Rename*>realloc(all_.rows, (all_.n + 1) * sizeof(Rename))
        if rows == NULL:
            return b"out of memory"
        all_.rows = rows
    if new_n:
        name = <char*>malloc(new_n)
        if name == NULL:
            return b"out of memory"
        memcpy(name, new_, new_n)
    if row == NULL:
        row = &all_.rows[all_.n]
        row.cmd = cmd
        all_.n += 1
    else:
        free(row.name)
    row.name = name
    row.n = new_n
    return NULL


cdef void renames_delete(Kv* kv) noexcept nogil:
    cdef Renames* all_
    cdef int i
    if kv.settings == NULL or renames_of(kv) == NULL:
        return
    all_ = renames_of(kv)
    for i in range(all_.n):
        free(all_.rows[i].name)
    free(all_.rows)
    free(all_)
    config_of(kv).renames = NULL
