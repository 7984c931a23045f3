/* sbm_score.c - how far two labellings agree: NMI = 2 I(a;b) / (H(a) + H(b)). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "factor/sbm.h"

typedef struct both {
    int32_t a, b;
} both;

static int by_both(const void *x, const void *y)
{
    const both *p = x, *q = y;
    if (p->a != q->a)
        return p->a < q->a ? -1 : 1;
    return p->b < q->b ? -1 : p->b > q->b;
}

/* Entropy in nats of the runs of one a, or of one pair, in a sorted list. */
static double entropy(const both *list, int64_t n, bool pairs)
{
    double h = 0;
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i + 1; j < n && list[j].a == list[i].a && (!pairs || list[j].b == list[i].b); j++)
            ;
        const double p = (double)(j - i) / (double)n;
        h -= p * log(p);
    }
    return h;
}

ln_status ln_nmi(double *out, const int32_t *a, const int32_t *b, int64_t n)
{
    ln_status st = LN_OK;
    both *list = NULL;
    if (!out || !a || !b || n < 1)
        LN_FAIL(LN_ERR_ARG, "nmi: two labellings of at least one thing are needed");
    LN_TRY(LN_NEW(&list, n));
    for (int64_t i = 0; i < n; i++)
        list[i] = (both){ a[i], b[i] };
    qsort(list, (size_t)n, sizeof *list, by_both);
    const double h_ab = entropy(list, n, true), h_a = entropy(list, n, false);
    for (int64_t i = 0; i < n; i++)
        list[i] = (both){ b[i], a[i] };
    qsort(list, (size_t)n, sizeof *list, by_both);
    const double h_b = entropy(list, n, false);
    *out = h_a + h_b > 0 ? LN_MAX(0, 2 * (h_a + h_b - h_ab) / (h_a + h_b)) : 1;
done:
    ln__free(list);
    return st;
}
