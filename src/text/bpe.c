/* bpe.c - byte-pair encoding of one piece (Sennrich et al. 2016), on bytes or on characters with byte fallback.
 *
 * Start from single symbols; as long as some adjacent pair is in the merge table, merge the pair of lowest rank, the
 * leftmost of equals. Short pieces: the ranks of all pairs in an array, scanned for the least. Long ones: a heap of
 * (rank, position); an entry is stale when the pair at its position no longer has that rank.
 *
 * Pitfall  A word comes again and again, so pieces up to 24 bytes are remembered with their ids in a table of the
 *          call. Before any merging the whole piece is looked up: nearly every common word is one token, but whether
 *          merging arrives at it is checked once for each token and remembered (`whole`). */
#include "text/impl.h"

enum { SHORT_PIECE = 64 };
static const uint32_t NO_RANK = UINT32_MAX;

static inline uint64_t mix(uint64_t x)
{
    x *= 0x9E3779B97F4A7C15u;
    return x ^ x >> 29;
}

static const ln__pair_slot *find_pair(const ln__bpe *b, int32_t left, int32_t right)
{
    const uint64_t key = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) + 1;
    const uint32_t mask = (uint32_t)((UINT64_C(1) << (64 - b->shift)) - 1);
    for (uint32_t i = (uint32_t)ln__pair_hash(key, b->shift);; i = (i + 1) & mask) {
        const ln__pair_slot *s = &b->slot[i];
        if (s->key == key)
            return s;
        if (s->key == 0)
            return NULL;
    }
}

static uint32_t pair_rank(const ln__bpe *b, int32_t left, int32_t right)
{
    const ln__pair_slot *s = find_pair(b, left, right);
    return s ? s->rank : NO_RANK;
}

ln_status ln__ids_reserve(ln__enc *e, size_t more)
{
    const size_t need = (size_t)e->n + more;
    if (need <= (size_t)e->cap)
        return LN_OK;
    const size_t cap = LN_MAX(need, (size_t)e->cap + (size_t)e->cap / 2 + 16);
    const ln_status st = ln__realloc((void **)&e->ids, cap, sizeof *e->ids);
    if (st == LN_OK)
        e->cap = (int64_t)cap;
    return st;
}

static ln_status reserve_symbols(ln__enc *e, size_t n)
{
    ln_status st = LN_OK;
    if (n + 1 <= e->cap_sym)
        return LN_OK;
    size_t cap = e->cap_sym ? e->cap_sym : 128;
    while (cap < n + 1)
        cap *= 2;
    if (cap > UINT32_MAX / 4)
        LN_FAIL(LN_ERR_UNSUPPORTED, "a piece of %zu symbols is too long for byte-pair encoding", n);
    e->cap_sym = 0;
    LN_TRY(ln__realloc((void **)&e->sym, cap, sizeof *e->sym));
    LN_TRY(ln__realloc((void **)&e->rank, cap, sizeof *e->rank));
    LN_TRY(ln__realloc((void **)&e->link, 2 * cap, sizeof *e->link));
    LN_TRY(ln__realloc((void **)&e->heap, 3 * cap, sizeof *e->heap));
    e->cap_sym = cap;
done:
    return st;
}

/* Symbols 0 … n-1 of e->sym, merged in place; returns how many are left. */
static size_t merge_short(ln__enc *e, size_t n)
{
    const ln__bpe *b = &e->t->bpe;
    int32_t *sym = e->sym;
    uint32_t *rank = e->rank;
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = pair_rank(b, sym[i], sym[i + 1]);
    while (n > 1) {
        size_t at = 0;
        for (size_t i = 1; i + 1 < n; i++)
            at = rank[i] < rank[at] ? i : at;
        if (rank[at] == NO_RANK)
            break;
        sym[at] = find_pair(b, sym[at], sym[at + 1])->id;
        n--;
        memmove(sym + at + 1, sym + at + 2, (n - at - 1) * sizeof *sym);
        memmove(rank + at, rank + at + 1, (n - at - 1) * sizeof *rank);
        if (at > 0)
            rank[at - 1] = pair_rank(b, sym[at - 1], sym[at]);
        if (at + 1 < n)
            rank[at] = pair_rank(b, sym[at], sym[at + 1]);
    }
    return n;
}

static void heap_sift(uint64_t *h, size_t i, size_t n)
{
    const uint64_t x = h[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && h[child + 1] < h[child];
        if (x <= h[child])
            break;
        h[i] = h[child];
    }
    h[i] = x;
}

static void heap_push(uint64_t *h, size_t *n, uint64_t x)
{
    size_t i = (*n)++;
    for (; i > 0 && h[(i - 1) / 2] > x; i = (i - 1) / 2)
        h[i] = h[(i - 1) / 2];
    h[i] = x;
}

/* The same with a heap. Links: next[i] and prev[i]; a symbol that was merged away has sym[i] = -1. */
static size_t merge_long(ln__enc *e, size_t n)
{
    const ln__bpe *b = &e->t->bpe;
    int32_t *sym = e->sym;
    uint32_t *next = e->link, *prev = e->link + e->cap_sym;
    size_t size = 0;
    for (size_t i = 0; i < n; i++) {
        next[i] = (uint32_t)i + 1;
        prev[i] = (uint32_t)i - 1; /* of the first: UINT32_MAX */
        const uint32_t r = i + 1 < n ? pair_rank(b, sym[i], sym[i + 1]) : NO_RANK;
        if (r != NO_RANK)
            e->heap[size++] = (uint64_t)r << 32 | i;
    }
    for (size_t i = size / 2; i-- > 0;)
        heap_sift(e->heap, i, size);
    while (size) {
        const uint64_t top = e->heap[0];
        e->heap[0] = e->heap[--size];
        if (size)
            heap_sift(e->heap, 0, size);
        const uint32_t at = (uint32_t)top, right = sym[at] < 0 ? (uint32_t)n : next[at];
        if (right >= n)
            continue;
        const ln__pair_slot *s = find_pair(b, sym[at], sym[right]);
        if (!s || s->rank != top >> 32)
            continue;
        sym[at] = s->id;
        sym[right] = -1;
        next[at] = next[right];
        if (next[at] < n)
            prev[next[at]] = at;
        uint32_t r = prev[at] < n ? pair_rank(b, sym[prev[at]], sym[at]) : NO_RANK;
        if (r != NO_RANK)
            heap_push(e->heap, &size, (uint64_t)r << 32 | prev[at]);
        r = next[at] < n ? pair_rank(b, sym[at], sym[next[at]]) : NO_RANK;
        if (r != NO_RANK)
            heap_push(e->heap, &size, (uint64_t)r << 32 | at);
    }
    size_t left = 0;
    for (size_t i = 0; i < n; i++)
        if (sym[i] >= 0)
            sym[left++] = sym[i];
    return left;
}

/* A character's token; without one its bytes' tokens, if they all exist; else the unknown token, fused if so wanted.
 * Pitfall: an unknown symbol waits until a known one comes, and fallback bytes do not count as known. */
static size_t character_symbols(const ln_tokenizer *t, int32_t *sym, const char *s, size_t n)
{
    const ln__bpe *b = &t->bpe;
    size_t count = 0, len;
    bool unknown = false;
    for (size_t i = 0; i < n; i += len) {
        const unsigned char lead = (unsigned char)s[i];
        len = ln__utf8_len(lead);
        int32_t id = lead < 0x80 ? b->ascii_id[lead] : ln__vocab_find(&t->vocab, s + i, len);
        if (id >= 0 && !(t->flags[id] & LN_TOK_MODEL))
            id = -1;
        if (id >= 0) {
            if (unknown)
                sym[count++] = b->unk;
            unknown = false;
            sym[count++] = id;
            continue;
        }
        bool bytes = b->fallback;
        for (size_t j = 0; j < len; j++)
            bytes = bytes && b->byte_id[(unsigned char)s[i + j]] >= 0;
        if (bytes) {
            for (size_t j = 0; j < len; j++)
                sym[count++] = b->byte_id[(unsigned char)s[i + j]];
        } else if (b->unk >= 0) {
            if (unknown && !b->fuse_unk)
                sym[count++] = b->unk;
            unknown = true;
        }
    }
    if (unknown)
        sym[count++] = b->unk;
    return count;
}

/* Merges the piece into e->sym. */
static ln_status merge_piece(ln__enc *e, const char *s, size_t n, size_t *count)
{
    const ln__bpe *b = &e->t->bpe;
    const ln_status st = reserve_symbols(e, n);
    if (st != LN_OK)
        return st;
    size_t k = 0;
    if (b->byte_level)
        for (size_t i = 0; i < n; i++) { /* a byte without a token vanishes, as in other implementations */
            e->sym[k] = b->byte_id[(unsigned char)s[i]];
            k += e->sym[k] >= 0;
        }
    else
        k = character_symbols(e->t, e->sym, s, n);
    *count = k < 2 ? k : k <= SHORT_PIECE ? merge_short(e, k) : merge_long(e, k);
    return LN_OK;
}

/* The token that the piece as a whole is, if encoding it gives that token; else -1. */
static ln_status whole_token(ln__enc *e, const char *s, size_t n, int32_t *id)
{
    const ln_tokenizer *t = e->t;
    ln_status st = LN_OK;
    *id = ln__vocab_find(t->bpe.byte_level ? &t->raw : &t->vocab, s, n);
    if (*id < 0 || t->bpe.ignore_merges)
        return LN_OK; /* t->raw holds the model's tokens only; ignore_merges without byte level is checked below */
    const uint8_t known = atomic_load_explicit(&t->bpe.whole[*id], memory_order_relaxed);
    if (known)
        *id = known == 1 ? *id : -1;
    else {
        size_t count = 0;
        st = merge_piece(e, s, n, &count);
        const bool same = st == LN_OK && count == 1 && e->sym[0] == *id;
        if (st == LN_OK)
            atomic_store_explicit(&t->bpe.whole[*id], same ? 1 : 2, memory_order_relaxed);
        *id = same ? *id : -1;
    }
    return st;
}

static ln_status encode_piece(ln__enc *e, const char *s, size_t n)
{
    int32_t id = -1;
    ln_status st = whole_token(e, s, n, &id);
    if (st != LN_OK)
        return st;
    if (id >= 0 && e->t->flags[id] & LN_TOK_MODEL)
        return ln__ids_add(e, id);
    size_t count = 0;
    st = merge_piece(e, s, n, &count);
    if (st == LN_OK)
        st = ln__ids_reserve(e, count);
    if (st != LN_OK)
        return st;
    memcpy(e->ids + e->n, e->sym, count * sizeof *e->ids);
    e->n += (int64_t)count;
    return LN_OK;
}

/* The piece's bytes as three words, zero behind its end. Words are read whole where the text's end is far enough. */
static inline void load_key(uint64_t key[3], const char *s, size_t n, const char *limit)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (limit - s >= LN_CACHE_KEY) {
        memcpy(key, s, LN_CACHE_KEY);
        const size_t word = n >> 3;
        if (word < 3)
            key[word] &= (UINT64_C(1) << (n & 7) * 8) - 1;
        for (size_t i = word + 1; i < 3; i++)
            key[i] = 0;
        return;
    }
#endif
    (void)limit;
    key[0] = key[1] = key[2] = 0;
    memcpy(key, s, n);
}

static ln_status cached_piece(ln__enc *e, const char *s, size_t n)
{
    uint64_t key[3];
    load_key(key, s, n, e->limit);
    const uint64_t hash = mix(mix(key[0] ^ n << 56) + mix(key[1] ^ 0x5851F42D4C957F2Du) + key[2] * 0xD6E8FEB86659FD93u);
    ln__cache_entry *c = &e->cache[(hash ^ hash >> 32) & e->cache_mask];
    if (c->len == n && c->key[0] == key[0] && c->key[1] == key[1] && c->key[2] == key[2]) {
        if (e->cap - e->n < LN_CACHE_IDS) {
            const ln_status st = ln__ids_reserve(e, LN_CACHE_IDS);
            if (st != LN_OK)
                return st;
        }
        memcpy(e->ids + e->n, c->ids, sizeof c->ids);
        e->n += c->n;
        return LN_OK;
    }
    const int64_t before = e->n;
    const ln_status st = encode_piece(e, s, n);
    if (st == LN_OK && e->n - before <= LN_CACHE_IDS) {
        memcpy(c->key, key, sizeof key);
        c->len = (uint8_t)n;
        c->n = (uint8_t)(e->n - before);
        memcpy(c->ids, e->ids + before, (size_t)c->n * sizeof *c->ids);
    }
    return st;
}

static inline ln_status one_piece(ln__enc *e, const char *s, size_t n)
{
    return e->cache && n <= LN_CACHE_KEY ? cached_piece(e, s, n) : encode_piece(e, s, n);
}

ln_status ln__bpe_piece(ln__enc *e, const char *s, size_t n)
{
    if (!e->t->bpe.cut_at_meta)
        return one_piece(e, s, n);
    ln_status st = LN_OK;
    for (size_t begin = 0; begin < n && st == LN_OK;) { /* a '\u2581' after anything else begins a new piece */
        size_t i = begin;
        while (n - i >= 3 && memcmp(s + i, "\xE2\x96\x81", 3) == 0)
            i += 3;
        const char *next = memmem(s + i, n - i, "\xE2\x96\x81", 3);
        const size_t end = next ? (size_t)(next - s) : n;
        st = one_piece(e, s + begin, end - begin);
        begin = end;
    }
    return st;
}
