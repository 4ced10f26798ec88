# Stores and os.fork.

from libkv.engine.types cimport Session

cdef bint store_forking() noexcept          # between the hooks of a fork: this thread holds every store's lock
cdef void fork_park(Session* s) noexcept    # between them: a session that was dropped is freed when they are over
