/* conformance.h - what a verb brings so that all its systems are tested: a small job, and the same job spoilt. */
#ifndef LINNET_TESTS_CONFORMANCE_H
#define LINNET_TESTS_CONFORMANCE_H

#include "core_test.h"

#include <linnet/estimator.h>

typedef enum defect {
    GOOD,       /* as it should be                                            */
    OTHER,      /* other numbers, as good: for "a second fit starts afresh"   */
    NOT_FINITE, /* one NaN                                                    */
    EMPTY,      /* names but no numbers                                       */
    WRONG_SHAPE /* a row is short, a matrix is not square, sizes do not agree */
} defect;

/* One verb whose systems are estimators. */
typedef struct fixture {
    const char *verb;
    /* Writes the files of a job below the scratch directory, puts them into job->input and, where the verb has shared
     * options, points job->shared at them. Returns a word that the message must hold (a column, an option, a file), or
     * NULL when the defect has no meaning for the verb. */
    const char *(*make)(ln_job *job, defect d);
} fixture;

/* An option that keeps a system short on a fixture, or that it cannot do without. */
typedef struct setting {
    const char *verb, *system, *option, *value;
} setting;

/* Removes a directory below the scratch directory, if it is there. */
UNUSED static void remove_tree(const char *name)
{
    if (access(scratch(name), F_OK) == 0)
        assert_int_equal(nftw(scratch(name), remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* A CSV file: header, then rows of cols numbers in [-1, 1) made from the seed; the spoilt cell is in row 7 (of the
 * numbers, from 1) and column 2. */
UNUSED static void write_numbers(const char *path, const char *header, int rows, int cols, uint64_t seed, defect d)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%s\n", header);
    for (int i = 0; i < rows && d != EMPTY; i++)
        for (int j = 0; j < cols; j++) {
            uint64_t x = (seed * 1000003 + (uint64_t)i * 131 + (uint64_t)j + 1) * 0x9e3779b97f4a7c15u;
            x = (x ^ (x >> 29)) * 0xbf58476d1ce4e5b9u;
            const double value = (double)(int64_t)(x ^ (x >> 32)) / 9223372036854775808.0;
            const bool here = i == 6 && j == 1;
            if (here && d == WRONG_SHAPE)
                continue;
            if (here && d == NOT_FINITE)
                fprintf(f, "nan");
            else
                fprintf(f, "%.6f", d == OTHER ? -0.7 * value + 0.01 * i : value);
            fputc(j + 1 < cols ? ',' : '\n', f);
        }
    assert_int_equal(fclose(f), 0);
}

#endif
