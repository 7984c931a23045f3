/* ranks.h - ranks as threads of one process, over a network of mailboxes, for tests. Include cmocka.h before.
 *
 * A rank that leaves is noticed by those who wait for it; one that waits too long fails: no test hangs. */
#ifndef LINNET_TESTS_RANKS_H
#define LINNET_TESTS_RANKS_H

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "core/comm.h"

enum { MOST_RANKS = 8, PATIENCE = 60 };

typedef struct letter {
    void *data;
    size_t bytes;
    bool full;
} letter;

typedef struct network {
    int size;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    letter box[MOST_RANKS][MOST_RANKS]; /* from, to */
    bool left[MOST_RANKS];
    struct seat {
        struct network *net;
        int rank;
        ln_comm *comm;
        ln_status (*fn)(void *ctx, ln_comm *c);
        void *ctx;
        ln_status st;
        char message[400];
        pthread_t thread;
    } seat[MOST_RANKS];
} network;

/* Until *flag is `want`; false: the peer left or time is up. Holds the lock. */
static inline bool wait_until(network *n, const bool *flag, bool want, int peer)
{
    struct timespec end;
    (void)clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE;
    while (*flag != want) {
        if (n->left[peer] || pthread_cond_timedwait(&n->changed, &n->lock, &end) == ETIMEDOUT)
            return *flag == want;
    }
    return true;
}

static inline ln_status mail(void *ctx, int32_t peer, const void *send, size_t send_bytes, void *recv,
                             size_t recv_bytes)
{
    const struct seat *me = ctx;
    network *n = me->net;
    ln_status st = LN_OK;
    pthread_mutex_lock(&n->lock);
    letter *out = &n->box[me->rank][peer], *in = &n->box[peer][me->rank];
    if (send_bytes > 0) {
        if (!wait_until(n, &out->full, false, peer))
            LN_FAIL(LN_ERR_IO, "rank %d does not empty its box", peer);
        out->data = malloc(send_bytes);
        memcpy(out->data, send, send_bytes);
        out->bytes = send_bytes;
        out->full = true;
        pthread_cond_broadcast(&n->changed);
    }
    if (recv_bytes > 0) {
        if (!wait_until(n, &in->full, true, peer))
            LN_FAIL(LN_ERR_IO, "rank %d is silent", peer);
        if (in->bytes != recv_bytes)
            LN_FAIL(LN_ERR_IO, "rank %d sends %zu bytes, expected %zu", peer, in->bytes, recv_bytes);
        memcpy(recv, in->data, recv_bytes);
        free(in->data);
        *in = (letter){ 0 };
        pthread_cond_broadcast(&n->changed);
    }
done:
    pthread_mutex_unlock(&n->lock);
    return st;
}

static inline void *sit(void *ctx)
{
    struct seat *s = ctx;
    s->st = s->fn(s->ctx, s->comm);
    snprintf(s->message, sizeof s->message, "%s", s->st == LN_OK ? "" : ln_last_error());
    pthread_mutex_lock(&s->net->lock);
    s->net->left[s->rank] = true;
    pthread_cond_broadcast(&s->net->changed);
    pthread_mutex_unlock(&s->net->lock);
    return NULL;
}

/* Groups made before, so that a failing allocation is the function's own. */
static inline network *network_new(int size)
{
    network *n = calloc(1, sizeof *n);
    n->size = size;
    pthread_mutex_init(&n->lock, NULL);
    pthread_cond_init(&n->changed, NULL);
    for (int r = 0; r < size; r++) {
        n->seat[r].net = n;
        n->seat[r].rank = r;
        assert_int_equal(ln_comm_new(&n->seat[r].comm, r, size, mail, &n->seat[r]), LN_OK);
    }
    return n;
}

/* fn(ctx[r], group of rank r) on every rank; statuses and messages are in seat[r]. */
static inline void network_run(network *n, ln_status (*fn)(void *ctx, ln_comm *c), void *const *ctx)
{
    for (int r = 0; r < n->size; r++) {
        n->left[r] = false;
        n->seat[r].fn = fn;
        n->seat[r].ctx = ctx[r];
    }
    for (int r = 0; r < n->size; r++)
        assert_int_equal(pthread_create(&n->seat[r].thread, NULL, sit, &n->seat[r]), 0);
    for (int r = 0; r < n->size; r++)
        assert_int_equal(pthread_join(n->seat[r].thread, NULL), 0);
}

static inline void network_free(network *n)
{
    for (int r = 0; r < n->size; r++)
        ln_comm_free(n->seat[r].comm);
    for (int i = 0; i < MOST_RANKS; i++)
        for (int k = 0; k < MOST_RANKS; k++)
            free(n->box[i][k].data);
    pthread_cond_destroy(&n->changed);
    pthread_mutex_destroy(&n->lock);
    free(n);
}

#endif
