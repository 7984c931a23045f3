/* outdir.c - DIR.new-PID is filled beside DIR and renamed; an old DIR steps aside first and comes back if that fails.
 */
#include "core/outdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

struct ln__outdir {
    char *final, *temp;
    bool made;
    int slot;
};

static ln_status replaceable(const char *path, char **names, int64_t n)
{
    ln_status st = LN_OK;
    char *inner = NULL;
    bool ours = false, nested = false;
    for (int64_t i = 0; i < n; i++) {
        LN_TRY(ln__path_join(&inner, path, names[i]));
        nested = nested || ln__file_is_dir(inner);
        ours = ours || strcmp(names[i], "linnet.json") == 0 || strcmp(names[i], "config.json") == 0;
        ln__free(inner);
        inner = NULL;
    }
    if (nested && !ours)
        LN_FAIL(LN_ERR_EXISTS,
                "%s: holds directories and neither linnet.json nor config.json: not replaced, even by --force", path);
done:
    ln__free(inner);
    return st;
}

ln_status ln__outdir_check(const char *path, bool force)
{
    ln_status st = LN_OK;
    char **names = NULL;
    int64_t n = 0;
    if (!path || !*path)
        LN_FAIL(LN_ERR_ARG, "the name of an output directory must not be empty");
    if (!ln__file_exists(path))
        goto done;
    if (!ln__file_is_dir(path))
        LN_FAIL(LN_ERR_EXISTS, "%s: is a file, expected a directory", path);
    LN_TRY(ln__dir_list(&names, &n, path));
    if (n > 0 && !force)
        LN_FAIL(LN_ERR_EXISTS, "%s: exists and is not empty (--force replaces it)", path);
    LN_TRY(replaceable(path, names, n));
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return st;
}

ln_status ln__outdir_spares(const char *out, const char *path, const char *what, bool in_place)
{
    char *outer = realpath(out, NULL), *inner = realpath(path, NULL); /* NULL: nothing there to be replaced */
    const size_t n = outer ? strlen(outer) : 0;
    const bool within =
        outer && inner && strncmp(outer, inner, n) == 0 && (inner[n] == '/' || (inner[n] == '\0' && !in_place));
    free(outer);
    free(inner);
    if (!within)
        return LN_OK;
    return ln__fail(LN_ERR_EXISTS, "%s: %s is in it and would go with it: another output is needed", out, what);
}

/* errno of what could not be removed below `parent`, or 0. Allocates nothing of ours: it also runs when memory is out.
 */
static int remove_at(int parent, const char *name)
{
    struct stat info;
    if (fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISDIR(info.st_mode))
        return unlinkat(parent, name, 0) == 0 || errno == ENOENT ? 0 : errno;
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    int reason = dir ? 0 : errno;
    if (!dir && fd >= 0)
        close(fd);
    for (const struct dirent *e; dir && reason == 0 && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            reason = remove_at(fd, e->d_name);
    if (dir)
        closedir(dir);
    if (reason == 0 && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        reason = errno;
    return reason;
}

ln_status ln__remove_tree(const char *path)
{
    const int reason = remove_at(AT_FDCWD, path);
    return reason == 0 ? LN_OK : ln__fail_os(path, "be removed", reason);
}

ln_status ln__dir_publish(const char *dir, const char *final)
{
    ln_status st = LN_OK;
    char *old = NULL, *base = NULL;
    bool moved = false;
    LN_TRY(ln__strdup(&base, final));
    for (size_t n = strlen(base); n > 1 && base[n - 1] == '/'; n--)
        base[n - 1] = '\0';
    LN_TRY(ln__sprintf(&old, "%s.old-%ld", base, (long)getpid()));
    if (rename(base, old) == 0) {
        moved = true;
    } else if (errno != ENOENT) {
        st = ln__fail_os(base, "be replaced", errno);
        goto done;
    }
    if (rename(dir, base) != 0) {
        const int reason = errno;
        if (moved && rename(old, base) != 0)
            LN_FAIL(LN_ERR_IO, "%s: %s; the old directory is now %s", base, ln__errno_text(reason), old);
        st = ln__fail_os(base, "be written", reason);
        goto done;
    }
    if (moved)
        (void)remove_at(AT_FDCWD, old); /* the new one is in place: what is left of the old one is no failure */
done:
    ln__free(old);
    ln__free(base);
    return st;
}

ln_status ln__outdir_open(ln__outdir **out, const char *path, bool force)
{
    ln_status st = LN_OK;
    ln__outdir *o = NULL;
    LN_TRY(ln__outdir_check(path, force));
    LN_TRY(LN_NEW0(&o, 1));
    o->slot = -1;
    LN_TRY(ln__strdup(&o->final, path));
    for (size_t n = strlen(o->final); n > 1 && o->final[n - 1] == '/'; n--)
        o->final[n - 1] = '\0'; /* the new one is beside it, not in it */
    LN_TRY(ln__sprintf(&o->temp, "%s.new-%ld", o->final, (long)getpid()));
    LN_TRY(ln__dir_make(o->temp, false));
    o->made = true;
    o->slot = ln__out_list(o->temp);
    *out = o;
    o = NULL;
done:
    ln__outdir_free(o);
    return st;
}

const char *ln__outdir_path(const ln__outdir *o)
{
    return o->temp;
}

ln_status ln__outdir_commit(ln__outdir *o)
{
    const ln_status st = ln__dir_publish(o->temp, o->final);
    o->made = st != LN_OK;
    return st;
}

void ln__outdir_free(ln__outdir *o)
{
    if (!o)
        return;
    if (o->made)
        (void)remove_at(AT_FDCWD, o->temp);
    ln__out_unlist(o->slot);
    ln__free(o->final);
    ln__free(o->temp);
    ln__free(o);
}
