"""The pubsub group: SUBSCRIBE and its relatives, PUBLISH, SPUBLISH, PUBSUB.

Follows the command pages of Redis 7.0, checked against redis-server 7.0.15.  Without a cluster a shard channel is a channel
of a second kind.  PUBSUB HELP is in our own words.
"""

from libc.stdint cimport int64_t

from libkv.engine.args cimport glob_match
from libkv.engine.call cimport propagate, propagating
from libkv.engine.pubsub cimport (
    CHANNEL_KEY_AT, PUBSUB_CHANNEL, PUBSUB_PATTERN, PUBSUB_SHARD, Channel, Subscriptions, pubsub_add, pubsub_count,
    pubsub_listeners, pubsub_name, pubsub_publish, pubsub_remove,
)
from libkv.engine.push cimport Push, push_own
from libkv.engine.registry cimport registry_bind
from libkv.engine.reply cimport (
    reply_array, reply_bulk, reply_cstring, reply_error, reply_errorf, reply_help, reply_int, reply_later,
    reply_later_array, reply_nil, reply_oom, reply_push,
)
from libkv.engine.types cimport CALL_DONE, S_DENY_BLOCKING, S_MULTI, Arg, Ctx, Reply, Session
from libkv.structures.prefixed cimport prefixed_read
from libkv.structures.table cimport Table, TableIter, table_iter, table_next

cdef const char* SUBSCRIBED[3]
SUBSCRIBED[0] = b"subscribe"
SUBSCRIBED[1] = b"psubscribe"
SUBSCRIBED[2] = b"ssubscribe"

cdef const char* UNSUBSCRIBED[3]
UNSUBSCRIBED[0] = b"unsubscribe"
UNSUBSCRIBED[1] = b"punsubscribe"
UNSUBSCRIBED[2] = b"sunsubscribe"


# ---- subscribing

cdef int64_t told_count(Session* s, int kind) noexcept nogil:
    """What a confirmation counts: channels and patterns together, shard channels for themselves."""
    if kind == PUBSUB_SHARD:
        return pubsub_count(s, PUBSUB_SHARD)
    return <int64_t>pubsub_count(s, PUBSUB_CHANNEL) + pubsub_count(s, PUBSUB_PATTERN)


cdef Reply confirmations(Ctx* c, Reply* r) noexcept nogil:
    """Each channel is confirmed by a push of its own."""
    cdef Reply own = r[0]
    own.out = push_own(c, r)
    return own


cdef int subscribe(Ctx* c, Arg* argv, int argc, Reply* r, int kind) noexcept nogil:
    cdef Reply own = confirmations(c, r)
    cdef int i
    for i in range(1, argc):
        if pubsub_add(c.session, kind, &argv[i]) < 0:
            reply_oom(r)
            return CALL_DONE
        reply_push(&own, 3)
        reply_cstring(&own, SUBSCRIBED[kind])
        reply_bulk(&own, argv[i].p, argv[i].n)
        reply_int(&own, told_count(c.session, kind))
    return CALL_DONE


cdef bint denied(Ctx* c) noexcept nogil:
    """Who may not wait may not subscribe either; in a transaction Redis lets it pass, for compatibility."""
    return c.session.flags & S_DENY_BLOCKING != 0 and not c.session.flags & S_MULTI


cdef int cmd_subscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if denied(c):
        reply_error(r, b"ERR SUBSCRIBE isn't allowed for a DENY BLOCKING client")
        return CALL_DONE
    return subscribe(c, argv, argc, r, PUBSUB_CHANNEL)


cdef int cmd_psubscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if denied(c):
        reply_error(r, b"ERR PSUBSCRIBE isn't allowed for a DENY BLOCKING client")
        return CALL_DONE
    return subscribe(c, argv, argc, r, PUBSUB_PATTERN)


cdef int cmd_ssubscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    if c.session.flags & S_DENY_BLOCKING:
        reply_error(r, b"ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client")
        return CALL_DONE
    return subscribe(c, argv, argc, r, PUBSUB_SHARD)


cdef void unsubscribe_one(Ctx* c, int kind, Arg* name, Reply* own) noexcept nogil:
    """The name may lie in the subscription: it is written before that goes."""
    reply_push(own, 3)
    reply_cstring(own, UNSUBSCRIBED[kind])
    reply_bulk(own, name.p, name.n)
    pubsub_remove(c.session, kind, name)
    reply_int(own, told_count(c.session, kind))


cdef int unsubscribe(Ctx* c, Arg* argv, int argc, Reply* r, int kind) noexcept nogil:
    cdef Reply own = confirmations(c, r)
    cdef Arg name
    cdef int i
    for i in range(1, argc):
        unsubscribe_one(c, kind, &argv[i], &own)
    if argc > 1:
        return CALL_DONE
    if pubsub_count(c.session, kind) == 0:
        reply_push(&own, 3)
        reply_cstring(&own, UNSUBSCRIBED[kind])
        reply_nil(&own)
        reply_int(&own, told_count(c.session, kind))
    while pubsub_count(c.session, kind):
        name.p = pubsub_name((<Subscriptions*>c.session.subscriptions).first[kind], &name.n)
        name.hashed = False
        unsubscribe_one(c, kind, &name, &own)
    return CALL_DONE


cdef int cmd_unsubscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return unsubscribe(c, argv, argc, r, PUBSUB_CHANNEL)


cdef int cmd_punsubscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return unsubscribe(c, argv, argc, r, PUBSUB_PATTERN)


cdef int cmd_sunsubscribe(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return unsubscribe(c, argv, argc, r, PUBSUB_SHARD)


# ---- publishing

cdef int publish(Ctx* c, Arg* argv, int argc, Reply* r, bint shard) noexcept nogil:
    cdef int64_t told = pubsub_publish(c.kv, argv[1].p, argv[1].n, argv[2].p, argv[2].n, shard)
    if c.kv.replication != NULL and propagating(c):
        propagate(c, c.db, argc, argv)  # replicas have subscribers too; a journal would have nothing of it
    reply_int(r, told)
    return CALL_DONE


cdef int cmd_publish(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return publish(c, argv, argc, r, False)


cdef int cmd_spublish(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return publish(c, argv, argc, r, True)


# ---- PUBSUB

cdef int list_channels(Ctx* c, Arg* argv, int argc, Reply* r, int kind) noexcept nogil:
    cdef Table* channels = &(<Push*>c.kv.pubsub).channels[kind]
    cdef size_t mark
    cdef int64_t n = 0
    cdef TableIter it
    cdef Channel* ch
    cdef const char* name
    cdef size_t name_n
    if argc > 3:
        reply_errorf(r, b"ERR unknown subcommand or wrong number of arguments for '%.*s'. Try PUBSUB HELP.", argv[1].p,
                     argv[1].n)
        return CALL_DONE
    mark = reply_later(r)
    table_iter(&it, channels)
    while True:
        ch = <Channel*>table_next(&it)
        if ch == NULL:
            break
        name = prefixed_read(<const char*>ch + CHANNEL_KEY_AT, &name_n)
        if argc == 3 and not glob_match(argv[2].p, argv[2].n, name, name_n, False):
            continue
        reply_bulk(r, name, name_n)
        n += 1
    reply_later_array(r, mark, n)
    return CALL_DONE


cdef int count_listeners(Ctx* c, Arg* argv, int argc, Reply* r, int kind) noexcept nogil:
    cdef int i
    reply_array(r, (argc - 2) * 2)
    for i in range(2, argc):
        reply_bulk(r, argv[i].p, argv[i].n)
        reply_int(r, pubsub_listeners(c.kv, kind, &argv[i]))
    return CALL_DONE


cdef int cmd_pubsub_channels(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_channels(c, argv, argc, r, PUBSUB_CHANNEL)


cdef int cmd_pubsub_shardchannels(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return list_channels(c, argv, argc, r, PUBSUB_SHARD)


cdef int cmd_pubsub_numsub(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return count_listeners(c, argv, argc, r, PUBSUB_CHANNEL)


cdef int cmd_pubsub_shardnumsub(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    return count_listeners(c, argv, argc, r, PUBSUB_SHARD)


cdef int cmd_pubsub_numpat(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_int(r, <int64_t>(<Push*>c.kv.pubsub).channels[PUBSUB_PATTERN].used)
    return CALL_DONE


cdef const char* PUBSUB_HELP[11]
PUBSUB_HELP[0] = b"CHANNELS [<pattern>]"
PUBSUB_HELP[1] = b"    The channels that somebody listens to, all or those that match."
PUBSUB_HELP[2] = b"NUMPAT"
PUBSUB_HELP[3] = b"    How many patterns somebody listens to."
PUBSUB_HELP[4] = b"NUMSUB [<channel> ...]"
PUBSUB_HELP[5] = b"    How many listen to each of these channels, patterns not counted."
PUBSUB_HELP[6] = b"SHARDCHANNELS [<pattern>]"
PUBSUB_HELP[7] = b"    The shard channels that somebody listens to, all or those that match."
PUBSUB_HELP[8] = b"SHARDNUMSUB [<shardchannel> ...]"
PUBSUB_HELP[9] = b"    How many listen to each of these shard channels."
PUBSUB_HELP[10] = NULL


cdef int cmd_pubsub_help(Ctx* c, Arg* argv, int argc, Reply* r) noexcept nogil:
    reply_help(r, b"PUBSUB", PUBSUB_HELP)
    return CALL_DONE


registry_bind("subscribe", cmd_subscribe)
registry_bind("psubscribe", cmd_psubscribe)
registry_bind("ssubscribe", cmd_ssubscribe)
registry_bind("unsubscribe", cmd_unsubscribe)
registry_bind("punsubscribe", cmd_punsubscribe)
registry_bind("sunsubscribe", cmd_sunsubscribe)
registry_bind("publish", cmd_publish)
registry_bind("spublish", cmd_spublish)
registry_bind("pubsub|channels", cmd_pubsub_channels)
registry_bind("pubsub|shardchannels", cmd_pubsub_shardchannels)
registry_bind("pubsub|numsub", cmd_pubsub_numsub)
registry_bind("pubsub|shardnumsub", cmd_pubsub_shardnumsub)
registry_bind("pubsub|numpat", cmd_pubsub_numpat)
registry_bind("pubsub|help", cmd_pubsub_help)
