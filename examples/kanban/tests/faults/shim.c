/* Lets a call on certain files fail: the control file $FAULTS says which, and is told how many there were. Of those files the directory
 * $DURABLE, if there is one, has what a power failure would leave: what had been written when they were synced last.
 *
 * One process alone has it: what it starts is left in peace. All that is about the call's number is done in the control file,
 * which is mapped, so that a test can set it anew and read it while the process runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { READ = 1, WRITE = 2, SYNC = 4, OPEN = 8 };

/* As the test writes it. */
static struct control {
    uint32_t calls;    /* which kinds may fail */
    uint32_t error;    /* with what */
    uint32_t first;    /* the first that fails, from 1 on; 0 for none */
    uint32_t last;     /* the last */
    uint32_t seen;     /* how many there were */
    uint32_t failed;   /* how many of them failed */
    char files[4072];  /* parts of paths, each ended by a zero; an empty one ends them */
} *control;

static int is_ours(const char *path) {
    const char *part;
    for (part = control->files; *part; part += strlen(part) + 1)
        if (strstr(path, part)) return 1;
    return 0;
}

/* Whether this call is to fail; errno is set then. */
static int fails(uint32_t call, const char *path) {
    uint32_t number;
    if (!control || !(control->calls & call) || !is_ours(path)) return 0;
    number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST);
    if (!control->first || number < control->first || number > control->last) return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    errno = (int)control->error;
    return 1;
}

/* Where a descriptor leads; whether it is known. */
static int path_of(int fd, char path[PATH_MAX]) {
    char link[32] = "/proc/self/fd/";
    char digits[12], *at = digits + sizeof digits;
    long length;
    int saved = errno;
    unsigned left = (unsigned)fd;
    *--at = 0;
    do *--at = (char)('0' + left % 10);
    while (left /= 10);
    strcat(link, at);
    length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    errno = saved;
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int fd_fails(uint32_t call, int fd) {
    char path[PATH_MAX];
    if (!control || !(control->calls & call) || !path_of(fd, path)) return 0;
    return fails(call, path);
}

static const char *durable;

/* Copies a file as it is now; whether all of it. */
static int copy(int from, const char *path) {
    static _Thread_local char bytes[1 << 16];
    long size, at = 0;
    int to = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to < 0) return 0;
    while ((size = syscall(SYS_pread64, from, bytes, sizeof bytes, at)) > 0) {
        if (syscall(SYS_pwrite64, to, bytes, size, at) != size) break;
        at += size;
    }
    syscall(SYS_close, to);
    return size == 0;
}

/* What is written while it syncs may or may not be on the disk then: only what was there before is kept. */
static int sync_and_keep(long call, int fd) {
    char path[PATH_MAX], next[PATH_MAX], kept[PATH_MAX];
    int is_copied = 0, result;
    if (fd_fails(SYNC, fd)) return -1;
    if (control && durable && path_of(fd, path) && is_ours(path)) {
        const char *name = strrchr(path, '/');
        snprintf(next, sizeof next, "%s%s.next", durable, name ? name : "/file");
        snprintf(kept, sizeof kept, "%s%s", durable, name ? name : "/file");
        is_copied = copy(fd, next);
    }
    result = (int)syscall(call, fd);
    if (!result && is_copied) rename(next, kept);
    return result;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS");
    long file = path ? syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
    unsetenv("LD_PRELOAD");
    durable = getenv("DURABLE");
    if (durable) durable = strdup(durable);
    unsetenv("FAULTS");
    unsetenv("DURABLE");
    if (file < 0) return;
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
    if (control == MAP_FAILED) control = NULL;
    syscall(SYS_close, file);
}

ssize_t read(int fd, void *to, size_t size) {
    return fd_fails(READ, fd) ? -1 : syscall(SYS_read, fd, to, size);
}

ssize_t pread64(int fd, void *to, size_t size, off64_t at) {
    return fd_fails(READ, fd) ? -1 : syscall(SYS_pread64, fd, to, size, at);
}

ssize_t pread(int fd, void *to, size_t size, off_t at) {
    return pread64(fd, to, size, at);
}

ssize_t write(int fd, const void *from, size_t size) {
    return fd_fails(WRITE, fd) ? -1 : syscall(SYS_write, fd, from, size);
}

ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) {
    return fd_fails(WRITE, fd) ? -1 : syscall(SYS_pwrite64, fd, from, size, at);
}

ssize_t pwrite(int fd, const void *from, size_t size, off_t at) {
    return pwrite64(fd, from, size, at);
}

int fsync(int fd) {
    return sync_and_keep(SYS_fsync, fd);
}

int fdatasync(int fd) {
    return sync_and_keep(SYS_fdatasync, fd);
}

static int open_at(int dir, const char *path, int flags, unsigned mode) {
    return fails(OPEN, path) ? -1 : (int)syscall(SYS_openat, dir, path, flags, mode);
}

#define OPEN_AS(name, before, dir) \
    int name(before const char *path, int flags, ...) { \
        unsigned mode = 0; \
        if (flags & (O_CREAT | O_TMPFILE)) { \
            va_list more; \
            va_start(more, flags); \
            mode = va_arg(more, unsigned); \
            va_end(more); \
        } \
        return open_at(dir, path, flags, mode); \
    }
#define COMMA ,
OPEN_AS(open, , AT_FDCWD)
OPEN_AS(open64, , AT_FDCWD)
OPEN_AS(openat, int at COMMA, at)
OPEN_AS(openat64, int at COMMA, at)
