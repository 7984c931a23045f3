/* npz.c - a zip archive of npy arrays, as numpy.savez and savez_compressed write it.
 *
 * The central directory at the end of the file rules; sizes in local headers are not looked at (numpy leaves the zip64
 * marks there). Opening inflates no more than each member's npy header. A stored member is viewed in place, a deflated
 * one is inflated when it is asked for; both must match their CRC-32.
 * Pitfall: the directory may promise anything. Deflate cannot grow data more than 1032-fold, so a larger promise is a
 * lie and is refused before any memory is taken; beyond that the memory limit decides.
 * Format: PKWARE APPNOTE 6.3.9, sections 4.3 and 4.5.3 (zip64). */
#include <string.h>

#include "io/gz.h"
#include "io/npy.h"

enum {
    END_BYTES = 22,
    END64_LOCATOR_BYTES = 20,
    END64_BYTES = 56,
    DIRECTORY_BYTES = 46,
    LOCAL_BYTES = 30,
    MAX_COMMENT = 65535,
    MAX_GROWTH = 1032
};

typedef struct zip {
    const unsigned char *data;
    size_t bytes;
    const char *file;
    uint64_t entries, start, length; /* of the central directory */
} zip;

typedef struct member {
    const char *name;
    size_t name_len;
    uint16_t flags, method;
    uint32_t crc;
    uint64_t packed, whole, offset; /* offset of the local header */
} member;

static ln_status find_end(size_t *out, const zip *z)
{
    if (z->bytes >= END_BYTES) {
        const size_t last = z->bytes - END_BYTES, first = last > MAX_COMMENT ? last - MAX_COMMENT : 0;
        for (size_t at = last + 1; at-- > first;)
            if (memcmp(z->data + at, "PK\5\6", 4) == 0 && ln__le16(z->data + at + 20) == last - at) {
                *out = at;
                return LN_OK;
            }
    }
    return ln__fail(LN_ERR_FORMAT, "%s: truncated: no end of a zip directory", z->file);
}

static ln_status read_end(zip *z)
{
    ln_status st = LN_OK;
    size_t at = 0;
    LN_TRY(find_end(&at, z));
    const unsigned char *e = z->data + at;
    if (ln__le16(e + 4) != 0 || ln__le16(e + 6) != 0 || ln__le16(e + 8) != ln__le16(e + 10))
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a zip archive in several parts", z->file);
    z->entries = ln__le16(e + 10);
    z->length = ln__le32(e + 12);
    z->start = ln__le32(e + 16);
    const bool wide = z->entries == UINT16_MAX || z->length == UINT32_MAX || z->start == UINT32_MAX;
    if (wide && at >= END64_LOCATOR_BYTES && memcmp(e - END64_LOCATOR_BYTES, "PK\6\7", 4) == 0) {
        const uint64_t at64 = ln__le64(e - END64_LOCATOR_BYTES + 8);
        if (at64 > z->bytes || z->bytes - at64 < END64_BYTES || memcmp(z->data + at64, "PK\6\6", 4) != 0)
            LN_FAIL(LN_ERR_FORMAT, "%s: the zip64 end record is not where its locator says", z->file);
        z->entries = ln__le64(z->data + at64 + 32);
        z->length = ln__le64(z->data + at64 + 40);
        z->start = ln__le64(z->data + at64 + 48);
    }
    if (z->start > at || z->length > at - z->start || z->entries > z->length / DIRECTORY_BYTES)
        LN_FAIL(LN_ERR_FORMAT, "%s: truncated: the zip directory [%llu, +%llu) of %llu entries lies outside the file",
                z->file, (unsigned long long)z->start, (unsigned long long)z->length, (unsigned long long)z->entries);
done:
    return st;
}

/* Fields that did not fit 32 bits stand in the extra field, in this order, only those that did not fit. */
static bool widen(member *m, const unsigned char *extra, size_t len)
{
    uint64_t *fields[] = { &m->whole, &m->packed, &m->offset };
    for (size_t at = 0; at + 4 <= len;) {
        const size_t size = ln__le16(extra + at + 2), next = at + 4 + size;
        if (next > len)
            return false;
        if (ln__le16(extra + at) == 1) {
            size_t p = at + 4;
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != UINT32_MAX)
                    continue;
                if (p + 8 > next)
                    return false;
                *fields[i] = ln__le64(extra + p);
                p += 8;
            }
            return true;
        }
        at = next;
    }
    return m->whole != UINT32_MAX && m->packed != UINT32_MAX && m->offset != UINT32_MAX;
}

/* One directory entry; `*at` moves to the next. */
static ln_status read_member(member *m, const zip *z, uint64_t *at)
{
    const uint64_t left = z->start + z->length - *at;
    const unsigned char *e = z->data + *at;
    if (left < DIRECTORY_BYTES || memcmp(e, "PK\1\2", 4) != 0)
        return ln__fail(LN_ERR_FORMAT, "%s: the zip directory is broken at byte %llu", z->file,
                        (unsigned long long)*at);
    const size_t extra = ln__le16(e + 30), comment = ln__le16(e + 32);
    *m = (member){ .name = (const char *)e + DIRECTORY_BYTES,
                   .name_len = ln__le16(e + 28),
                   .flags = ln__le16(e + 8),
                   .method = ln__le16(e + 10),
                   .crc = ln__le32(e + 16),
                   .packed = ln__le32(e + 20),
                   .whole = ln__le32(e + 24),
                   .offset = ln__le32(e + 42) };
    const uint64_t size = DIRECTORY_BYTES + m->name_len + extra + comment;
    if (size > left || !widen(m, e + DIRECTORY_BYTES + m->name_len, extra))
        return ln__fail(LN_ERR_FORMAT, "%s: the zip directory is broken at byte %llu", z->file,
                        (unsigned long long)*at);
    if (!ln__name_ok(m->name, m->name_len))
        return ln__fail(LN_ERR_FORMAT, "%s: a member's name holds control characters or is not UTF-8", z->file);
    *at += size;
    return LN_OK;
}

/* The member's bytes in the file. `what` is file and member, for messages. */
static ln_status find_data(const unsigned char **out, const member *m, const zip *z, const char *what)
{
    if (m->flags & 1)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: is encrypted", what);
    if (m->method != 0 && m->method != 8)
        return ln__fail(LN_ERR_UNSUPPORTED, "%s: compression method %u, expected 0 (stored) or 8 (deflated)", what,
                        m->method);
    if (m->offset > z->bytes || z->bytes - m->offset < LOCAL_BYTES || memcmp(z->data + m->offset, "PK\3\4", 4) != 0)
        return ln__fail(LN_ERR_FORMAT, "%s: its local header is not at byte %llu", what, (unsigned long long)m->offset);
    const unsigned char *local = z->data + m->offset;
    const uint64_t skip = (uint64_t)LOCAL_BYTES + ln__le16(local + 26) + ln__le16(local + 28);
    if (skip > z->bytes - m->offset || m->packed > z->bytes - m->offset - skip)
        return ln__fail(LN_ERR_FORMAT, "%s: truncated: %llu bytes at %llu, the file has %zu in all", what,
                        (unsigned long long)m->packed, (unsigned long long)m->offset, z->bytes);
    if (m->method == 0 ? m->packed != m->whole : m->whole / MAX_GROWTH > m->packed)
        return ln__fail(LN_ERR_FORMAT, "%s: %llu bytes cannot hold the %llu it promises", what,
                        (unsigned long long)m->packed, (unsigned long long)m->whole);
    *out = local + skip;
    return LN_OK;
}

/* The first `cap` bytes of a deflated member, or all of it; *got tells how many there were. */
static ln_status inflate_member(unsigned char *to, size_t cap, size_t *got, const unsigned char *from, size_t packed,
                                const char *what)
{
    ln_status st = LN_OK;
    z_stream z = { 0 };
    int rc;
    ln__zlib_memory(&z);
    rc = inflateInit2(&z, -15);
    if (rc != Z_OK)
        return rc == Z_MEM_ERROR ? LN_ERR_NOMEM : ln__fail(LN_ERR_UNSUPPORTED, "%s: zlib does not start", what);
    size_t in = 0, out = 0;
    unsigned char beyond = 0; /* a member that is longer than promised is noticed, not only cut */
    do {
        const uInt take = (uInt)LN_MIN(packed - in, (size_t)1 << 30);
        const uInt room = (uInt)LN_MIN(cap - out, (size_t)1 << 30);
        z.next_in = (Bytef *)(uintptr_t)(from + in);
        z.avail_in = take;
        z.next_out = room ? to + out : &beyond;
        z.avail_out = room ? room : 1;
        rc = inflate(&z, Z_NO_FLUSH);
        in += take - z.avail_in;
        if (room)
            out += room - z.avail_out;
        else if (z.avail_out == 0)
            break;
    } while (rc == Z_OK);
    if (rc == Z_MEM_ERROR)
        st = LN_ERR_NOMEM;
    else if (rc == Z_BUF_ERROR && in == packed)
        st = ln__fail(LN_ERR_FORMAT, "%s: truncated: the compressed data end early", what);
    else if (rc != Z_OK && rc != Z_STREAM_END)
        st = ln__fail(LN_ERR_FORMAT, "%s: corrupt compressed data: %s", what, z.msg ? z.msg : "not deflate data");
    inflateEnd(&z);
    *got = rc == Z_STREAM_END ? out : out + 1;
    return st;
}

static ln_status load_member(ln_tensor **out, const ln_archive *a, const char *name, const ln__entry *e)
{
    ln_status st = LN_OK;
    unsigned char *whole = NULL;
    char *what = NULL;
    size_t got = 0;
    LN_TRY(ln__sprintf(&what, "%s: array '" LN_NAME_FMT "'", a->path, name));
    const unsigned char *bytes = e->data;
    if (e->u.zip.deflated) {
        LN_TRY(ln__alloc((void **)&whole, e->u.zip.whole, 1));
        LN_TRY(inflate_member(whole, e->u.zip.whole, &got, e->data, e->u.zip.packed, what));
        if (got != e->u.zip.whole)
            LN_FAIL(LN_ERR_FORMAT, "%s: inflates to %s bytes than the %zu it promises", what,
                    got < e->u.zip.whole ? "fewer" : "more", e->u.zip.whole);
        bytes = whole;
    }
    const uint32_t crc = (uint32_t)crc32_z(crc32_z(0, NULL, 0), bytes, e->u.zip.whole);
    if (crc != e->u.zip.crc)
        LN_FAIL(LN_ERR_FORMAT, "%s: CRC-32 is %08x, expected %08x: corrupt", what, crc, e->u.zip.crc);
    ln__entry plain = *e;
    plain.load = NULL;
    plain.data = bytes + e->u.zip.header;
    if (!whole) {
        LN_TRY(ln__entry_view(out, a, &plain));
        goto done;
    }
    memmove(whole, plain.data, e->bytes); /* to the front, which is aligned */
    LN_TRY(ln__entry_wrap(out, &plain, whole, ln__free, whole));
    whole = NULL;
done:
    ln__free(whole);
    ln__free(what);
    return st;
}

static ln_status add_member(ln_archive *a, const zip *z, const member *m)
{
    ln_status st = LN_OK;
    ln__entry e = { .load = load_member };
    unsigned char *head = NULL;
    char *what = NULL;
    size_t got = 0;
    const unsigned char *npy = NULL;
    const size_t len = m->name_len > 4 && memcmp(m->name + m->name_len - 4, ".npy", 4) == 0 ? m->name_len - 4 : 0;
    LN_TRY(ln__sprintf(&what, "%s: member '%.*s'", z->file, (int)LN_MIN(m->name_len, (size_t)160), m->name));
    if (len == 0)
        LN_FAIL(LN_ERR_FORMAT, "%s: not an npy array", what);
    LN_TRY(find_data(&e.data, m, z, what));
    e.u.zip.packed = (size_t)m->packed;
    e.u.zip.whole = (size_t)m->whole;
    e.u.zip.crc = m->crc;
    e.u.zip.deflated = m->method == 8;
    npy = e.data;
    got = (size_t)m->whole;
    if (e.u.zip.deflated) {
        const size_t most = LN_MIN((size_t)m->whole, (size_t)LN_NPY_MAX_HEADER + 12);
        LN_TRY(ln__alloc((void **)&head, most, 1));
        LN_TRY(inflate_member(head, most, &got, e.data, e.u.zip.packed, what));
        got = LN_MIN(got, most);
        npy = head;
    }
    LN_TRY(ln__npy_header(&e, &e.u.zip.header, npy, got, what));
    if (e.u.zip.header > m->whole || e.bytes != m->whole - e.u.zip.header)
        LN_FAIL(LN_ERR_FORMAT, "%s: %llu bytes, its npy header and elements need %zu", what,
                (unsigned long long)m->whole, e.u.zip.header + e.bytes);
    LN_TRY(ln__archive_add(a, z->file, m->name, len, &e));
done:
    ln__free(head);
    ln__free(what);
    return st;
}

ln_status ln__npz_read(ln_archive *a, const unsigned char *data, size_t bytes, const char *file)
{
    ln_status st = LN_OK;
    zip z = { .data = data, .bytes = bytes, .file = file };
    a->format = LN_FORMAT_NPZ;
    LN_TRY(read_end(&z));
    uint64_t at = z.start;
    for (uint64_t i = 0; i < z.entries; i++) {
        member m = { 0 };
        LN_TRY(read_member(&m, &z, &at));
        LN_TRY(add_member(a, &z, &m));
    }
done:
    return st;
}
