/* outdir.c - DIR.new-PID is filled beside DIR and renamed; an old DIR steps aside first and comes back if that fails.
 */
#include "core/outdir.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"

struct ln__outdir {
    char *final, *temp, *old;
    bool made;
    int slot;
};

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
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    return st;
}

/* The files in it and the directory itself. Allocates nothing of ours: it also runs when memory is out. */
static void remove_flat(const char *path)
{
    char file[4096];
    DIR *dir = opendir(path);
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (snprintf(file, sizeof file, "%s/%s", path, e->d_name) < (int)sizeof file)
            (void)unlink(file); /* refuses "." and ".." */
    if (dir)
        closedir(dir);
    (void)rmdir(path);
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
        o->final[n - 1] = '\0';
    LN_TRY(ln__sprintf(&o->temp, "%s.new-%ld", o->final, (long)getpid()));
    LN_TRY(ln__sprintf(&o->old, "%s.old-%ld", o->final, (long)getpid()));
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
    bool moved = false;
    if (rename(o->final, o->old) == 0)
        moved = true;
    else if (errno != ENOENT)
        return ln__fail_os(o->final, "be replaced", errno);
    if (rename(o->temp, o->final) != 0) {
        const int reason = errno;
        if (moved && rename(o->old, o->final) != 0)
            return ln__fail(LN_ERR_IO, "%s: %s; the old directory is now %s", o->final, ln__errno_text(reason), o->old);
        return ln__fail_os(o->final, "be written", reason);
    }
    o->made = false;
    if (moved)
        remove_flat(o->old);
    return LN_OK;
}

void ln__outdir_free(ln__outdir *o)
{
    if (!o)
        return;
    if (o->made)
        remove_flat(o->temp);
    ln__out_unlist(o->slot);
    ln__free(o->final);
    ln__free(o->temp);
    ln__free(o->old);
    ln__free(o);
}
