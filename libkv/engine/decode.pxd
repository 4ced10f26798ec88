# Reply bytes to Python objects.

cdef object decode_reply(const char* p, const char* end, const char** after)
    # bulk and simple strings -> bytes, int, None, list (of a RESP3 set too), dict, float, bool; an error -> an exception instance
