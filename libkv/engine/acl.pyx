"""Who may do what (contract: acl.pxd).

Follows the ACL of Redis 7.0.15: the order of the checks, their words, and whose sessions end when users change.
"""

from libc.stdint cimport uint32_t, uint8_t
from libc.string cimport memcmp, memcpy, memset, strlen

from libkv.engine.acl_log cimport acl_log_add, acl_log_free
from libkv.engine.acl_rules cimport (
    ACL_HEX, CHANNELS_FIRST, CHANNELS_NONE, CHANNELS_PATTERNS, PATTERN_READ, PATTERN_WRITE, RULE_OK,
    RULE_OOM, SELECTOR_ALL_CHANNELS, SELECTOR_ALL_COMMANDS, SELECTOR_ALL_KEYS, USER_NOPASS, USER_ON, AclFirst,
    AclPassword, AclPattern, AclSelector, acl_bit, acl_first_text, acl_pattern_text, acl_row, acl_row_of, acl_user_copy,
    acl_user_free, acl_user_new, acl_user_rule, acl_user_swap,
)
from libkv.engine.args cimport glob_match
from libkv.engine.pubsub cimport PUBSUB_PATTERN, SUBSCRIPTION_KEY_AT, Subscription, Subscriptions
from libkv.engine.config cimport Value, config_hook_add, config_id, config_value
from libkv.engine.registry cimport (
    CMD_KEY_ACCESS, CMD_KEY_DELETE, CMD_KEY_INSERT, CMD_KEY_UPDATE, CMD_NO_AUTH, command_by_id, command_keys,
    command_of, registry_count,
)
from libkv.engine.reply cimport reply_error, reply_errorf
from libkv.engine.types cimport HOOK_LIMITED, S_CLOSE_AFTER, S_CLOSE_ASAP, S_EMBEDDED, S_SCRIPT
from libkv.structures.alloc cimport heap_alloc, heap_free
from libkv.structures.buffer cimport buffer_add
from libkv.structures.prefixed cimport prefixed_read
from libkv.structures.sha256 cimport sha256_text

cdef extern from "<strings.h>" nogil:
    int strncasecmp(const char*, const char*, size_t)

cdef enum:
    KEYS_ROOM = 64              # keys of one command that are checked without an allocation

cdef int REQUIREPASS = config_id(b"requirepass")
cdef int PUBSUB_DEFAULT = config_id(b"acl-pubsub-default")


# ---- life

cdef int acl_new(Kv* kv) noexcept nogil:
    cdef Acl* a = <Acl*>heap_alloc(kv.heap, sizeof(Acl))
    cdef int i
    if a == NULL:
        return -1
    memset(a, 0, sizeof(Acl))
    kv.acl = a
    a.row_of = <int16_t*>heap_alloc(kv.heap, sizeof(int16_t) * (registry_count() + 1))
    a.standard = acl_default_new(kv)
    if a.row_of == NULL or a.standard == NULL:
        return -1
    a.users = a.standard
    for i in range(registry_count()):
        a.row_of[i] = <int16_t>acl_row_of(command_by_id(i))
    return config_hook_add(kv, b"requirepass", follow_requirepass, NULL)


cdef void acl_delete(Kv* kv) noexcept nogil:
    cdef Acl* a = acl_of(kv)
    cdef AclUser* u
    if a == NULL:
        return
    acl_log_free(kv)
    while a.users != NULL:
        u = a.users
        a.users = u.next
        acl_user_free(kv.heap, u)
    if a.row_of != NULL:
        heap_free(kv.heap, a.row_of, sizeof(int16_t) * (registry_count() + 1))
    heap_free(kv.heap, a, sizeof(Acl))
    kv.acl = NULL


cdef AclUser* acl_default_new(Kv* kv) noexcept nogil:
    cdef AclUser* u = acl_user_new(kv.heap, b"default", 7, False)
    cdef const char* rules[5]
    cdef int i
    rules[:] = [b"on", b"nopass", b"~*", b"&*", b"+@all"]
    if u == NULL:
        return NULL
    for i in range(5):
        acl_user_rule(kv.heap, u, rules[i], strlen(rules[i]), False)
    return u


cdef bint acl_all_channels(Kv* kv) noexcept nogil:
    return config_value(kv, PUBSUB_DEFAULT).n == 11     # allchannels, not resetchannels


cdef void follow_default(Kv* kv) noexcept nogil:
    """Whether a client has to say AUTH depends on the user default."""
    cdef AclUser* u = acl_of(kv).standard
    kv.settings.has_password = u.flags & (USER_ON | USER_NOPASS) != USER_ON | USER_NOPASS


cdef const char* follow_requirepass(Kv* kv, void* owner, int directive) noexcept nogil:
    """requirepass has changed: it is the only password of the user default then."""
    cdef Acl* a = acl_of(kv)
    cdef Value* v = config_value(kv, REQUIREPASS)
    cdef AclUser* twin
    cdef char hex[64]
    cdef char rule[65]
    cdef int code
    sha256_text(v.p, v.n, hex)
    if a.has_secret == (v.n > 0) and (v.n == 0 or memcmp(hex, a.secret, ACL_HEX) == 0):
        follow_default(kv)
        return NULL
    twin = acl_user_copy(kv.heap, a.standard)
    if twin == NULL:
        return b"out of memory"
    acl_user_rule(kv.heap, twin, b"resetpass", 9, False)
    rule[0] = c"#"
    memcpy(rule + 1, hex, ACL_HEX)
    code = acl_user_rule(kv.heap, twin, rule, 65, False) if v.n else acl_user_rule(kv.heap, twin, b"nopass", 6, False)
    if code == RULE_OK:
        acl_user_swap(a.standard, twin)
        memcpy(a.secret, hex, ACL_HEX)
        a.has_secret = v.n > 0
        follow_default(kv)
    acl_user_free(kv.heap, twin)
    if code != RULE_OK:
        return b"out of memory"
    return NULL


# ---- users

cdef int name_order(AclUser* u, const char* name, size_t n) noexcept nogil:
    cdef int order = memcmp(u.name, name, min(u.name_n, n))
    return order if order else <int>(u.name_n > n) - <int>(u.name_n < n)


cdef AclUser* acl_find(Kv* kv, const char* name, size_t n) noexcept nogil:
    cdef AclUser* u = acl_of(kv).users
    while u != NULL and (u.name_n != n or memcmp(u.name, name, n) != 0):
        u = u.next
    return u


cdef void acl_insert(AclUser** list, AclUser* u) noexcept nogil:
    while list[0] != NULL and name_order(list[0], u.name, u.name_n) < 0:
        list = &list[0].next
    u.next = list[0]
    list[0] = u


cdef int acl_unmatched(Arg* words, int n) noexcept nogil:
    cdef int open = -1
    cdef int i
    for i in range(n):
        if words[i].n == 0:
            continue
        if open < 0 and words[i].p[0] == c"(" and words[i].p[words[i].n - 1] != c")":
            open = i
        elif open >= 0 and words[i].p[words[i].n - 1] == c")":
            open = -1
    return open


cdef int acl_apply(Heap* h, AclUser* u, Arg* words, int n, bint all_channels, Buffer* rule) noexcept nogil:
    cdef int code = RULE_OK
    cdef bint open = False
    cdef int i
    for i in range(n):
        if open:
            buffer_add(rule, b" ", 1)
        else:
            rule.n = 0
        buffer_add(rule, words[i].p, words[i].n)
        if words[i].n:
            open = (open or words[i].p[0] == c"(") and words[i].p[words[i].n - 1] != c")"
        if open:
            continue
        code = <int>RULE_OOM if rule.failed else acl_user_rule(h, u, rule.p, rule.n, all_channels)
        if code != RULE_OK:
            break
    return code


cdef bint acl_put(Kv* kv, const char* name, size_t n, Arg* words, int count, Session* by, int* code, Buffer* rule) noexcept nogil:
    cdef AclUser* present = acl_find(kv, name, n)
    cdef AclUser* fresh
    cdef bint all_channels = acl_all_channels(kv)
    fresh = acl_user_copy(kv.heap, present) if present != NULL else acl_user_new(kv.heap, name, n, all_channels)
    code[0] = <int>RULE_OOM if fresh == NULL else acl_apply(kv.heap, fresh, words, count, all_channels, rule)
    if code[0] != RULE_OK:
        if fresh != NULL:
            acl_user_free(kv.heap, fresh)
        return False
    if present == NULL:
        acl_insert(&acl_of(kv).users, fresh)
        return True
    end_deaf_sessions(kv, present, fresh, by)
    acl_user_swap(present, fresh)
    acl_user_free(kv.heap, fresh)
    follow_default(kv)
    return True


cdef bint acl_remove(Kv* kv, const char* name, size_t n, Session* by) noexcept nogil:
    cdef AclUser** at = &acl_of(kv).users
    cdef AclUser* u
    while at[0] != NULL and (at[0].name_n != n or memcmp(at[0].name, name, n) != 0):
        at = &at[0].next
    u = at[0]
    if u == NULL:
        return False
    at[0] = u.next
    end_sessions(kv, u, by)
    acl_user_free(kv.heap, u)
    return True


cdef void acl_replace(Kv* kv, AclUser* users, Session* by) noexcept nogil:
    cdef Acl* a = acl_of(kv)
    cdef AclUser* old = a.users
    cdef AclUser* u
    a.users = NULL
    while users != NULL:
        u = users
        users = u.next
        if u.name_n == 7 and memcmp(u.name, b"default", 7) == 0:
            end_deaf_sessions(kv, a.standard, u, by)
            acl_user_swap(a.standard, u)        # sessions point to it
            acl_user_free(kv.heap, u)
        else:
            acl_insert(&a.users, u)
    while old != NULL:
        u = old
        old = u.next
        if u == a.standard:
            continue
        end_sessions(kv, u, by)
        acl_user_free(kv.heap, u)
    acl_insert(&a.users, a.standard)
    follow_default(kv)


# ---- sessions

cdef void end_session(Session* s, Session* by) noexcept nogil:
    """`by`: whose command it is that ends the sessions; its reply is still sent."""
    s.flags |= S_CLOSE_AFTER if s == by else S_CLOSE_ASAP
    if s != by and s.kick != NULL:
        s.kick(s)


cdef void end_sessions(Kv* kv, AclUser* u, Session* by) noexcept nogil:
    """A user goes: its sessions too, and until they are gone they are nobody in particular."""
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.user == u:
            s.user = acl_of(kv).standard
            s.authenticated = False
            end_session(s, by)
        s = s.next


cdef void end_deaf_sessions(Kv* kv, AclUser* now, AclUser* then, Session* by) noexcept nogil:
    """Subscribers to channels that the user will not be allowed any more are disconnected."""
    cdef Session* s = kv.sessions
    while s != NULL:
        if s.user == now and s.n_channels + s.n_patterns + s.n_shard_channels and not hears_all(s, then):
            end_session(s, by)
        s = s.next


cdef bint user_allows_channel(AclUser* u, const char* name, size_t n, bint is_pattern) noexcept nogil:
    cdef AclSelector* s = &u.root
    while s != NULL and not allows_channel(s, name, n, is_pattern):
        s = s.next
    return s != NULL


cdef bint hears_all(Session* s, AclUser* u) noexcept nogil:
    """Whether a user may hear everything that the session has subscribed to."""
    cdef Subscriptions* all_of_them = <Subscriptions*>s.subscriptions
    cdef Subscription* own
    cdef const char* name
    cdef size_t n
    cdef int kind
    if all_of_them == NULL:
        return True
    for kind in range(3):
        own = all_of_them.first[kind]
        while own != NULL:
            name = prefixed_read(<const char*>own + SUBSCRIPTION_KEY_AT, &n)
            if not user_allows_channel(u, name, n, kind == PUBSUB_PATTERN):
                return False
            own = own.after
    return True


cdef void acl_session_begin(Session* s) noexcept nogil:
    if s.flags & S_EMBEDDED:
        s.user = NULL
        s.authenticated = True
    else:
        acl_session_reset(s)


cdef void acl_session_reset(Session* s) noexcept nogil:
    s.user = acl_of(s.kv).standard
    s.authenticated = not s.kv.settings.has_password
    if s.flags & S_EMBEDDED:
        s.kv.hooks |= HOOK_LIMITED


cdef bint same_hex(const char* a, const char* b) noexcept nogil:
    """In a time that depends on nothing."""
    cdef uint8_t differ = 0
    cdef int i
    for i in range(ACL_HEX):
        differ |= <uint8_t>a[i] ^ <uint8_t>b[i]
    return differ == 0


cdef bint acl_authenticate(Session* s, const char* name, size_t n, Arg* password) noexcept nogil:
    cdef AclUser* u = acl_find(s.kv, name, n)
    cdef AclPassword* p
    cdef char hex[64]
    cdef bint right = False
    if u == NULL or not u.flags & USER_ON:
        return False
    if not u.flags & USER_NOPASS:
        sha256_text(password.p, password.n, hex)
        p = u.passwords
        while p != NULL:
            right |= same_hex(hex, p.hex)
            p = p.next
        if not right:
            return False
    s.user = u
    s.authenticated = True
    if s.flags & S_EMBEDDED:
        s.kv.hooks |= HOOK_LIMITED
    return True


# ---- checks

cdef struct Keys:               # where a command's keys are, found once for all selectors
    int n                       # -1: not looked for yet
    int* at
    uint32_t* flags
    int room
    int own_at[64]
    uint32_t own_flags[64]


cdef bint keys_find(Kv* kv, Keys* k, Command* cmd, Arg* argv, int argc) noexcept nogil:
    """False: no memory."""
    k.at = k.own_at
    k.flags = k.own_flags
    k.room = KEYS_ROOM
    k.n = command_keys(cmd, argv, argc, k.at, k.flags, k.room)
    if k.n > k.room:
        k.room = k.n
        k.at = <int*>heap_alloc(kv.heap, sizeof(int) * k.n)
        k.flags = <uint32_t*>heap_alloc(kv.heap, sizeof(uint32_t) * k.n)
        if k.at == NULL or k.flags == NULL:
            return False
        command_keys(cmd, argv, argc, k.at, k.flags, k.room)
    if k.n < 0:
        k.n = 0                 # the command itself will say what is wrong
    return True


cdef void keys_free(Kv* kv, Keys* k) noexcept nogil:
    if k.n < 0 or k.room == KEYS_ROOM:
        return
    if k.at != NULL:
        heap_free(kv.heap, k.at, sizeof(int) * k.room)
    if k.flags != NULL:
        heap_free(kv.heap, k.flags, sizeof(uint32_t) * k.room)


cdef inline bint matches(AclPattern* p, const char* text, size_t n) noexcept nogil:
    return glob_match(acl_pattern_text(p), p.n, text, n, False)


cdef inline uint32_t rights_wanted(uint32_t key_flags) noexcept nogil:
    cdef uint32_t rights = 0
    if key_flags & CMD_KEY_ACCESS:
        rights |= PATTERN_READ
    if key_flags & (CMD_KEY_INSERT | CMD_KEY_DELETE | CMD_KEY_UPDATE):
        rights |= PATTERN_WRITE
    return rights


cdef bint allows_key(AclSelector* s, Arg* key, uint32_t key_flags) noexcept nogil:
    cdef uint32_t rights = rights_wanted(key_flags)
    cdef AclPattern* p = s.keys
    while p != NULL:
        if p.flags & rights == rights and matches(p, key.p, key.n):
            return True
        p = p.next
    return False


cdef bint allows_channel(AclSelector* s, const char* name, size_t n, bint is_pattern) noexcept nogil:
    """A pattern that is subscribed to must be among the patterns as it is written."""
    cdef AclPattern* p = s.channels
    if s.flags & SELECTOR_ALL_CHANNELS:
        return True
    while p != NULL:
        if is_pattern:
            if p.n == n and memcmp(acl_pattern_text(p), name, n) == 0:
                return True
        elif matches(p, name, n):
            return True
        p = p.next
    return False


cdef bint allows_command(AclSelector* s, int row, bint is_sub, Arg* argv, int argc) noexcept nogil:
    cdef AclFirst* f = s.firsts
    cdef int at = 2 if is_sub else 1
    if acl_bit(s, row):
        return True
    while f != NULL:
        if <int>f.row == row and argc > at and argv[at].n == f.n and strncasecmp(argv[at].p, acl_first_text(f), f.n) == 0:
            return True
        f = f.next
    return False


cdef int selector_check(Kv* kv, AclSelector* s, Command* cmd, Arg* argv, int argc, Keys* k, int* at) noexcept nogil:
    cdef int row = acl_of(kv).row_of[cmd.id]
    cdef int channels = acl_row(row).channels
    cdef int i
    at[0] = 0
    if not s.flags & SELECTOR_ALL_COMMANDS and not cmd.flags & CMD_NO_AUTH:
        if not allows_command(s, row, cmd.parent != NULL, argv, argc):
            return ACL_DENIED_COMMAND
    if not s.flags & SELECTOR_ALL_KEYS:
        if k.n < 0 and not keys_find(kv, k, cmd, argv, argc):
            return ACL_DENIED_KEY
        for i in range(k.n):
            if not allows_key(s, &argv[k.at[i]], k.flags[i]):
                at[0] = k.at[i]
                return ACL_DENIED_KEY
    if channels != CHANNELS_NONE and not s.flags & SELECTOR_ALL_CHANNELS:
        for i in range(1, 2 if channels == CHANNELS_FIRST else argc):
            if not allows_channel(s, argv[i].p, argv[i].n, channels == CHANNELS_PATTERNS):
                at[0] = i
                return ACL_DENIED_CHANNEL
    return ACL_OK


cdef int acl_check(Kv* kv, AclUser* u, Command* cmd, Arg* argv, int argc, int* at) noexcept nogil:
    """The first selector that allows it decides; else the denial that came furthest is told."""
    cdef AclSelector* s = &u.root
    cdef Keys k
    cdef int denied = ACL_DENIED_COMMAND
    cdef int answer = ACL_OK
    cdef int place = 0
    at[0] = 0
    if u.unlimited:
        return ACL_OK
    k.n = -1
    k.room = KEYS_ROOM
    while s != NULL:
        answer = selector_check(kv, s, cmd, argv, argc, &k, &place)
        if answer == ACL_OK:
            break
        if answer > denied or (answer == denied and place > at[0]):
            denied = answer
            at[0] = place
        s = s.next
    keys_free(kv, &k)
    return answer if answer == ACL_OK else denied


cdef size_t bytes_of(Arg* argv, int argc) noexcept nogil:
    cdef size_t n = 0
    cdef int i
    for i in range(argc):
        n += argv[i].n
    return n


cdef bint acl_refuse(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = <AclUser*>c.session.user
    cdef int at
    cdef int answer = acl_check(c.kv, u, cmd, argv, argc, &at)
    cdef bint script = c.session.flags & S_SCRIPT != 0
    if answer == ACL_OK:
        return False
    if answer == ACL_DENIED_COMMAND:
        acl_log_add(c.session, answer, cmd.full, cmd.full_n, u.name, u.name_n, bytes_of(argv, argc))
        if script:
            reply_error(r, b"ERR The user executing the script can't run this command or subcommand")
        else:
            reply_errorf(r, b"NOPERM this user has no permissions to run the '%.*s' command", cmd.full, cmd.full_n)
        return True
    acl_log_add(c.session, answer, argv[at].p, argv[at].n, u.name, u.name_n, bytes_of(argv, argc))
    if answer == ACL_DENIED_KEY:
        reply_error(r, b"ERR The user executing the script can't access at least one of the keys mentioned in the "
                       b"command arguments" if script else
                       b"NOPERM this user has no permissions to access one of the keys used as arguments")
    else:
        reply_error(r, b"ERR The user executing the script can't publish to the channel mentioned in the command"
                       if script else
                       b"NOPERM this user has no permissions to access one of the channels used as arguments")
    return True


cdef bint acl_refuse_exec(Ctx* c, Command* cmd, Arg* argv, int argc, Reply* r) noexcept nogil:
    cdef AclUser* u = <AclUser*>c.session.user
    cdef const char* why = b"no permission to touch the specified keys"
    cdef int at
    cdef int answer = acl_check(c.kv, u, cmd, argv, argc, &at)
    if answer == ACL_OK:
        return False
    if answer == ACL_DENIED_COMMAND:
        acl_log_add(c.session, answer, cmd.full, cmd.full_n, u.name, u.name_n, 4)      # EXEC's own
        why = b"no permission to execute the command or subcommand"
    else:
        acl_log_add(c.session, answer, argv[at].p, argv[at].n, u.name, u.name_n, 4)
    if answer == ACL_DENIED_CHANNEL:
        why = b"no permission to access one of the channels used as arguments"
    reply_errorf(r, b"NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                    b"This command is no longer allowed for the following reason: %.*s", why, strlen(why))
    return True


cdef bint acl_reads_all(Session* s, Command* cmd, Arg* argv, int argc) noexcept nogil:
    cdef AclUser* u = <AclUser*>s.user
    cdef AclSelector* selector
    cdef AclPattern* p
    cdef Keys k
    cdef bint found = False
    cdef int at
    if u == NULL or u.unlimited:
        return True
    k.n = -1
    k.room = KEYS_ROOM
    selector = &u.root
    while selector != NULL and not found:
        if selector_check(s.kv, selector, cmd, argv, argc, &k, &at) == ACL_OK:
            found = selector.flags & SELECTOR_ALL_KEYS != 0
            p = selector.keys
            while p != NULL and not found:
                found = p.flags & PATTERN_READ and p.n == 1 and acl_pattern_text(p)[0] == c"*"
                p = p.next
        selector = selector.next
    keys_free(s.kv, &k)
    return found


cdef int acl_check_words(Session* s, Arg* argv, int argc) noexcept nogil:
    cdef Command* cmd = command_of(argv, argc)
    cdef Keys k
    cdef AclSelector* selector
    cdef int at
    cdef int allowed = 0
    if cmd == NULL:
        return -1
    if acl_unlimited(s):
        return 1
    k.room = KEYS_ROOM
    # too few arguments for the command: keys can't be told
    k.n = -1 if (cmd.arity > 0 and argc == cmd.arity) or (cmd.arity < 0 and argc >= -cmd.arity) else 0
    selector = &(<AclUser*>s.user).root
    while selector != NULL and not allowed:
        allowed = selector_check(s.kv, selector, cmd, argv, argc, &k, &at) == ACL_OK
        selector = selector.next
    keys_free(s.kv, &k)
    return allowed
