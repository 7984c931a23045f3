/* chart.c - curves as SVG. All series of one group share a chart; a lone series over consecutive whole numbers (layers,
 * say) becomes bars. An axis is logarithmic when its values are positive and span more than two decades. Curves differ
 * by colour, mark and dash, so that they can be told apart without colour. */
#include "report/page.h"

#include <math.h>
#include <string.h>

enum {
    WIDTH = 520,
    HEIGHT = 320,
    LEFT = 58,
    RIGHT = 14,
    TOP = 12,
    BOTTOM = 46,
    COLOURS = 8,
    MARKED = 40,
    MAX_BARS = 80
};

typedef struct chart {
    const char *group, *x_label, *y_label;
    ln__curve *curve;
    int64_t n, left_out;
    ln__axis x, y;
    bool bars;
} chart;

/* ---- reading ---- */

static bool consecutive(const ln__curve *c)
{
    for (int64_t i = 0; i < c->n; i++)
        if (c->x[i] != rint(c->x[i]) || (i > 0 && c->x[i] != c->x[i - 1] + 1))
            return false;
    return c->n > 0 && c->n == c->all;
}

static void range_of(chart *g)
{
    g->x.lo = g->y.lo = INFINITY;
    g->x.hi = g->y.hi = -INFINITY;
    bool steps = true;
    for (int64_t k = 0; k < g->n; k++) {
        const ln__curve *c = &g->curve[k];
        steps &= consecutive(c);
        for (int64_t i = 0; i < c->n; i++) {
            g->x.lo = LN_MIN(g->x.lo, c->x[i]);
            g->x.hi = LN_MAX(g->x.hi, c->x[i]);
            g->y.lo = LN_MIN(g->y.lo, c->y[i]);
            g->y.hi = LN_MAX(g->y.hi, c->y[i]);
        }
    }
    g->bars = g->n == 1 && steps && g->curve[0].n >= 3 && g->curve[0].n <= MAX_BARS;
    g->x.log = !steps && g->x.lo > 0 && g->x.hi / g->x.lo > 100;
    g->y.log = !g->bars && g->y.lo > 0 && g->y.hi / g->y.lo > 100;
    if (g->bars) {
        g->x.lo -= 0.6;
        g->x.hi += 0.6;
        g->y.lo = LN_MIN(g->y.lo, 0);
        g->y.hi = LN_MAX(g->y.hi, 0);
    } else if (!g->y.log && g->y.lo > 0 && g->y.lo < 0.4 * g->y.hi) {
        g->y.lo = 0;
    }
}

static void fit(chart *g)
{
    const double x_lo = g->x.lo, x_hi = g->x.hi;
    ln__axis_fit(&g->x, 6);
    if (!g->x.log && x_hi > x_lo) { /* the x axis ends where the data end */
        g->x.lo = x_lo;
        g->x.hi = x_hi;
    }
    ln__axis_fit(&g->y, 5);
    g->x.from = LEFT;
    g->x.to = WIDTH - RIGHT;
    g->y.from = HEIGHT - BOTTOM;
    g->y.to = TOP;
}

/* ---- drawing ---- */

static void draw_axes(ln__page *p, const chart *g)
{
    char text[32];
    ln__page_put(p, "<g class=\"grid\">");
    for (int i = 0; i < g->y.ticks; i++)
        ln__page_putf(p, "<path d=\"M%d %.1fH%d\"/>", LEFT, ln__axis_at(&g->y, g->y.tick[i]), WIDTH - RIGHT);
    ln__page_put(p, "</g><g class=\"axis\">");
    for (int i = 0; i < g->y.ticks; i++) {
        ln__page_putf(p, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", LEFT - 7,
                      ln__axis_at(&g->y, g->y.tick[i]) + 4);
        ln__page_put(p, ln__tick_text(text, &g->y, g->y.tick[i]));
        ln__page_put(p, "</text>");
    }
    for (int i = 0; i < g->x.ticks; i++) {
        const double at = ln__axis_at(&g->x, g->x.tick[i]);
        if (at < LEFT - 0.5 || at > WIDTH - RIGHT + 0.5)
            continue;
        ln__page_putf(p, "<path d=\"M%.1f %dv4\"/><text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">", at,
                      HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 18);
        ln__page_put(p, ln__tick_text(text, &g->x, g->x.tick[i]));
        ln__page_put(p, "</text>");
    }
    ln__page_putf(p, "<path d=\"M%d %dH%d\"/></g>", LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT);
    ln__page_putf(p, "<text class=\"label\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">", (LEFT + WIDTH - RIGHT) / 2,
                  HEIGHT - 8);
    ln__page_text(p, g->x_label, strlen(g->x_label), 80);
    ln__page_putf(p, "</text><text class=\"label\" transform=\"translate(13 %d) rotate(-90)\" text-anchor=\"middle\">",
                  (TOP + HEIGHT - BOTTOM) / 2);
    ln__page_text(p, g->y_label, strlen(g->y_label), 60);
    ln__page_put(p, "</text>");
}

/* Tooltip of a point. */
static void title(ln__page *p, const ln__curve *c, int64_t i)
{
    ln__page_put(p, "<title>");
    ln__page_text(p, c->name, strlen(c->name), 80);
    ln__page_putf(p, "%s%.6g: %.6g</title>", *c->name ? "\n" : "", c->x[i], c->y[i]);
}

/* Circle, square, triangle, diamond: one of four by the curve's number. */
static void mark(ln__page *p, int64_t shape, double x, double y)
{
    switch (shape % 4) {
    case 0:
        ln__page_putf(p, "<path d=\"M%.1f %.1fa3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0 -6.4 0\">", x - 3.2, y);
        break;
    case 1:
        ln__page_putf(p, "<path d=\"M%.1f %.1fh5.8v5.8h-5.8z\">", x - 2.9, y - 2.9);
        break;
    case 2:
        ln__page_putf(p, "<path d=\"M%.1f %.1fl3.7 6.4h-7.4z\">", x, y - 4);
        break;
    default:
        ln__page_putf(p, "<path d=\"M%.1f %.1fl3.9 3.9l-3.9 3.9l-3.9 -3.9z\">", x, y - 3.9);
    }
}

static void draw_curve(ln__page *p, const chart *g, int64_t k)
{
    const ln__curve *c = &g->curve[k];
    ln__page_putf(p, "<g class=\"s%d d%d\">", (int)(k % COLOURS), (int)LN_MIN(k / COLOURS, 3));
    if (c->rising && c->n > 1) {
        ln__page_put(p, "<path class=\"line\" d=\"");
        for (int64_t i = 0; i < c->n; i++)
            ln__page_putf(p, "%c%.1f %.1f", i ? 'L' : 'M', ln__axis_at(&g->x, c->x[i]), ln__axis_at(&g->y, c->y[i]));
        ln__page_put(p, "\"><title>");
        ln__page_text(p, c->name, strlen(c->name), 80);
        ln__page_put(p, "</title></path>");
    }
    if (!c->rising || c->n <= MARKED) {
        ln__page_put(p, "<g class=\"mark\">");
        for (int64_t i = 0; i < c->n; i++) {
            mark(p, k, ln__axis_at(&g->x, c->x[i]), ln__axis_at(&g->y, c->y[i]));
            title(p, c, i);
            ln__page_put(p, "</path>");
        }
        ln__page_put(p, "</g>");
    }
    ln__page_put(p, "</g>");
}

static void draw_bars(ln__page *p, const chart *g)
{
    const ln__curve *c = &g->curve[0];
    const double zero = ln__axis_at(&g->y, 0), pitch = ln__axis_at(&g->x, 1) - ln__axis_at(&g->x, 0);
    const double width = LN_MIN(0.78 * pitch, 40);
    ln__page_put(p, "<g class=\"s0 bar\">");
    for (int64_t i = 0; i < c->n; i++) {
        const double at = ln__axis_at(&g->y, c->y[i]);
        ln__page_putf(p, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
                      ln__axis_at(&g->x, c->x[i]) - width / 2, LN_MIN(at, zero), width, LN_MAX(fabs(at - zero), 0.5));
        title(p, c, i);
        ln__page_put(p, "</rect>");
    }
    ln__page_put(p, "</g>");
}

static void legend(ln__page *p, const chart *g)
{
    if (g->n < 2 && (!*g->curve[0].name || strcmp(g->curve[0].name, g->group) == 0))
        return;
    ln__page_put(p, "<ul class=\"legend\">");
    for (int64_t k = 0; k < g->n; k++) {
        ln__page_put(p, "<li><svg width=\"30\" height=\"12\" viewBox=\"0 0 30 12\" aria-hidden=\"true\">");
        ln__page_putf(p, "<g class=\"s%d d%d\">", (int)(k % COLOURS), (int)LN_MIN(k / COLOURS, 3));
        if (g->curve[k].rising)
            ln__page_put(p, "<path class=\"line\" d=\"M1 6H29\"/>");
        ln__page_put(p, "<g class=\"mark\">");
        mark(p, k, 15, 6);
        ln__page_put(p, "</path></g></g></svg>");
        ln__page_text(p, g->curve[k].name, strlen(g->curve[k].name), 60);
        ln__page_put(p, "</li>");
    }
    ln__page_put(p, "</ul>");
}

static void notes(ln__page *p, const chart *g)
{
    int64_t shown = 0, all = 0;
    for (int64_t k = 0; k < g->n; k++) {
        shown += g->curve[k].n;
        all += g->curve[k].all;
    }
    if (shown < all)
        ln__page_putf(p,
                      "<p class=\"note\">%lld of %lld points drawn; least and greatest of each stretch are kept.</p>",
                      (long long)shown, (long long)all);
    if (g->left_out > 0)
        ln__page_putf(p, "<p class=\"note\">%lld more curves are in the JSON.</p>", (long long)g->left_out);
}

static void draw(ln__page *p, const chart *g)
{
    ln__page_put(p, "<figure><figcaption>");
    ln__page_str(p, *g->group ? g->group : g->y_label);
    ln__page_putf(p, "</figcaption><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", WIDTH, HEIGHT);
    ln__page_str(p, *g->group ? g->group : g->y_label);
    ln__page_put(p, "\">");
    draw_axes(p, g);
    if (g->bars)
        draw_bars(p, g);
    for (int64_t k = 0; k < g->n && !g->bars; k++)
        draw_curve(p, g, k);
    ln__page_put(p, "</svg>");
    legend(p, g);
    notes(p, g);
    ln__page_put(p, "</figure>");
}

/* ---- groups ---- */

static bool seen_before(const json_t *series, size_t i)
{
    const char *group = ln__member(json_array_get(series, i), "group", "");
    for (size_t j = 0; j < i; j++)
        if (strcmp(ln__member(json_array_get(series, j), "group", ""), group) == 0)
            return true;
    return false;
}

static void one_group(ln__page *p, const json_t *series, size_t first)
{
    const json_t *head = json_array_get(series, first);
    chart g = { .group = ln__member(head, "group", ""),
                .x_label = ln__member(head, "x_label", ""),
                .y_label = ln__member(head, "y_label", "") };
    p->st = LN_NEW0(&g.curve, p->budget.curves);
    for (size_t i = first; i < json_array_size(series) && p->st == LN_OK; i++) {
        const json_t *s = json_array_get(series, i);
        if (strcmp(ln__member(s, "group", ""), g.group) != 0)
            continue;
        if (g.n == p->budget.curves)
            g.left_out++;
        else if (ln__curve_read(p, &g.curve[g.n], s))
            g.n++;
        else
            ln__curve_free(&g.curve[g.n]);
    }
    if (g.n > 0 && p->st == LN_OK) {
        range_of(&g);
        fit(&g);
        draw(p, &g);
    }
    for (int64_t k = 0; g.curve && k < p->budget.curves; k++)
        ln__curve_free(&g.curve[k]);
    ln__free(g.curve);
}

void ln__page_charts(ln__page *p, const json_t *series)
{
    int64_t drawn = 0, left_out = 0;
    if (json_array_size(series) == 0)
        return;
    ln__page_put(p, "<section><h2>Curves</h2><div class=\"charts\">");
    for (size_t i = 0; i < json_array_size(series) && p->st == LN_OK; i++) {
        if (seen_before(series, i))
            continue;
        if (drawn == p->budget.charts) {
            left_out++;
            continue;
        }
        one_group(p, series, i);
        drawn++;
    }
    ln__page_put(p, "</div>");
    if (left_out > 0)
        ln__page_putf(p, "<p class=\"note\">%lld more charts are in the JSON.</p>", (long long)left_out);
    ln__page_put(p, "</section>");
}
