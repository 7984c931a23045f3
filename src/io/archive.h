/* archive.h - what the readers of tensor files share: the archive they fill, its entries, shapes in messages. */
#ifndef LINNET_IO_ARCHIVE_H
#define LINNET_IO_ARCHIVE_H

#include <linnet/io.h>

#include "core/core.h"
#include "core/file.h"
#include "core/tensor.h"
#include "io/names.h"

/* Names in messages are cut here, so that a hostile file cannot flood a terminal. */
#define LN_NAME_FMT "%.160s"

typedef struct ln__entry ln__entry;
struct ln__entry {
    ln_dtype dtype;
    int ndim;
    int64_t dims[LN_MAX_DIMS];
    bool fortran;              /* the first axis runs fastest */
    int64_t letters;           /* npy: bytes of a text, which are the last axis; 0: numbers */
    const unsigned char *data; /* where the elements begin, unless `load` says otherwise */
    size_t bytes;              /* of the elements */
    /* How ln_archive_get makes the tensor; NULL: a view of `data`. */
    ln_status (*load)(ln_tensor **out, const ln_archive *a, const char *name, const ln__entry *e);
    union {
        struct {
            size_t packed, whole, header; /* bytes in the file, unpacked, and before the elements */
            uint32_t crc;
            bool deflated;
        } zip;
        int64_t head_dim; /* llama2.c: rows of one attention head */
    } u;
};

typedef struct ln__gguf ln__gguf;

struct ln_archive {
    _Atomic int refs;
    ln_format format;
    char *path;
    struct {
        ln__map *map;
    } * maps; /* one per file */
    int64_t n_maps, cap_maps;
    ln__names names; /* of the tensors; entries[i] belongs to the i-th */
    ln__entry *entries;
    int64_t cap_entries;
    ln__names keys;   /* metadata */
    ln__buf values;   /* its texts, NUL-terminated */
    size_t *value_at; /* one per key: offset in `values`, or LN_NO_TEXT */
    int64_t cap_values;
    ln__gguf *gguf; /* typed values, for LN_FORMAT_GGUF */
};
#define LN_NO_TEXT SIZE_MAX

/* `file` begins every message. A name that is there already, or that is not fit to be one: LN_ERR_FORMAT. */
ln_status ln__archive_add(ln_archive *a, const char *file, const char *name, size_t len, const ln__entry *e);
/* `text` NULL: a key without text. */
ln_status ln__archive_add_meta(ln_archive *a, const char *file, const char *key, size_t key_len, const char *text,
                               size_t text_len);
/* Maps a file and keeps it mapped as long as the archive. */
ln_status ln__archive_map(ln_archive *a, const char *path, const unsigned char **data, size_t *bytes);

/* Open bytes that the caller keeps alive and unchanged until the last tensor is gone. `name` stands in for a path. */
ln_status ln__archive_from_memory(ln_archive **out, const void *data, size_t bytes, const char *name);

/* One reader per format; they fill an empty archive. `file` is used in messages. */
ln_status ln__safetensors_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file);
ln_status ln__shards_read(ln_archive *a, const unsigned char *index, size_t bytes, const char *path);
ln_status ln__gguf_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file);
ln_status ln__npy_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file);
ln_status ln__npz_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file);
ln_status ln__llama2c_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file);
bool ln__llama2c_looks_like(const unsigned char *data, size_t bytes);
void ln__gguf_free(ln__gguf *g);

/* The elements of an entry as a tensor over `data`, which `release(cookie)` gives back; on failure it is not called. */
ln_status ln__entry_wrap(ln_tensor **out, const ln__entry *e, void *data, void (*release)(void *), void *cookie);

/* The same over `e->data`, which lives as long as the archive; a copy where it is not aligned. */
ln_status ln__entry_view(ln_tensor **out, const ln_archive *a, const ln__entry *e);

/* Bytes of a shape; false when they do not fit (int64_t), or when a row is not a whole number of blocks. */
bool ln__shape_bytes(size_t *bytes, ln_dtype dt, int ndim, const int64_t *dims);
/* Room for a shape in a message (ln__shape_text). */
enum { LN_SHAPE_TEXT = LN_MAX_DIMS * 21 + 3 };

/* The one array of a file, and what kind of file it is (`format` may be NULL). More or fewer: LN_ERR_FORMAT. */
ln_status ln__archive_only(ln_tensor **out, ln_format *format, const char *path);
/* A declared f64 tensor from values that the caller keeps. */
ln_status ln__writer_put_f64(ln_writer *w, const char *name, int ndim, const int64_t *dims, const double *values);

/* Little-endian numbers at any address. */
uint16_t ln__le16(const unsigned char *p);
uint32_t ln__le32(const unsigned char *p);
uint64_t ln__le64(const unsigned char *p);

#endif
