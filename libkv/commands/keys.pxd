# What the generic group shares with DEBUG.

from libkv.engine.entry cimport Entry

cdef const char* encoding_name(Entry* e) noexcept nogil     # what OBJECT ENCODING answers
