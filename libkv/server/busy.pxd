# What a server does for its other clients while one client's script takes long.

from libkv.server.clients cimport Server

cdef void busy_serve(Server* s) noexcept nogil          # a server begins: scripts of its store may call it; takes the lock
cdef void busy_leave(Server* s) noexcept nogil          # ... and ends; lock held
