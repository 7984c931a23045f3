/* linnet/solve.h - A x = b for operators: Krylov and stationary methods, preconditioners, one meaning of "solved".
 *
 *     ln_solve_opts o = LN_SOLVE_OPTS_INIT;
 *     ln_solve_report rep = { .struct_size = sizeof rep };
 *     o.pc = LN_PC_IC0;
 *     ln_status st = ln_solve(a, b, x, &o, &rep);
 *
 * A sequence alpha A + beta I, or one method with other parameters, keeps its solver: nothing is assembled or allocated
 * between solves.
 *
 *     ln_solver *s = NULL;
 *     o.pc = LN_PC_SSOR;
 *     st = ln_solver_new(&s, a, &o);
 *     for (…) {
 *         st = ln_solver_set_matrix(s, alpha, beta);
 *         st = ln_solver_set_omega(s, omega);
 *         st = ln_solver_solve(s, b, x, &rep);    // x: the last solution, rep.iterations: what it cost
 *     }
 *     ln_solver_free(s);
 *
 * Solved means |b - A x| <= max(rtol rho, atol) with rho = |b| (or |b - A x_0|) for the true residual, computed anew
 * when a method believes it is done; when that fails the method starts again from there. All arithmetic is f64. */
#ifndef LINNET_SOLVE_H
#define LINNET_SOLVE_H

#include <linnet/estimator.h>
#include <linnet/linop.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Values are part of the ABI: append, never renumber. */
typedef enum ln_solve_method {
    LN_SOLVE_CG = 0,       /* symmetric positive definite; preconditioner likewise             */
    LN_SOLVE_MINRES = 1,   /* symmetric, definite or not; preconditioner positive definite     */
    LN_SOLVE_GMRES = 2,    /* any; restarted, right preconditioned                             */
    LN_SOLVE_BICGSTAB = 3, /* any; right preconditioned                                        */
    LN_SOLVE_SOR = 4,      /* stationary: x += (D/omega + L)^-1 r; omega 1 is Gauss-Seidel     */
    LN_SOLVE_SSOR = 5,     /* stationary: a forward and a backward sweep                       */
    LN_SOLVE_JACOBI = 6    /* stationary: x += omega D^-1 r                                    */
} ln_solve_method;

typedef enum ln_pc {
    LN_PC_NONE = 0,
    LN_PC_JACOBI = 1, /* D^-1                                                                */
    LN_PC_SSOR = 2,   /* omega (2 - omega) (D + omega U)^-1 D (D + omega L)^-1               */
    LN_PC_IC0 = 3     /* incomplete Cholesky without fill; the diagonal is raised if need be */
} ln_pc;

/** What rtol is relative to. */
typedef enum ln_relative {
    LN_RELATIVE_RHS = 0,  /* |b|            */
    LN_RELATIVE_START = 1 /* |b - A x_0|    */
} ln_relative;

typedef enum ln_solve_reason {
    LN_SOLVED_RTOL = 0,
    LN_SOLVED_ATOL = 1,         /* also b = 0, answered by x = 0                                     */
    LN_UNSOLVED_ITERATIONS = 2, /* max_iter reached                                                */
    LN_UNSOLVED_DIVERGED = 3,   /* the residual grew to 1e5 times what rtol is relative to          */
    LN_UNSOLVED_BREAKDOWN = 4,  /* a scalar of the recursion vanished                              */
    LN_UNSOLVED_INDEFINITE_A = 5,
    LN_UNSOLVED_INDEFINITE_PC = 6,
    LN_UNSOLVED_STAGNATED = 7, /* three restarts from the true residual without a tenth of progress */
    LN_UNSOLVED_NAN = 8        /* a number overflowed on the way                                   */
} ln_solve_reason;
/** "rtol", "atol", "iterations", "diverged", "breakdown", "indefinite matrix", …; never NULL. */
LN_API const char *ln_solve_reason_name(ln_solve_reason reason);
/** LN_SOLVED_…, not LN_UNSOLVED_…. */
LN_API bool ln_solved(ln_solve_reason reason);

/** Start from LN_SOLVE_OPTS_INIT. */
typedef struct ln_solve_opts {
    uint32_t struct_size;
    int32_t method;    /* ln_solve_method                                                        */
    int32_t pc;        /* ln_pc; stationary methods take none                                    */
    int32_t relative;  /* ln_relative                                                            */
    double rtol, atol; /* the true residual must fall below max(rtol rho, atol)                  */
    int64_t max_iter;  /* 0 answers with the first guess                                         */
    double omega;      /* of SOR, SSOR and Jacobi, in (0, 2)                                     */
    int32_t restart;   /* GMRES: vectors kept                                                    */
    double *history;   /* room for history_room residual norms (first the start), or NULL        */
    int64_t history_room;
    ln_progress_fn progress; /* called each iteration                                             */
    void *payload;
} ln_solve_opts;

#define LN_SOLVE_OPTS_INIT                                                                                             \
    {                                                                                                                  \
        sizeof(ln_solve_opts), 0, 0, 0, 1e-8, 0, 10000, 1, 30, NULL, 0, NULL, NULL                                     \
    }

/** Filled as far as struct_size goes. */
typedef struct ln_solve_report {
    uint32_t struct_size;
    int32_t reason;       /* ln_solve_reason                                                     */
    int64_t iterations;   /* of the method                                                       */
    int64_t applications; /* products with A                                                     */
    int64_t pc_applications;
    int64_t restarts;              /* from a true residual that contradicted the recursion                */
    double rhs_norm;               /* |b|                                                                 */
    double start_residual;         /* |b - A x| before                                                    */
    double residual;               /* as the recursion believes                                           */
    double true_residual;          /* |b - A x| after, computed anew                                      */
    double shift;                  /* by what IC(0) raised the diagonal, relative; 0: not at all           */
    double lambda_min, lambda_max; /* of the preconditioned matrix, estimated by CG; 0: unknown            */
    int64_t history;               /* norms written to opts->history                                      */
} ln_solve_report;

/**
 * x (n) holds the first guess and gets the answer; b (n). An answer that was not reached is no failure: the status is
 * LN_OK, the report says why, and x is the best iterate whose true residual was seen. opts NULL: defaults; report may
 * be NULL.
 * @return LN_ERR_SHAPE (A is not square), LN_ERR_NUMERIC (NaN or Inf in b or x; a method or preconditioner that needs a
 *         positive diagonal meets another, or one that needs symmetry does not: rows are named), LN_ERR_RANGE
 * (options), LN_ERR_UNSUPPORTED (entries are needed, and the operator is neither CSR nor a stencil), LN_ERR_CANCELLED,
 *         LN_ERR_NOMEM. x is untouched then.
 */
LN_API LN_MUST_CHECK ln_status ln_solve(const ln_linop *a, const double *b, double *x, const ln_solve_opts *opts,
                                        ln_solve_report *report);

/** Solves alpha A + beta I again and again. Not to be used by two threads at once. */
typedef struct ln_solver ln_solver;
/** Checks the matrix and allocates what solves need; alpha 1, beta 0. Keeps a reference to `a`. */
LN_API LN_MUST_CHECK ln_status ln_solver_new(ln_solver **out, const ln_linop *a, const ln_solve_opts *opts);
LN_API void ln_solver_free(ln_solver *s); /* NULL is fine */
/** From now on alpha A + beta I. SSOR, SOR and Jacobi follow at no cost, other preconditioners at the next solve. */
LN_API LN_MUST_CHECK ln_status ln_solver_set_matrix(ln_solver *s, double alpha, double beta);
/** In (0, 2). */
LN_API LN_MUST_CHECK ln_status ln_solver_set_omega(ln_solver *s, double omega);
/** As ln_solve. */
LN_API LN_MUST_CHECK ln_status ln_solver_solve(ln_solver *s, const double *b, double *x, ln_solve_report *report);
/** y = (alpha A + beta I) x. */
LN_API LN_MUST_CHECK ln_status ln_solver_multiply(const ln_solver *s, double *y, const double *x);
LN_API int64_t ln_solver_size(const ln_solver *s);

#ifdef __cplusplus
}
#endif
#endif
