/* file_distance.h - how far two sets of weights are apart. Include cmocka.h before. */
#ifndef LINNET_TESTS_FILE_DISTANCE_H
#define LINNET_TESTS_FILE_DISTANCE_H

#include <math.h>

#include <linnet/io.h>

/* The largest difference between numbers of the same name in two safetensors files; NaN when names or shapes differ. */
static inline double file_distance(const char *a, const char *b)
{
    ln_archive *f[2] = { NULL, NULL };
    double most = 0;
    assert_int_equal(ln_archive_open(&f[0], a), LN_OK);
    assert_int_equal(ln_archive_open(&f[1], b), LN_OK);
    if (ln_archive_count(f[0]) != ln_archive_count(f[1]) || ln_archive_count(f[0]) == 0)
        most = NAN;
    for (int64_t i = 0; i < ln_archive_count(f[0]) && !isnan(most); i++) {
        ln_tensor *t[2] = { NULL, NULL };
        for (int k = 0; k < 2; k++)
            assert_int_equal(ln_archive_get(&t[k], f[k], ln_archive_name(f[0], i)), LN_OK);
        const float *x = ln_tensor_cdata(t[0]), *y = ln_tensor_cdata(t[1]);
        if (ln_tensor_bytes(t[0]) != ln_tensor_bytes(t[1]) || ln_tensor_dtype(t[0]) != LN_F32)
            most = NAN;
        for (size_t n = 0; !isnan(most) && n < ln_tensor_bytes(t[0]) / sizeof *x; n++) {
            const double d = fabs((double)x[n] - (double)y[n]);
            most = d > most || isnan(d) ? d : most;
        }
        ln_tensor_release(t[0]);
        ln_tensor_release(t[1]);
    }
    ln_archive_release(f[0]);
    ln_archive_release(f[1]);
    return most;
}

#endif
