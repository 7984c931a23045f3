/* dates.c - dates by the proleptic Gregorian calendar, without the C library's clocks, zones or locale.
 *
 * day(y, m, d) counts from a year that begins in March, so that the leap day is the last of its year. Spacings: a fixed
 * number of seconds; a number of months, on the same day of the month or always on its last; weekdays (Monday to
 * Friday, as quotes at an exchange). Pitfall: Jan 31, Feb 28, Mar 31 is monthly, and so is Feb 28, Mar 28. */
#include "forecast/dates.h"

#include <string.h>

static const int64_t DAY = 86400;

static int64_t days_of(int64_t y, int64_t m, int64_t d)
{
    y -= m <= 2;
    const int64_t era = (y >= 0 ? y : y - 399) / 400, year = y - era * 400;
    const int64_t in_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + year * 365 + year / 4 - year / 100 + in_year - 719468;
}

static void civil_of(int64_t day, int64_t *y, int64_t *m, int64_t *d)
{
    day += 719468;
    const int64_t era = (day >= 0 ? day : day - 146096) / 146097, in_era = day - era * 146097;
    const int64_t year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    const int64_t in_year = in_era - (365 * year + year / 4 - year / 100), month = (5 * in_year + 2) / 153;
    *d = in_year - (153 * month + 2) / 5 + 1;
    *m = month + (month < 10 ? 3 : -9);
    *y = year + era * 400 + (*m <= 2);
}

static int64_t month_length(int64_t y, int64_t m)
{
    return days_of(m == 12 ? y + 1 : y, m == 12 ? 1 : m + 1, 1) - days_of(y, m, 1);
}

/* Exactly `digits` digits. */
static bool number(int64_t *out, const char **s, int digits)
{
    int64_t x = 0;
    for (int i = 0; i < digits; i++) {
        if (**s < '0' || **s > '9')
            return false;
        x = 10 * x + (*(*s)++ - '0');
    }
    *out = x;
    return true;
}

static bool read_time(int64_t *second, ln__date_style *style, const char **s)
{
    int64_t h, m, sec = 0;
    style->join = *(*s)++;
    if (!number(&h, s, 2) || *(*s)++ != ':' || !number(&m, s, 2))
        return false;
    if (**s == ':') {
        (*s)++;
        style->seconds = true;
        if (!number(&sec, s, 2))
            return false;
        if (**s == '.' && (*s)[1] == '0') /* a fraction of zeros only */
            for ((*s)++; **s == '0';)
                (*s)++;
    }
    if (**s == 'Z') {
        style->zulu = true;
        (*s)++;
    }
    *second = h * 3600 + m * 60 + sec;
    return h < 24 && m < 60 && sec < 60;
}

bool ln__date_read(ln__date *out, ln__date_style *style, const char *text)
{
    int64_t y, m, d = 1, second = 0;
    ln__date_style how = { .sep = '-' };
    const char *s = text;
    while (*s == ' ')
        s++;
    if (!number(&y, &s, 4) || (*s != '-' && *s != '/' && *s != '.'))
        return false;
    how.sep = *s++;
    if (!number(&m, &s, 2) || m < 1 || m > 12)
        return false;
    if (*s == how.sep) {
        s++;
        how.day = true;
        if (!number(&d, &s, 2) || d < 1 || d > month_length(y, m))
            return false;
        if ((*s == ' ' || *s == 'T') && s[1] && !read_time(&second, &how, &s))
            return false;
    } else if (how.sep == '.') { /* 2016.07 is a number */
        return false;
    }
    while (*s == ' ')
        s++;
    if (*s)
        return false;
    *out = (ln__date){ days_of(y, m, d), second };
    *style = how;
    return true;
}

char *ln__date_text(char *buf, size_t n, ln__date d, const ln__date_style *style)
{
    int64_t y, m, day;
    char time[32] = "", in_month[8] = "";
    civil_of(d.day, &y, &m, &day);
    if (style->day)
        ln__format(in_month, sizeof in_month, "%c%02d", style->sep, (int)day);
    if (style->join && style->seconds)
        ln__format(time, sizeof time, "%c%02d:%02d:%02d%s", style->join, (int)(d.second / 3600),
                   (int)(d.second / 60 % 60), (int)(d.second % 60), style->zulu ? "Z" : "");
    else if (style->join)
        ln__format(time, sizeof time, "%c%02d:%02d%s", style->join, (int)(d.second / 3600), (int)(d.second / 60 % 60),
                   style->zulu ? "Z" : "");
    ln__format(buf, n, "%04lld%c%02d%s%s", (long long)y, style->sep, (int)m, in_month, time);
    return buf;
}

/* ---- spacing ---- */

ln__date ln__spacing_next(const ln__spacing *s, ln__date d)
{
    if (s->kind == LN__EVERY_SECONDS) {
        const int64_t at = d.second + s->step, days = at / DAY;
        return (ln__date){ d.day + days, at % DAY };
    }
    if (s->kind == LN__EVERY_WEEKDAY) {
        do
            d.day++;
        while ((d.day + 3) % 7 >= 5); /* 1970-01-01 was a Thursday; 0 is Monday */
        return d;
    }
    int64_t y, m, day;
    civil_of(d.day, &y, &m, &day);
    const int64_t months = y * 12 + m - 1 + s->step;
    y = months / 12;
    m = months % 12 + 1;
    const int64_t last = month_length(y, m);
    return (ln__date){ days_of(y, m, s->month_end ? last : LN_MIN(s->day, last)), d.second };
}

static int64_t first_unlike(const ln__spacing *s, const ln__date *dates, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        const ln__date want = ln__spacing_next(s, dates[i - 1]);
        if (want.day != dates[i].day || want.second != dates[i].second)
            return i;
    }
    return -1;
}

void ln__spacing_find(ln__spacing *s, int64_t *bad, const ln__date *dates, int64_t n)
{
    int64_t y[2], m[2], d[2];
    const int64_t seconds = (dates[1].day - dates[0].day) * DAY + dates[1].second - dates[0].second;
    ln__spacing tries[4];
    int64_t count = 0, longest = 0;
    for (int i = 0; i < 2; i++)
        civil_of(dates[i].day, &y[i], &m[i], &d[i]);
    const int64_t months = (y[1] - y[0]) * 12 + m[1] - m[0];
    if (months > 0) {
        tries[count++] = (ln__spacing){ LN__EVERY_MONTHS, months, false, LN_MAX(d[0], d[1]) };
        tries[count++] = (ln__spacing){ LN__EVERY_MONTHS, months, true, 0 };
    }
    if (seconds > 0)
        tries[count++] = (ln__spacing){ LN__EVERY_SECONDS, seconds, false, 0 };
    if (seconds > 0 && dates[0].second == dates[1].second && seconds <= 3 * DAY)
        tries[count++] = (ln__spacing){ LN__EVERY_WEEKDAY, 0, false, 0 };
    *s = (ln__spacing){ LN__EVERY_SECONDS, seconds, false, 0 };
    *bad = 1;
    for (int64_t k = 0; k < count; k++) { /* the one that holds furthest */
        const int64_t at = first_unlike(&tries[k], dates, n), reach = at < 0 ? INT64_MAX : at;
        if (reach > longest) {
            longest = reach;
            *s = tries[k];
            *bad = at;
        }
    }
}

char *ln__spacing_text(char *buf, size_t n, const ln__spacing *s)
{
    static const struct {
        int64_t seconds;
        const char *one;
    } units[] = { { 7 * 86400, "week" }, { 86400, "day" }, { 3600, "hour" }, { 60, "minute" }, { 1, "second" } };
    if (s->kind == LN__EVERY_WEEKDAY) {
        ln__format(buf, n, "every weekday");
    } else if (s->kind == LN__EVERY_MONTHS) {
        ln__format(buf, n, "%lld month%s", (long long)s->step, s->step == 1 ? "" : "s");
    } else {
        int u = 0;
        while (s->step % units[u].seconds != 0)
            u++;
        const int64_t k = s->step / units[u].seconds;
        ln__format(buf, n, "%lld %s%s", (long long)k, units[u].one, k == 1 ? "" : "s");
    }
    return buf;
}
