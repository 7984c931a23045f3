/* kernels.c - which kernel table runs: the best level that was compiled in and that this CPU and its operating system
 * support, capped by LINNET_CPU and ln__cpu_force. Each level starts from the table below it and overrides what it does
 * better, so that a missing variant is never a hole. */
#include "core/kernels.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static ln__kernels tables[3];
static ln__cpu_level best;
static unsigned best_flags;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Atomic(const ln__kernels *) current;

static const char *const level_names[] = { "ref", "avx2", "avx512" };

/* The builtin also asks the operating system whether it saves the wide registers. F16C has a cpuid bit of its own that
 * not every compiler's builtin knows; it needs nothing more of the system than AVX does. */
static ln__cpu_level probe(unsigned *flags)
{
    *flags = 0;
#if defined(__x86_64__)
    unsigned a = 0, b = 0, c = 0, d = 0;
    __builtin_cpu_init();
    const bool f16c = __get_cpuid(1, &a, &b, &c, &d) && c >> 29 & 1u;
    if (!f16c || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return LN_CPU_REF;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return LN_CPU_AVX2;
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && c >> 11 & 1u)
        *flags |= LN_CPU_HAS_VNNI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 5 & 1u)
        *flags |= LN_CPU_HAS_BF16;
    return LN_CPU_AVX512;
#else
    return LN_CPU_REF;
#endif
}

/* "auto" and NULL give the best level. */
static ln_status level_of(ln__cpu_level *out, const char *name, const char *who)
{
    if (!name || strcmp(name, "auto") == 0) {
        *out = best;
        return LN_OK;
    }
    for (int i = 0; i < 3; i++) {
        if (strcmp(name, level_names[i]) != 0)
            continue;
        if ((ln__cpu_level)i > best)
            return ln__fail(LN_ERR_UNSUPPORTED, "%s: this CPU supports at most %s, not %s", who, level_names[best],
                            name);
        *out = (ln__cpu_level)i;
        return LN_OK;
    }
    return ln__fail(LN_ERR_ARG, "%s: expected ref, avx2, avx512 or auto, not '%s'", who, name);
}

/* $LINNET_CPU; an empty one asks for nothing. */
static const char *asked(void)
{
    const char *name = getenv("LINNET_CPU");
    return name && *name ? name : NULL;
}

static void set_up(void)
{
    best = probe(&best_flags);
    ln__kernels_init_ref(&tables[LN_CPU_REF]);
#if defined(__x86_64__)
    tables[LN_CPU_AVX2] = tables[LN_CPU_REF];
    if (best >= LN_CPU_AVX2)
        ln__kernels_init_avx2(&tables[LN_CPU_AVX2]);
    tables[LN_CPU_AVX512] = tables[LN_CPU_AVX2];
    if (best >= LN_CPU_AVX512)
        ln__kernels_init_avx512(&tables[LN_CPU_AVX512], best_flags);
#endif
    ln__cpu_level level = best;
    const char *name = asked();
    for (int i = 0; name && i < 3; i++)
        if (!strcmp(name, level_names[i]) && (ln__cpu_level)i < best)
            level = (ln__cpu_level)i;
    atomic_store_explicit(&current, &tables[level], memory_order_release);
}

const ln__kernels *ln__k(void)
{
    const ln__kernels *k = atomic_load_explicit(&current, memory_order_acquire);
    if (k)
        return k;
    pthread_once(&once, set_up);
    return atomic_load_explicit(&current, memory_order_acquire);
}

ln_status ln__kernels_for(ln__kernels *out, ln__cpu_level level)
{
    pthread_once(&once, set_up);
    if (level < LN_CPU_REF || level > LN_CPU_AVX512)
        return ln__fail(LN_ERR_ARG, "CPU level %d: expected 0, 1 or 2", (int)level);
    if (level > best)
        return ln__fail(LN_ERR_UNSUPPORTED, "this CPU supports at most %s, not %s", level_names[best],
                        level_names[level]);
    *out = tables[level];
    return LN_OK;
}

ln__cpu_level ln__cpu_best(unsigned *flags)
{
    pthread_once(&once, set_up);
    if (flags)
        *flags = best_flags;
    return best;
}

const char *ln__cpu_name(const ln__kernels *k)
{
    static const char *const avx512[] = { "avx512", "avx512+vnni", "avx512+bf16", "avx512+vnni+bf16" };
    return k->level == LN_CPU_AVX512 ? avx512[k->flags & 3u] : level_names[k->level];
}

ln_status ln__cpu_force(const char *name)
{
    ln__cpu_level level = LN_CPU_REF;
    pthread_once(&once, set_up);
    if (name && !strcmp(name, "auto"))
        name = asked();
    const ln_status st = level_of(&level, name, "CPU level");
    if (st == LN_OK)
        atomic_store_explicit(&current, &tables[level], memory_order_release);
    return st;
}

ln_status ln__cpu_check_env(void)
{
    ln__cpu_level level;
    pthread_once(&once, set_up);
    return level_of(&level, asked(), "LINNET_CPU");
}
