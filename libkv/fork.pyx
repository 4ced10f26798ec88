"""What os.fork does to stores.

A memory store goes on in the child as a private copy; one that is served or durable belongs to the parent, and raises
StoreForked in the child.
"""

import os

from libkv.disk.files cimport files_default
from libkv.engine.lock cimport lock_give, lock_take, lock_try
from libkv.engine.session cimport session_free
from libkv.engine.types cimport Session as CSession
from libkv.lifetime cimport StoreLifetime, stores
from libkv.persistence.durable cimport (
    JOURNAL_OFF, SAVES_BY_COMMAND, Durable, durable_attach, durable_forget, durable_of, durable_set_libraries,
)
from libkv.scripting.libraries cimport libraries_each, libraries_load
from libkv.waiting cimport wait_forked, wait_main_forked, waker_close

cdef list held = []
cdef bint forking = False       # between the hooks: nobody may wait for a lock that this thread holds
cdef CSession* parked = NULL    # sessions dropped meanwhile, linked by `transport`


cdef bint store_forking() noexcept:
    return forking


cdef void fork_park(CSession* s) noexcept:
    global parked
    waker_close(s)                      # we hold the lock
    s.transport = parked
    parked = s


def before_fork():
    """Takes every store's lock, so that the child gets whole structures.

    All or none, tried with the GIL kept: a thread that waits for the GIL while it holds a lock, and one that waits for
    that lock while it holds the GIL, would wait for ever."""
    global forking
    cdef StoreLifetime store
    while True:
        for store in list(stores):
            if store.closed or store.kv == NULL:
                continue
            if lock_try(store.kv):
                held.append(store)
                continue
            give_held()
            store.users += 1            # it is not freed while we wait for it
            with nogil:
                lock_take(store.kv)
                lock_give(store.kv)
            store.leave()
            break
        else:
            forking = True
            return


cdef void give_held() noexcept:
    cdef StoreLifetime store
    while held:
        store = held.pop()
        lock_give(store.kv)


cdef void free_parked() noexcept:
    global forking, parked
    cdef CSession* s
    forking = False
    while parked != NULL:
        s = parked
        parked = <CSession*>s.transport
        session_free(s)


def after_fork_in_parent():
    give_held()
    free_parked()


def after_fork_in_child():
    cdef StoreLifetime store
    cdef Durable* d
    cdef bint durable
    wait_main_forked()
    for store in held:
        store.users = 0                 # the other threads, and their calls, are not here
        wait_forked(store.kv)
        d = durable_of(store.kv)
        durable = d != NULL and (d.state != JOURNAL_OFF or d.save_mode != SAVES_BY_COMMAND)
        durable_forget(store.kv)
        if not durable and not store.servers:
            if durable_attach(store.kv, files_default()) == 0:
                durable_set_libraries(store.kv, libraries_each, libraries_load, NULL)
        if store.servers or durable:
            store.forked = True
            store.servers.clear()
    give_held()
    free_parked()


os.register_at_fork(before=before_fork, after_in_parent=after_fork_in_parent, after_in_child=after_fork_in_child)
