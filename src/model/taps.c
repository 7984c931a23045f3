/* taps.c - named activations shown to callbacks, and the search for what made a state NaN or infinite.
 *
 * Which points any pattern matches is worked out when a tap is set; a forward pass pays one byte per point. */
#include <math.h>
#include <string.h>

#include "core/kernels.h"
#include "linalg/linalg.h"
#include "linop/linop.h"
#include "model/model.h"

ln_status ln_session_tap(ln_session *s, const char *pattern, ln_tap_fn fn, void *payload)
{
    const int64_t points = s ? s->m->cfg.layers * LN_POINTS + 2 : 0;
    char *copy = NULL;
    bool any = false;
    ln_status st = LN_OK;
    if (!s)
        LN_FAIL(LN_ERR_ARG, "ln_session_tap: a session is needed, not NULL");
    if (!pattern) {
        for (int i = 0; i < s->n_taps; i++)
            ln__free(s->taps[i].pattern);
        s->n_taps = 0;
        memset(s->tapped, 0, (size_t)points);
        goto done;
    }
    if (!fn)
        LN_FAIL(LN_ERR_ARG, "tap \"%s\": no function", pattern);
    for (int64_t i = 0; i < points && !any; i++)
        any = s->m->point_name[i] && ln__glob(pattern, s->m->point_name[i]);
    if (!any)
        LN_FAIL(LN_ERR_NOTFOUND, "tap \"%s\" matches no activation of %s (such as \"%s\")", pattern, s->m->path,
                s->m->point_name[0]);
    LN_TRY(ln__strdup(&copy, pattern));
    LN_TRY(ln__realloc((void **)&s->taps, (size_t)s->n_taps + 1, sizeof *s->taps));
    s->taps[s->n_taps++] = (ln__tap){ copy, fn, payload };
    copy = NULL;
    for (int64_t i = 0; i < points; i++)
        if (s->m->point_name[i] && ln__glob(pattern, s->m->point_name[i]))
            s->tapped[i] = 1;
done:
    ln__free(copy);
    return st;
}

static ln_status check_point(const ln_session *s, const ln__batch *b, int64_t point, const float *data, int64_t width)
{
    const int64_t bad = ln__find_nonfinite_f32(data, b->n * width);
    if (bad < 0)
        return LN_OK;
    const int64_t row = bad / width;
    return ln__fail(LN_ERR_NUMERIC, "%s is %s at position %lld, channel %lld", s->m->point_name[point],
                    isnan(data[bad]) ? "NaN" : "infinite", (long long)ln__batch_position(s, b, row),
                    (long long)(bad % width));
}

ln_status ln__point(ln_session *s, const ln__batch *b, int64_t layer, int64_t point, float *data, int64_t width)
{
    if (s->checking)
        return check_point(s, b, point, data, width);
    if (!s->tapped[point])
        return LN_OK;
    for (int i = 0; i < s->n_taps; i++) {
        if (!ln__glob(s->taps[i].pattern, s->m->point_name[point]))
            continue;
        for (int64_t row = 0, end; row < b->n; row = end) {
            end = ln__batch_run_end(b, row);
            const ln_activation a = { .name = s->m->point_name[point],
                                      .layer = layer,
                                      .data = data + row * width,
                                      .tokens = end - row,
                                      .width = width,
                                      .position = ln__batch_position(s, b, row),
                                      .sequence = ln__batch_sequence(b, row) };
            if (s->taps[i].fn(s->taps[i].payload, &a))
                return ln__fail(LN_ERR_CANCELLED, "stopped by the tap on %s", a.name);
        }
    }
    return LN_OK;
}

static ln_status check_linear(const ln_model *m, int64_t layer, int slot)
{
    const ln_linop *op = m->blocks[layer].lin[slot];
    const char *suffix[4];
    ln_tensor *tensor[4];
    char name[320];
    if (!op)
        return LN_OK;
    const int n = op->kind->tensors(op, suffix, tensor);
    for (int i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "%s%s", m->linear_name[layer * LN_LIN_COUNT + slot], suffix[i]);
        const ln_status st = ln_tensor_check_finite(tensor[i], name);
        if (st != LN_OK)
            return ln__fail_in(st, "%s", m->path);
    }
    return LN_OK;
}

ln_status ln__model_check_finite(const ln_model *m)
{
    for (int64_t i = 0; i < m->n_named; i++) {
        const ln_status st = ln_tensor_check_finite(m->named[i].t, m->named[i].name);
        if (st != LN_OK)
            return ln__fail_in(st, "%s", m->path);
    }
    for (int64_t i = 0; i < m->cfg.layers * LN_LIN_COUNT; i++) {
        const ln_status st = check_linear(m, i / LN_LIN_COUNT, (int)(i % LN_LIN_COUNT));
        if (st != LN_OK)
            return st;
    }
    return LN_OK;
}

ln_status ln__blame(ln_session *s, const ln__batch *b)
{
    ln_status st = ln__model_check_finite(s->m);
    if (st != LN_OK)
        return st;
    s->checking = true;
    st = ln__llama_forward(s, b, NULL, false);
    s->checking = false;
    if (st != LN_OK)
        return ln__fail_in(st, "%s: all weights are finite, but", s->m->path);
    return ln__fail(LN_ERR_NUMERIC, "%s: a tap made the hidden state NaN or infinite", s->m->path);
}
