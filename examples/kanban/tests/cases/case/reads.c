/* Spoils what the process reads from the file $SPOIL_FILE: one read while $SPOIL_DIR/once is there, each one while .../always is. */
#define _GNU_SOURCE
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* No header of a file, and no frame's header of a log: pages. */
#define PAGE_MIN 512

static char file[PATH_MAX], once[PATH_MAX], always[PATH_MAX];

/* The process alone, not those that it starts. */
__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("SPOIL_FILE"), *dir = getenv("SPOIL_DIR");
    if (name && dir) {
        snprintf(file, sizeof file, "%s", name);
        snprintf(once, sizeof once, "%s/once", dir);
        snprintf(always, sizeof always, "%s/always", dir);
    }
    unsetenv("LD_PRELOAD");
}

static ssize_t spoil(int fd, void *bytes, ssize_t length) {
    char link[64], path[PATH_MAX];
    if (length < PAGE_MIN || !file[0]) return length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long end = syscall(SYS_readlinkat, -100, link, path, sizeof path - 1);
    path[end > 0 ? end : 0] = 0;
    if (strcmp(path, file)) return length;
    /* Whoever takes it away is the one. */
    if (!unlink(once) || !access(always, F_OK)) memset(bytes, 0xa5, length);
    return length;
}

ssize_t read(int fd, void *bytes, size_t length) {
    return spoil(fd, bytes, syscall(SYS_read, fd, bytes, length));
}

ssize_t pread(int fd, void *bytes, size_t length, off_t at) {
    return spoil(fd, bytes, syscall(SYS_pread64, fd, bytes, length, at));
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t at) {
    return spoil(fd, bytes, syscall(SYS_pread64, fd, bytes, length, at));
}
