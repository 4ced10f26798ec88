"""Users in files (contract: acl_file.pxd).

The form of the file and the words for what is wrong in it are redis-server 7.0.15's.  Deviation: a parenthesis that is
never closed is an error, where 7.0.15 crashes.
"""

from libc.stdio cimport snprintf
from libc.string cimport memcmp, strerror, strlen

from libkv.disk.files cimport files_exchange, files_join, files_load
from libkv.engine.acl cimport acl_all_channels, acl_insert, acl_of, acl_replace, acl_default_new, acl_unmatched
from libkv.engine.acl_describe cimport acl_describe
from libkv.engine.acl_rules cimport (
    RULE_OK, RULE_UNKNOWN, acl_has_spaces, acl_rule_error, acl_user_free, acl_user_new, acl_user_rule,
)
from libkv.engine.config cimport config_id, config_value
from libkv.engine.durability cimport durability_files
from libkv.engine.types cimport Arg
from libkv.structures.buffer cimport buffer_add, buffer_free, buffer_init

cdef extern from "<unistd.h>" nogil:
    int getpid()

cdef enum:
    PATH_ROOM = 4096

cdef int ACLFILE = config_id(b"aclfile")
cdef int DIR = config_id(b"dir")
cdef const char* UNCHANGED = b"WARNING: ACL errors detected, no change to the previously active ACL rules was performed"


cdef bint acl_file_named(Kv* kv) noexcept nogil:
    return config_value(kv, ACLFILE).n > 0


cdef int file_path(Kv* kv, char* path) noexcept nogil:
    """The file's name as it is opened: relative ones are the store's directory's."""
    return files_join(path, PATH_ROOM, config_value(kv, DIR).p, config_value(kv, ACLFILE).p)


cdef void tell(Buffer* out, const char* text) noexcept nogil:
    buffer_add(out, text, strlen(text))


# ---- loading

cdef struct Loading:
    Kv* kv
    AclUser* users
    Buffer* errors
    Buffer words                # of the line in work: an array of Arg
    int line


cdef void tell_place(Loading* l, const char* after) noexcept nogil:
    cdef char text[32]
    tell(l.errors, config_value(l.kv, ACLFILE).p)
    snprintf(text, sizeof(text), b":%d", l.line)
    tell(l.errors, text)
    tell(l.errors, after)


cdef int split(Loading* l, const char* p, size_t n) noexcept nogil:
    """The words between single spaces: how many."""
    cdef size_t start = 0
    cdef size_t i
    cdef Arg word
    l.words.n = 0
    word.hash = 0
    word.hashed = False
    for i in range(n + 1):
        if i == n or p[i] == 32:
            word.p = p + start
            word.n = i - start
            start = i + 1
            buffer_add(&l.words, <char*>&word, sizeof(Arg))
    return <int>(l.words.n // sizeof(Arg))


cdef AclUser* find_in(AclUser* u, Arg* name) noexcept nogil:
    while u != NULL and (u.name_n != name.n or memcmp(u.name, name.p, name.n) != 0):
        u = u.next
    return u


cdef void load_rule(Loading* l, AclUser* u, const char* p, size_t n, bint* told) noexcept nogil:
    """Unknown commands are told one by one, anything else once a line."""
    cdef int code = acl_user_rule(l.kv.heap, u, p, n, acl_all_channels(l.kv))
    if code == RULE_UNKNOWN:
        tell_place(l, b": Error in applying operation '")
        buffer_add(l.errors, p, n)
        tell(l.errors, b"': ")
    elif code == RULE_OK or told[0]:
        return
    else:
        told[0] = True
        tell_place(l, b": ")
    tell(l.errors, acl_rule_error(code))
    tell(l.errors, b". ")


cdef void load_rules(Loading* l, AclUser* u, Arg* words, int n) noexcept nogil:
    cdef bint told = False
    cdef int open = -1
    cdef int i
    if acl_unmatched(words, n) >= 0:
        tell_place(l, b": Unmatched parenthesis in selector definition. ")
        return
    for i in range(n):
        if words[i].n == 0 and open < 0:
            continue
        if open < 0 and words[i].p[0] == c"(":
            open = i
        if open >= 0:
            if words[i].n and words[i].p[words[i].n - 1] == c")":
                # the words lie in one line, a space between each
                load_rule(l, u, words[open].p, words[i].p + words[i].n - words[open].p, &told)
                open = -1
            continue
        load_rule(l, u, words[i].p, words[i].n, &told)


cdef void load_line(Loading* l, const char* p, size_t n) noexcept nogil:
    cdef Arg* words
    cdef AclUser* u
    cdef int count
    cdef char text[64]
    while n and (p[0] == 32 or p[0] == 9 or p[0] == 13):
        p += 1
        n -= 1
    while n and (p[n - 1] == 32 or p[n - 1] == 9 or p[n - 1] == 13):
        n -= 1
    if n == 0:
        return
    count = split(l, p, n)
    words = <Arg*>l.words.p
    if l.words.failed:
        tell(l.errors, b"out of memory. ")
        return
    if count < 2 or words[0].n != 4 or memcmp(words[0].p, b"user", 4) != 0:
        tell_place(l, b" should start with user keyword followed by the username. ")
        return
    if acl_has_spaces(words[1].p, words[1].n):
        tell_place(l, b": username '")
        buffer_add(l.errors, words[1].p, words[1].n)
        tell(l.errors, b"' contains invalid characters. ")
        return
    if find_in(l.users, &words[1]) != NULL:
        tell(l.errors, b"WARNING: Duplicate user '")
        buffer_add(l.errors, words[1].p, words[1].n)
        snprintf(text, sizeof(text), b"' found on line %d. ", l.line)
        tell(l.errors, text)
        return
    u = acl_user_new(l.kv.heap, words[1].p, words[1].n, acl_all_channels(l.kv))
    if u == NULL:
        tell(l.errors, b"out of memory. ")
        return
    acl_insert(&l.users, u)
    load_rules(l, u, words + 2, count - 2)


cdef void load_text(Loading* l, const char* p, size_t n) noexcept nogil:
    cdef size_t start = 0
    cdef size_t i
    for i in range(n + 1):
        if i == n or p[i] == 10:
            l.line += 1
            load_line(l, p + start, i - start)
            start = i + 1


cdef bint acl_file_load(Kv* kv, Session* by, Buffer* errors) noexcept nogil:
    cdef Loading l
    cdef Buffer text
    cdef char path[PATH_ROOM]
    cdef AclUser* u
    cdef int error
    buffer_init(&text)
    error = file_path(kv, path)
    if error == 0:
        error = files_load(durability_files(kv), path, &text)
    if error:
        tell(errors, b"Error loading ACLs, opening file '")
        tell(errors, config_value(kv, ACLFILE).p)
        tell(errors, b"': ")
        tell(errors, strerror(-error))
        buffer_free(&text)
        return False
    l.kv = kv
    l.users = NULL
    l.errors = errors
    l.line = 0
    buffer_init(&l.words)
    load_text(&l, text.p, text.n)
    buffer_free(&text)
    buffer_free(&l.words)
    if errors.n == 0 and not errors.failed:
        u = acl_default_new(kv)
        if u != NULL:
            named_default(&l, u)
            acl_replace(kv, l.users, by)
            return True
        tell(errors, b"out of memory. ")
    while l.users != NULL:
        u = l.users
        l.users = u.next
        acl_user_free(kv.heap, u)
    tell(errors, UNCHANGED)
    return False


cdef void named_default(Loading* l, AclUser* standard) noexcept nogil:
    """A file that does not name the user default leaves it without limits."""
    cdef Arg name
    name.p = standard.name
    name.n = standard.name_n
    if find_in(l.users, &name) == NULL:
        acl_insert(&l.users, standard)
    else:
        acl_user_free(l.kv.heap, standard)


# ---- saving

cdef bint acl_file_save(Kv* kv, Buffer* errors) noexcept nogil:
    cdef AclUser* u = acl_of(kv).users
    cdef Buffer text
    cdef char path[PATH_ROOM]
    cdef char temporary[PATH_ROOM + 64]
    cdef bint done = False
    buffer_init(&text)
    while u != NULL:
        tell(&text, b"user ")
        buffer_add(&text, u.name, u.name_n)
        tell(&text, b" ")
        acl_describe(u, &text)
        tell(&text, b"\n")
        u = u.next
    if not text.failed and file_path(kv, path) == 0:
        snprintf(temporary, sizeof(temporary), b"%s.tmp-%d", path, getpid())
        done = files_exchange(durability_files(kv), path, temporary, text.p, text.n, NULL) == 0
    buffer_free(&text)
    if not done:
        tell(errors, b"There was an error trying to save the ACLs. Please check the server logs for more information")
    return done
