/* core.h - what every module gets from the ground floor: errors, memory, strings. */
#ifndef LINNET_CORE_CORE_H
#define LINNET_CORE_CORE_H

#include <linnet/base.h>
#include <linnet/params.h>
#include <linnet/tensor.h>

#include <stdarg.h>
#include <stdio.h>

/* Record a message and hand the code back:  return ln__fail(LN_ERR_SHAPE, "..."). */
__attribute__((format(printf, 2, 3))) ln_status ln__fail(ln_status code, const char *fmt, ...);
/* Put "prefix: " before the message that is already there, and hand the code back. */
__attribute__((format(printf, 2, 3))) ln_status ln__fail_in(ln_status code, const char *fmt, ...);

#ifdef __clang_analyzer__ /* which cannot know that they never hand back LN_OK */
#define ln__fail(code, ...) ((void)ln__fail((code), __VA_ARGS__), (code))
#define ln__fail_in(code, ...) ((void)ln__fail_in((code), __VA_ARGS__), (code))
#endif

/* vsnprintf that does not follow the host's locale: a decimal point is always '.'. */
__attribute__((format(printf, 3, 0))) int ln__vformat(char *buf, size_t n, const char *fmt, va_list args);

__attribute__((format(printf, 3, 4))) int ln__format(char *buf, size_t n, const char *fmt, ...);
/* strtod that does not follow the locale; `end` may be NULL. */
double ln__strtod(const char *text, char **end);

/* Single-exit helpers: both need a local `st` and a label `done`. LN_TRY keeps the message it finds. */
#define LN_TRY(call)                                                                                                   \
    do {                                                                                                               \
        st = (call);                                                                                                   \
        if (st != LN_OK)                                                                                               \
            goto done;                                                                                                 \
    } while (0)
#define LN_FAIL(code, ...)                                                                                             \
    do {                                                                                                               \
        st = ln__fail((code), __VA_ARGS__);                                                                            \
        goto done;                                                                                                     \
    } while (0)

/* Overflow-checked, 64-byte aligned, counted against the memory limit. count*size == 0 gives a valid pointer. */
ln_status ln__alloc(void **out, size_t count, size_t size);
ln_status ln__calloc(void **out, size_t count, size_t size);
/* Grow or shrink; *p may be NULL; untouched on failure. */
ln_status ln__realloc(void **p, size_t count, size_t size);
void ln__free(void *p);
/* Advice for a large zeroed block that will soon be filled whole; blocks of ln__alloc have it already. */
void ln__use_huge_pages(void *p);
ln_status ln__strdup(char **out, const char *s);
ln_status ln__strndup(char **out, const char *s, size_t n);
__attribute__((format(printf, 2, 3))) ln_status ln__sprintf(char **out, const char *fmt, ...); /* new string */

/* Bytes that may still be allocated under ln_memory_limit; INT64_MAX without one. */
int64_t ln__memory_free(void);

#define LN_NEW(ptr, count) ln__alloc((void **)(ptr), (size_t)(count), sizeof **(ptr))
#define LN_NEW0(ptr, count) ln__calloc((void **)(ptr), (size_t)(count), sizeof **(ptr))

/* Torture hooks: the nth allocation from now fails (0 = the next); -1 switches off. Live allocations. */
void ln__test_fail_alloc(int64_t nth);
int64_t ln__test_live(void);

/* A growing byte string. Zero-initialise; `data` is NUL-terminated once anything was appended. */
typedef struct ln__buf {
    char *data;
    size_t len, cap;
} ln__buf;
ln_status ln__buf_add(ln__buf *b, const void *bytes, size_t n);
ln_status ln__buf_puts(ln__buf *b, const char *s);
__attribute__((format(printf, 2, 3))) ln_status ln__buf_printf(ln__buf *b, const char *fmt, ...);
void ln__buf_free(ln__buf *b);

/* Bump allocator: blocks are kept by reset, given back by free. Pointers are 64-byte aligned. */
typedef struct ln__arena ln__arena;
ln_status ln__arena_new(ln__arena **out, size_t first_block);
ln_status ln__arena_alloc(void **out, ln__arena *a, size_t count, size_t size);
void ln__arena_reset(ln__arena *a);
size_t ln__arena_used(const ln__arena *a); /* bytes handed out since the last reset */
/* A place in the arena; rewind gives back all that was handed out since (not across a reset). */
typedef struct ln__arena_place {
    void *block;
    size_t at, used;
} ln__arena_place;
ln__arena_place ln__arena_mark(const ln__arena *a);
void ln__arena_rewind(ln__arena *a, ln__arena_place place);
void ln__arena_free(ln__arena *a);

/* Option tables, one entry each. T is the options struct, f the field. */
#define LN_P_INT(T, f, def, lo, hi, help)                                                                              \
    {                                                                                                                  \
#f, LN_PARAM_INT32, offsetof(T, f), def, lo, hi, help, NULL, NULL, 0, 0                                        \
    }
#define LN_P_INT64(T, f, def, lo, hi, help)                                                                            \
    {                                                                                                                  \
#f, LN_PARAM_INT64, offsetof(T, f), def, lo, hi, help, NULL, NULL, 0, 0                                        \
    }
#define LN_P_REAL(T, f, def, lo, hi, help)                                                                             \
    {                                                                                                                  \
#f, LN_PARAM_FLOAT64, offsetof(T, f), def, lo, hi, help, NULL, NULL, 0, 0                                      \
    }
#define LN_P_BOOL(T, f, def, help)                                                                                     \
    {                                                                                                                  \
#f, LN_PARAM_BOOL, offsetof(T, f), def, 0, 1, help, NULL, NULL, 0, 0                                           \
    }
#define LN_P_BYTES(T, f, def, lo, hi, help)                                                                            \
    {                                                                                                                  \
#f, LN_PARAM_BYTES, offsetof(T, f), def, lo, hi, help, NULL, NULL, 0, 0                                        \
    }
#define LN_P_TEXT(T, f, text, what, help)                                                                              \
    {                                                                                                                  \
#f, LN_PARAM_STRING, offsetof(T, f), 0, 0, 0, help, what, text, 0, 0                                           \
    }
#define LN_P_CHOICE(T, f, def, words, help)                                                                            \
    {                                                                                                                  \
#f, LN_PARAM_CHOICE, offsetof(T, f), def, 0, 63, help, words, NULL, 0, 0                                       \
    }
#define LN_P_END                                                                                                       \
    {                                                                                                                  \
        NULL, LN_PARAM_END, 0, 0, 0, 0, NULL, NULL, NULL, 0, 0                                                         \
    }

/* Copies min(caller's size, ours) bytes of a public options struct (first field uint32_t struct_size) over our
 * defaults, rejects unknown non-zero bytes after ours (LN_ERR_UNSUPPORTED), then checks the table's bounds. `dst`
 * holds the defaults on entry; user NULL keeps them; table may be NULL. */
ln_status ln__opts_adopt(void *dst, uint32_t dst_size, const void *user, const ln_param *table, const char *who);

#define LN_MIN(a, b) ((a) < (b) ? (a) : (b))
#define LN_MAX(a, b) ((a) > (b) ? (a) : (b))
#define LN_COUNT(array) ((int64_t)(sizeof(array) / sizeof *(array)))

#endif
