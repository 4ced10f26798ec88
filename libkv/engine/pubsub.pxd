# Channels, patterns and shard channels (https://redis.io/docs/latest/develop/interact/pubsub/).
#
#   Push.channels[kind]: name -> Channel -> listeners: an array of (session, its Subscription)
#   session.subscriptions -> Subscriptions: a table a kind, name -> Subscription (its place in the channel's array), and
#                            a list a kind in the order of subscribing
#
# So subscribing, unsubscribing and a session's end cost O(1) a subscription, and a message walks an array.  Everything
# here is under the store's lock, and in its heap.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from libkv.engine.types cimport Arg, Ctx, Db, Kv, Session
from libkv.structures.buffer cimport Buffer
from libkv.structures.table cimport Table

cdef enum:
    PUBSUB_CHANNEL = 0
    PUBSUB_PATTERN = 1
    PUBSUB_SHARD = 2
    CHANNEL_KEY_AT = 16
    SUBSCRIPTION_KEY_AT = 32

cdef struct Listener:
    Session* session
    Subscription* own

cdef struct Channel:            # an item of Push.channels[kind]; the length-prefixed name follows at CHANNEL_KEY_AT
    Listener* listeners
    uint32_t n
    uint32_t cap

cdef struct Subscription:       # an item of Subscriptions.names[kind]; the name follows at SUBSCRIPTION_KEY_AT
    Channel* channel
    Subscription* after         # in the order of subscribing
    Subscription* before
    uint32_t at                 # its place in channel.listeners

cdef struct Subscriptions:      # session.subscriptions; NULL: none
    Table names[3]
    Subscription* first[3]
    Subscription* last[3]

cdef int pubsub_add(Session* s, int kind, Arg* name) noexcept nogil     # 1: new; 0: it listens already; -1: no memory
cdef bint pubsub_remove(Session* s, int kind, Arg* name) noexcept nogil         # False: it does not listen there
cdef void pubsub_clear(Session* s) noexcept nogil                       # all subscriptions of a session, untold
cdef uint32_t pubsub_count(Session* s, int kind) noexcept nogil         # of one kind
cdef const char* pubsub_name(Subscription* own, size_t* n) noexcept nogil
cdef uint32_t pubsub_listeners(Kv* kv, int kind, Arg* name) noexcept nogil      # of a channel

cdef int64_t pubsub_publish(Kv* kv, const char* channel, size_t channel_n, const char* message, size_t message_n,
                            bint shard) noexcept nogil
    # to the channel's listeners and those of matching patterns (a shard channel has no patterns); how many got it
cdef void pubsub_notify(Kv* kv, Db* db, Arg* key, int event_class, const char* event) noexcept nogil
    # a keyspace notification, when notify-keyspace-events has the class
cdef int pubsub_begin(Kv* kv) noexcept nogil            # follows the setting notify-keyspace-events; 0 or -1
cdef int pubsub_check(Kv* kv) noexcept nogil            # 0, or the number of what is broken
