/* linnet/factor.h - decompositions of matrices and tensors: NMF, semi-NMF, CP, NTF, SVD, Tucker.
 *
 *     X (I_1, ..., I_N)  ~  sum_r weight_r  f1[:,r] o f2[:,r] o ... o fN[:,r]
 *
 * A matrix is the tensor of two modes: NMF is NTF of a matrix, and semi-NMF frees the sign of the first factor. */
#ifndef LINNET_FACTOR_H
#define LINNET_FACTOR_H

#include <linnet/estimator.h>
#include <linnet/tensor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum ln_factor_solver {
    LN_FACTOR_HALS = 0, /* one column after the other, exactly; least squares where the sign is free           */
    LN_FACTOR_MU = 1    /* multiplicative: Lee and Seung; semi-NMF: Ding, Li and Jordan                        */
} ln_factor_solver;

typedef enum ln_factor_init { /* the words of the option `init`, model by model */
                              LN_FACTOR_RANDOM = 0,
                              LN_NMF_NNDSVD = 1,  /* Boutsidis and Gallopoulos, with zeros   */
                              LN_NMF_NNDSVDA = 2, /* the same, zeros filled with the mean    */
                              LN_SEMINMF_SVD = 1,
                              LN_SEMINMF_KMEANS = 2
} ln_factor_init;

/** Options of all four. Start from LN_FACTOR_OPTS_INIT. New fields are only ever appended. */
typedef struct ln_factor_opts {
    uint32_t struct_size;
    int32_t solver; /* ln_factor_solver                                                                        */
    int32_t init;   /* ln_factor_init                                                                          */
    int32_t rank;
    int32_t restarts; /* random starts, of which the one of least loss is kept                                */
    int32_t inner;    /* updates of a factor per product with the data; 0: as many as pay                     */
    int64_t iters;    /* sweeps over the factors at most                                                      */
    double tol;       /* stop when a sweep lowers the loss by less than tol |X|^2                             */
    double sparsity;  /* seminmf: fraction of each column of Z that may differ from zero, 1: all              */
    int64_t patience; /* seminmf with sparsity: sweeps without a better loss before it stops                  */
    double target;    /* stop at a loss of target |X|^2; 0: do not                                            */
    int64_t seed;
    ln_progress_fn progress; /* of all restarts together; one call at a time, from the thread that works          */
    void *payload;
    int32_t extrapolate; /* hals without sparsity: sweeps begin beyond the last iterate while that lowers the loss  */
} ln_factor_opts;

#define LN_FACTOR_OPTS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(ln_factor_opts), 0, 0, 5, 1, 0, 500, 1e-7, 1, 100, 0, 0, NULL, NULL, 1                                  \
    }

/** What happened. Set struct_size; the library fills what fits. */
typedef struct ln_factor_report {
    uint32_t struct_size;
    int32_t restart;   /* the one that was kept                                                             */
    int64_t sweeps;    /* of the one that was kept                                                          */
    int32_t converged; /* it stopped by tol, target or patience, not by iters                               */
    int32_t dead;      /* components without weight in the result                                           */
    int64_t reseeded;  /* components that died on the way and were begun again from the largest residual    */
    double loss;       /* |X - model|^2 over the entries that are there                                     */
    double relative;   /* sqrt(loss) / |X|                                                                  */
    double rise;       /* largest rise of the loss from one sweep to the next, / |X|^2                      */
} ln_factor_report;

/**
 * A (m,n) >= 0  ~  W (m,rank) H (rank,n), both >= 0.
 *
 * @param[out] w,h  new f64 tensors, untouched unless LN_OK. Rows of H have norm 1; components by weight, descending.
 * @param a     f32 or f64, any strides. Entries must be finite and >= 0 wherever they count.
 * @param mask  NULL, or u8/bool of the same shape: 0 marks a missing entry, which may be anything, NaN included.
 * @param opts  NULL: defaults.  @param report may be NULL.
 * @return LN_ERR_ARG, LN_ERR_SHAPE, LN_ERR_DTYPE, LN_ERR_RANGE, LN_ERR_NOMEM, LN_ERR_NUMERIC, LN_ERR_CANCELLED
 * Missing entries are filled with the model after every sweep (EM), so the loss over the others still never rises.
 */
LN_API LN_MUST_CHECK ln_status ln_nmf(ln_tensor **w, ln_tensor **h, const ln_tensor *a, const ln_tensor *mask,
                                      const ln_factor_opts *opts, ln_factor_report *report);

/** A (d,n) ~ Z (d,rank) Y (rank,n) with Y >= 0, Z of any sign; rows of Y have norm 1. Otherwise as ln_nmf. */
LN_API LN_MUST_CHECK ln_status ln_seminmf(ln_tensor **z, ln_tensor **y, const ln_tensor *a, const ln_tensor *mask,
                                          const ln_factor_opts *opts, ln_factor_report *report);

/**
 * CP decomposition of X of 2 … 8 modes by alternating least squares.
 *
 * @param[out] weights  (rank), descending.
 * @param[out] factors  as many as X has modes: (I_n, rank), columns of norm 1. The largest entry of each column is
 *                      positive in all factors but the last.
 */
LN_API LN_MUST_CHECK ln_status ln_cp(ln_tensor **weights, ln_tensor **factors, const ln_tensor *x,
                                     const ln_tensor *mask, const ln_factor_opts *opts, ln_factor_report *report);

/** The same with all factors >= 0, for X >= 0. */
LN_API LN_MUST_CHECK ln_status ln_ntf(ln_tensor **weights, ln_tensor **factors, const ln_tensor *x,
                                      const ln_tensor *mask, const ln_factor_opts *opts, ln_factor_report *report);

/** Core consistency in per cent (Bro and Kiers 2003): 100 is a true CP model; no number (LN_ERR_NUMERIC) where a
 * factor has dependent columns. Factors as ln_cp hands them over. */
LN_API LN_MUST_CHECK ln_status ln_corcondia(double *percent, const ln_tensor *x, const ln_tensor *weights,
                                            const ln_tensor *const *factors);

/** Factor match score of two such models of the same shape: the mean over matched components of the product over
 * modes of |cosines|; 1: the same components. Matched greedily, best first. */
LN_API LN_MUST_CHECK ln_status ln_factor_match(double *score, int order, const ln_tensor *const *a,
                                               const ln_tensor *const *b);

typedef enum ln_factor_svd_method {
    LN_SVD_AUTO = 0,
    LN_SVD_EXACT = 1,
    LN_SVD_RANDOM = 2,
    LN_SVD_STREAM = 3
} ln_factor_svd_method;

typedef struct ln_factor_svd_opts {
    uint32_t struct_size;
    int32_t method; /* ln_factor_svd_method; STREAM: files only                                                       */
    int32_t rank, oversample, power;
} ln_factor_svd_opts;

#define LN_SVD_OPTS_INIT                                                                                               \
    {                                                                                                                  \
        sizeof(ln_factor_svd_opts), 0, 10, 10, 2                                                                       \
    }

/** Leading triplets A ~ U diag(s) Vt: U (m,rank), s (rank) descending, Vt (rank,n), f64; the largest entry of each
 * column of U is positive. */
LN_API LN_MUST_CHECK ln_status ln_factor_svd(ln_tensor **u, ln_tensor **s, ln_tensor **vt, const ln_tensor *a,
                                             const ln_factor_svd_opts *opts, int64_t seed);
LN_API const ln_param *ln_factor_svd_params(void);

typedef struct ln_tucker_opts {
    uint32_t struct_size;
    const char *core; /* "R" for all modes, or "R1,R2,…"                                                       */
    int64_t iters;
    double tol; /* stop when a sweep lowers the loss by less than tol |X|^2                                    */
    ln_progress_fn progress;
    void *payload;
} ln_tucker_opts;

#define LN_TUCKER_OPTS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(ln_tucker_opts), "3", 100, 1e-9, NULL, NULL                                                             \
    }

/** X ~ core x_1 F1 … x_N FN by HOOI: core (R1,…,RN), factors (I_n,R_n) with orthonormal columns, f64. */
LN_API LN_MUST_CHECK ln_status ln_tucker(ln_tensor **core, ln_tensor **factors, const ln_tensor *x,
                                         const ln_tucker_opts *opts);
LN_API const ln_param *ln_tucker_params(void);

/** What the systems of `linnet factor` share: how a file is read, and how a rank is looked for. */
typedef struct ln_factor_files {
    uint32_t struct_size;
    int32_t missing;   /* NaN and empty cells are missing entries; otherwise they are refused                  */
    const char *mask;  /* a file of the same shape, 0 where an entry is missing; NULL: none                    */
    const char *ranks; /* "a:b" or "a:b:step": a fit of each, before that of `rank`; NULL: none                */
    double holdout;    /* with ranks: fraction of the entries that is hidden to measure the error on           */
} ln_factor_files;

#define LN_FACTOR_FILES_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(ln_factor_files), 0, NULL, NULL, 0.1                                                                    \
    }

LN_API const ln_param *ln_factor_files_params(void);

/** Option tables: defaults, bounds, help. Static storage. */
LN_API const ln_param *ln_nmf_params(void);
LN_API const ln_param *ln_seminmf_params(void);
LN_API const ln_param *ln_cp_params(void);
LN_API const ln_param *ln_ntf_params(void);

#ifdef __cplusplus
}
#endif
#endif
