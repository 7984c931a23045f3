/* checkpoint.c - what a run is, written so that reading it back gives the same bytes, or says what is wrong.
 *
 * model.safetensors holds the weights under their official names, state.safetensors the optimiser's tensors: opt.m.X,
 * opt.v.X, ema.X (shape of weight X), opt.second.X (f64, Adafactor), and as metadata "linnet.state": counters, random
 * position, schedule, configuration, and an XXH64 of the bytes of every tensor of both files, so that a damaged byte
 * and a state beside the wrong weights are noticed; "linnet.state.xxh64" covers that text itself. */
#include "grad/checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linnet/io.h>
#include <xxhash.h>

#include "core/file.h"
#include "core/json.h"
#include "core/outdir.h"

enum { FORMAT = 1, DIGITS = 10 };
#define FOLDER "checkpoints"
#define PARTIAL ".partial"

static bool forget_random;

void ln__test_forget_random(bool forget)
{
    forget_random = forget;
}

/* ---- the tensors of a run ---- */

typedef struct item {
    char *name;
    ln_tensor *tensor; /* over the optimiser's memory */
} item;

typedef struct items {
    item *list;
    int64_t n, cap;
} items;

static void items_free(items *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        ln__free(s->list[i].name);
        ln_tensor_release(s->list[i].tensor);
    }
    ln__free(s->list);
    *s = (items){ 0 };
}

static ln_status new_item(items *s, const char *prefix, const char *name)
{
    ln_status st = LN_OK;
    if (s->n == s->cap) {
        const int64_t cap = LN_MAX(2 * s->cap, 64);
        LN_TRY(ln__realloc((void **)&s->list, (size_t)cap, sizeof *s->list));
        s->cap = cap;
    }
    s->list[s->n] = (item){ 0 };
    LN_TRY(ln__sprintf(&s->list[s->n].name, "%s%s", prefix, name));
    s->n++;
done:
    return st;
}

static ln_status blocks_of(items *weights, items *state, const ln_optimizer *o)
{
    ln_status st = LN_OK;
    const struct {
        const char *prefix;
        void *block;
        items *to;
    } blocks[] = {
        { "", o->w->data, weights }, { "opt.m.", o->m, state }, { "opt.v.", o->v, state }, { "ema.", o->ema, state }
    };
    for (int64_t i = 0; i < o->w->names.n; i++) {
        const char *name = ln__names_get(&o->w->names, i);
        for (size_t k = 0; k < sizeof blocks / sizeof *blocks; k++) {
            if (!blocks[k].block)
                continue;
            LN_TRY(new_item(blocks[k].to, blocks[k].prefix, name));
            LN_TRY(ln__weight_tensor(&blocks[k].to->list[blocks[k].to->n - 1].tensor, o->w, i, blocks[k].block));
        }
        if (o->parts) {
            LN_TRY(new_item(state, "opt.second.", name));
            LN_TRY(ln_tensor_wrap(&state->list[state->n - 1].tensor, LN_F64, 1, &o->parts[i].n, NULL,
                                  o->factored + o->parts[i].at, NULL, NULL));
        }
    }
done:
    return st;
}

/* ---- writing ---- */

static uint64_t hash_of(const ln_tensor *t)
{
    return XXH64(ln_tensor_cdata(t), ln_tensor_bytes(t), 0);
}

static ln_status add_hashes(json_t *sums, const items *s)
{
    ln_status st = LN_OK;
    char hex[17];
    for (int64_t i = 0; i < s->n; i++) {
        ln__format(hex, sizeof hex, "%016" PRIx64, hash_of(s->list[i].tensor));
        LN_TRY(ln__json_set(sums, s->list[i].name, json_string(hex)));
    }
done:
    return st;
}

static json_t *real_or_null(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static ln_status describe(char **text, const ln_optimizer *o, const ln__train_state *s, const json_t *config,
                          const items *weights, const items *state)
{
    ln_status st = LN_OK;
    json_t *all = json_object(), *sums = json_object();
    if (!all || !sums)
        LN_FAIL(LN_ERR_NOMEM, "out of memory for a checkpoint");
    LN_TRY(add_hashes(sums, weights));
    LN_TRY(add_hashes(sums, state));
    const struct {
        const char *key;
        json_t *value;
    } members[] = {
        { "format", json_integer(FORMAT) },
        { "library", json_string(ln_version()) },
        { "step", json_integer(s->step) },
        { "random", json_integer((json_int_t)s->random) },
        { "smooth", real_or_null(s->smooth) },
        { "metric", real_or_null(s->metric) },
        { "best", real_or_null(s->best) },
        { "best_step", json_integer(s->best_step) },
        { "bad", json_integer(s->bad) },
        { "schedule_scale", json_real(s->schedule_scale) },
        { "schedule_best", json_real(s->schedule_best) },
        { "schedule_bad", json_integer(s->schedule_bad) },
        { "optimizer_steps", json_integer(o->steps) },
        { "skipped", json_integer(o->skipped) },
        { "skipped_in_row", json_integer(o->in_row) },
        { "config", json_deep_copy(config) },
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const ln_status one = ln__json_set(all, members[i].key, members[i].value); /* takes them all, whatever fails */
        st = st == LN_OK ? one : st;
    }
    if (st != LN_OK)
        goto done;
    LN_TRY(ln__json_set(all, "xxh64", json_incref(sums)));
    LN_TRY(ln__json_text(text, all, 0));
done:
    json_decref(all);
    json_decref(sums);
    return st;
}

/* `text` NULL: no metadata but the format. */
static ln_status write_file(const char *dir, const char *name, const items *s, const char *text)
{
    ln_status st = LN_OK;
    ln_writer *w = NULL;
    char *path = NULL, hex[17];
    LN_TRY(ln__path_join(&path, dir, name));
    LN_TRY(ln_writer_new(&w, path));
    LN_TRY(ln_writer_meta(w, "format", "pt"));
    if (text) {
        ln__format(hex, sizeof hex, "%016" PRIx64, (uint64_t)XXH64(text, strlen(text), 0));
        LN_TRY(ln_writer_meta(w, "linnet.state", text));
        LN_TRY(ln_writer_meta(w, "linnet.state.xxh64", hex));
    }
    for (int64_t i = 0; i < s->n; i++) {
        int64_t dims[LN_MAX_DIMS];
        const ln_tensor *t = s->list[i].tensor;
        for (int d = 0; d < ln_tensor_ndim(t); d++)
            dims[d] = ln_tensor_dim(t, d);
        LN_TRY(ln_writer_declare(w, s->list[i].name, ln_tensor_dtype(t), ln_tensor_ndim(t), dims));
    }
    for (int64_t i = 0; i < s->n; i++)
        LN_TRY(ln_writer_put(w, s->list[i].name, s->list[i].tensor));
    LN_TRY(ln_writer_commit(w));
done:
    ln_writer_free(w);
    ln__free(path);
    return st;
}

static void sync_dir(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* not all file systems can; the rename is atomic all the same */
        close(fd);
    }
}

ln_status ln__checkpoint_save(const char *dir, const ln_optimizer *o, const ln__train_state *s, const json_t *config)
{
    ln_status st = LN_OK;
    items weights = { 0 }, state = { 0 };
    char *text = NULL, *folder = NULL, *partial = NULL, *path = NULL, name[32];
    LN_TRY(ln__path_join(&folder, dir, FOLDER));
    LN_TRY(ln__path_join(&partial, folder, PARTIAL));
    ln__format(name, sizeof name, "%0*lld", DIGITS, (long long)s->step);
    LN_TRY(ln__path_join(&path, folder, name));
    LN_TRY(blocks_of(&weights, &state, o));
    LN_TRY(describe(&text, o, s, config, &weights, &state));
    LN_TRY(ln__remove_tree(partial));
    LN_TRY(ln__dir_make(partial, true));
    LN_TRY(write_file(partial, "model.safetensors", &weights, NULL));
    LN_TRY(write_file(partial, "state.safetensors", &state, text));
    LN_TRY(ln__remove_tree(path)); /* of the same step: the same bytes, or a run that was forced */
    sync_dir(partial);
    if (rename(partial, path) != 0)
        st = ln__fail_os(path, "put the checkpoint in place", errno);
    sync_dir(folder);
done:
    items_free(&weights);
    items_free(&state);
    ln__free(text);
    ln__free(folder);
    ln__free(partial);
    ln__free(path);
    return st;
}

/* ---- finding ---- */

static bool is_checkpoint(const char *name)
{
    return strlen(name) >= DIGITS && name[strspn(name, "0123456789")] == '\0';
}

ln_status ln__checkpoint_newest(char **path, const char *dir)
{
    ln_status st = LN_OK;
    char *folder = NULL, **names = NULL;
    int64_t n = 0, newest = -1;
    *path = NULL;
    LN_TRY(ln__path_join(&folder, dir, FOLDER));
    if (!ln__file_is_dir(folder))
        goto done;
    LN_TRY(ln__dir_list(&names, &n, folder));
    for (int64_t i = 0; i < n; i++) /* sorted; numbers all have the same width */
        newest = is_checkpoint(names[i]) ? i : newest;
    if (newest >= 0)
        LN_TRY(ln__path_join(path, folder, names[newest]));
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(folder);
    return st;
}

ln_status ln__checkpoint_prune(const char *dir, int64_t keep)
{
    ln_status st = LN_OK;
    char *folder = NULL, **names = NULL, *path = NULL;
    int64_t n = 0, good = 0;
    LN_TRY(ln__path_join(&folder, dir, FOLDER));
    if (!ln__file_is_dir(folder))
        goto done;
    LN_TRY(ln__dir_list(&names, &n, folder));
    for (int64_t i = 0; i < n; i++)
        good += is_checkpoint(names[i]);
    for (int64_t i = 0; i < n; i++) {
        if (strcmp(names[i], PARTIAL) != 0 && (!is_checkpoint(names[i]) || good-- <= keep))
            continue;
        LN_TRY(ln__path_join(&path, folder, names[i]));
        LN_TRY(ln__remove_tree(path));
        ln__free(path);
        path = NULL;
    }
done:
    for (int64_t i = 0; i < n; i++)
        ln__free(names[i]);
    ln__free(names);
    ln__free(folder);
    ln__free(path);
    return st;
}

/* ---- reading ---- */

static ln_status same_tensor(const char *file, const char *name, const ln_tensor *want, const ln_tensor *have)
{
    char a[200], b[200];
    bool same = ln_tensor_ndim(want) == ln_tensor_ndim(have);
    for (int i = 0; i < ln_tensor_ndim(want) && same; i++)
        same = ln_tensor_dim(want, i) == ln_tensor_dim(have, i);
    if (ln_tensor_dtype(want) != ln_tensor_dtype(have))
        return ln__fail(LN_ERR_FORMAT, "%s: %s is %s, expected %s", file, name, ln_dtype_name(ln_tensor_dtype(have)),
                        ln_dtype_name(ln_tensor_dtype(want)));
    if (!same)
        return ln__fail(LN_ERR_FORMAT, "%s: %s is %s, expected %s: a checkpoint of another configuration", file, name,
                        ln__tensor_text(b, sizeof b, have), ln__tensor_text(a, sizeof a, want));
    return LN_OK;
}

/* Are the archive's tensors those of `s`, undamaged? Copies them when `copy`. */
static ln_status read_items(const items *s, const ln_archive *a, const json_t *sums, bool copy)
{
    ln_status st = LN_OK;
    ln_tensor *t = NULL;
    const char *file = ln_archive_path(a);
    char hex[17];
    for (int64_t i = 0; i < s->n; i++) {
        const char *name = s->list[i].name;
        if (!ln_archive_has(a, name))
            LN_FAIL(LN_ERR_FORMAT, "%s: tensor %s is missing: a checkpoint of another configuration", file, name);
        LN_TRY(ln_archive_get(&t, a, name));
        LN_TRY(same_tensor(file, name, s->list[i].tensor, t));
        if (copy) {
            memcpy(ln_tensor_data(s->list[i].tensor), ln_tensor_cdata(t), ln_tensor_bytes(t));
        } else {
            const char *want = json_string_value(json_object_get(sums, name));
            ln__format(hex, sizeof hex, "%016" PRIx64, hash_of(t));
            if (!want || strcmp(want, hex) != 0)
                LN_FAIL(LN_ERR_FORMAT, "%s: tensor %s is damaged: its checksum is %s, expected %s", file, name, hex,
                        want ? want : "one");
        }
        ln_tensor_release(t);
        t = NULL;
    }
    for (int64_t i = 0; i < ln_archive_count(a) && ln_archive_count(a) != s->n; i++) {
        bool known = false;
        for (int64_t k = 0; k < s->n; k++)
            known = known || strcmp(s->list[k].name, ln_archive_name(a, i)) == 0;
        if (!known)
            LN_FAIL(LN_ERR_FORMAT, "%s: tensor %.160s is not expected: a checkpoint of another configuration", file,
                    ln_archive_name(a, i));
    }
done:
    ln_tensor_release(t);
    return st;
}

static ln_status parse(json_t **out, const ln_archive *a)
{
    char hex[17];
    const char *file = ln_archive_path(a), *text = ln_archive_meta(a, "linnet.state");
    const char *sum = ln_archive_meta(a, "linnet.state.xxh64");
    if (!text || !sum)
        return ln__fail(LN_ERR_FORMAT, "%s: not the state of a training run", file);
    ln__format(hex, sizeof hex, "%016" PRIx64, (uint64_t)XXH64(text, strlen(text), 0));
    if (strcmp(hex, sum) != 0)
        return ln__fail(LN_ERR_FORMAT, "%s: the state is damaged: its checksum is %s, expected %.16s", file, hex, sum);
    return ln__json_parse(out, text, strlen(text), file);
}

static ln_status compare_configs(const char *file, const json_t *have, const json_t *want)
{
    ln_status st = LN_OK;
    const char *key;
    json_t *value;
    char *a = NULL, *b = NULL;
    json_object_foreach((json_t *)(uintptr_t)want, key, value)
    {
        const json_t *theirs = json_object_get(have, key);
        if (theirs && json_equal(theirs, value))
            continue;
        LN_TRY(ln__json_text(&a, value, 0));
        if (theirs)
            LN_TRY(ln__json_text(&b, theirs, 0));
        LN_FAIL(LN_ERR_FORMAT,
                "%s: a checkpoint of another run: %s is %.200s there and %.200s here (--force goes on all the same)",
                file, key, b ? b : "absent", a);
    }
    if (json_object_get(have, "ranks") && !json_object_get(want, "ranks")) /* one that only runs of several have */
        LN_FAIL(LN_ERR_FORMAT,
                "%s: a checkpoint of another run: ranks is %lld there and 1 here (--force goes on all the same)", file,
                (long long)json_integer_value(json_object_get(have, "ranks")));
done:
    ln__free(a);
    ln__free(b);
    return st;
}

static ln_status real_of(double *out, const json_t *o, const char *key, const char *file)
{
    return ln__json_real(out, o, key, NAN, file);
}

static ln_status read_state(ln__train_state *s, ln_optimizer *o, const json_t *j, const char *file)
{
    ln_status st = LN_OK;
    int64_t random = 0;
    const struct {
        const char *key;
        int64_t *to;
    } whole[] = { { "step", &s->step },
                  { "random", &random },
                  { "best_step", &s->best_step },
                  { "bad", &s->bad },
                  { "schedule_bad", &s->schedule_bad },
                  { "optimizer_steps", &o->steps },
                  { "skipped", &o->skipped },
                  { "skipped_in_row", &o->in_row } };
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++) {
        LN_TRY(ln__json_int(whole[i].to, j, whole[i].key, INT64_MIN, file));
        if (*whole[i].to == INT64_MIN)
            LN_FAIL(LN_ERR_FORMAT, "%s: the state holds no %s", file, whole[i].key);
    }
    LN_TRY(real_of(&s->smooth, j, "smooth", file));
    LN_TRY(real_of(&s->metric, j, "metric", file));
    LN_TRY(real_of(&s->best, j, "best", file));
    LN_TRY(real_of(&s->schedule_scale, j, "schedule_scale", file));
    LN_TRY(real_of(&s->schedule_best, j, "schedule_best", file));
    s->random = forget_random ? 0 : (uint64_t)random;
done:
    return st;
}

ln_status ln__checkpoint_load(const char *path, ln_optimizer *o, ln__train_state *s, const json_t *config, bool force)
{
    ln_status st = LN_OK;
    items weights = { 0 }, state = { 0 };
    ln_archive *model = NULL, *rest = NULL;
    char *file = NULL;
    json_t *j = NULL;
    int64_t format = 0;
    ln__train_state read = { 0 };
    ln_optimizer counters = *o; /* its counters are read here first */
    LN_TRY(ln__path_join(&file, path, "model.safetensors"));
    LN_TRY(ln_archive_open(&model, file));
    ln__free(file);
    file = NULL;
    LN_TRY(ln__path_join(&file, path, "state.safetensors"));
    LN_TRY(ln_archive_open(&rest, file));
    LN_TRY(parse(&j, rest));
    LN_TRY(ln__json_int(&format, j, "format", 0, file));
    if (format != FORMAT)
        LN_FAIL(LN_ERR_UNSUPPORTED, "%s: a checkpoint of format %lld, this library reads %d", file, (long long)format,
                FORMAT);
    if (!force)
        LN_TRY(compare_configs(file, json_object_get(j, "config"), config));
    LN_TRY(blocks_of(&weights, &state, o));
    LN_TRY(read_state(&read, &counters, j, file));
    const json_t *sums = json_object_get(j, "xxh64");
    LN_TRY(read_items(&weights, model, sums, false));
    LN_TRY(read_items(&state, rest, sums, false));
    LN_TRY(read_items(&weights, model, sums, true));
    LN_TRY(read_items(&state, rest, sums, true));
    o->steps = counters.steps;
    o->skipped = counters.skipped;
    o->in_row = counters.in_row;
    *s = read;
done:
    items_free(&weights);
    items_free(&state);
    ln_archive_release(model);
    ln_archive_release(rest);
    json_decref(j);
    ln__free(file);
    return st;
}
