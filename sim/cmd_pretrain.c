/* veryedge pretrain: makes the built-in model from nothing, or probes what LoRA can make of one. */
#include <stdio.h>
#include <unistd.h>

#include "models/pretrain.h"
#include "models/pretrain_probe.h"
#include "sim/base/log.h"
#include "sim/base/wall.h"
#include "sim/cli.h"
#include "sim/cmd.h"
#include "sim/pool.h"

enum { CURVE_ROWS = 40, LOSS_WINDOW = 50, MAX_WORKERS = 1024 };

struct progress {
    struct log log;
    struct pool *pool;
    int n_steps, n_in_window;
    double sum, start_s;
    long long n_tokens;
};

/* A row of the learning curve: the mean loss of the last steps, at most LOSS_WINDOW. */
static bool show_step(void *to, int step, double loss, int n_tokens)
{
    struct progress *p = to;
    p->n_tokens += n_tokens;
    int every = p->n_steps > CURVE_ROWS ? (p->n_steps + CURVE_ROWS - 1) / CURVE_ROWS : 1;
    if (every - (step - 1) % every <= LOSS_WINDOW) {
        p->sum += loss;
        p->n_in_window++;
    }
    if (step % every == 0 || step == p->n_steps) {
        log_clear(&p->log);
        printf("%8d %10.2f %8.4f\n", step, (double)p->n_tokens * 1e-6,
               p->sum / (p->n_in_window > 0 ? p->n_in_window : 1));
        fflush(stdout);
        p->sum = 0.0;
        p->n_in_window = 0;
    }
    log_status(&p->log, "step %d of %d, loss %.3f, %.0f s", step, p->n_steps, loss,
               wall_s() - p->start_s);
    return !pool_is_interrupted(p->pool);
}

static void show_probe(void *to, int step, double train_loss, const struct eval_result *r)
{
    struct progress *p = to;
    log_clear(&p->log);
    printf("%8d %10.4f %9.4f %7.2f %7.2f %7.2f %11.3f\n", step, train_loss, r->loss, r->rouge1,
           r->rouge2, r->rougeL, r->fact_recall);
    fflush(stdout);
}

static void show_text(void *to, int step, const struct sample *s, const char *text)
{
    (void)to;
    if (step == 0)
        printf("\n%s\n", s->dialogue);
    printf("  reference: %s\n  step %5d: %s\n", s->summary, step, text);
}

static enum err_code pretrain(struct pretrain_spec *spec, bool is_quiet, struct err *e)
{
    struct progress p = {.n_steps = spec->n_steps, .start_s = wall_s()};
    log_init(&p.log, is_quiet);
    enum err_code code = pool_open(&p.pool, 1, e);
    if (code)
        return code;
    pool_watch(p.pool);
    spec->report = show_step;
    spec->to = &p;
    printf("%8s %10s %8s\n", "step", "Mtokens", "loss");
    code = pretrain_run(spec, e);
    log_clear(&p.log);
    if (!code)
        log_note(&p.log, "%s: %d steps in %.0f s", spec->folder, spec->n_steps,
                 wall_s() - p.start_s);
    pool_close(p.pool);
    return code;
}

static enum err_code probe(struct probe_spec *spec, struct err *e)
{
    struct progress p = {0};
    log_init(&p.log, false);
    spec->report = show_probe;
    spec->show = show_text;
    spec->to = &p;
    printf("%8s %10s %9s %7s %7s %7s %11s\n", "step", "train_loss", "eval_loss", "rouge1", "rouge2",
           "rougeL", "fact_recall");
    return probe_run(spec, e);
}

enum err_code cmd_pretrain(int argc, char **argv, struct err *e)
{
    struct pretrain_spec made = pretrain_defaults();
    struct probe_spec probed = probe_defaults();
    int64_t steps = 0, seed = 1, workers = sysconf(_SC_NPROCESSORS_ONLN), texts = 0;
    double lr = 0.0;
    const char *out = NULL;
    bool is_resumed = false, is_probe = false, is_quiet = false, is_help;
    size_t n_args;
    const struct cli_option options[] = {
        CLI_TEXT("out", "DIR", "folder of the model (needed, unless --probe)", &out),
        CLI_INT("steps", "N", "steps to take (default: 2600, --probe 1000)", 1, PRETRAIN_MAX_STEPS,
                &steps),
        CLI_DOUBLE("lr", "X", "peak learning rate (default: 0.0015, --probe 0.003)", 1e-9, 1e3,
                   &lr),
        CLI_INT("seed", "N", "seed of start values and text (default: 1)", 0, 1LL << 53, &seed),
        CLI_INT("workers", "N", "threads (default: all cores)", 1, MAX_WORKERS, &workers),
        CLI_FLAG("float32", "store weights as f32 (default: bf16, half the size)", &made.is_float32),
        CLI_FLAG("resume", "go on from the checkpoint in DIR", &is_resumed),
        CLI_FLAG("probe", "train LoRA on all dialogues in one place, on DIR or builtin:tiny",
                 &is_probe),
        CLI_INT("texts", "N", "--probe: show N summaries before and after (default: 0)", 0, 1000,
                &texts),
        CLI_FLAG("quiet", "no progress, no notes", &is_quiet),
        CLI_END,
    };
    const struct cli cli = {"pretrain",
                            "",
                            "make the built-in model from nothing",
                            options,
                            0,
                            0,
                            "  veryedge pretrain --out runs/tiny\n"
                            "  veryedge pretrain --out runs/tiny --resume\n"
                            "  veryedge pretrain --probe --steps 500 --texts 5\n"};
    enum err_code code = cli_parse(&cli, argc, argv, NULL, &n_args, &is_help, e);
    if (code || is_help)
        return code;
    if (workers < 1)
        workers = 1;
    if (is_probe) {
        probed.weights = out ? out : probed.weights;
        probed.n_steps = steps > 0 ? (int)steps : probed.n_steps;
        probed.lr = lr > 0.0 ? (float)lr : probed.lr;
        probed.seed = (uint64_t)seed;
        probed.n_threads = (int)workers;
        probed.n_texts = (int)texts;
        return probe(&probed, e);
    }
    if (!out)
        return err_set(e, ERR_INPUT, "pretrain: expected --out DIR");
    made.folder = out;
    made.n_steps = steps > 0 ? (int)steps : made.n_steps;
    if (made.n_warmup > made.n_steps / 10)
        made.n_warmup = made.n_steps / 10;
    made.lr = lr > 0.0 ? (float)lr : made.lr;
    made.seed = (uint64_t)seed;
    made.n_threads = (int)workers;
    made.is_resumed = is_resumed;
    return pretrain(&made, is_quiet, e);
}
