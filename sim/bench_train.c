/* veryedge bench train: a cohort's training. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "models/bench_generate.h"
#include "models/crew.h"
#include "sim/base/text.h"
#include "sim/bench.h"
#include "sim/cli.h"
#include "sim/run.h"

enum { WARMUP = 2 };
#define PEAK_DOUBT 1.15 /* of the peak: more than a small product's luck with caches */
#define WATTS_S 3.0 /* rounds go on so long where watts are measured */

struct args {
    const char *backend, *precision, *model, *lengths, *peak, *json, *memory;
    int64_t repeats, workers, clients, batch, steps, rank, generate, gpus;
    bool has_parts;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_TEXT("backend", "NAME", "auto, cpu or cuda (default: auto)", &a->backend),
        CLI_TEXT("precision", "NAME", "float32 or bf16 (default: float32)", &a->precision),
        CLI_TEXT("model", "MODEL",
                 "tiny, flan-t5-small|base|large|xl with made-up weights, or a folder (default: tiny)",
                 &a->model),
        CLI_INT("clients", "N", "clients of the cohort (default: 10)", 1, 4096, &a->clients),
        CLI_INT("batch", "N", "samples of a mini-batch (default: 8)", 1, 4096, &a->batch),
        CLI_INT("steps", "N", "local steps of a round (default: 2)", 1, 1000, &a->steps),
        CLI_INT("rank", "N", "of the adapters (default: 16; tiny 8)", 1, LORA_MAX_RANK, &a->rank),
        CLI_TEXT("lengths", "L",
                 "samsum, fixed:512,95 or uniform:FROM-TO,FROM-TO (default: uniform:64-160,16-40)",
                 &a->lengths),
        CLI_INT("repeats", "N", "timed rounds (default: 5)", 1, BENCH_MAX_REPEATS, &a->repeats),
        CLI_INT("workers", "N", "threads, on the CPU (default: one per core)", 1, 1024, &a->workers),
        CLI_TEXT("memory", "SIZE", "of a pass at most, as compute.memory: 1500MB (default: 1.5 GiB on the CPU)", &a->memory),
        CLI_INT("gpus", "N", "parts of the cohort, a GPU each, as compute.gpus (default: 1)", 1, CREW_MAX_PARTS,
                &a->gpus),
        CLI_INT("generate", "N", "instead: decode 32 inputs greedily, N new tokens each", 1, 1024, &a->generate),
        CLI_TEXT("peak", "RATE", "989TFLOP/s: what utilisation is relative to", &a->peak),
        CLI_FLAG("parts", "a step's phases and the model's parts too: ms, flop, share of the peak", &a->has_parts),
        CLI_TEXT("json", "FILE", "write the figures; - prints them alone", &a->json),
        CLI_END,
    };
    const struct cli cli = {
        .command = "bench train",
        .arguments = "",
        .what = "times a cohort's local steps on made-up tokens",
        .option = options,
        .examples = "  veryedge bench train --workers 2\n"
                    "  veryedge bench train --backend cuda --precision bf16 --model flan-t5-small "
                    "--lengths samsum --parts\n"};
    size_t n_args = 0;
    return cli_parse(&cli, argc, argv, NULL, &n_args, is_help, e);
}

/* What is reported, from what was timed. */
struct figures {
    double step_s, tokens_per_s, flop_per_s, utilisation;
    double j_per_token, tokens_per_s_w; /* NaN without watts */
};

static struct figures figures_of(const struct bench_totals *t, const struct bench_result *r, int steps,
                                 const struct bench_machine *m)
{
    double n = (double)(t->n_in + t->n_out), rate = n / r->median_s;
    double watts = t->n_devices == 1 ? r->watts : (double)NAN; /* which are the first GPU's alone */
    return (struct figures){.step_s = r->median_s / steps,
                            .tokens_per_s = rate,
                            .flop_per_s = t->flop / r->median_s,
                            .utilisation = t->flop / r->median_s / (t->n_devices * m->peak.flop_per_s),
                            .j_per_token = watts / rate,
                            .tokens_per_s_w = rate / watts};
}

static void print_parts(const struct bench_result *r, int steps)
{
    double sum_s = 0;
    for (int p = 0; p < N_T5_PARTS; p++)
        sum_s += r->part_s[p];
    printf("\n%-16s %12s %8s\n", "part of a step", "ms", "share");
    for (int p = 0; p < N_T5_PARTS; p++)
        printf("%-16s %12.3f %7.1f%%\n", bench_part_name((enum t5_part)p), 1e3 * r->part_s[p] / steps,
               100 * r->part_s[p] / sum_s);
    printf("%-16s %12.3f   waiting for each part to end\n", "total", 1e3 * sum_s / steps);
}

/* A part of the model in a step. lost_s: beyond what its flop take at the peak. */
struct share {
    double s, share, flop, flop_per_s, of_peak, lost_s;
};

/* part N_BENCH_PARTS: what no operation was at work in. */
static struct share share_of(const struct bench_result *r, int part, int steps, const struct bench_machine *m)
{
    struct bench_charge c = {.seconds = r->charged_s};
    for (int p = 0; p < N_BENCH_PARTS && part == N_BENCH_PARTS; p++)
        c.seconds -= r->charge[p].seconds;
    if (part < N_BENCH_PARTS)
        c = r->charge[part];
    double rate = c.seconds > 0 ? c.flop / c.seconds : 0;
    return (struct share){.s = c.seconds / steps,
                          .share = c.seconds / r->charged_s,
                          .flop = c.flop / steps,
                          .flop_per_s = rate,
                          .of_peak = rate / m->peak.flop_per_s,
                          .lost_s = (c.seconds - c.flop / m->peak.flop_per_s) / steps};
}

static const char *share_name(int part)
{
    return part < N_BENCH_PARTS ? bench_parts_name((enum bench_part)part) : "packing, the rest";
}

static void print_shares(const struct bench_result *r, int steps, const struct bench_machine *m)
{
    double flop = 0, lost_s = 0, best = 0;
    printf("\n%-18s %10s %7s %10s %10s %8s %10s\n", "part of the model", "ms", "share", "GFLOP", "GFLOP/s",
           "of peak", "lost ms");
    for (int p = 0; p <= N_BENCH_PARTS; p++) {
        struct share s = share_of(r, p, steps, m);
        printf("%-18s %10.3f %6.1f%%", share_name(p), 1e3 * s.s, 100 * s.share);
        if (s.flop > 0)
            printf(" %10.4g %10.4g %7.1f%%", 1e-9 * s.flop, 1e-9 * s.flop_per_s, 100 * s.of_peak);
        else
            printf(" %10s %10s %8s", "-", "-", "-");
        printf(" %10.3f\n", 1e3 * s.lost_s);
        flop += s.flop;
        lost_s += s.lost_s;
        best = fmax(best, s.of_peak);
    }
    double step_s = r->charged_s / steps;
    printf("%-18s %10.3f %6.1f%% %10.4g %10.4g %7.1f%% %10.3f\n", "step", 1e3 * step_s, 100.0, 1e-9 * flop,
           1e-9 * flop / step_s, 100 * flop / step_s / m->peak.flop_per_s, 1e3 * lost_s);
    printf("lost: beyond what the flop, here with the adapters', take at the peak. Each operation is waited for%s\n",
           m->choice.ops->is_host ? "" : ": this step is slower than the one above");
    if (best > PEAK_DOUBT)
        printf("a part is %.0f %% above the peak, which was then not this machine's best: measure it at rest, or state "
               "it with --peak\n",
               100 * (best - 1));
}

/* What will be done and what it takes, before it begins. */
static void print_plan(const struct args *a, const struct t5_config *c, bool is_made_up,
                       const struct bench_machine *m, const struct bench_totals *t)
{
    double weights = (double)t->n_weights / 0x1p20, pass = (double)t->n_bytes / 0x1p20;
    double results = (double)t->n_results / 0x1p20;
    printf("model    %s, %.4g M weights%s; width %d, %d + %d layers, adapters of rank %" PRId64 "\n",
           a->model, 1e-6 * (double)t5_parameters(c),
           is_made_up ? " (made up: speed does not depend on them)" : "", c->d_model, c->n_enc, c->n_dec,
           a->rank);
    printf("work     %" PRId64 " clients x %" PRId64 " steps x mini-batch %" PRId64 ", %s: %zu input and "
           "%zu target tokens a round\n",
           a->clients, a->steps, a->batch, a->lengths, t->n_in, t->n_out);
    bench_machine_print(m);
    printf("memory   weights %.0f + pass %.0f", weights, pass);
    if (t->n_abreast < a->clients)
        printf(" (%d client%s at a time)", t->n_abreast, t->n_abreast == 1 ? "" : "s");
    printf(" + results %.0f", results);
    if (t->n_program > 0)
        printf(" + program %.0f", (double)t->n_program / 0x1p20);
    printf(" MiB");
    if (t->n_devices > 1)
        printf("; weights %.0f + pass %.0f MiB on each of %d more", weights, pass, t->n_devices - 1);
    putchar('\n');
    if (a->gpus > 1)
        printf("gpus     %" PRId64 " parts of the cohort on %d device%s\n", a->gpus, t->n_devices,
               t->n_devices == 1 ? ", one after another" : "s at the same time");
    fflush(stdout);
}

static void print(const struct args *a, const struct bench_machine *m, const struct bench_totals *t,
                  const struct bench_result *r)
{
    struct figures f = figures_of(t, r, (int)a->steps, m);
    double steps = (double)a->steps;
    char rate[32];
    printf("peak     memory of this process %.0f MiB\n\n", bench_peak_bytes() / 0x1p20);
    printf("local step   %.3f ms, the whole cohort (%.3f .. %.3f), median of %" PRId64 " rounds\n",
           1e3 * f.step_s, 1e3 * r->min_s / steps, 1e3 * r->max_s / steps, a->repeats);
    printf("tokens       %.0f per s\n", f.tokens_per_s);
    text_format(rate, sizeof(rate), f.flop_per_s, UNIT_FLOP_PER_S);
    printf("flop         %s, 4 x parameters touched x tokens + attention; %.1f %% of the peak", rate,
           100 * f.utilisation);
    if (t->n_devices > 1)
        printf(" of %d", t->n_devices);
    putchar('\n');
    if (!isnan(r->watts) && t->n_devices > 1)
        printf("power        %.1f W, the first GPU's, mean of %d readings\n", r->watts, r->n_readings);
    else if (!isnan(r->watts))
        printf("power        %.1f W, mean of %d readings; %.4g J per token, %.4g tokens/s/W\n", r->watts,
               r->n_readings, f.j_per_token, f.tokens_per_s_w);
    if (a->has_parts)
        print_parts(r, (int)a->steps);
    if (a->has_parts)
        print_shares(r, (int)a->steps, m);
}

static void write_parts(const struct bench_result *r, int steps, const struct bench_machine *m,
                        struct json_out *o)
{
    json_out_begin_inline(o, "parts_s", '{');
    for (int p = 0; p < N_T5_PARTS; p++)
        json_out_double(o, bench_part_name((enum t5_part)p), r->part_s[p] / steps);
    json_out_end(o, '}');
    json_out_double(o, "parts_step_s", r->charged_s / steps);
    json_out_begin_inline(o, "parts", '[');
    for (int p = 0; p <= N_BENCH_PARTS; p++) {
        struct share s = share_of(r, p, steps, m);
        json_out_begin_inline(o, NULL, '{');
        json_out_string(o, "part", share_name(p));
        json_out_double(o, "s", s.s);
        json_out_double(o, "share", s.share);
        json_out_double(o, "flop", s.flop);
        json_out_double(o, "flop_per_s", s.flop_per_s);
        json_out_double(o, "of_peak", s.of_peak);
        json_out_double(o, "lost_s", s.lost_s);
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
}

static enum err_code write(const struct args *a, bool is_made_up, const struct bench_machine *m,
                           const struct bench_totals *t, const struct bench_result *r, struct err *e)
{
    struct figures f = figures_of(t, r, (int)a->steps, m);
    struct json_out o;
    json_out_init(&o);
    json_out_begin_inline(&o, NULL, '{');
    json_out_string(&o, "workload", "train");
    json_out_string(&o, "model", a->model);
    json_out_bool(&o, "made_up_weights", is_made_up);
    json_out_int(&o, "clients", a->clients);
    json_out_int(&o, "steps", a->steps);
    json_out_int(&o, "batch", a->batch);
    json_out_int(&o, "rank", a->rank);
    json_out_string(&o, "lengths", a->lengths);
    json_out_int(&o, "tokens", (int64_t)(t->n_in + t->n_out));
    json_out_double(&o, "flop", t->flop);
    json_out_int(&o, "bytes", (int64_t)t->n_bytes);
    json_out_int(&o, "planned_bytes", (int64_t)(t->n_bytes + t->n_weights + t->n_results + t->n_program));
    json_out_double(&o, "peak_bytes", bench_peak_bytes());
    json_out_int(&o, "clients_abreast", t->n_abreast);
    json_out_int(&o, "gpus", a->gpus);
    json_out_int(&o, "devices", t->n_devices);
    json_out_double(&o, "median_s", r->median_s);
    json_out_double(&o, "min_s", r->min_s);
    json_out_double(&o, "max_s", r->max_s);
    json_out_double(&o, "step_s", f.step_s);
    json_out_double(&o, "tokens_per_s", f.tokens_per_s);
    json_out_double(&o, "flop_per_s", f.flop_per_s);
    json_out_double(&o, "utilisation", f.utilisation);
    json_out_double(&o, "watts", r->watts);
    json_out_double(&o, "j_per_token", f.j_per_token);
    json_out_double(&o, "tokens_per_s_per_w", f.tokens_per_s_w);
    json_out_double(&o, "loss", r->loss);
    if (a->has_parts)
        write_parts(r, (int)a->steps, m, &o);
    bench_machine_write(m, &o, "machine");
    json_out_end(&o, '}');
    return bench_write(&o, a->json, e);
}

static enum err_code time_it(const struct args *a, const struct bench_spec *spec,
                             struct bench_machine *m, struct err *e)
{
    struct t5 *model = NULL;
    struct bench *b = NULL;
    struct bench_result r;
    struct bench_parts *parts = a->has_parts ? bench_parts_open(m->choice.ops) : NULL;
    struct bench_timing how = {.warmup = WARMUP,
                               .repeats = (int)a->repeats,
                               .least_s = WATTS_S,
                               .has_parts = a->has_parts,
                               .parts = parts};
    bool is_made_up = false;
    enum err_code code =
        bench_model(&model, a->model, parts ? bench_parts_ops(parts) : m->choice.ops, &is_made_up, e);
    if (!code)
        code = bench_open(&b, model, spec, e);
    bool is_told = !a->json || strcmp(a->json, "-") != 0;
    if (!code && is_told)
        print_plan(a, t5_config_of(model), is_made_up, m, bench_totals(b));
    if (!code)
        code = bench_time(b, &how, m->watts, &r, e);
    if (!code && m->watts)
        watts_about(m->watts, &m->about); /* the clock under load */
    if (!code && is_told)
        print(a, m, bench_totals(b), &r);
    if (!code && a->json)
        code = write(a, is_made_up, m, bench_totals(b), &r, e);
    bench_close(b);
    t5_close(model);
    bench_parts_close(parts);
    return code;
}

/* The work of the peers' `generate`, whatever the cohort's size. */
static enum err_code generate(const struct args *a, const struct bench_spec *spec, const struct bench_machine *m,
                              struct err *e)
{
    struct t5 *model = NULL;
    struct bench_texts t;
    bool is_made_up = false;
    enum err_code code = bench_model(&model, a->model, m->choice.ops, &is_made_up, e);
    if (!code)
        code = bench_generate(&t, model, spec, (int)a->generate, (int)a->repeats, e);
    if (!code && (!a->json || strcmp(a->json, "-") != 0)) {
        bench_machine_print(m);
        printf("memory   weights %.0f + pass %.0f MiB\n", (double)t5_bytes(model) / 0x1p20,
               (double)t.n_bytes / 0x1p20);
        printf("generate %d texts, %zu tokens of %zu input tokens: %.3f s (%.3f .. %.3f), %.0f tokens per s\n",
               BENCH_TEXTS, t.n_new, t.n_in, t.median_s, t.min_s, t.max_s, (double)t.n_new / t.median_s);
    }
    if (!code && a->json) {
        struct json_out o;
        json_out_init(&o);
        json_out_begin_inline(&o, NULL, '{');
        json_out_string(&o, "workload", "generate");
        json_out_string(&o, "model", a->model);
        json_out_int(&o, "tokens", (int64_t)t.n_new);
        json_out_int(&o, "input_tokens", (int64_t)t.n_in);
        json_out_double(&o, "median_s", t.median_s);
        json_out_double(&o, "min_s", t.min_s);
        json_out_double(&o, "max_s", t.max_s);
        json_out_double(&o, "peak_bytes", bench_peak_bytes());
        bench_machine_write(m, &o, "machine");
        json_out_end(&o, '}');
        code = bench_write(&o, a->json, e);
    }
    t5_close(model);
    return code;
}

enum err_code bench_cmd_train(int argc, char **argv, struct err *e)
{
    struct args a = {.backend = "auto", .precision = "float32", .model = "tiny",
                     .lengths = "uniform:64-160,16-40", .repeats = 5, .workers = run_cores(),
                     .clients = 10, .batch = 8, .steps = 2, .gpus = 1};
    struct bench_spec spec = bench_default();
    struct bench_machine m;
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    if (a.gpus > 1 && (a.has_parts || a.generate))
        return err_set(e, ERR_INPUT, "bench train: --%s: expected it without --gpus",
                       a.has_parts ? "parts" : "generate");
    code = lengths_parse(&spec.lengths, a.lengths, e);
    if (code)
        return err_in(e, code, "bench train: --lengths");
    if (a.rank == 0)
        a.rank = strcmp(a.model, "tiny") == 0 ? 8 : spec.lora.rank;
    spec.lora.rank = (int)a.rank;
    spec.n_clients = (int)a.clients;
    spec.batch = (int)a.batch;
    spec.local_steps = (int)a.steps;
    spec.n_threads = (int)a.workers;
    spec.n_parts = (int)(a.gpus < a.clients ? a.gpus : a.clients);
    if (a.memory)
        code = text_quantity(a.memory, UNIT_SIZE_BYTES, 1e6, 1e15, &spec.memory_bytes, e);
    if (code)
        return err_in(e, code, "bench train: --memory");
    code = bench_machine_open(&m, a.backend, a.precision, a.peak, spec.n_threads, e);
    if (!code) {
        code = a.generate ? generate(&a, &spec, &m, e) : time_it(&a, &spec, &m, e);
        bench_machine_close(&m);
    }
    return code;
}
