/* veryedge bench device: this machine as a client. A step of local training by mini-batch, as the study
 * measured it, and a profile of it that scenarios can name. */
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "energy/device.h"
#include "sim/base/check.h"
#include "sim/base/text.h"
#include "sim/bench.h"
#include "sim/cli.h"
#include "sim/run.h"

#define WATTS_S 2.0 /* a mini-batch's steps go on so long where watts are measured */
#define IDLE_S 1
enum { MAX_MINIBATCH = 128, MAX_QUICK = 8, REPEATS = 5, QUICK_REPEATS = 1, MAX_ROWS = 64 };

struct args {
    const char *backend, *precision, *lengths, *peak, *name, *out, *tdp;
    struct cli_list models;
    int64_t workers, rank;
    bool is_quick;
};

static enum err_code parse(int argc, char **argv, struct args *a, bool *is_help, struct err *e)
{
    const struct cli_option options[] = {
        CLI_TEXT("backend", "NAME", "auto, cpu or cuda (default: auto)", &a->backend),
        CLI_TEXT("precision", "NAME", "float32 or bf16 (default: float32)", &a->precision),
        CLI_LIST("model", "MODEL",
                 "flan-t5-SIZE, builtin:tiny or a folder; repeatable (default: flan-t5-small)",
                 &a->models),
        CLI_INT("rank", "N", "of the adapters (default: 16)", 1, LORA_MAX_RANK, &a->rank),
        CLI_TEXT("lengths", "L", "samsum, fixed:IN,OUT or uniform:FROM-TO,FROM-TO (default: fixed:512,95)",
                 &a->lengths),
        CLI_INT("workers", "N", "threads, on the CPU (default: one per core)", 1, 1024, &a->workers),
        CLI_TEXT("peak", "RATE", "989TFLOP/s: what utilisation is relative to", &a->peak),
        CLI_TEXT("tdp", "WATTS", "65W: what the machine may draw, where it does not say so itself", &a->tdp),
        CLI_FLAG("quick", "mini-batches 1 to 8 with one repeat, not 1 to 128 with five", &a->is_quick),
        CLI_TEXT("name", "NAME", "of the device in scenarios and results (default: this-machine)", &a->name),
        CLI_TEXT("out", "FILE", "the profile, written as it grows (default: NAME.json)", &a->out),
        CLI_END,
    };
    const struct cli cli = {
        .command = "bench device",
        .arguments = "",
        .what = "times a client's local step by mini-batch; writes a profile that scenarios can name",
        .option = options,
        .examples = "  veryedge bench device --model builtin:tiny --quick\n"
                    "  veryedge run scenarios/quickstart.json --set clients.device=this-machine.json\n"};
    size_t n_args = 0;
    return cli_parse(&cli, argc, argv, NULL, &n_args, is_help, e);
}

/* One mini-batch of one model. */
struct row {
    const char *model;
    int minibatch;
    bool is_out_of_memory;
    struct bench_totals totals;
    struct bench_result result;
    struct roofline_point point;
};

struct session {
    const struct args *a;
    struct bench_machine m;
    double tdp_w, idle_w, memory_bytes; /* tdp_w: as stated */
    int n;
    struct row row[MAX_ROWS];
};

/* --- Ctrl-C --- */

static void once(int signum)
{
    (void)signum;
}

/* A first SIGINT or SIGTERM is noted between rounds, a second one ends the process. The note is the signal's own
 * action, which the first one puts back to the default; where it was ignored, as behind nohup, it stays so. */
static void interrupt_listen(void)
{
    const struct sigaction note = {.sa_handler = once, .sa_flags = (int)SA_RESETHAND | SA_RESTART};
    struct sigaction now;
    if (sigaction(SIGINT, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        sigaction(SIGINT, &note, NULL);
    if (sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        sigaction(SIGTERM, &note, NULL);
}

static bool is_interrupted(void)
{
    struct sigaction on_int, on_term;
    return (sigaction(SIGINT, NULL, &on_int) == 0 && on_int.sa_handler == SIG_DFL) ||
           (sigaction(SIGTERM, NULL, &on_term) == 0 && on_term.sa_handler == SIG_DFL);
}

/* --- measuring --- */

static double tokens_per_s(const struct row *r)
{
    return (double)(r->totals.n_in + r->totals.n_out) / r->result.median_s;
}

static void print_row(const struct session *s, const struct row *r)
{
    if (r->is_out_of_memory) {
        printf("%10d  out of memory\n", r->minibatch);
        return;
    }
    printf("%10d", r->minibatch);
    for (int p = 0; p < N_T5_PARTS; p++)
        printf(" %9.2f", 1e3 * r->result.part_s[p]);
    printf(" %9.2f %9.0f %6.2f%%", 1e3 * r->result.median_s, tokens_per_s(r),
           100 * r->totals.flop / r->result.median_s / s->m.peak.flop_per_s);
    if (!isnan(r->result.watts))
        printf(" %6.1f %7.2f", r->result.watts, tokens_per_s(r) / r->result.watts);
    putchar('\n');
    fflush(stdout);
}

static void print_head(const struct session *s, const char *model, bool is_made_up)
{
    printf("\n%s%s; ms of a step's parts, each waited for, and of a whole step\n", model,
           is_made_up ? ", weights made up: speed does not depend on them" : "");
    printf("%10s %9s %9s %9s %9s %9s %9s %9s %7s%s\n", "mini-batch", "load", "forward", "loss", "backward",
           "optimizer", "step", "tokens/s", "MFU", s->m.watts ? "  watts  tok/s/W" : "");
}

/* What the scenario's cost model says of such a step, for the roofline: full length, as it counts. */
static struct roofline_point point_of(const struct t5_config *c, const struct bench_spec *spec,
                                      double seconds)
{
    struct cost_shape shape = bench_shape(c, &spec->lora);
    struct cost_batch b = {.sequences = spec->batch,
                           .input_tokens = spec->lengths.in_to,
                           .target_tokens = spec->lengths.out_to};
    struct cost cost = cost_step(&shape, &b, false);
    return (struct roofline_point){cost.flop, cost.bytes, seconds};
}

static enum err_code measure(struct session *s, const struct t5 *model, struct bench_spec *spec,
                             struct row *r, struct err *e)
{
    bool is_quick = s->a->is_quick;
    struct bench *b = NULL;
    struct bench_timing how = {.warmup = 1,
                               .repeats = is_quick ? QUICK_REPEATS : REPEATS,
                               .least_s = WATTS_S,
                               .has_parts = true,
                               .is_stopped = is_interrupted};
    spec->batch = r->minibatch;
    enum err_code code = bench_open(&b, model, spec, e);
    if (!code)
        code = bench_time(b, &how, s->m.watts, &r->result, e);
    if (!code) {
        r->totals = *bench_totals(b);
        r->point = point_of(t5_config_of(model), spec, r->result.median_s);
    }
    bench_close(b);
    return code;
}

/* --- the profile --- */

static int n_measured(const struct session *s)
{
    int n = 0;
    for (int i = 0; i < s->n; i++)
        n += !s->row[i].is_out_of_memory;
    return n;
}

/* x to four digits: no step is timed better, and somebody reads the profile. */
static double to_figures(double x)
{
    char text[32];
    snprintf(text, sizeof(text), "%.4g", x);
    return strtod(text, NULL);
}

/* At least one row is measured. */
static void make_device(const struct session *s, struct device *d, struct roofline_fit *fit)
{
    struct roofline_point point[MAX_ROWS];
    int n = 0;
    for (int i = 0; i < s->n; i++)
        if (!s->row[i].is_out_of_memory)
            point[n++] = s->row[i].point;
    roofline_fit(n, point, fit);
    *d = (struct device){.roof = fit->roof, .memory_bytes = s->memory_bytes, .measure_source = "measured"};
    d->roof.flop_per_s = to_figures(fit->roof.flop_per_s);
    d->roof.bytes_per_s = to_figures(fit->roof.bytes_per_s);
    d->roof.overhead_s = to_figures(fit->roof.overhead_s);
    snprintf(d->name, sizeof(d->name), "%s", s->a->name);
    double tdp_w = s->a->tdp ? s->tdp_w : isnan(s->m.about.limit_w) ? 0 : s->m.about.limit_w;
    d->tdp_w = tdp_w;
    d->idle_w = isnan(s->idle_w) ? DEVICE_IDLE_SHARE * tdp_w : to_figures(s->idle_w);
    for (int i = 0; i < s->n; i++) {
        const struct row *r = &s->row[i];
        struct device_measure *m = &d->measure[d->n_measures++];
        snprintf(m->model, sizeof(m->model), "%s", r->model);
        m->minibatch = r->minibatch;
        m->step_s = m->opt_step_s = r->is_out_of_memory ? 0 : to_figures(r->result.median_s);
        m->watts = isnan(r->result.watts) ? tdp_w : to_figures(r->result.watts);
    }
}

static void write_rows(const struct session *s, struct json_out *o)
{
    json_out_begin(o, "steps", '[');
    for (int i = 0; i < s->n; i++) {
        const struct row *r = &s->row[i];
        if (r->is_out_of_memory)
            continue;
        json_out_begin_inline(o, NULL, '{');
        json_out_string(o, "model", r->model);
        json_out_int(o, "minibatch", r->minibatch);
        for (int p = 0; p < N_T5_PARTS; p++)
            json_out_double(o, bench_part_name((enum t5_part)p), r->result.part_s[p]);
        json_out_double(o, "tokens_per_s", tokens_per_s(r));
        json_out_double(o, "utilisation",
                        r->totals.flop / r->result.median_s / s->m.peak.flop_per_s);
        json_out_double(o, "watts", r->result.watts);
        json_out_end(o, '}');
    }
    json_out_end(o, ']');
}

static const char *power_source(const struct session *s)
{
    if (s->m.watts)
        return "measured";
    return s->a->tdp ? "not measured: --tdp, an upper bound" : "not measured: counted as 0 W";
}

static enum err_code write_profile(const struct session *s, const struct device *d,
                                   const struct roofline_fit *fit, bool is_complete, struct err *e)
{
    struct json_out o;
    char date[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(date, sizeof(date), "%Y-%m-%d", gmtime_r(&now, &utc));
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    device_write_members(&o, d);
    json_out_begin(&o, "measured_on", '{');
    json_out_string(&o, "date", date);
    json_out_bool(&o, "complete", is_complete);
    json_out_string(&o, "lengths", s->a->lengths);
    json_out_int(&o, "rank", s->a->rank);
    json_out_string(&o, "power", power_source(s));
    json_out_string(&o, "idle", isnan(s->idle_w) ? "assumption: 15 % of tdp" : "measured");
    bench_machine_write(&s->m, &o, "machine");
    json_out_begin_inline(&o, "roofline_fit", '{');
    json_out_double(&o, "mean_error", fit->mean_error);
    json_out_double(&o, "worst_error", fit->worst_error);
    json_out_end(&o, '}');
    write_rows(s, &o);
    json_out_end(&o, '}');
    json_out_end(&o, '}');
    return bench_write(&o, s->a->out, e);
}

/* What is known by now, under the profile's own name: a run that is cut keeps it. */
static enum err_code save(const struct session *s, struct err *e)
{
    struct device d;
    struct roofline_fit fit;
    if (n_measured(s) == 0 || strcmp(s->a->out, "-") == 0)
        return OK;
    make_device(s, &d, &fit);
    return write_profile(s, &d, &fit, false, e);
}

/* --- all of it --- */

/* Mini-batches upward until one does not fit. */
static enum err_code measure_model(struct session *s, const char *name, struct bench_spec *spec,
                                   struct err *e)
{
    struct t5 *model = NULL;
    bool is_made_up = false, is_over = false;
    int last = s->a->is_quick ? MAX_QUICK : MAX_MINIBATCH;
    struct err why = {0};
    enum err_code code = bench_model(&model, name, s->m.choice.ops, &is_made_up, &why);
    is_over = code == ERR_MEMORY;
    if (code && !is_over) {
        if (e)
            *e = why;
        return code;
    }
    print_head(s, name, is_made_up);
    for (int batch = 1; batch <= last && (batch == 1 || !is_over); batch *= 2) {
        struct row *r = &s->row[s->n];
        *r = (struct row){.model = name, .minibatch = batch};
        code = is_over ? ERR_MEMORY : measure(s, model, spec, r, &why);
        r->is_out_of_memory = is_over = code == ERR_MEMORY;
        if (code && !is_over)
            break;
        code = OK;
        s->n++;
        print_row(s, r);
        if (is_over)
            printf("%10s  %s\n", "", why.text);
        if ((code = save(s, &why)))
            break;
    }
    t5_close(model);
    if (code && e)
        *e = why;
    return code;
}

static void measure_idle(struct session *s)
{
    s->idle_w = (double)NAN;
    if (!s->m.watts)
        return;
    watts_begin(s->m.watts);
    nanosleep(&(struct timespec){IDLE_S, 0}, NULL);
    s->idle_w = watts_mean(s->m.watts, NULL);
}

static enum err_code measure_memory(struct session *s, struct err *e)
{
    const struct backend_ops *ops = s->m.choice.ops;
    struct backend *b = NULL;
    enum err_code code = ops->open(&b, 0, 1, e);
    if (code)
        return code;
    s->memory_bytes = (double)ops->memory_bytes(b);
    ops->close(b);
    return OK;
}

static void print_fit(const struct session *s, const struct device *d, const struct roofline_fit *fit)
{
    char flop[32], bytes[32];
    text_format(flop, sizeof(flop), fit->roof.flop_per_s, UNIT_FLOP_PER_S);
    text_format(bytes, sizeof(bytes), fit->roof.bytes_per_s, UNIT_SIZE_BYTES);
    printf("\nroofline through these steps: %s, %s/s, %.3g ms overhead; off by %.1f %% on the mean, %.1f %% "
           "at worst\n",
           flop, bytes, 1e3 * fit->roof.overhead_s, 100 * fit->mean_error, 100 * fit->worst_error);
    if (!s->m.watts)
        printf("watts of %s in the profile: %s\n", d->name, power_source(s));
    printf("%s is written; a scenario names it as clients.device\n", s->a->out);
}

static enum err_code check_models(const struct args *a, struct err *e)
{
    int n_rows = a->is_quick ? 4 : 8;
    if (a->models.n * (size_t)n_rows > MAX_ROWS)
        return err_set(e, ERR_INPUT, "bench device: --model: expected at most %d models, got %zu",
                       MAX_ROWS / n_rows, a->models.n);
    for (size_t i = 0; i < a->models.n; i++) {
        if (strlen(a->models.value[i]) >= DEVICE_NAME_BYTES)
            return err_set(e, ERR_INPUT, "bench device: --model: expected at most %d letters, got \"%.80s\"",
                           DEVICE_NAME_BYTES - 1, a->models.value[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(a->models.value[i], a->models.value[k]) == 0)
                return err_set(e, ERR_INPUT, "bench device: --model: got \"%s\" twice",
                               a->models.value[i]);
    }
    if (!a->name[0] || strlen(a->name) >= DEVICE_NAME_BYTES || strchr(a->name, '/') || device_find(a->name))
        return err_set(e, ERR_INPUT,
                       "bench device: --name: expected 1..%d letters without \"/\" and no built-in "
                       "device's name, got \"%.80s\"",
                       DEVICE_NAME_BYTES - 1, a->name);
    return OK;
}

static enum err_code finish(struct session *s, struct err *e)
{
    struct device d;
    struct roofline_fit fit;
    if (n_measured(s) == 0)
        return err_set(e, ERR_MEMORY, "no mini-batch of any model fits this machine's memory");
    if (s->m.watts)
        watts_about(s->m.watts, &s->m.about); /* the clock under load */
    make_device(s, &d, &fit);
    enum err_code code = write_profile(s, &d, &fit, true, e);
    if (!code)
        print_fit(s, &d, &fit);
    return code;
}

/* What was measured before Ctrl-C is in the profile already. */
static enum err_code say_what_is_kept(const struct session *s, struct err *e)
{
    int n = n_measured(s);
    if (n == 0 || strcmp(s->a->out, "-") == 0)
        return err_set(e, ERR_INTERRUPTED, "bench device: nothing is written");
    return err_set(e, ERR_INTERRUPTED, "bench device: %d mini-batch%s kept in %s; a scenario can name it", n,
                   n == 1 ? " is" : "es are", s->a->out);
}

static enum err_code work(struct session *s, struct bench_spec *spec, struct err *e)
{
    bench_machine_print(&s->m);
    measure_idle(s);
    enum err_code code = measure_memory(s, e);
    for (size_t i = 0; i < s->a->models.n && !code; i++)
        code = measure_model(s, s->a->models.value[i], spec, e);
    if (code == ERR_INTERRUPTED)
        return say_what_is_kept(s, e);
    return code ? code : finish(s, e);
}

enum err_code bench_cmd_device(int argc, char **argv, struct err *e)
{
    struct args a = {.backend = "auto", .precision = "float32", .lengths = "fixed:512,95",
                     .name = "this-machine", .workers = run_cores(), .rank = 16};
    struct session s = {.a = &a};
    struct bench_spec spec = bench_default();
    char out[DEVICE_NAME_BYTES + 8];
    bool is_help = false;
    enum err_code code = parse(argc, argv, &a, &is_help, e);
    if (code || is_help)
        return code;
    if (a.models.n == 0)
        a.models.value[a.models.n++] = "flan-t5-small";
    if ((code = check_models(&a, e)))
        return code;
    if ((code = lengths_parse(&spec.lengths, a.lengths, e)))
        return err_in(e, code, "bench device: --lengths");
    if (a.tdp && (code = text_quantity(a.tdp, UNIT_POWER_W, 0, 1e6, &s.tdp_w, e)))
        return err_in(e, code, "bench device: --tdp");
    snprintf(out, sizeof(out), "%s.json", a.name);
    a.out = a.out ? a.out : out;
    spec.lora.rank = (int)a.rank;
    spec.n_clients = spec.local_steps = 1;
    spec.n_threads = (int)a.workers;
    interrupt_listen();
    code = bench_machine_open(&s.m, a.backend, a.precision, a.peak, spec.n_threads, e);
    if (!code) {
        code = work(&s, &spec, e);
        bench_machine_close(&s.m);
    }
    return code;
}
