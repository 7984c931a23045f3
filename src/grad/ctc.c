/* ctc.c - connectionist temporal classification: minus the log probability that a sequence of labels is read off T
 * steps when a blank may stand between labels and a label may last (Graves et al. 2006).
 *
 * With l the labels interleaved with blanks, s = 0 … 2L, and x_t(k) the log-probabilities,
 *
 *   a_t(s) = x_t(l_s) + logsum(a_(t-1)(s), a_(t-1)(s-1), a_(t-1)(s-2) where l_s is a label other than l_(s-2))
 *   log P  = logsum(a_(T-1)(2L), a_(T-1)(2L-1)),   dx_t(k) = -sum over l_s = k of exp(a_t(s) + b_t(s) - log P)
 *
 * and b the same from the end, without step t's own x. Everything in logs and in f64: products of thousands of
 * probabilities leave the range of a double. A sequence whose steps do not suffice (a blank must part equal neighbours)
 * has P = 0: that is refused by name, or counts as 0. */
#include <math.h>
#include <string.h>

#include "core/threads.h"
#include "grad/tape.h"

enum { CHUNK = 4096 };
enum { X, LABELS, STEPS, LENGTHS }; /* inputs */
enum { ALPHA, LOG_P };              /* saved */

typedef struct job {
    const ln_ctc_opts *o;
    const void *x;
    const int32_t *labels, *steps, *lengths;
    int64_t batch, time, classes, most; /* most: labels in a row of the array */
    double *alpha, *log_p, *beta;       /* beta: two rows for each sequence */
    void *d;
    double scale;
    bool f64, add;
} job;

static job job_of(const ln__node *n)
{
    const ln_var *x = n->in[X], *steps = n->in[STEPS], *lengths = n->in[LENGTHS];
    return (job){ .o = n->attrs,
                  .x = x->data,
                  .labels = n->in[LABELS]->data,
                  .steps = steps ? steps->data : NULL,
                  .lengths = lengths ? lengths->data : NULL,
                  .batch = x->dim[0],
                  .time = x->dim[1],
                  .classes = x->dim[2],
                  .most = n->in[LABELS]->dim[1],
                  .alpha = n->save[ALPHA]->data,
                  .log_p = n->save[LOG_P]->data,
                  .f64 = x->dtype == LN_F64 };
}

static int64_t states(const job *j)
{
    return 2 * j->most + 1;
}

static int64_t steps_of(const job *j, int64_t b)
{
    return j->steps ? j->steps[b] : j->time;
}

static int64_t labels_of(const job *j, int64_t b)
{
    return j->lengths ? j->lengths[b] : j->most;
}

/* Class of state s of sequence b. */
static int32_t class_at(const job *j, int64_t b, int64_t s)
{
    return s % 2 ? j->labels[b * j->most + s / 2] : j->o->blank;
}

static double log_prob(const job *j, int64_t b, int64_t t, int32_t k)
{
    const int64_t i = (b * j->time + t) * j->classes + k;
    return j->f64 ? ((const double *)j->x)[i] : (double)((const float *)j->x)[i];
}

/* May state s follow s - 2 at once? */
static bool skips(const job *j, int64_t b, int64_t s)
{
    return s % 2 == 1 && s > 1 && class_at(j, b, s) != class_at(j, b, s - 2);
}

static double log_sum(double a, double b, double c)
{
    const double top = fmax(fmax(a, b), c);
    if (top == -INFINITY)
        return a + b + c; /* NaN, if one of them is */
    return top + log(exp(a - top) + exp(b - top) + exp(c - top));
}

/* ---- forward ---- */

static double last_two(const double *row, int64_t labels)
{
    return log_sum(row[2 * labels], labels > 0 ? row[2 * labels - 1] : -INFINITY, -INFINITY);
}

static void forward_sequences(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const int64_t width = states(j);
    for (int64_t b = begin; b < end; b++) {
        const int64_t steps = steps_of(j, b), labels = labels_of(j, b), n = 2 * labels + 1;
        double *a = j->alpha + b * j->time * width;
        if (steps == 0) {
            j->log_p[b] = labels == 0 ? 0 : -INFINITY;
            continue;
        }
        for (int64_t s = 0; s < n; s++)
            a[s] = s < 2 ? log_prob(j, b, 0, class_at(j, b, s)) : -INFINITY;
        for (int64_t t = 1; t < steps; t++, a += width)
            for (int64_t s = 0; s < n; s++)
                a[width + s] = log_prob(j, b, t, class_at(j, b, s)) +
                               log_sum(a[s], s > 0 ? a[s - 1] : -INFINITY, skips(j, b, s) ? a[s - 2] : -INFINITY);
        j->log_p[b] = last_two(a, labels);
    }
}

static ln_status check_lengths(const ln__node *n, const int32_t *length, int64_t batch, int64_t most, const char *what)
{
    for (int64_t b = 0; length && b < batch; b++)
        if (length[b] < 0 || length[b] > most)
            return ln__fail(LN_ERR_RANGE, "%s: sequence %lld has %d %s, expected 0 to %lld", n->op->name, (long long)b,
                            length[b], what, (long long)most);
    return LN_OK;
}

/* Labels are classes other than the blank; steps suffice for them, or such sequences are to be passed over. */
static ln_status check_sequence(const ln__node *n, const job *j, int64_t b)
{
    ln_status st = LN_OK;
    const int32_t *label = j->labels + b * j->most;
    const int64_t labels = labels_of(j, b), steps = steps_of(j, b);
    int64_t need = labels;
    for (int64_t i = 0; i < labels; i++) {
        if (label[i] < 0 || label[i] >= j->classes || label[i] == j->o->blank)
            LN_FAIL(LN_ERR_RANGE,
                    "%s: label %lld of sequence %lld is %d, expected a class in [0, %lld) but the blank %d",
                    n->op->name, (long long)i, (long long)b, label[i], (long long)j->classes, j->o->blank);
        need += i > 0 && label[i] == label[i - 1];
    }
    if (need > steps && !j->o->skip_impossible)
        LN_FAIL(LN_ERR_RANGE, "%s: the %lld labels of sequence %lld need %lld steps, found %lld", n->op->name,
                (long long)labels, (long long)b, (long long)need, (long long)steps);
done:
    return st;
}

/* What the loss of sequence b counts for in the sum. */
static double share(const job *j, int64_t b)
{
    const int64_t labels = labels_of(j, b);
    return 1.0 / (double)(j->batch * (j->o->per_label ? LN_MAX(labels, 1) : 1));
}

static int64_t at_once(const job *j)
{
    return LN_MAX(CHUNK / LN_MAX(j->time * states(j), 1), 1);
}

static ln_status forward(ln_tape *t, const ln__node *n)
{
    ln_status st = LN_OK;
    job j = job_of(n);
    double sum = 0;
    (void)t;
    LN_TRY(check_lengths(n, j.steps, j.batch, j.time, "steps"));
    LN_TRY(check_lengths(n, j.lengths, j.batch, j.most, "labels"));
    for (int64_t b = 0; b < j.batch; b++)
        LN_TRY(check_sequence(n, &j, b));
    ln__parallel_for(j.batch, at_once(&j), forward_sequences, &j);
    for (int64_t b = 0; b < j.batch; b++)
        if (!(j.o->skip_impossible && j.log_p[b] == -INFINITY))
            sum -= j.log_p[b] * share(&j, b);
    if (j.f64)
        *(double *)n->out[0]->data = sum;
    else
        *(float *)n->out[0]->data = (float)sum;
done:
    return st;
}

/* ---- backward ---- */

static void subtract(const job *j, int64_t b, int64_t t, int32_t k, double value)
{
    const int64_t i = (b * j->time + t) * j->classes + k;
    if (j->f64)
        ((double *)j->d)[i] -= value;
    else
        ((float *)j->d)[i] -= (float)value;
}

static void backward_sequence(const job *j, int64_t b)
{
    const int64_t width = states(j), steps = steps_of(j, b), labels = labels_of(j, b), n = 2 * labels + 1;
    const double weight = j->scale * share(j, b), log_p = j->log_p[b];
    double *beta = j->beta + 2 * b * width, *next = beta + width;
    for (int64_t t = steps - 1; t >= 0; t--) {
        const double *a = j->alpha + (b * j->time + t) * width;
        double blanks = 0;
        for (int64_t s = 0; s < n; s++) {
            if (t == steps - 1)
                beta[s] = s >= n - 2 ? 0 : -INFINITY;
            else
                beta[s] = log_sum(next[s], s + 1 < n ? next[s + 1] : -INFINITY,
                                  s + 2 < n && skips(j, b, s + 2) ? next[s + 2] : -INFINITY);
            const double occupied = weight * exp(a[s] + beta[s] - log_p);
            if (s % 2)
                subtract(j, b, t, class_at(j, b, s), occupied);
            else
                blanks += occupied;
        }
        subtract(j, b, t, j->o->blank, blanks);
        for (int64_t s = 0; s < n; s++)
            next[s] = beta[s] + log_prob(j, b, t, class_at(j, b, s));
    }
}

static void backward_sequences(void *ctx, int64_t begin, int64_t end)
{
    const job *j = ctx;
    const size_t bytes = (size_t)(j->time * j->classes) * (j->f64 ? sizeof(double) : sizeof(float));
    for (int64_t b = begin; b < end; b++) {
        if (!j->add)
            memset((char *)j->d + (size_t)b * bytes, 0, bytes);
        if (j->log_p[b] != -INFINITY) /* else no alignment has a gradient */
            backward_sequence(j, b);
    }
}

static ln_status backward(ln_tape *t, const ln__node *n, const ln__back *g)
{
    job j = job_of(n);
    j.beta = ln__scratch(t);
    j.d = g->in[X];
    j.add = g->add[X];
    j.scale = j.f64 ? *(const double *)g->out[0] : (double)*(const float *)g->out[0];
    if (j.d)
        ln__parallel_for(j.batch, at_once(&j), backward_sequences, &j);
    return LN_OK;
}

/* ---- infer, cases, the public function ---- */

static ln_status infer(ln_tape *t, ln__node *n)
{
    ln_status st = LN_OK;
    const ln_ctc_opts *o = n->attrs;
    LN_TRY(ln__want_float(n, X, 3));
    LN_TRY(ln__want_index(n, LABELS));
    const ln_var *x = n->in[X], *labels = n->in[LABELS];
    bool fits = labels->ndim == 2 && labels->dim[0] == x->dim[0];
    for (int i = STEPS; i <= LENGTHS; i++)
        if (n->in[i]) {
            LN_TRY(ln__want_index(n, i));
            fits = fits && n->in[i]->ndim == 1 && n->in[i]->dim[0] == x->dim[0];
        }
    if (!fits)
        LN_TRY(ln__shape_error(n, "log-probabilities [B,T,V], labels [B,S], steps [B], lengths [B]"));
    if (o->blank < 0 || o->blank >= x->dim[2])
        LN_FAIL(LN_ERR_RANGE, "%s: the blank is %d, not a class in [0, %lld)", n->op->name, o->blank,
                (long long)x->dim[2]);
    const int64_t width = 2 * labels->dim[1] + 1, rows = x->dim[0] * x->dim[1];
    if (labels->dim[1] > INT32_MAX || x->dim[1] > INT32_MAX || rows > INT64_MAX / 16 / width)
        LN_FAIL(LN_ERR_RANGE, "%s: %lld steps of %lld states", n->op->name, (long long)rows, (long long)width);
    LN_TRY(ln__out(t, n, 0, x->dtype, 0, NULL));
    LN_TRY(ln__save(t, n, LN_F64, rows * width));
    LN_TRY(ln__save(t, n, LN_F64, x->dim[0]));
    n->scratch = (size_t)(2 * x->dim[0] * width) * sizeof(double);
done:
    return st;
}

static ln_var *build(ln_tape *t, ln__case *c, int k)
{
    static const int32_t labels[] = { 1, 1, 2, 3, 2, 1 }, steps[] = { 6, 4 }, lengths[] = { 3, 0 };
    static const struct {
        int64_t batch, time, classes, most;
        bool partial;
        ln_ctc_opts o;
    } s[] = { { 1, 5, 4, 3, false, LN_CTC_OPTS_INIT },
              { 2, 6, 4, 3, true, { sizeof(ln_ctc_opts), 0, 0, 1 } },
              { 2, 3, 4, 3, false, { sizeof(ln_ctc_opts), 0, 1, 0 } }, /* the first needs 4 steps */
              { 0, 3, 2, 0, false, LN_CTC_OPTS_INIT },
              { 1, 9, 5, 2, false, { sizeof(ln_ctc_opts), 4, 0, 0 } } };
    if (k >= (int)LN_COUNT(s))
        return NULL;
    ln_var *x = ln__case_leaf(t, c, LN_DIMS(s[k].batch, s[k].time, s[k].classes), -3, 0);
    ln_var *l = ln_input(t, LN_I32, LN_DIMS(s[k].batch, s[k].most), labels);
    ln_var *n = s[k].partial ? ln_input(t, LN_I32, LN_DIMS(2), steps) : NULL;
    return ln_ctc(t, x, l, n, s[k].partial ? ln_input(t, LN_I32, LN_DIMS(2), lengths) : NULL, &s[k].o);
}

const ln__op ln__op_ctc = { .name = "ctc",
                            .infer = infer,
                            .forward = { forward, forward },
                            .backward = { backward, backward },
                            .reads = 15u,
                            .build = build };

ln_var *ln_ctc(ln_tape *t, ln_var *log_probs, ln_var *labels, ln_var *steps, ln_var *lengths, const ln_ctc_opts *opts)
{
    ln_ctc_opts o = LN_CTC_OPTS_INIT;
    if (!ln__tape_failed(t)) {
        const ln_status st = ln__opts_adopt(&o, sizeof o, opts, NULL, "ctc");
        if (st != LN_OK)
            return ln__tape_fail(t, st);
    }
    ln_var *in[4] = { log_probs ? ln_contiguous(t, log_probs) : NULL, labels ? ln_contiguous(t, labels) : NULL,
                      steps ? ln_contiguous(t, steps) : NULL, lengths ? ln_contiguous(t, lengths) : NULL };
    return ln__run1(t, &ln__op_ctc, 4, in, &o, sizeof o);
}
