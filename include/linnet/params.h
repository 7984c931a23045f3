/* linnet/params.h - option tables. One table per options struct drives CLI flags, config JSON, validation,
 * man page, completion, reference pages and bindings. */
#ifndef LINNET_PARAMS_H
#define LINNET_PARAMS_H

#include <linnet/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The field an entry points at has the type named on its line. */
typedef enum ln_param_type {
    LN_PARAM_END = 0,
    LN_PARAM_INT32 = 1,   /* int32_t                                                        */
    LN_PARAM_FLOAT64 = 2, /* double                                                         */
    LN_PARAM_BOOL = 3,    /* int32_t, 0 or 1; the flag takes no value, --no-NAME unsets it  */
    LN_PARAM_INT64 = 4,   /* int64_t                                                        */
    LN_PARAM_BYTES = 5,   /* int64_t; text may end in K, M, G or T (powers of 1024)         */
    LN_PARAM_STRING = 6,  /* const char *, borrowed                                         */
    LN_PARAM_CHOICE = 7   /* int32_t, index into the words of `words`                       */
} ln_param_type;

enum {
    LN_PARAM_REQUIRED = 1u << 0, /* no default: must be given                                */
    LN_PARAM_ADVANCED = 1u << 1  /* listed after the others in help                          */
};

/** One option. A table ends with an entry of type LN_PARAM_END. Static storage. */
typedef struct ln_param {
    const char *name; /* C field name; the flag is the same with '-' for '_'             */
    ln_param_type type;
    uint32_t offset;    /* into the options struct                                          */
    double def, lo, hi; /* default and inclusive bounds (not for STRING)                    */
    const char *help;   /* one line, no full stop                                           */
    const char *words;  /* CHOICE: "coarse|full"; STRING: what it is ("FILE", "DIR", "TEXT") */
    const char *text;   /* STRING: its default, or NULL                                     */
    uint32_t flags;     /* LN_PARAM_REQUIRED | LN_PARAM_ADVANCED                            */
    char letter;        /* one-letter flag such as 'o', or 0                                */
} ln_param;

/** Fill `opts` (the struct the table describes) with the table's defaults. */
LN_API void ln_params_defaults(const ln_param *table, void *opts);

/**
 * Set one option from text, as a command line or config file would. `name` with '-' or '_'.
 * STRING options borrow `text`: it must outlive `opts`.
 * @return LN_ERR_NOTFOUND (no such option; the message suggests the nearest), LN_ERR_ARG (not a number, not one
 *         of the words), LN_ERR_RANGE (outside its bounds). `who` begins the message ("rocket").
 */
LN_API LN_MUST_CHECK ln_status ln_params_set(const ln_param *table, void *opts, const char *name, const char *text,
                                             const char *who);

/** Check every bound (NaN is out of bounds) and every required option. */
LN_API LN_MUST_CHECK ln_status ln_params_check(const ln_param *table, const void *opts, const char *who);

/** The value of one option as text, as ln_params_set reads it back. Free with ln_free. */
LN_API LN_MUST_CHECK ln_status ln_params_text(char **out, const ln_param *param, const void *opts);

#ifdef __cplusplus
}
#endif
#endif
