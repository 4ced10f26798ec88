/* Preloaded into a server: while the file that SLOW_DISK names is there, writes to files that are appended to, fsyncs and
 * renames take 40 ms longer. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void slowly(void) {
    const char *path = getenv("SLOW_DISK");
    if (path && access(path, F_OK) == 0) usleep(40000);
}

ssize_t write(int fd, const void *p, size_t n) {
    static ssize_t (*real)(int, const void *, size_t);
    struct stat s;
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (fd > 2 && fcntl(fd, F_GETFL) & O_APPEND && fstat(fd, &s) == 0 && S_ISREG(s.st_mode)) slowly();
    return real(fd, p, n);
}

int fsync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    slowly();
    return real(fd);
}

int fdatasync(int fd) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    slowly();
    return real(fd);
}

int rename(const char *from, const char *to) {
    static int (*real)(const char *, const char *);
    if (!real) real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    slowly();
    return real(from, to);
}
