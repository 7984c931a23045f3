/* map.c - read-only file mappings, and the guard that turns "the file shrank" into one line.
 *
 * Touching a page behind the end of a truncated file raises SIGBUS. Nothing can be unwound from there, so the guard
 * (installed by the command only) writes one line, removes unfinished outputs and leaves with exit code 3. The
 * handler reads a fixed table of atomics and uses nothing that is not async-signal-safe. SIGBUS from anywhere else
 * gets its default effect. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SLOTS = 1024 };
static const int64_t READ_AHEAD = (int64_t)1 << 30; /* larger files are read as they are touched */

struct ln__map {
    _Atomic int64_t refs;
    const unsigned char *data;
    size_t bytes;
    char *path;
    int slot; /* in the guard's table; -1: it was full */
};

static struct {
    _Atomic(const ln__map *) map;
    _Atomic uintptr_t begin, end;
} guarded[SLOTS];

static int guard(const ln__map *m)
{
    for (int i = 0; i < SLOTS; i++) {
        const ln__map *none = NULL;
        if (!atomic_compare_exchange_strong(&guarded[i].map, &none, m))
            continue;
        atomic_store(&guarded[i].begin, (uintptr_t)m->data);
        atomic_store(&guarded[i].end, (uintptr_t)m->data + m->bytes);
        return i;
    }
    return -1;
}

static void unguard(int slot)
{
    if (slot < 0)
        return;
    atomic_store(&guarded[slot].begin, 0);
    atomic_store(&guarded[slot].end, 0);
    atomic_store(&guarded[slot].map, NULL);
}

/* Size of a file that can be mapped. */
static ln_status mappable(size_t *bytes, int fd, const char *path)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return ln__fail_os(path, "open", errno);
    if (S_ISDIR(s.st_mode))
        return ln__fail(LN_ERR_FORMAT, "%s: is a directory, expected a file", path);
    if (!S_ISREG(s.st_mode))
        return ln__fail(LN_ERR_FORMAT, "%s: is a pipe or device, expected a file that can be mapped", path);
    if ((uint64_t)s.st_size > (uint64_t)PTRDIFF_MAX)
        return ln__fail(LN_ERR_FORMAT, "%s: is too large to be mapped", path);
    *bytes = (size_t)s.st_size;
    return LN_OK;
}

ln_status ln__map_open(ln__map **out, const char *path)
{
    static const unsigned char nothing[1];
    ln_status st = LN_OK;
    ln__map *m = NULL;
    int fd = -1;

    if (!path || !*path)
        LN_FAIL(LN_ERR_ARG, "a file name must not be empty");
    LN_TRY(LN_NEW0(&m, 1));
    m->slot = -1;
    m->data = nothing;
    atomic_init(&m->refs, 1);
    LN_TRY(ln__strdup(&m->path, path));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not make us wait before it is refused */
    if (fd < 0) {
        st = ln__fail_os(path, "open", errno);
        goto done;
    }
    size_t bytes = 0;
    LN_TRY(mappable(&bytes, fd, path));
    if (bytes > 0) {
        void *p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED) {
            st = ln__fail_os(path, "map the file", errno);
            goto done;
        }
        m->data = p;
        m->bytes = bytes;
        m->slot = guard(m);
        if ((int64_t)bytes <= READ_AHEAD)
            madvise(p, bytes, MADV_WILLNEED);
    }
    *out = m;
    m = NULL;
done:
    if (fd >= 0)
        close(fd);
    ln__map_release(m);
    return st;
}

const unsigned char *ln__map_data(const ln__map *m)
{
    return m->data;
}

size_t ln__map_bytes(const ln__map *m)
{
    return m->bytes;
}

const char *ln__map_path(const ln__map *m)
{
    return m->path;
}

ln__map *ln__map_retain(const ln__map *m)
{
    ln__map *shared = (ln__map *)(uintptr_t)m;
    if (shared)
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void ln__map_release(ln__map *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    unguard(m->slot);
    if (m->bytes > 0)
        munmap((void *)(uintptr_t)m->data, m->bytes);
    ln__free(m->path);
    ln__free(m);
}

static void say(const char *text)
{
    size_t n = strlen(text);
    while (n > 0) {
        const ssize_t put = write(STDERR_FILENO, text, n);
        if (put <= 0)
            return;
        text += put;
        n -= (size_t)put;
    }
}

static void on_bus_error(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    const uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; info->si_code == BUS_ADRERR && i < SLOTS; i++) {
        const ln__map *m = atomic_load(&guarded[i].map);
        if (!m || at < atomic_load(&guarded[i].begin) || at >= atomic_load(&guarded[i].end))
            continue;
        say("linnet: ");
        say(m->path);
        say(": the file shrank while it was mapped (another program changed it)\n");
        ln__out_remove_all();
        _exit(3);
    }
    const struct sigaction standard = { .sa_handler = SIG_DFL };
    sigaction(signal_number, &standard, NULL);
    raise(signal_number); /* stays pending until this handler returns */
}

void ln__map_guard_install(void)
{
    struct sigaction act = { .sa_flags = SA_SIGINFO };
    act.sa_sigaction = on_bus_error;
    sigemptyset(&act.sa_mask);
    sigaction(SIGBUS, &act, NULL);
}
