"""The parts of the kernel's interface that the host uses, as glibc and the kernel's headers declare them."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    struct timespec:
        time_t tv_sec
        long tv_nsec
    int clock_gettime(int, timespec*)
    int CLOCK_MONOTONIC
    int CLOCK_REALTIME

cdef extern from "<sys/timerfd.h>" nogil:
    struct itimerspec:
        timespec it_interval
        timespec it_value
    int timerfd_create(int, int)
    int timerfd_settime(int, int, const itimerspec*, itimerspec*)
    int TFD_TIMER_ABSTIME, TFD_NONBLOCK, TFD_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int, int)
    int EFD_NONBLOCK, EFD_CLOEXEC

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        uint64_t u64
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int)
    int epoll_ctl(int, int, int, epoll_event*)
    int epoll_wait(int, epoll_event*, int, int)
    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLLIN

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int, void*, size_t)
    ssize_t write(int, const void*, size_t)
    int close(int)
    int pipe2(int*, int)
    int fork()
    int setsid()
    int getpid()
    void _exit(int)
    long syscall(long, ...)

cdef extern from "<fcntl.h>" nogil:
    int O_CLOEXEC, O_NONBLOCK

cdef extern from "<sys/syscall.h>" nogil:
    long SYS_pidfd_open, SYS_close_range

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd*, unsigned long, int)
    int POLLIN

cdef extern from "<sys/wait.h>" nogil:
    int waitpid(int, int*, int)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigset_t:
        pass
    int sigfillset(sigset_t*)
    int pthread_sigmask(int, const sigset_t*, sigset_t*)
    int SIG_SETMASK, SIG_BLOCK

cdef extern from "<sys/prctl.h>" nogil:
    int prctl(int, ...)
    int PR_SET_NAME

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void*, size_t, int, int, int, long)
    int munmap(void*, size_t)
    int mlockall(int)
    void* MAP_FAILED
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_ANONYMOUS, MCL_CURRENT, MCL_FUTURE

cdef extern from "<sched.h>" nogil:
    struct sched_param:
        int sched_priority
    int sched_setscheduler(int, int, const sched_param*)
    int SCHED_RR

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_mutexattr_t:
        pass
    int pthread_mutexattr_init(pthread_mutexattr_t*)
    int pthread_mutexattr_setprotocol(pthread_mutexattr_t*, int)
    int PTHREAD_PRIO_INHERIT
    int pthread_mutex_init(pthread_mutex_t*, const pthread_mutexattr_t*)
    int pthread_mutex_lock(pthread_mutex_t*)
    int pthread_mutex_unlock(pthread_mutex_t*)
    int pthread_mutex_destroy(pthread_mutex_t*)

cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN, EINTR, ENOBUFS, EADDRNOTAVAIL, ENODEV, ESRCH, ENOENT, EEXIST, EADDRINUSE

cdef extern from "<sys/socket.h>" nogil:
    ctypedef unsigned int socklen_t
    struct sockaddr:
        pass
    struct iovec:
        void* iov_base
        size_t iov_len
    struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    struct cmsghdr:
        size_t cmsg_len
        int cmsg_level
        int cmsg_type
    cmsghdr* CMSG_FIRSTHDR(msghdr*)
    cmsghdr* CMSG_NXTHDR(msghdr*, cmsghdr*)
    unsigned char* CMSG_DATA(cmsghdr*)
    size_t CMSG_LEN(size_t)
    size_t CMSG_SPACE(size_t)
    int socket(int, int, int)
    int bind(int, const sockaddr*, socklen_t)
    int setsockopt(int, int, int, const void*, socklen_t)
    int getsockname(int, sockaddr*, socklen_t*)
    ssize_t send(int, const void*, size_t, int)
    ssize_t recv(int, void*, size_t, int)
    ssize_t sendto(int, const void*, size_t, int, const sockaddr*, socklen_t)
    ssize_t recvmsg(int, msghdr*, int)
    ssize_t sendmsg(int, const msghdr*, int)
    int AF_INET, AF_INET6, AF_PACKET, AF_NETLINK, SOCK_RAW, SOCK_DGRAM, SOCK_CLOEXEC, SOCK_NONBLOCK
    ssize_t recvfrom(int, void*, size_t, int, sockaddr*, socklen_t*)
    int SO_ATTACH_FILTER
    int SOL_SOCKET, SO_BINDTOIFINDEX, SO_RCVBUFFORCE, SO_SNDBUFFORCE, SO_RCVTIMEO, SO_PRIORITY
    int MSG_DONTWAIT, MSG_TRUNC

cdef extern from "<netinet/in.h>" nogil:
    struct in_addr:
        uint32_t s_addr
    struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    struct in6_addr:
        uint8_t s6_addr[16]
    struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        uint32_t sin6_flowinfo
        in6_addr sin6_addr
        uint32_t sin6_scope_id
    struct in6_pktinfo:
        in6_addr ipi6_addr
        unsigned int ipi6_ifindex
    struct ip_mreqn:
        in_addr imr_multiaddr
        in_addr imr_address
        int imr_ifindex
    struct ipv6_mreq:
        in6_addr ipv6mr_multiaddr
        unsigned int ipv6mr_interface
    int IPPROTO_IP, IPPROTO_IPV6
    int IP_TTL, IP_RECVTTL, IPV6_V6ONLY
    int IP_HDRINCL, IP_MULTICAST_IF, IP_MULTICAST_LOOP, IP_ADD_MEMBERSHIP
    int IPV6_MULTICAST_IF, IPV6_MULTICAST_LOOP, IPV6_MULTICAST_HOPS, IPV6_UNICAST_HOPS, IPV6_JOIN_GROUP
    int IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_HOPLIMIT, IPV6_TCLASS
    uint16_t htons(uint16_t)

cdef extern from "<linux/if_packet.h>" nogil:
    struct sockaddr_ll:
        unsigned short sll_family
        unsigned short sll_protocol
        int sll_ifindex
        unsigned char sll_halen
        unsigned char sll_addr[8]

cdef extern from "<linux/filter.h>" nogil:
    struct sock_filter:
        uint16_t code
        uint8_t jt
        uint8_t jf
        uint32_t k
    struct sock_fprog:
        unsigned short len
        sock_filter* filter
    int BPF_LD, BPF_B, BPF_ABS, BPF_JMP, BPF_JEQ, BPF_K, BPF_RET

cdef extern from "<sys/time.h>" nogil:
    struct timeval:
        long tv_sec
        long tv_usec

cdef extern from "<linux/netlink.h>" nogil:
    struct nlmsghdr:
        uint32_t nlmsg_len
        uint16_t nlmsg_type
        uint16_t nlmsg_flags
        uint32_t nlmsg_seq
        uint32_t nlmsg_pid
    struct sockaddr_nl:
        unsigned short nl_family
        uint32_t nl_pid
        uint32_t nl_groups
    struct nlmsgerr:
        int error
        nlmsghdr msg
    int NETLINK_ROUTE
    int NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE, NLM_F_REPLACE, NLM_F_DUMP, NLM_F_DUMP_INTR
    int NLMSG_ERROR, NLMSG_DONE

cdef extern from "<linux/rtnetlink.h>" nogil:
    struct rtattr:
        unsigned short rta_len
        unsigned short rta_type
    struct ifinfomsg:
        unsigned char ifi_family
        int ifi_index
        unsigned int ifi_flags
    int RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR, RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK
    int RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR

cdef extern from "<linux/if_addr.h>" nogil:
    struct ifaddrmsg:
        uint8_t ifa_family
        uint8_t ifa_prefixlen
        uint8_t ifa_flags
        uint8_t ifa_scope
        uint32_t ifa_index
    struct ifa_cacheinfo:
        uint32_t ifa_prefered
        uint32_t ifa_valid
        uint32_t cstamp
        uint32_t tstamp
    int IFA_ADDRESS, IFA_LOCAL, IFA_LABEL, IFA_BROADCAST, IFA_CACHEINFO, IFA_FLAGS
    int IFA_F_NODAD, IFA_F_TENTATIVE, IFA_F_DADFAILED

cdef extern from "<linux/if_link.h>" nogil:
    int IFLA_IFNAME, IFLA_ADDRESS, IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_VRF_TABLE

cdef extern from "<net/if.h>" nogil:
    int IFF_UP, IFF_RUNNING, IFF_NOARP, IFF_LOOPBACK
