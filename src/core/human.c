/* human.c - quantities for people: three significant digits at most, units in powers of 1024, as the options use, and
 * said so. */
#include "core/progress.h"

char *ln__human_bytes(char *buf, size_t n, double bytes)
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
    int u = 0;
    while (u < 6 && (bytes >= 1023.5 || (u > 0 && bytes >= 999.5))) {
        bytes /= 1024;
        u++;
    }
    const int digits = u == 0 || bytes >= 99.5 ? 0 : bytes >= 9.95 ? 1 : 2;
    int len = snprintf(buf, n, "%.*f", digits, bytes);
    if (len > 0 && (size_t)len < n) {
        if (digits > 0) { /* "2.00" reads better as "2", "1.20" as "1.2" */
            while (buf[len - 1] == '0')
                len--;
            if (buf[len - 1] < '0' || buf[len - 1] > '9')
                len--;
        }
        snprintf(buf + len, n - (size_t)len, " %s", unit[u]);
    }
    return buf;
}

char *ln__human_seconds(char *buf, size_t n, double seconds)
{
    if (!(seconds >= 0) || seconds > 3.2e9) {
        snprintf(buf, n, "?");
        return buf;
    }
    if (seconds < 0.9995) {
        snprintf(buf, n, "%.0f ms", seconds * 1e3);
        return buf;
    }
    if (seconds < 9.95) {
        snprintf(buf, n, "%.1f s", seconds);
        return buf;
    }
    const long long s = (long long)(seconds + 0.5);
    if (s < 60)
        snprintf(buf, n, "%lld s", s);
    else if (s < 3600)
        snprintf(buf, n, "%lld min %lld s", s / 60, s % 60);
    else if (s < 48 * 3600)
        snprintf(buf, n, "%lld h %lld min", s / 3600, s % 3600 / 60);
    else
        snprintf(buf, n, "%lld d %lld h", s / 86400, s % 86400 / 3600);
    return buf;
}
