/* Timing rounds of training, and the machine they run on: what bench train and bench device share. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/text.h"
#include "sim/base/wall.h"
#include "sim/bench.h"

const char *bench_part_name(enum t5_part part)
{
    static const char *const names[N_T5_PARTS] = {"batch load", "forward", "loss", "backward",
                                                  "optimizer step"};
    return names[part];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static enum err_code time_round(struct bench *b, const struct bench_timing *how, double *seconds,
                                double *part, struct err *e)
{
    if (how->is_stopped && how->is_stopped())
        return err_set(e, ERR_INTERRUPTED, "between two rounds");
    return bench_round(b, seconds, part, e);
}

static enum err_code time_parts(struct bench *b, const struct bench_timing *how, struct bench_result *out,
                                struct err *e)
{
    double seconds, part[N_T5_PARTS];
    for (int i = 0; i < how->repeats; i++) {
        enum err_code code = time_round(b, how, &seconds, part, e);
        if (code)
            return code;
        for (int p = 0; p < N_T5_PARTS; p++)
            out->part_s[p] += part[p] / how->repeats;
    }
    return OK;
}

static enum err_code time_charges(struct bench *b, const struct bench_timing *how, struct bench_result *out,
                                  struct err *e)
{
    double seconds = 0;
    enum err_code code = OK;
    bench_parts_begin(how->parts, bench_backend(b), bench_model_of(b));
    for (int i = 0; !code && i < how->repeats; i++) {
        code = time_round(b, how, &seconds, NULL, e);
        out->charged_s += seconds / how->repeats;
    }
    bench_parts_end(how->parts, bench_backend(b), out->charge);
    for (int p = 0; p < N_BENCH_PARTS; p++) {
        out->charge[p].seconds /= how->repeats;
        out->charge[p].flop /= how->repeats;
    }
    return code;
}

enum err_code bench_time(struct bench *b, const struct bench_timing *how, struct watts *w,
                         struct bench_result *out, struct err *e)
{
    double s[BENCH_MAX_REPEATS], extra_s;
    enum err_code code = OK;
    CHECK(how->repeats >= 1 && how->repeats <= BENCH_MAX_REPEATS);
    *out = (struct bench_result){.watts = (double)NAN};
    for (int i = 0; !code && i < how->warmup; i++)
        code = time_round(b, how, &extra_s, NULL, e);
    if (!code && w)
        watts_begin(w);
    double begun_s = wall_s();
    for (int i = 0; !code && i < how->repeats; i++)
        code = time_round(b, how, &s[i], NULL, e);
    while (!code && w && wall_s() - begun_s < how->least_s)
        code = time_round(b, how, &extra_s, NULL, e);
    if (!code && w)
        out->watts = watts_mean(w, &out->n_readings);
    if (!code && how->has_parts)
        code = time_parts(b, how, out, e);
    if (!code && how->parts)
        code = time_charges(b, how, out, e);
    if (code)
        return code;
    out->loss = bench_loss(b);
    qsort(s, (size_t)how->repeats, sizeof(s[0]), by_value);
    out->min_s = s[0];
    out->max_s = s[how->repeats - 1];
    out->median_s = (s[(how->repeats - 1) / 2] + s[how->repeats / 2]) / 2;
    return OK;
}

enum err_code bench_machine_open(struct bench_machine *m, const char *backend, const char *precision,
                                 const char *peak, int n_threads, struct err *e)
{
    *m = (struct bench_machine){.n_threads = n_threads};
    enum err_code code = backend_pick(&m->choice, backend, precision, e);
    if (code)
        return code;
    code = peak_find(&m->peak, peak, m->choice.ops, m->choice.about, n_threads, e);
    if (code)
        return err_in(e, code, "--peak");
    m->watts = watts_open(!m->choice.ops->is_host, m->why_no_watts);
    m->about = (struct watts_about){.clock_mhz = (double)NAN, .limit_w = (double)NAN};
    if (m->watts)
        watts_about(m->watts, &m->about);
    return OK;
}

void bench_machine_close(struct bench_machine *m)
{
    watts_close(m->watts);
    m->watts = NULL;
}

void bench_machine_print(const struct bench_machine *m)
{
    char peak[32];
    text_format(peak, sizeof(peak), m->peak.flop_per_s, UNIT_FLOP_PER_S);
    printf("backend  %s, %s: %s\n", m->choice.ops->name, m->choice.ops->precision, m->choice.about);
    printf("peak     %s: %s\n", peak, m->peak.source);
    if (m->watts)
        printf("watts    by %s, 10 readings a second\n", m->about.source);
    else
        printf("watts    not measured: %s\n", m->why_no_watts);
}

void bench_machine_write(const struct bench_machine *m, struct json_out *o, const char *key)
{
    json_out_begin(o, key, '{');
    json_out_string(o, "backend", m->choice.ops->name);
    json_out_string(o, "precision", m->choice.ops->precision);
    json_out_string(o, "about", m->choice.about);
    json_out_int(o, "threads", m->n_threads);
    json_out_double(o, "peak_flop_per_s", m->peak.flop_per_s);
    json_out_string(o, "peak_source", m->peak.source);
    json_out_string(o, "watts_source", m->watts ? m->about.source : m->why_no_watts);
    if (m->about.device[0])
        json_out_string(o, "device", m->about.device);
    if (m->about.driver[0])
        json_out_string(o, "driver", m->about.driver);
    if (!isnan(m->about.clock_mhz))
        json_out_double(o, "sm_clock_mhz", m->about.clock_mhz);
    if (!isnan(m->about.limit_w))
        json_out_double(o, "power_limit_w", m->about.limit_w);
    json_out_end(o, '}');
}

enum err_code bench_write(struct json_out *o, const char *path, struct err *e)
{
    enum err_code code = OK;
    if (strcmp(path, "-") == 0)
        fputs(o->text, stdout);
    else
        code = file_replace(path, o->text, o->n, e);
    json_out_fini(o);
    return code;
}
