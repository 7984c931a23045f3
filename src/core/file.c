/* file.c - reading and hashing whole files, directories, and one wording for what the system refuses. */
#include "core/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

enum { CHUNK = 1 << 18 };

const char *ln__errno_text(int err)
{
    const locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    const char *text = c ? strerror_l(err, c) : "unknown error";
    if (c)
        freelocale(c);
    return text;
}

ln_status ln__fail_os(const char *path, const char *what, int err)
{
    const ln_status code = err == ENOENT || err == ENOTDIR ? LN_ERR_NOTFOUND : err == ENOMEM ? LN_ERR_NOMEM : LN_ERR_IO;
    return ln__fail(code, "%s: cannot %s: %s", path, what, ln__errno_text(err));
}

bool ln__file_exists(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0;
}

bool ln__file_is_dir(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

bool ln__file_is_regular(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

ln_status ln__file_size(int64_t *bytes, const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return ln__fail_os(path, "open", errno);
    if (S_ISDIR(s.st_mode))
        return ln__fail(LN_ERR_FORMAT, "%s: is a directory, expected a file", path);
    *bytes = (int64_t)s.st_size;
    return LN_OK;
}

/* Opens for reading; a directory is refused here because open() would accept it. */
static ln_status open_file(int *fd, int64_t *bytes, const char *path)
{
    struct stat s;
    if (!path || !*path)
        return ln__fail(LN_ERR_ARG, "a file name must not be empty");
    const int f = open(path, O_RDONLY | O_CLOEXEC);
    if (f < 0)
        return ln__fail_os(path, "open", errno);
    if (fstat(f, &s) != 0) {
        const int err = errno;
        close(f);
        return ln__fail_os(path, "open", err);
    }
    if (S_ISDIR(s.st_mode)) {
        close(f);
        return ln__fail(LN_ERR_FORMAT, "%s: is a directory, expected a file", path);
    }
    *fd = f;
    *bytes = S_ISREG(s.st_mode) ? (int64_t)s.st_size : 0;
    return LN_OK;
}

/* read() until n bytes or the end; -1 and errno on failure. */
static ssize_t read_some(int fd, void *data, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = read(fd, (char *)data + done, n - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

ln_status ln__file_read(char **data, size_t *bytes, const char *path)
{
    ln_status st = LN_OK;
    int fd = -1;
    int64_t expected = 0;
    char *text = NULL;
    size_t len = 0, cap = 0;

    LN_TRY(open_file(&fd, &expected, path));
    for (;;) { /* one byte more than expected shows the end at once; pipes and growing files go round again */
        const size_t room = len == 0 ? (size_t)expected + 1 : len + CHUNK;
        if ((st = ln__realloc((void **)&text, len + room + 1, 1)) != LN_OK) {
            ln__fail_in(st, "%s", path);
            goto done;
        }
        cap = len + room;
        const ssize_t got = read_some(fd, text + len, room);
        if (got < 0) {
            st = ln__fail_os(path, "read", errno);
            goto done;
        }
        len += (size_t)got;
        if (len < cap)
            break;
    }
    if (len == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: the file is empty", path);
    text[len] = '\0';
    *data = text;
    if (bytes)
        *bytes = len;
    text = NULL;
done:
    if (fd >= 0)
        close(fd);
    ln__free(text);
    return st;
}

static ln_status hash_file(uint64_t *hash, int64_t *bytes, const char *path)
{
    ln_status st = LN_OK;
    int fd = -1;
    int64_t expected = 0, total = 0;
    char *block = NULL;
    XXH64_state_t state;

    LN_TRY(open_file(&fd, &expected, path));
    LN_TRY(LN_NEW(&block, CHUNK));
    XXH64_reset(&state, 0);
    for (;;) {
        const ssize_t got = read_some(fd, block, CHUNK);
        if (got < 0) {
            st = ln__fail_os(path, "read", errno);
            goto done;
        }
        XXH64_update(&state, block, (size_t)got);
        total += got;
        if (got < CHUNK)
            break;
    }
    *hash = XXH64_digest(&state);
    if (bytes)
        *bytes = total;
done:
    if (fd >= 0)
        close(fd);
    ln__free(block);
    return st;
}

static ln_status hash_dir(uint64_t *hash, int64_t *bytes, const char *path)
{
    ln_status st = LN_OK;
    char **names = NULL, *file = NULL;
    int64_t n = 0, total = 0;
    XXH64_state_t state;

    LN_TRY(ln__dir_list(&names, &n, path));
    XXH64_reset(&state, 0);
    for (int64_t i = 0; i < n; i++) {
        uint64_t h;
        int64_t size;
        LN_TRY(ln__path_join(&file, path, names[i]));
        if (ln__file_is_regular(file)) {
            unsigned char le[8];
            LN_TRY(hash_file(&h, &size, file));
            for (int k = 0; k < 8; k++)
                le[k] = (unsigned char)(h >> (8 * k));
            XXH64_update(&state, names[i], strlen(names[i]) + 1);
            XXH64_update(&state, le, sizeof le);
            total += size;
        }
        ln__free(file);
        file = NULL;
    }
    *hash = XXH64_digest(&state);
    if (bytes)
        *bytes = total;
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(file);
    return st;
}

ln_status ln__file_xxh64(uint64_t *hash, int64_t *bytes, const char *path)
{
    return ln__file_is_dir(path) ? hash_dir(hash, bytes, path) : hash_file(hash, bytes, path);
}

ln_status ln__path_join(char **out, const char *dir, const char *name)
{
    const size_t n = strlen(dir);
    if (n == 0)
        return ln__strdup(out, name);
    return ln__sprintf(out, "%s%s%s", dir, dir[n - 1] == '/' ? "" : "/", name);
}

/* mkdir -p. */
static ln_status make_parents(const char *path)
{
    char *copy = NULL;
    ln_status st = ln__strdup(&copy, path);
    if (st != LN_OK)
        return st;
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        const char end = *p;
        *p = '\0';
        const int err = mkdir(copy, 0777) == 0 ? 0 : errno; /* the look at what is there would replace it */
        if (err != 0 && err != EEXIST && !ln__file_is_dir(copy)) {
            st = ln__fail_os(path, "make the directory", err);
            break;
        }
        *p = end;
        if (end == '\0')
            break;
    }
    ln__free(copy);
    return st;
}

ln_status ln__dir_make(const char *path, bool force)
{
    ln_status st = LN_OK;
    char **names = NULL;
    int64_t n = 0;
    if (!path || !*path)
        LN_FAIL(LN_ERR_ARG, "the name of an output directory must not be empty");
    if (!ln__file_exists(path)) {
        LN_TRY(make_parents(path));
        goto done;
    }
    if (!ln__file_is_dir(path))
        LN_FAIL(LN_ERR_EXISTS, "%s: is a file, expected a directory", path);
    LN_TRY(ln__dir_list(&names, &n, path));
    if (n > 0 && !force)
        LN_FAIL(LN_ERR_EXISTS, "%s: exists and is not empty (--force replaces its files)", path);
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return st;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

ln_status ln__dir_list(char ***names, int64_t *n, const char *path)
{
    ln_status st = LN_OK;
    char **list = NULL;
    int64_t len = 0, cap = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return ln__fail_os(path, "list the directory", errno);
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(dir);
        if (!e && errno) {
            st = ln__fail_os(path, "list the directory", errno);
            goto done;
        }
        if (!e)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (len == cap) {
            cap = cap ? 2 * cap : 16;
            LN_TRY(ln__realloc((void **)&list, (size_t)cap, sizeof *list));
        }
        LN_TRY(ln__strdup(&list[len], e->d_name));
        len++;
    }
    if (len > 1)
        qsort(list, (size_t)len, sizeof *list, by_name);
    *names = list;
    *n = len;
    list = NULL;
    len = 0;
done:
    closedir(dir);
    for (int64_t i = 0; i < len; i++)
        ln__free(list[i]);
    ln__free(list);
    return st;
}
