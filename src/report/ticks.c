/* ticks.c - axes: where marks go and how they are labelled.
 *
 * Linear: steps of 1, 2 or 5 times a power of ten (Heckbert, "Nice numbers for graph labels", Graphics Gems 1990). Log:
 * decades, thinned when there are many, with 2 and 5 between when there are few. */
#include "report/page.h"

#include <math.h>
#include <string.h>

static double nice_step(double span, int wanted)
{
    const double raw = span / wanted, base = pow(10, floor(log10(raw))), f = raw / base;
    return base * (f < 1.5 ? 1 : f < 3 ? 2 : f < 7 ? 5 : 10);
}

static void add_tick(ln__axis *a, double value)
{
    if (a->ticks < LN_COUNT(a->tick) && value >= a->lo - 1e-9 * fabs(a->lo) && value <= a->hi + 1e-9 * fabs(a->hi))
        a->tick[a->ticks++] = value;
}

static void fit_log(ln__axis *a, int wanted)
{
    static const int between[3] = { 1, 2, 5 };
    const int first = (int)ceil(log10(a->lo) - 1e-9), last = (int)floor(log10(a->hi) + 1e-9),
              decades = last - first + 1;
    const int step = LN_MAX(1, (decades + wanted) / (wanted + 1)), marks = decades <= 2 ? 3 : 1;
    for (int d = marks > 1 ? first - 1 : first; d <= last; d += step)
        for (int k = 0; k < marks; k++)
            add_tick(a, between[k] * pow(10, d));
}

void ln__axis_fit(ln__axis *a, int wanted)
{
    a->ticks = 0;
    if (a->log) {
        if (a->hi <= a->lo) {
            a->lo /= 2;
            a->hi *= 2;
        }
        const double room = pow(a->hi / a->lo, 0.04); /* no curve runs along the frame */
        a->lo /= room;
        a->hi *= room;
        fit_log(a, wanted);
        return;
    }
    if (a->hi <= a->lo) { /* one value: some room around it */
        const double room = a->lo == 0 ? 1 : fabs(a->lo) * 0.1;
        a->lo -= room;
        a->hi += room;
    }
    const double step = nice_step(a->hi - a->lo, wanted);
    const double first = floor(a->lo / step + 1e-9), last = ceil(a->hi / step - 1e-9);
    if (!isfinite(step) || step <= 0 || last - first > 20) /* a range at the edge of what doubles hold */
        return;
    a->lo = LN_MIN(a->lo, first * step);
    a->hi = LN_MAX(a->hi, last * step);
    for (int i = 0; i <= (int)(last - first); i++)
        add_tick(a, fabs(first + i) < 0.5 ? 0 : (first + i) * step);
}

double ln__axis_at(const ln__axis *a, double value)
{
    const double f = a->log ? (log(value) - log(a->lo)) / (log(a->hi) - log(a->lo)) : (value - a->lo) / (a->hi - a->lo);
    return a->from + (a->to - a->from) * f;
}

/* 10 to a power with superscript digits. */
static void power_text(char *buf, size_t n, int exponent)
{
    static const char *const digit[10] = { "⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹" };
    char plain[8];
    ln__format(plain, sizeof plain, "%d", exponent < 0 ? -exponent : exponent);
    ln__format(buf, n, "10%s", exponent < 0 ? "⁻" : "");
    for (const char *c = plain; *c; c++) {
        const size_t len = strlen(buf);
        ln__format(buf + len, n - len, "%s", digit[*c - '0']);
    }
}

char *ln__tick_text(char *buf, const ln__axis *a, double value)
{
    enum { SIZE = 32 };
    static const char *const unit[] = { "", "k", "M", "G", "T" };
    const double size = fabs(value);
    const double decade = size > 0 ? log10(size) : 0;
    const bool powers = a->log && size > 0 && (a->hi > 2e4 || a->lo < 5e-4); /* one style along an axis */
    if (powers && fabs(decade - rint(decade)) < 1e-9 && (size < 0.2 || size > 50)) {
        power_text(buf, SIZE, (int)rint(decade));
    } else if (size >= 1e4 && size < 1e15) {
        int u = 0;
        double v = value;
        while (fabs(v) >= 1000 && u < 4) {
            v /= 1000;
            u++;
        }
        ln__format(buf, SIZE, "%.4g%s", v, unit[u]);
    } else {
        ln__format(buf, SIZE, "%.4g", value);
    }
    return buf;
}
