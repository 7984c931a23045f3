/* journal.c - the record of finished steps that lets a killed run go on.
 *
 * journal.jsonl: {"linnet_journal":1,"identity":...}, then {"step":...,"payload":...} per finished step. The first
 * line is put in place atomically; each further one is a single write followed by fsync. A kill in between leaves at
 * most one torn last line, which is cut off before anything is appended. The file is locked while it is open, since two
 * runs with the same output would destroy each other's blobs. */
#include "core/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/json.h"

struct ln__journal {
    char *dir, *path;
    int fd;
    int64_t length; /* of the file up to its last good line */
    json_t *steps;  /* step -> payload */
};

/* PATH.tmp-XXXXXX of a killed run. */
static bool is_leftover(const char *name)
{
    const size_t n = strlen(name);
    return n > 11 && memcmp(name + n - 11, ".tmp-", 5) == 0;
}

/* Removes the directory's files except the journal itself: all blobs, or only what a killed run left half-written. */
static ln_status clean(const char *dir, bool everything)
{
    ln_status st = LN_OK;
    char **names = NULL, *path = NULL;
    int64_t n = 0;
    LN_TRY(ln__dir_list(&names, &n, dir));
    for (int64_t i = 0; i < n; i++) {
        if (!is_leftover(names[i]) && (!everything || strcmp(names[i], "journal.jsonl") == 0))
            continue;
        ln__free(path);
        path = NULL;
        LN_TRY(ln__path_join(&path, dir, names[i]));
        if (unlink(path) != 0 && errno != ENOENT) {
            st = ln__fail(LN_ERR_IO, "%s: cannot remove: %s", path, ln__errno_text(errno));
            goto done;
        }
    }
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(path);
    return st;
}

/* A directory with files but without a journal is somebody else's. */
static ln_status check_dir(const char *dir)
{
    ln_status st = LN_OK;
    char **names = NULL;
    int64_t n = 0;
    LN_TRY(ln__dir_list(&names, &n, dir));
    for (int64_t i = 0; i < n; i++)
        if (!is_leftover(names[i]))
            LN_FAIL(LN_ERR_EXISTS, "%s: holds files, but no journal of an earlier run", dir);
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return st;
}

/* Puts a new file in place of what was there; `version` 0 marks a journal that is being removed. */
static ln_status write_first_line(const ln__journal *j, const char *identity, int version)
{
    ln_status st = LN_OK;
    json_t *head = json_pack("{s:i}", "linnet_journal", version), *text = NULL;
    if (!head)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory", j->path);
    LN_TRY(ln__json_new_str(&text, identity, strlen(identity)));
    LN_TRY(ln__json_set(head, "identity", text));
    LN_TRY(ln__json_write(j->path, head, 0));
done:
    json_decref(head);
    return st;
}

/* Does the first line name this identity? False for a file that is no journal at all. */
static bool same_identity(const char *line, size_t n, const char *identity)
{
    json_t *head = NULL;
    const char *found = NULL;
    const bool same = ln__json_parse(&head, line, n, "journal") == LN_OK && json_is_object(head) &&
                      json_integer_value(json_object_get(head, "linnet_journal")) == 1 &&
                      (found = json_string_value(json_object_get(head, "identity"))) && strcmp(found, identity) == 0;
    json_decref(head);
    return same;
}

/* Takes in one line; LN_ERR_FORMAT when it is torn. */
static ln_status take_line(ln__journal *j, const char *line, size_t n)
{
    json_t *entry = NULL;
    ln_status st = ln__json_parse(&entry, line, n, j->path);
    if (st != LN_OK)
        return st;
    const char *step = json_string_value(json_object_get(entry, "step"));
    json_t *payload = json_object_get(entry, "payload");
    if (!step || !payload)
        st = ln__fail(LN_ERR_FORMAT, "%s: a line without step and payload", j->path);
    else
        st = ln__json_set(j->steps, step, json_incref(payload));
    json_decref(entry);
    return st;
}

static ln_status read_steps(ln__journal *j, const char *text, size_t bytes)
{
    const char *end = text + bytes, *line = (const char *)memchr(text, '\n', bytes) + 1;
    int64_t number = 2;
    while (line < end) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        if (!stop)
            break; /* torn */
        const ln_status st = take_line(j, line, (size_t)(stop - line));
        if (st == LN_ERR_FORMAT && stop + 1 == end)
            break; /* torn, with its newline on disk */
        if (st == LN_ERR_FORMAT)
            return ln__fail(LN_ERR_FORMAT, "%s: line %lld is damaged; remove the directory to start afresh", j->path,
                            (long long)number);
        if (st != LN_OK)
            return st;
        line = stop + 1;
        number++;
    }
    j->length = line - text;
    return LN_OK;
}

static ln_status lock_file(ln__journal *j)
{
    j->fd = open(j->path, O_RDWR | O_CLOEXEC);
    if (j->fd < 0)
        return ln__fail_os(j->path, "open", errno);
    if (flock(j->fd, LOCK_EX | LOCK_NB) != 0)
        return ln__fail(LN_ERR_IO, "%s: is in use by another run", j->path);
    return LN_OK;
}

/* Opens what is there, or starts afresh when it is missing or belongs to another run. */
static ln_status open_or_start(ln__journal *j, const char *identity)
{
    ln_status st = LN_OK;
    char *text = NULL;
    size_t bytes = 0;

    if (!ln__file_exists(j->path)) {
        LN_TRY(check_dir(j->dir));
        LN_TRY(write_first_line(j, identity, 1));
    }
    LN_TRY(lock_file(j));
    LN_TRY(ln__file_read(&text, &bytes, j->path));
    const char *stop = memchr(text, '\n', bytes);
    if (!stop || !strstr(text, "\"linnet_journal\""))
        LN_FAIL(LN_ERR_FORMAT, "%s: is not a journal", j->path);
    if (!same_identity(text, (size_t)(stop - text), identity)) { /* the new line first: blobs without one are lost */
        LN_TRY(write_first_line(j, identity, 1));
        close(j->fd);
        LN_TRY(lock_file(j));
        LN_TRY(clean(j->dir, true));
        j->length = (int64_t)lseek(j->fd, 0, SEEK_END);
    } else {
        LN_TRY(clean(j->dir, false));
        LN_TRY(read_steps(j, text, bytes));
        if (ftruncate(j->fd, (off_t)j->length) != 0)
            st = ln__fail_os(j->path, "cut off a torn line", errno);
    }
done:
    ln__free(text);
    return st;
}

ln_status ln__journal_open(ln__journal **out, const char *dir, const char *identity)
{
    ln_status st = LN_OK;
    ln__journal *j = NULL;
    if (!out || !dir || !identity)
        LN_FAIL(LN_ERR_ARG, "journal: out, dir and identity must not be NULL");
    LN_TRY(LN_NEW0(&j, 1));
    j->fd = -1;
    LN_TRY(ln__strdup(&j->dir, dir));
    LN_TRY(ln__path_join(&j->path, dir, "journal.jsonl"));
    LN_TRY(ln__dir_make(dir, true));
    if (!(j->steps = json_object()))
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory", j->path);
    LN_TRY(open_or_start(j, identity));
    *out = j;
    j = NULL;
done:
    ln__journal_free(j);
    return st;
}

json_t *ln__journal_find(const ln__journal *j, const char *step)
{
    return json_object_get(j->steps, step);
}

/* One pwrite; what a full disk leaves of the line is cut off again. */
static ln_status append(ln__journal *j, const char *line, size_t n)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t put = pwrite(j->fd, line + done, n - done, (off_t)j->length + (off_t)done);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            break;
        done += (size_t)put;
    }
    if (done < n || fsync(j->fd) != 0) {
        const int err = errno;
        if (ftruncate(j->fd, (off_t)j->length) != 0)
            return ln__fail(LN_ERR_IO, "%s: cannot write: %s, nor undo it", j->path, ln__errno_text(err));
        return ln__fail(LN_ERR_IO, "%s: cannot write: %s", j->path, ln__errno_text(err));
    }
    j->length += (int64_t)n;
    return LN_OK;
}

ln_status ln__journal_add(ln__journal *j, const char *step, json_t *payload)
{
    ln_status st = LN_OK;
    char *text = NULL;
    ln__buf line = { 0 };
    json_t *entry = json_object(), *name = NULL;
    if (!entry)
        LN_FAIL(LN_ERR_NOMEM, "%s: out of memory", j->path);
    if (!step || !payload)
        LN_FAIL(LN_ERR_ARG, "%s: a step needs a name and a payload", j->path);
    LN_TRY(ln__json_new_str(&name, step, strlen(step)));
    LN_TRY(ln__json_set(entry, "step", name));
    LN_TRY(ln__json_set(entry, "payload", json_incref(payload)));
    LN_TRY(ln__json_text(&text, entry, 0));
    LN_TRY(ln__buf_puts(&line, text));
    LN_TRY(ln__buf_puts(&line, "\n"));
    LN_TRY(ln__json_set(j->steps, step, json_incref(payload)));
    st = append(j, line.data, line.len);
    if (st != LN_OK)
        json_object_del(j->steps, step);
done:
    json_decref(entry);
    ln__buf_free(&line);
    ln__free(text);
    return st;
}

int64_t ln__journal_steps(const ln__journal *j)
{
    return (int64_t)json_object_size(j->steps);
}

const char *ln__journal_dir(const ln__journal *j)
{
    return j->dir;
}

ln_status ln__journal_remove(ln__journal *j)
{
    ln_status st = LN_OK;
    LN_TRY(write_first_line(j, "", 0)); /* killed from here on, the next run finds no steps instead of half the blobs */
    LN_TRY(clean(j->dir, true));
    if (unlink(j->path) != 0 || rmdir(j->dir) != 0)
        LN_FAIL(LN_ERR_IO, "%s: cannot remove: %s", j->dir, ln__errno_text(errno));
done:
    return st;
}

void ln__journal_free(ln__journal *j)
{
    if (!j)
        return;
    if (j->fd >= 0)
        close(j->fd);
    json_decref(j->steps);
    ln__free(j->path);
    ln__free(j->dir);
    ln__free(j);
}
