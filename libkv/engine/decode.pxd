# Reply bytes to Python objects.

cdef object decode_reply(const char* p, const char* end, const char** after)
    # bulk and simple strings -> bytes, int, None, list, dict, set, float, bool; an error -> an exception instance
