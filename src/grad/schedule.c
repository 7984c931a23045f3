/* schedule.c - the learning rate as a function of the step. Warm-up first: lr (step + 1) / warmup; what follows counts
 * its steps from 0 over total - warmup, except milestones, which are steps of the run.
 *
 * Cosine: Loshchilov and Hutter 2017. WSD: Hu et al. 2024, with the square-root cooldown of Hägele et al. 2024.
 * One-cycle: Smith 2018. Plateau is the only one with a state, kept in the struct so that a checkpoint can hold it. */
#include <math.h>

#include <linnet/train.h>

#include "core/core.h"

static const double pi = 3.14159265358979323846;

ln_status ln_schedule_check(const ln_schedule *s)
{
    ln_status st = LN_OK;
    if (!s)
        return ln__fail(LN_ERR_ARG, "schedule: NULL");
    const struct {
        const char *name;
        double value, lo, hi;
    } reals[] = { { "lr", s->lr, 0, 1e6 },
                  { "final_lr", s->final_lr, 0, 1e6 },
                  { "gamma", s->gamma, 0, 1e6 },
                  { "power", s->power, 0, 1e3 },
                  { "hold", s->hold, 0, 1 },
                  { "kind", s->kind, 0, 10 },
                  { "total", (double)s->total, 0, 9e15 },
                  { "warmup", (double)s->warmup, 0, 9e15 },
                  { "every", (double)s->every, 1, 9e15 } };
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!(reals[i].value >= reals[i].lo && reals[i].value <= reals[i].hi))
            LN_FAIL(LN_ERR_RANGE, "schedule: %s must lie in [%g, %g], found %g", reals[i].name, reals[i].lo,
                    reals[i].hi, reals[i].value);
    if (s->n_milestones > 0 && !s->milestones)
        LN_FAIL(LN_ERR_ARG, "schedule: %lld milestones are promised, but there are none", (long long)s->n_milestones);
    for (int64_t i = 1; i < s->n_milestones; i++)
        if (s->milestones[i] <= s->milestones[i - 1])
            LN_FAIL(LN_ERR_ARG, "schedule: milestone %lld comes after %lld", (long long)s->milestones[i],
                    (long long)s->milestones[i - 1]);
done:
    return st;
}

/* From a to b along half a cosine, x in [0, 1]. */
static double cosine(double a, double b, double x)
{
    return b + (a - b) * (1 + cos(pi * x)) / 2;
}

static double one_cycle(double x, double final)
{
    const double up = 0.3;
    return x < up ? cosine(0.04, 1, x / up) : cosine(1, final, (x - up) / (1 - up));
}

static double multi_step(const ln_schedule *s, int64_t step)
{
    double f = 1;
    for (int64_t i = 0; i < s->n_milestones && s->milestones[i] <= step; i++)
        f *= s->gamma;
    return f;
}

static double factor(const ln_schedule *s, int64_t step)
{
    const int64_t after = step - s->warmup, span = s->total - s->warmup;
    const double x = span > 0 ? fmin((double)after / (double)span, 1) : 1, final = s->final_lr;
    const double w = (double)LN_MAX(s->warmup, 1), n = (double)after;
    switch (s->kind) {
    case LN_SCHEDULE_LINEAR:
        return 1 + (final - 1) * x;
    case LN_SCHEDULE_COSINE:
        return cosine(1, final, x);
    case LN_SCHEDULE_STEP:
        return pow(s->gamma, floor(n / (double)s->every));
    case LN_SCHEDULE_MULTI_STEP:
        return multi_step(s, step);
    case LN_SCHEDULE_EXPONENTIAL:
        return pow(s->gamma, n / (double)s->every);
    case LN_SCHEDULE_INV_SQRT:
        return sqrt(w / fmax((double)step, w));
    case LN_SCHEDULE_POLYNOMIAL:
        return final + (1 - final) * pow(1 - x, s->power);
    case LN_SCHEDULE_WSD:
        return x < s->hold || s->hold >= 1 ? 1 : final + (1 - final) * (1 - sqrt((x - s->hold) / (1 - s->hold)));
    case LN_SCHEDULE_ONE_CYCLE:
        return one_cycle(x, final);
    case LN_SCHEDULE_PLATEAU:
        return s->scale;
    default:
        return 1;
    }
}

double ln_schedule_lr(const ln_schedule *s, int64_t step)
{
    if (!s || step < 0)
        return NAN;
    if (step < s->warmup)
        return s->lr * (s->kind == LN_SCHEDULE_PLATEAU ? s->scale : 1) * (double)(step + 1) / (double)s->warmup;
    return s->lr * factor(s, step);
}

void ln_schedule_metric(ln_schedule *s, double metric)
{
    if (!s || s->kind != LN_SCHEDULE_PLATEAU)
        return;
    if (metric < s->best) {
        s->best = metric;
        s->bad = 0;
    } else if (++s->bad >= s->every) {
        s->scale *= s->gamma;
        s->bad = 0;
    }
}
