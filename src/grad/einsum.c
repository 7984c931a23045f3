/* einsum.c - products of two operands in index notation, by views and one matmul.
 *
 * Every letter is of one of four sorts: in both operands and the result (batch), in both only (summed), in one operand
 * and the result (rows, columns), in one operand only (summed there first). The operands become (batch…, rows, inner)
 * and (batch…, inner, columns) by permutation; only a sort with several letters must be flattened, which may copy. */
#include <string.h>

#include "grad/tape.h"

typedef struct letters {
    int n;
    char at[LN_MAX_DIMS];
} letters;

typedef struct plan {
    letters a, b, out;
    int64_t size[26];
} plan;

static bool has(const letters *l, char c)
{
    for (int i = 0; i < l->n; i++)
        if (l->at[i] == c)
            return true;
    return false;
}

static void push(letters *l, char c)
{
    if (l->n < LN_MAX_DIMS)
        l->at[l->n++] = c;
}

/* "ij,jk->ik"; spaces are skipped. */
static ln_status parse(plan *p, const char *text)
{
    letters *const part[3] = { &p->a, &p->b, &p->out };
    int at = 0;
    for (const char *s = text; *s; s++) {
        if (*s == ' ')
            continue;
        if (*s == ',' && at == 0) {
            at = 1;
        } else if (*s == '-' && s[1] == '>' && at == 1) {
            at = 2;
            s++;
        } else if (*s < 'a' || *s > 'z' || has(part[at], *s) || part[at]->n == LN_MAX_DIMS) {
            return ln__fail(LN_ERR_ARG, "einsum: \"%s\": unexpected '%c' at %d", text, *s, (int)(s - text));
        } else {
            push(part[at], *s);
        }
    }
    return at == 2 ? LN_OK : ln__fail(LN_ERR_ARG, "einsum: \"%s\": expected \"letters,letters->letters\"", text);
}

static ln_status sizes(plan *p, const char *text, const ln_var *v, const letters *l, int which)
{
    if (v->ndim != l->n)
        return ln__fail(LN_ERR_SHAPE, "einsum: \"%s\": operand %d has %d dimensions, expected %d", text, which, v->ndim,
                        l->n);
    for (int i = 0; i < l->n; i++) {
        int64_t *const size = &p->size[l->at[i] - 'a'];
        if (*size >= 0 && *size != v->dim[i])
            return ln__fail(LN_ERR_SHAPE, "einsum: \"%s\": '%c' is %lld and %lld", text, l->at[i], (long long)*size,
                            (long long)v->dim[i]);
        *size = v->dim[i];
    }
    return LN_OK;
}

/* Sums over the letters of l that are nowhere else. */
static ln_var *sum_alone(ln_tape *t, ln_var *v, letters *l, const letters *other, const letters *out)
{
    for (int i = l->n - 1; i >= 0; i--)
        if (!has(other, l->at[i]) && !has(out, l->at[i])) {
            v = ln_sum(t, v, i, 0);
            memmove(l->at + i, l->at + i + 1, (size_t)(l->n - i - 1));
            l->n--;
        }
    return v;
}

static int64_t product(const plan *p, const letters *l)
{
    int64_t n = 1;
    for (int i = 0; i < l->n; i++)
        n *= p->size[l->at[i] - 'a'];
    return n;
}

/* v with letters `have` as (batch…, first, second), each of the last two one dimension. */
static ln_var *arrange(ln_tape *t, ln_var *v, const plan *p, const letters *have, const letters *batch,
                       const letters *first, const letters *second)
{
    const letters *const sorts[3] = { batch, first, second };
    int axes[LN_MAX_DIMS] = { 0 }, n = 0;
    int64_t dims[LN_MAX_DIMS + 2];
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < sorts[s]->n; i++)
            for (int k = 0; k < have->n; k++)
                if (have->at[k] == sorts[s]->at[i])
                    axes[n++] = k;
    v = ln_permute(t, v, axes);
    if (first->n == 1 && second->n == 1)
        return v;
    for (int i = 0; i < batch->n; i++)
        dims[i] = p->size[batch->at[i] - 'a'];
    dims[batch->n] = product(p, first);
    dims[batch->n + 1] = product(p, second);
    return ln_reshape(t, v, batch->n + 2, dims);
}

static ln_var *contract(ln_tape *t, const plan *p, ln_var *a, ln_var *b)
{
    letters batch = { 0 }, rows = { 0 }, columns = { 0 }, inner = { 0 }, made = { 0 };
    int64_t dims[LN_MAX_DIMS];
    int axes[LN_MAX_DIMS];
    for (int i = 0; i < p->out.n; i++) {
        const char c = p->out.at[i];
        push(!has(&p->b, c) ? &rows : has(&p->a, c) ? &batch : &columns, c);
    }
    for (int i = 0; i < p->a.n; i++)
        if (has(&p->b, p->a.at[i]) && !has(&p->out, p->a.at[i]))
            push(&inner, p->a.at[i]);
    ln_var *y = ln_matmul(t, arrange(t, a, p, &p->a, &batch, &rows, &inner),
                          arrange(t, b, p, &p->b, &batch, &inner, &columns), 0, 0);
    const letters *const sorts[3] = { &batch, &rows, &columns };
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < sorts[s]->n; i++) {
            dims[made.n] = p->size[sorts[s]->at[i] - 'a'];
            push(&made, sorts[s]->at[i]);
        }
    y = ln_reshape(t, y, made.n, dims);
    for (int i = 0; i < made.n; i++)
        for (int k = 0; k < made.n; k++)
            if (made.at[k] == p->out.at[i])
                axes[i] = k;
    return memcmp(made.at, p->out.at, (size_t)made.n) == 0 ? y : ln_permute(t, y, axes);
}

ln_var *ln_einsum(ln_tape *t, const char *expression, ln_var *a, ln_var *b)
{
    ln_status st = LN_OK;
    plan p = { 0 };
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!expression || !a || !b)
        LN_FAIL(LN_ERR_ARG, "einsum: %s is NULL", !expression ? "the expression" : !a ? "operand 0" : "operand 1");
    for (int i = 0; i < 26; i++)
        p.size[i] = -1;
    LN_TRY(parse(&p, expression));
    LN_TRY(sizes(&p, expression, a, &p.a, 0));
    LN_TRY(sizes(&p, expression, b, &p.b, 1));
    for (int i = 0; i < p.out.n; i++)
        if (!has(&p.a, p.out.at[i]) && !has(&p.b, p.out.at[i]))
            LN_FAIL(LN_ERR_ARG, "einsum: \"%s\": '%c' is in no operand", expression, p.out.at[i]);
    a = sum_alone(t, a, &p.a, &p.b, &p.out);
    b = sum_alone(t, b, &p.b, &p.a, &p.out);
done:
    return st == LN_OK ? contract(t, &p, a, b) : ln__tape_fail(t, st);
}

ln_var *ln_outer(ln_tape *t, ln_var *a, ln_var *b)
{
    if (ln__tape_failed(t))
        return ln__tape_fail(t, LN_OK);
    if (!a || !b)
        return ln__tape_fail(t, ln__fail(LN_ERR_ARG, "outer: input %d is NULL", a ? 1 : 0));
    if (a->ndim != 1 || b->ndim != 1) {
        char ta[96], tb[96];
        return ln__tape_fail(t, ln__fail(LN_ERR_SHAPE, "outer: expected (m) and (n), found %s and %s",
                                         ln__var_text(ta, a), ln__var_text(tb, b)));
    }
    return ln_matmul(t, ln_reshape(t, a, LN_DIMS(a->dim[0], 1)), ln_reshape(t, b, LN_DIMS(1, b->dim[0])), 0, 0);
}
