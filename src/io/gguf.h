/* gguf.h - GGUF v2/v3 reading and writing beyond what linnet/io.h shows: typed keys, quantised tensors. */
#ifndef LINNET_IO_GGUF_H
#define LINNET_IO_GGUF_H

#include <linnet/io.h>

#include "core/core.h"

typedef enum ln__gguf_type {
    LN_GGUF_U8 = 0,
    LN_GGUF_I8 = 1,
    LN_GGUF_U16 = 2,
    LN_GGUF_I16 = 3,
    LN_GGUF_U32 = 4,
    LN_GGUF_I32 = 5,
    LN_GGUF_F32 = 6,
    LN_GGUF_BOOL = 7,
    LN_GGUF_STRING = 8,
    LN_GGUF_ARRAY = 9,
    LN_GGUF_U64 = 10,
    LN_GGUF_I64 = 11,
    LN_GGUF_F64 = 12
} ln__gguf_type;

typedef struct ln__gguf_string {
    const char *data; /* not NUL-terminated */
    uint64_t len;
} ln__gguf_string;

/* All need ln_archive_format(a) == LN_FORMAT_GGUF. Absent key: LN_ERR_NOTFOUND; another type: LN_ERR_FORMAT. */
ln_status ln__gguf_int(int64_t *out, const ln_archive *a, const char *key); /* any integer type or bool, in range */
ln_status ln__gguf_real(double *out, const ln_archive *a, const char *key); /* any float type */
ln_status ln__gguf_array_len(int64_t *n, ln__gguf_type *elem, const ln_archive *a, const char *key);
ln_status ln__gguf_array_string(ln__gguf_string *out, const ln_archive *a, const char *key, int64_t i);
ln_status ln__gguf_array_strings(ln__gguf_string **out, int64_t *n, const ln_archive *a,
                                 const char *key); /* ln__free */
ln_status ln__gguf_array_int(int64_t *out, const ln_archive *a, const char *key, int64_t i);
ln_status ln__gguf_array_real(double *out, const ln_archive *a, const char *key, int64_t i);
int64_t ln__gguf_version(const ln_archive *a);
/* One line of text for `info`: "u32 576", "[49152 strings]". */
ln_status ln__gguf_describe(char **out, const ln_archive *a, const char *key);

/* Writer, v3. Keys first, tensors declared, then data in declared order. */
typedef struct ln__gguf_writer ln__gguf_writer;
ln_status ln__gguf_writer_new(ln__gguf_writer **out, const char *path);
ln_status ln__gguf_put_u32(ln__gguf_writer *w, const char *key, uint32_t v);
ln_status ln__gguf_put_i32(ln__gguf_writer *w, const char *key, int32_t v);
ln_status ln__gguf_put_f32(ln__gguf_writer *w, const char *key, float v);
ln_status ln__gguf_put_bool(ln__gguf_writer *w, const char *key, bool v);
ln_status ln__gguf_put_string(ln__gguf_writer *w, const char *key, const char *v, size_t len);
ln_status ln__gguf_put_strings(ln__gguf_writer *w, const char *key, const ln__gguf_string *v, int64_t n);
ln_status ln__gguf_put_i32s(ln__gguf_writer *w, const char *key, const int32_t *v, int64_t n);
ln_status ln__gguf_put_f32s(ln__gguf_writer *w, const char *key, const float *v, int64_t n);
/* dims in linnet order (out, in); stored reversed. */
ln_status ln__gguf_declare(ln__gguf_writer *w, const char *name, ln_dtype dt, int ndim, const int64_t *dims);
ln_status ln__gguf_put_tensor(ln__gguf_writer *w, const char *name, const ln_tensor *t);
ln_status ln__gguf_writer_commit(ln__gguf_writer *w);
void ln__gguf_writer_free(ln__gguf_writer *w);

#endif
