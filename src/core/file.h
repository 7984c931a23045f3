/* file.h - files that are read whole, mapped, or replaced atomically. Messages name the path. */
#ifndef LINNET_CORE_FILE_H
#define LINNET_CORE_FILE_H

#include "core/core.h"

/* Read-only mapping. Reference-counted, because tensors keep it alive. A file that shrinks while mapped raises SIGBUS;
 * ln__map_guard_install (called by the command, never by the library itself) turns that into one line and exit 3. */
typedef struct ln__map ln__map;
ln_status ln__map_open(ln__map **out, const char *path); /* refuses directories; an empty file maps to 0 bytes */
const unsigned char *ln__map_data(const ln__map *m);
size_t ln__map_bytes(const ln__map *m);
const char *ln__map_path(const ln__map *m);
ln__map *ln__map_retain(const ln__map *m);
void ln__map_release(ln__map *m);
void ln__map_guard_install(void);

/* "No such file or directory" and the like: strerror that is thread-safe and does not follow the locale. */
const char *ln__errno_text(int err);
/* "PATH: cannot WHAT: REASON"; LN_ERR_NOTFOUND when there is no such file, else LN_ERR_IO. */
ln_status ln__fail_os(const char *path, const char *what, int err);

/* Whole file, NUL-terminated (the NUL is not counted); pipes are read to their end. Directories and empty files are
 * refused (LN_ERR_FORMAT). Free with ln__free. */
ln_status ln__file_read(char **data, size_t *bytes, const char *path);
bool ln__file_exists(const char *path);
bool ln__file_is_dir(const char *path);
bool ln__file_is_regular(const char *path);
ln_status ln__file_size(int64_t *bytes, const char *path);
/* Streamed. Of a directory: over the name, a NUL and the hash (8 bytes, little endian) of each regular file in it, in
 * name order; bytes are their sum. */
ln_status ln__file_xxh64(uint64_t *hash, int64_t *bytes, const char *path);
ln_status ln__path_join(char **out, const char *dir, const char *name);

/* Atomic writing: bytes go to PATH.tmp-XXXXXX beside it; commit fsyncs and renames; free without commit removes it.
 * Temporary files still open are also removed by the command's signal handlers. Reports a full disk with what was
 * needed. */
typedef struct ln__out ln__out;
ln_status ln__out_open(ln__out **out, const char *path);
ln_status ln__out_write(ln__out *o, const void *data, size_t bytes);
/* Somewhere else in the file (a hole before it is fine until it is written); the next ln__out_write still appends,
 * that is, goes behind the last byte of the file so far. */
ln_status ln__out_write_at(ln__out *o, int64_t offset, const void *data, size_t bytes);
int64_t ln__out_bytes(const ln__out *o);                                    /* length of the file so far */
ln_status ln__out_commit(ln__out *o);                                       /* the handle stays to be freed */
void ln__out_free(ln__out *o);                                              /* NULL is fine */
ln_status ln__file_write(const char *path, const void *data, size_t bytes); /* all of the above in one call */
/* Unlinks the temporary files of every handle not yet committed or freed, then the listed directories that are empty.
 * Async-signal-safe: for signal handlers that are about to leave the process. */
void ln__out_remove_all(void);
/* Lists a directory whose files are being written, to be removed with them. The slot, or -1: there is no room, it would
 * be left behind. */
int ln__out_list(const char *path);
void ln__out_unlist(int slot); /* -1 is fine */

/* A new output directory: refused when it exists and is not empty unless `force` (then its files are replaced). */
ln_status ln__dir_make(const char *path, bool force);
ln_status ln__dir_list(char ***names, int64_t *n, const char *path); /* sorted; free each and the array with ln__free */

#endif
