/* outdir.h - an output directory of plain files that appears complete or not at all. */
#ifndef LINNET_CORE_OUTDIR_H
#define LINNET_CORE_OUTDIR_H

#include "core/core.h"

typedef struct ln__outdir ln__outdir;

/* Would it be refused? There already and not empty without `force`, or a file; with `force`, a directory with others in
 * it that holds neither linnet.json nor config.json, for that is nothing we wrote. For the start of a long run: nothing
 * is made. */
ln_status ln__outdir_check(const char *path, bool force);
/* Refuses an output directory whose replacement would take `what` ("the model"), which lies at `path`, along: one that
 * holds it, or (unless `in_place`) is it. */
ln_status ln__outdir_spares(const char *out, const char *path, const char *what, bool in_place);
/* Makes DIR.new-PID beside it, to be filled. */
ln_status ln__outdir_open(ln__outdir **out, const char *path, bool force);
const char *ln__outdir_path(const ln__outdir *o); /* where to write */
/* Renames into place; what was there is removed. The handle stays to be freed. */
ln_status ln__outdir_commit(ln__outdir *o);
void ln__outdir_free(ln__outdir *o); /* without commit: nothing is left. NULL is fine */

/* `dir` appears complete under `final`: an old one is moved away first, comes back on failure, and is removed last. */
ln_status ln__dir_publish(const char *dir, const char *final);
/* Removes a file, or a directory with all that is in it; links are not followed. One that is not there is fine. */
ln_status ln__remove_tree(const char *path);

#endif
