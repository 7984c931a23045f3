/* sbm.h - the weighted nested stochastic block model from the inside: tables, nets, the tree of levels, the stack that
 * moves are tried on. Formulas: sbm_length.c (reference), sbm_stack.c (differences). */
#ifndef LINNET_FACTOR_SBM_H
#define LINNET_FACTOR_SBM_H

#include <linnet/connectome.h>

#include "core/core.h"
#include "core/rng.h"

enum { LN_SBM_MOST_NODES = 4096, LN_SBM_LEVELS = 14 };

/* ---- sbm_tables.c ---- */

/* Logarithms of whole numbers, of factorials, and of the number of partitions. */
typedef struct ln__sbm_tables {
    double *log, *fact; /* ln k, ln k! for k < size */
    int64_t size;
    double *q; /* ln q(m, n): row n of 0 … q_rows, column m of 0 … q_most; NULL: the asymptotic form */
    int64_t q_rows, q_most;
} ln__sbm_tables;
/* For a graph of n nodes and `edges` edges. The table of q is made for degree correction only. */
ln_status ln__sbm_tables_make(ln__sbm_tables *t, int64_t n, int64_t edges, bool degree_corrected, bool compat_q);
void ln__sbm_tables_free(ln__sbm_tables *t);
double ln__sbm_ln_fact(const ln__sbm_tables *t, int64_t k);
/* ln of the number of partitions of m into at most n parts. */
double ln__sbm_ln_q(const ln__sbm_tables *t, int64_t m, int64_t n);
/* The same from Szekeres's asymptotic form alone. */
double ln__sbm_ln_q_asymptotic(int64_t m, int64_t n);
/* ln C(a + b - 1, b): multisets of b out of a. */
double ln__sbm_ln_multiset(const ln__sbm_tables *t, int64_t a, int64_t b);

/* What does not change during a search. */
typedef struct ln__sbm_model {
    const ln__sbm_tables *tables;
    bool degree_corrected, weighted;
    bool hyper0; /* the hyper-term of the weights also at level 0, below other levels (graph-tool) */
    int64_t edges;
    double total, least; /* of the weights: their sum, and a tenth of the smallest */
} ln__sbm_model;
/* ln-likelihood of `count` exponential weights of sum x, their mean integrated out: ln (count-1)! - (count-1) ln x. */
double ln__sbm_ln_weights(const ln__sbm_model *m, int64_t count, double x);

/* ---- sbm_net.c ---- */

/* What a level partitions: nodes, distinct neighbours with multiplicity and summed weight. */
typedef struct ln__sbm_net {
    int32_t n;
    int64_t *start; /* n + 1 */
    int32_t *to, *k;
    double *x;
    int32_t *self_k; /* loops of a node */
    double *self_x;
    int64_t *degree;
    int32_t *kind; /* which of the distinct degrees */
    int32_t kinds;
    int64_t *kind_degree;
} ln__sbm_net;
/* Edges as they come: parallel ones are joined. */
ln_status ln__sbm_net_make(ln__sbm_net *out, int32_t n, int64_t edges, const int32_t *from, const int32_t *to,
                           const int32_t *k, const double *x);
/* The block graph of `net` under b (values 0 … groups-1). */
ln_status ln__sbm_net_contract(ln__sbm_net *out, const ln__sbm_net *net, const int32_t *b, int32_t groups);
void ln__sbm_net_free(ln__sbm_net *net);

/* Partitions of every level: b[l] maps the size[l] nodes of level l to the groups 0 … size[l+1]-1, all of which are in
 * use. size[0] is the number of nodes of the graph. */
typedef struct ln__sbm_tree {
    int levels;
    int32_t size[LN_SBM_LEVELS + 1];
    int32_t *b[LN_SBM_LEVELS];
} ln__sbm_tree;
ln_status ln__sbm_tree_make(ln__sbm_tree *t, int32_t n, int levels); /* every level is one group */
void ln__sbm_tree_copy(ln__sbm_tree *to, const ln__sbm_tree *from);  /* of the same make */
void ln__sbm_tree_free(ln__sbm_tree *t);

/* ---- sbm_length.c ---- */

/* The description length of a tree, in nats, counted from the edges: the definition of correct. */
ln_status ln__sbm_length(double *out, const ln_sbm_graph *g, const ln__sbm_model *m, const ln__sbm_tree *t);
/* Its part that no partition changes: ln A_ij! of parallel edges and loops, and ln k_i! with degree correction. */
ln_status ln__sbm_constant(double *out, const ln_sbm_graph *g, const ln__sbm_model *m);

/* ---- sbm_stack.c ---- */

typedef struct ln__sbm_level {
    int64_t nodes;       /* in use                                              */
    int32_t groups, cap; /* in use, slots                                       */
    int32_t *b, *count;  /* group of a node; nodes of a group                   */
    int32_t *live, *at;  /* the groups in use, then the free slots; and back    */
    int32_t *e, *c;      /* cap x cap: edges; non-empty pairs of the level below */
    double *x, *term;    /* weights; what the pair adds to the length           */
    int64_t pairs;       /* non-empty ones, r <= s                              */
    int64_t room_g;      /* what count and the matrices can hold                */
} ln__sbm_level;

/* Some nodes go from group r to group s: what that does at one level. Arrays are by group, zero but where listed. */
typedef struct ln__sbm_change {
    int32_t r, s, n;
    int32_t *t, *k, *c, *c_r, *c_s; /* groups touched; edges moved, pairs moved, changes of c in rows r and s */
    double *x;
    unsigned char *in;
    int32_t k_0, c_0, c_rr, c_ss, c_rs; /* loops moved; changes of c at these three places */
    double x_0;
    int32_t n_r, n_s, nodes; /* change of their counts and of the nodes of the level */
} ln__sbm_change;

typedef struct ln__sbm_stack {
    const ln__sbm_model *model;
    const ln__sbm_net *net;
    int base, levels; /* level[0] is level `base` of the tree */
    ln__sbm_level level[LN_SBM_LEVELS];
    ln__sbm_change change[LN_SBM_LEVELS];
    int64_t *degree; /* of the groups of level[0] */
    int32_t *hist;   /* its nodes by kind of degree, with degree correction at level 0 */
    double sigma;    /* of these levels, constants left out */
} ln__sbm_stack;
ln_status ln__sbm_stack_make(ln__sbm_stack *h, const ln__sbm_model *m, const ln__sbm_net *net, const ln__sbm_tree *t,
                             int base);
void ln__sbm_stack_free(ln__sbm_stack *h);
/* Takes the tree's levels from base upwards; `apart`: every node of level[0] is a group of its own, which has the
 * parent that its group had. */
void ln__sbm_stack_load(ln__sbm_stack *h, const ln__sbm_tree *t, bool apart);
void ln__sbm_stack_save(const ln__sbm_stack *h, ln__sbm_tree *t);
double ln__sbm_stack_sigma(const ln__sbm_stack *h); /* summed afresh */
/* Lays out what moves with node v, or with all of group r. Several targets may be tried; ends with the next of them. */
void ln__sbm_take_node(ln__sbm_stack *h, int32_t v);
void ln__sbm_take_group(ln__sbm_stack *h, int32_t r);
/* The change of sigma when it goes to group s (a free slot: a new group, with the same parent). `v` < 0: all of r. */
double ln__sbm_try(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s);
/* Does it. b of level[0] is left alone when v < 0. */
void ln__sbm_move(ln__sbm_stack *h, int32_t v, int32_t r, int32_t s);

/* ---- sbm_search.c ---- */

/* One fit from scratch: t (made, all levels one group) becomes the best tree found. */
ln_status ln__sbm_search(ln__sbm_tree *t, double *sigma, const ln__sbm_model *m, const ln__sbm_net *net, ln__rng rng);

/* ---- sbm_polish.c ---- */
/* Single-node moves to the best group until there is none that helps (or `most` sweeps). */
void ln__sbm_settle(ln__sbm_stack *h, ln__rng *rng, int32_t *order, int most);
/* Splits of groups and redistribution of pairs of them; what does not help is undone. Scratch: `keep`, a tree; order.
 */
void ln__sbm_merge_split(ln__sbm_stack *h, ln__rng *rng, ln__sbm_tree *keep, int32_t *order, int rounds);

#endif
