/* linnet/io.h - tensor files: safetensors (single, sharded), GGUF, npy, npz. */
#ifndef LINNET_IO_H
#define LINNET_IO_H

#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A read-only collection of named tensors backed by mapped files. */
typedef struct ln_archive ln_archive;

/* Values are part of the ABI: append, never renumber. */
typedef enum ln_format {
    LN_FORMAT_SAFETENSORS = 0,
    LN_FORMAT_GGUF = 1,
    LN_FORMAT_NPY = 2,
    LN_FORMAT_NPZ = 3,
    LN_FORMAT_LLAMA2C = 4 /* checkpoint of karpathy/llama2.c, under Hugging Face names */
} ln_format;

/**
 * Open by content: FILE.safetensors, FILE.safetensors.index.json, FILE.gguf, FILE.npy, FILE.npz, a llama2.c
 * checkpoint, or a directory that holds model.safetensors or its index. Headers are validated completely; tensor data
 * are not touched.
 */
LN_API LN_MUST_CHECK ln_status ln_archive_open(ln_archive **out, const char *path);
LN_API ln_archive *ln_archive_retain(const ln_archive *a);
LN_API void ln_archive_release(ln_archive *a);
LN_API ln_format ln_archive_format(const ln_archive *a);
LN_API const char *ln_archive_path(const ln_archive *a);
LN_API int64_t ln_archive_count(const ln_archive *a);
LN_API const char *ln_archive_name(const ln_archive *a, int64_t i); /* file order */
/**
 * The tensor, read-only, sharing the mapping (it keeps the file open). What cannot be shared is copied: compressed
 * npz members (checked against their CRC), data that the file does not align to their element size, and the query
 * and key weights of llama2.c, whose rows are put in Hugging Face order. LN_ERR_NOTFOUND names file and tensor.
 */
LN_API LN_MUST_CHECK ln_status ln_archive_get(ln_tensor **out, const ln_archive *a, const char *name);
LN_API bool ln_archive_has(const ln_archive *a, const char *name);
/**
 * safetensors `__metadata__` entry (of the first shard), a GGUF string value, or a hyper-parameter of a llama2.c
 * checkpoint as text under its Hugging Face config name. NULL when absent. Belongs to the archive.
 */
LN_API const char *ln_archive_meta(const ln_archive *a, const char *key);
/** All keys, those of GGUF values that are not strings included. */
LN_API int64_t ln_archive_meta_count(const ln_archive *a);
LN_API const char *ln_archive_meta_key(const ln_archive *a, int64_t i);

/** One safetensors file, written tensor by tensor: declare all, then write each once, in any order, then commit. */
typedef struct ln_writer ln_writer;
LN_API LN_MUST_CHECK ln_status ln_writer_new(ln_writer **out, const char *path);
LN_API LN_MUST_CHECK ln_status ln_writer_meta(ln_writer *w, const char *key, const char *value);
LN_API LN_MUST_CHECK ln_status ln_writer_declare(ln_writer *w, const char *name, ln_dtype dt, int ndim,
                                                 const int64_t *dims);
/** `t` must have the declared dtype and shape (strided is fine). The first write fixes the layout. */
LN_API LN_MUST_CHECK ln_status ln_writer_put(ln_writer *w, const char *name, const ln_tensor *t);
/** fsync and rename into place. LN_ERR_ARG names a declared tensor that was never written. */
LN_API LN_MUST_CHECK ln_status ln_writer_commit(ln_writer *w);
LN_API void ln_writer_free(ln_writer *w); /* without commit: nothing is left behind */

/** One array as npy (v1.0), atomically. */
LN_API LN_MUST_CHECK ln_status ln_npy_save(const char *path, const ln_tensor *t);

#ifdef __cplusplus
}
#endif
#endif
