# The socket of a connection that has just come in: addresses as text, options, a refusal.

cdef bint peer_print_address(const void* address, char* out, size_t room) noexcept nogil
    # of a sockaddr of IPv4 or IPv6: "ip:port" or "[ip]:port"; True when it is a loopback address
cdef void peer_print_own(int fd, char* out, size_t room) noexcept nogil     # the same of our end
cdef void peer_set_options(int fd, int keepalive) noexcept nogil
    # TCP_NODELAY; keepalive > 0: probes after so many seconds, then three a third of it apart
cdef void peer_say(int fd, const char* text) noexcept nogil     # as much as the socket takes at once
