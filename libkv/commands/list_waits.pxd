# What commands that wait for keys share, whatever the keys hold.

from libkv.engine.types cimport Arg, Ctx, Reply

# Takes what is to be had from one key and replies it (or an error); False: there is nothing, nothing is replied.
ctypedef bint (*take_fn)(Ctx* c, Arg* key, void* how, Reply* r) noexcept nogil

cdef int take_or_wait(Ctx* c, Arg* argv, int argc, Arg* keys, int n_keys, Arg* timeout, int type, take_fn take, void* how,
                      Reply* r) noexcept nogil
    # From the first of the keys that has something, or from the one that is ready; else the session waits.
