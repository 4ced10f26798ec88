# Words of a line, with quotes as a shell's and escapes as C's: of inline commands and of scripts' first lines.

from libkv.structures.buffer cimport Buffer

cdef enum:
    WORDS_END = 0
    WORDS_WORD = 1
    WORDS_UNBALANCED = -1       # a quote that does not end, or does not end its word

cdef int words_next(const char** p, const char* end, Buffer* out) noexcept nogil
    # The next word from p[0] (which moves behind it), without quotes, added to out; a NUL ends the line.
