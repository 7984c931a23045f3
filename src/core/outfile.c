/* outfile.c - files that appear whole or not at all.
 *
 * Bytes go to PATH.tmp-XXXXXX beside the target; commit makes them durable (fsync of file and directory) and renames.
 * A symbolic link keeps pointing: the file behind it is replaced. Devices and pipes (/dev/stdout) are written
 * directly, since renaming onto them would replace them. Open temporaries are listed in a fixed table of atomics, so
 * that a signal handler can remove them; each slot holds the process that owns it, because a forked child must not
 * remove its parent's. */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/progress.h"

enum { SLOTS = 64, BUFFER = 1 << 16, TRIES = 100 };

struct ln__out {
    char *path;   /* as the caller said it, for messages */
    char *target; /* with links followed */
    char *temp;   /* NULL: written directly */
    int fd;
    int slot;
    int64_t length; /* of the file, buffered bytes included */
    size_t fill;    /* bytes in buffer, which belong at length - fill */
    bool committed;
    char buffer[BUFFER];
};

static struct {
    _Atomic pid_t owner; /* 0: free; -1: being filled in */
    char path[PATH_MAX];
} temporaries[SLOTS];

int ln__out_list(const char *path)
{
    if (strlen(path) >= PATH_MAX)
        return -1;
    for (int i = 0; i < SLOTS; i++) {
        pid_t nobody = 0;
        if (!atomic_compare_exchange_strong(&temporaries[i].owner, &nobody, -1))
            continue;
        memcpy(temporaries[i].path, path, strlen(path) + 1);
        atomic_store(&temporaries[i].owner, getpid());
        return i;
    }
    return -1;
}

void ln__out_unlist(int slot)
{
    if (slot >= 0)
        atomic_store(&temporaries[slot].owner, 0);
}

void ln__out_remove_all(void)
{
    const int err = errno;
    for (int i = 0; i < SLOTS; i++)
        if (atomic_load(&temporaries[i].owner) == getpid())
            unlink(temporaries[i].path);
    for (int i = 0; i < SLOTS; i++) /* a directory listed beside its files is empty by now */
        if (atomic_load(&temporaries[i].owner) == getpid())
            rmdir(temporaries[i].path);
    errno = err;
}

/* Letters for a temporary name. Not secret, only unlikely to meet another's; O_EXCL decides. */
static void make_suffix(char suffix[7])
{
    static _Atomic uint64_t serial;
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x = (uint64_t)t.tv_nsec * 0x9E3779B97F4A7C15u + (uint64_t)getpid() * 0xD1342543DE82EF95u +
                 atomic_fetch_add(&serial, 1) * 0x2545F4914F6CDD1Du;
    x ^= x >> 29;
    for (int i = 0; i < 6; i++, x /= 36)
        suffix[i] = letters[x % 36];
    suffix[6] = '\0';
}

static ln_status create_temporary(ln__out *o)
{
    for (int i = 0; i < TRIES; i++) {
        char suffix[7];
        make_suffix(suffix);
        ln__free(o->temp);
        o->temp = NULL;
        const ln_status st = ln__sprintf(&o->temp, "%s.tmp-%s", o->target, suffix);
        if (st != LN_OK)
            return st;
        o->fd = open(o->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (o->fd >= 0) {
            o->slot = ln__out_list(o->temp);
            return LN_OK;
        }
        if (errno != EEXIST)
            break;
    }
    const int err = errno;
    ln__free(o->temp);
    o->temp = NULL;
    return ln__fail(err == ENOMEM ? LN_ERR_NOMEM : LN_ERR_IO, "%s: cannot create the file: %s", o->path,
                    ln__errno_text(err));
}

/* Decides between a temporary and writing directly, and follows a link. */
static ln_status open_target(ln__out *o)
{
    struct stat s;
    if (stat(o->path, &s) != 0)
        return create_temporary(o);
    if (S_ISDIR(s.st_mode))
        return ln__fail(LN_ERR_EXISTS, "%s: is a directory, expected a file to write", o->path);
    if (!S_ISREG(s.st_mode)) {
        o->fd = open(o->path, O_WRONLY | O_CLOEXEC);
        return o->fd >= 0 ? LN_OK
                          : ln__fail(LN_ERR_IO, "%s: cannot open for writing: %s", o->path, ln__errno_text(errno));
    }
    char real[PATH_MAX];
    if (realpath(o->path, real)) {
        ln__free(o->target);
        o->target = NULL;
        const ln_status made = ln__strdup(&o->target, real);
        if (made != LN_OK)
            return made;
    }
    const ln_status st = create_temporary(o);
    if (st == LN_OK && fchmod(o->fd, s.st_mode & 0777) != 0) /* keep the old file's permissions */
        return ln__fail_os(o->path, "set the permissions", errno);
    return st;
}

ln_status ln__out_open(ln__out **out, const char *path)
{
    ln_status st = LN_OK;
    ln__out *o = NULL;
    if (!path || !*path)
        LN_FAIL(LN_ERR_ARG, "the name of an output file must not be empty");
    LN_TRY(LN_NEW(&o, 1));
    memset(o, 0, offsetof(ln__out, buffer));
    o->fd = -1;
    o->slot = -1;
    LN_TRY(ln__strdup(&o->path, path));
    LN_TRY(ln__strdup(&o->target, path));
    LN_TRY(open_target(o));
    *out = o;
    o = NULL;
done:
    ln__out_free(o);
    return st;
}

static ln_status fail_write(const ln__out *o, size_t wanted, int err)
{
    char had[32], more[32];
    if (err == ENOSPC || err == EDQUOT || err == EFBIG)
        return ln__fail(LN_ERR_IO, "%s: %s after %s (%s more were to be written)", o->path, ln__errno_text(err),
                        ln__human_bytes(had, sizeof had, (double)(o->length - (int64_t)o->fill)),
                        ln__human_bytes(more, sizeof more, (double)wanted));
    return ln__fail(LN_ERR_IO, "%s: cannot write: %s", o->path, ln__errno_text(err));
}

/* pwrite for temporaries, write for pipes. */
static ln_status put(ln__out *o, int64_t offset, const char *data, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t n = o->temp ? pwrite(o->fd, data, bytes, (off_t)offset) : write(o->fd, data, bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_write(o, bytes, errno);
        data += n;
        offset += n;
        bytes -= (size_t)n;
    }
    return LN_OK;
}

static ln_status flush(ln__out *o)
{
    const ln_status st = put(o, o->length - (int64_t)o->fill, o->buffer, o->fill);
    if (st == LN_OK)
        o->fill = 0;
    return st;
}

static ln_status check_open(const ln__out *o, int64_t offset, size_t bytes)
{
    if (o->committed || o->fd < 0)
        return ln__fail(LN_ERR_ARG, "%s: written to after it was finished", o->path);
    if (offset < 0 || bytes > (size_t)(INT64_MAX - offset))
        return ln__fail(LN_ERR_ARG, "%s: %zu bytes at %lld are outside any file", o->path, bytes, (long long)offset);
    return LN_OK;
}

ln_status ln__out_write(ln__out *o, const void *data, size_t bytes)
{
    ln_status st = check_open(o, o->length, bytes);
    if (st == LN_OK && bytes > BUFFER - o->fill)
        st = flush(o);
    if (st != LN_OK || bytes == 0)
        return st;
    if (bytes >= BUFFER) {
        st = put(o, o->length, data, bytes);
    } else {
        memcpy(o->buffer + o->fill, data, bytes);
        o->fill += bytes;
    }
    if (st == LN_OK)
        o->length += (int64_t)bytes;
    return st;
}

ln_status ln__out_write_at(ln__out *o, int64_t offset, const void *data, size_t bytes)
{
    ln_status st = check_open(o, offset, bytes);
    if (st == LN_OK && !o->temp)
        st = ln__fail(LN_ERR_IO, "%s: a pipe or device cannot be written out of order", o->path);
    if (st == LN_OK)
        st = flush(o);
    if (st == LN_OK)
        st = put(o, offset, data, bytes);
    if (st == LN_OK)
        o->length = LN_MAX(o->length, offset + (int64_t)bytes);
    return st;
}

int64_t ln__out_bytes(const ln__out *o)
{
    return o->length;
}

/* A rename is durable once the directory is. Some file systems cannot sync directories; the rename stands anyway. */
static void sync_directory(const char *target)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(target, '/');
    if (slash && (size_t)(slash - target) < sizeof dir) {
        const size_t n = slash == target ? 1 : (size_t)(slash - target);
        memcpy(dir, target, n);
        dir[n] = '\0';
    } else {
        memcpy(dir, ".", 2);
    }
    const int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static ln_status close_file(ln__out *o)
{
    const int fd = o->fd;
    o->fd = -1;
    return close(fd) == 0 || errno == EINTR ? LN_OK : fail_write(o, 0, errno);
}

ln_status ln__out_commit(ln__out *o)
{
    ln_status st = LN_OK;
    LN_TRY(check_open(o, 0, 0));
    LN_TRY(flush(o));
    if (!o->temp) {
        LN_TRY(close_file(o));
        o->committed = true;
        return LN_OK;
    }
    if (fsync(o->fd) != 0) {
        st = fail_write(o, 0, errno);
        goto done;
    }
    LN_TRY(close_file(o));
    if (rename(o->temp, o->target) != 0) {
        st = ln__fail(LN_ERR_IO, "%s: cannot put the finished file in place: %s", o->path, ln__errno_text(errno));
        goto done;
    }
    ln__out_unlist(o->slot);
    o->slot = -1;
    o->committed = true;
    sync_directory(o->target);
done:
    return st;
}

void ln__out_free(ln__out *o)
{
    if (!o)
        return;
    if (o->fd >= 0)
        close(o->fd);
    if (o->temp && !o->committed)
        unlink(o->temp);
    ln__out_unlist(o->slot);
    ln__free(o->temp);
    ln__free(o->target);
    ln__free(o->path);
    ln__free(o);
}

ln_status ln__file_write(const char *path, const void *data, size_t bytes)
{
    ln_status st = LN_OK;
    ln__out *o = NULL;
    LN_TRY(ln__out_open(&o, path));
    LN_TRY(ln__out_write(o, data, bytes));
    LN_TRY(ln__out_commit(o));
done:
    ln__out_free(o);
    return st;
}
