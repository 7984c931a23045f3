/* run.c - a job of the verb forecast: read the table, fit or load, test, forecast what comes next, write, report. */
#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/outdir.h"
#include "core/progress.h"
#include "forecast/report.h"

/* All that a job holds; freed in any case. */
typedef struct work {
    const ln_job *job;
    const ln_system *system;
    ln_forecast_opts o;
    ln__series series;
    ln__fit fit;
    ln_forecaster *f;
    ln_tensor *next; /* (horizon, channels) */
    ln_forecast_score score;
    double *by_step, *by_channel, fit_seconds, backtest_seconds;
    int64_t first; /* row of the first test window */
} work;

static ln_status options_of(work *w)
{
    ln_status st = LN_OK;
    ln_params_defaults(ln_forecast_params(), &w->o);
    w->o.struct_size = sizeof w->o;
    if (w->job->shared) {
        const ln_forecast_opts *given = w->job->shared; /* the command's table fills no struct_size */
        w->o = *given;
        w->o.struct_size = sizeof w->o;
        LN_TRY(ln_params_check(ln_forecast_params(), &w->o, "forecast"));
    }
    w->o.seed = (uint64_t)w->job->seed;
    w->o.progress = w->job->progress;
    w->o.payload = w->job->payload;
done:
    return st;
}

static ln_status fit_or_load(work *w, const void *opts)
{
    ln_status st = LN_OK;
    const ln__series *s = &w->series;
    const double started = ln__now();
    if (w->job->model) {
        LN_TRY(ln__forecaster_load(&w->f, w->system, w->job->model));
        if (s->channels != w->f->channels)
            LN_FAIL(LN_ERR_SHAPE, "%s has %lld channels, the model in %s has %lld", w->job->input[0],
                    (long long)s->channels, w->job->model, (long long)w->f->channels);
        if (s->rows < w->f->look_back)
            LN_FAIL(LN_ERR_SHAPE, "%s has %lld rows, the model looks %lld back", w->job->input[0], (long long)s->rows,
                    (long long)w->f->look_back);
    } else {
        LN_TRY(
            ln__forecaster_fit(&w->f, &w->fit, w->system, s->x, s->rows, s->channels, &w->o, opts, w->job->input[0]));
    }
    w->fit_seconds = ln__now() - started;
done:
    return st;
}

static ln_status test(work *w)
{
    ln_status st = LN_OK;
    ln__split split;
    const bool wanted = w->o.backtest == LN_BACKTEST_YES || (w->o.backtest == LN_BACKTEST_AUTO && !w->job->model);
    if (!wanted)
        return LN_OK;
    LN_TRY(ln__split_of(&split, w->series.rows, w->o.split ? w->o.split : "auto", w->job->input[0]));
    const int64_t windows = split.test - split.valid - w->f->horizon + 1;
    w->first = split.valid - w->f->look_back;
    if (windows < 1 || w->first < 0)
        LN_FAIL(LN_ERR_SHAPE, "%s: the test part has %lld rows, a window needs %lld of look-back and %lld of horizon",
                w->job->input[0], (long long)(split.test - split.valid), (long long)w->f->look_back,
                (long long)w->f->horizon);
    LN_TRY(LN_NEW(&w->by_step, w->f->horizon));
    LN_TRY(LN_NEW(&w->by_channel, w->f->channels));
    const double started = ln__now();
    LN_TRY(ln__backtest(&w->score, w->by_step, w->by_channel, w->f, w->series.x, w->first, windows));
    w->backtest_seconds = ln__now() - started;
done:
    return st;
}

static ln_status predict(work *w)
{
    ln_status st = LN_OK;
    ln_tensor *all = NULL;
    LN_TRY(ln_tensor_wrap(&all, LN_F64, 2, (int64_t[]){ w->series.rows, w->series.channels }, NULL, w->series.x, NULL,
                          NULL));
    LN_TRY(ln_forecaster_predict(&w->next, w->f, all));
    LN_TRY(ln_tensor_check_finite(w->next, "forecast"));
done:
    ln_tensor_release(all);
    return st;
}

/* ---- writing ---- */

static ln_status write_all(const work *w)
{
    ln_status st = LN_OK;
    char *path = NULL;
    ln__outdir *dir = NULL;
    LN_TRY(ln__outdir_open(&dir, w->job->out, w->job->force != 0));
    LN_TRY(ln__path_join(&path, ln__outdir_path(dir), "forecast.csv"));
    LN_TRY(ln__series_write_next(&w->series, path, ln_tensor_cdata(w->next), w->f->horizon));
    if (!w->job->model)
        LN_TRY(ln__forecaster_save(w->f, ln__outdir_path(dir), (const char *const *)w->series.names));
    LN_TRY(ln__outdir_commit(dir));
done:
    ln__outdir_free(dir);
    ln__free(path);
    return st;
}

static ln_status report(const work *w, ln_result *r)
{
    ln_status st = LN_OK;
    LN_TRY(ln__forecast_report_series(r, &w->series));
    LN_TRY(ln__forecast_report_model(r, w->f));
    if (!w->job->model)
        LN_TRY(ln__forecast_report_fit(r, &w->fit));
    if (w->by_step) {
        LN_TRY(ln__forecast_report_score(r, &w->series, w->f, &w->score, w->by_step, w->by_channel));
        LN_TRY(ln__forecast_report_last_window(r, &w->series, w->f, w->first + w->score.windows - 1));
        LN_TRY(ln_result_number(r, "backtest_seconds", w->backtest_seconds));
    }
    if (!w->job->model)
        LN_TRY(ln_result_number(r, "fit_seconds", w->fit_seconds));
    LN_TRY(ln__forecast_report_next(r, &w->series, w->f, ln_tensor_cdata(w->next)));
    LN_TRY(ln__forecast_report_acf(r, &w->series, &w->fit));
done:
    return st;
}

ln_status ln__forecast_run(const ln_system *system, const ln_job *job, const void *opts, ln_result *result)
{
    ln_status st = LN_OK;
    work w = { .job = job, .system = system };
    if (job->inputs != 1)
        return ln__fail(LN_ERR_ARG, "forecast %s: one table is needed, not %d", system->name, job->inputs);
    LN_TRY(options_of(&w));
    LN_TRY(ln__series_read(&w.series, job->input[0], &w.o));
    LN_TRY(fit_or_load(&w, opts));
    LN_TRY(test(&w));
    LN_TRY(predict(&w));
    if (job->progress && job->progress(job->payload, "forecast", 1, 1))
        LN_FAIL(LN_ERR_CANCELLED, "cancelled");
    if (result)
        LN_TRY(report(&w, result));
    if (job->out)
        LN_TRY(write_all(&w));
done:
    ln_tensor_release(w.next);
    ln_forecaster_release(w.f);
    ln__fit_end(&w.fit);
    ln__series_free(&w.series);
    ln__free(w.by_step);
    ln__free(w.by_channel);
    return st;
}
