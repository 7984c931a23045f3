/* knapsack.c - the multiple-choice knapsack that spreads a budget over layers.
 *
 * best_l[p] = least error of layers 0..l that remove at least p units, p saturated at the target, so
 *   best_l[min(p + q, target)] = min over options (best_{l-1}[p] + e).
 * One unit is params/precision values. Removed amounts are rounded down to units and the target up: the answer always
 * removes what was asked. Pitfall of the published code: its dense option counts as removing everything; here it
 * removes 0. Cost: layers * options * target units.
 * Source: ROCKET, arXiv 2602.11008, section 3, eq. 9-10, appendix A. */
#include "compress/knapsack.h"

#include <math.h>
#include <string.h>

static int64_t total_params(const ln__option_list *layers, int64_t n)
{
    int64_t total = 0;
    for (int64_t l = 0; l < n; l++)
        total += layers[l].params;
    return total;
}

static bool allowed(const ln__option *o, double cap)
{
    return o->removed == 0 || o->error <= cap;
}

/* Units removed by an option, rounded down. */
static int64_t units(int64_t removed, int64_t params, int64_t precision)
{
    return (int64_t)floor((double)removed * (double)precision / (double)params);
}

/* Relax one layer: next[] and the choice that led to each state. */
static void relax(double *next, uint8_t *back, const double *best, const ln__option_list *layer, int64_t target,
                  int64_t params, int64_t precision, double cap)
{
    for (int64_t p = 0; p <= target; p++)
        next[p] = INFINITY;
    for (int64_t i = 0; i < layer->n; i++) {
        const ln__option *o = &layer->items[i];
        if (!allowed(o, cap))
            continue;
        const int64_t q = units(o->removed, params, precision);
        for (int64_t p = 0; p <= target; p++) {
            const int64_t to = LN_MIN(p + q, target);
            const double e = best[p] + o->error;
            if (e < next[to]) {
                next[to] = e;
                back[to] = (uint8_t)i;
            }
        }
    }
}

/* Walk back from the target. Saturation hides where a state came from, so the predecessor is searched again. */
static void backtrack(int32_t *choice, const uint8_t *back, const double *table, const ln__option_list *layers,
                      int64_t n, int64_t target, int64_t params, int64_t precision)
{
    int64_t p = target;
    for (int64_t l = n - 1; l >= 0; l--) {
        const int32_t i = back[l * (target + 1) + p];
        const double *best = table + l * (target + 1);
        const int64_t q = units(layers[l].items[i].removed, params, precision);
        choice[l] = i;
        int64_t from = p - q;
        if (p == target) {
            /* every state >= target - q leads here: the cheapest did */
            from = LN_MAX(target - q, 0);
            for (int64_t s = from; s <= target; s++)
                if (best[s] < best[from])
                    from = s;
        }
        p = from;
    }
}

static int64_t most_removed(const ln__option_list *layers, int64_t n, double cap)
{
    int64_t sum = 0;
    for (int64_t l = 0; l < n; l++) {
        int64_t most = 0;
        for (int64_t i = 0; i < layers[l].n; i++)
            if (allowed(&layers[l].items[i], cap))
                most = LN_MAX(most, layers[l].items[i].removed);
        sum += most;
    }
    return sum;
}

static ln_status check(const ln__option_list *layers, int64_t n)
{
    for (int64_t l = 0; l < n; l++) {
        if (layers[l].n < 1 || layers[l].n > UINT8_MAX || layers[l].params < 1)
            return ln__fail(LN_ERR_ARG, "knapsack: layer %lld has %lld options", (long long)l, (long long)layers[l].n);
        for (int64_t i = 0; i < layers[l].n; i++)
            if (!(layers[l].items[i].error >= 0) || !isfinite(layers[l].items[i].error))
                return ln__fail(LN_ERR_NUMERIC, "knapsack: layer %lld option %lld: error %g", (long long)l,
                                (long long)i, layers[l].items[i].error);
    }
    return LN_OK;
}

ln_status ln__knapsack(int32_t *choice, const ln__option_list *layers, int64_t n, int64_t target_values,
                       int64_t precision, double cap, int64_t *reachable)
{
    ln_status st = LN_OK;
    double *table = NULL;
    uint8_t *back = NULL;

    LN_TRY(check(layers, n));
    const int64_t params = total_params(layers, n), most = most_removed(layers, n, cap);
    if (reachable)
        *reachable = most;
    int64_t target = (int64_t)ceil((double)target_values * (double)precision / (double)LN_MAX(params, 1));
    /* Rounding each layer down may lose up to n units that whole values would reach. */
    int64_t in_units = 0;
    for (int64_t l = 0; l < n; l++) {
        int64_t layer = 0;
        for (int64_t i = 0; i < layers[l].n; i++)
            if (allowed(&layers[l].items[i], cap))
                layer = LN_MAX(layer, units(layers[l].items[i].removed, params, precision));
        in_units += layer;
    }
    if (in_units < target)
        LN_FAIL(LN_ERR_RANGE, "at most %.4f of the parameters can be removed, %.4f was asked",
                (double)most / (double)LN_MAX(params, 1), (double)target_values / (double)LN_MAX(params, 1));

    LN_TRY(LN_NEW(&table, (n + 1) * (target + 1)));
    LN_TRY(LN_NEW0(&back, n * (target + 1)));
    table[0] = 0;
    for (int64_t p = 1; p <= target; p++)
        table[p] = INFINITY;
    for (int64_t l = 0; l < n; l++)
        relax(table + (l + 1) * (target + 1), back + l * (target + 1), table + l * (target + 1), &layers[l], target,
              params, precision, cap);
    backtrack(choice, back, table, layers, n, target, params, precision);
done:
    ln__free(table);
    ln__free(back);
    return st;
}

static const ln__option *nearest(const ln__option_list *layer, double cr)
{
    const ln__option *best = &layer->items[0];
    for (int64_t i = 1; i < layer->n; i++)
        if (best->cr == 0 || fabs(layer->items[i].cr - cr) < fabs(best->cr - cr))
            best = &layer->items[i];
    return best;
}

ln_status ln__knapsack_capped(int32_t *choice, const ln__option_list *layers, int64_t n, double remove,
                              int64_t precision, double *alpha)
{
    ln_status st = LN_OK;
    double reference = 0;
    for (int64_t l = 0; l < n; l++)
        reference += nearest(&layers[l], remove)->error / (double)n;
    const int64_t target = (int64_t)ceil(remove * (double)total_params(layers, n));
    const bool automatic = *alpha == 0;
    int64_t reachable = 0;
    for (int step = 0; step <= 10; step++) {
        const double a = automatic ? 1.0 + 0.1 * step : *alpha;
        st = ln__knapsack(choice, layers, n, target, precision, a * reference, &reachable);
        if (st == LN_OK)
            *alpha = a;
        if (st != LN_ERR_RANGE || !automatic)
            break;
    }
    if (st == LN_ERR_RANGE)
        st = ln__fail(LN_ERR_RANGE,
                      "remove = %g cannot be reached: at most %.4f at alpha = %g; a larger alpha allows larger errors",
                      remove, (double)reachable / (double)total_params(layers, n), automatic ? 2.0 : *alpha);
    return st;
}

ln_status ln__knapsack_free(int32_t *choice, const ln__option_list *layers, int64_t n, double remove, int64_t precision)
{
    const int64_t target = (int64_t)ceil(remove * (double)total_params(layers, n));
    return ln__knapsack(choice, layers, n, target, precision, INFINITY, NULL);
}

ln_status ln__allocate_uniform(int32_t *choice, const ln__option_list *layers, int64_t n, double remove,
                               int64_t *short_layer)
{
    for (int64_t l = 0; l < n; l++) {
        int32_t best = -1;
        const double need = remove * (double)layers[l].params - 1e-6; /* the product may round up past a whole value */
        for (int64_t i = 0; i < layers[l].n; i++)
            if ((double)layers[l].items[i].removed >= need &&
                (best < 0 || layers[l].items[i].removed < layers[l].items[best].removed))
                best = (int32_t)i;
        if (best < 0) {
            int64_t most = 0;
            for (int64_t i = 0; i < layers[l].n; i++)
                most = LN_MAX(most, layers[l].items[i].removed);
            if (short_layer)
                *short_layer = l;
            return ln__fail(LN_ERR_RANGE, "remove = %g cannot be reached: at most %.4f here", remove,
                            (double)most / (double)layers[l].params);
        }
        choice[l] = best;
    }
    return LN_OK;
}
