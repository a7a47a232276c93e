#include "sim/progress.h"

#include <math.h>
#include <stdio.h>

#include "sim/base/wall.h"

enum { PRINTED_ROWS = 25 }; /* about so many rows of a long run are printed, besides evaluations */

void progress_time(char out[32], double seconds)
{
    if (seconds < 10)
        snprintf(out, 32, "%.2f s", seconds);
    else if (seconds < 120)
        snprintf(out, 32, "%.0f s", seconds);
    else if (seconds < 2 * 3600)
        snprintf(out, 32, "%.1f min", seconds / 60);
    else if (seconds < 2 * 86400)
        snprintf(out, 32, "%.1f h", seconds / 3600);
    else
        snprintf(out, 32, "%.1f days", seconds / 86400);
}

void progress_init(struct progress *p, struct log *log, int64_t rounds, bool has_training)
{
    *p = (struct progress){.log = log,
                           .rounds = rounds,
                           .step = (rounds + PRINTED_ROWS - 1) / PRINTED_ROWS,
                           .has_training = has_training,
                           .begun_s = wall_s()};
    if (log->is_quiet)
        return;
    printf("%7s %11s %10s %9s %10s %10s %8s", "round", "time", "duration", "G", "comm kWh",
           "device kWh", "arrived");
    if (has_training)
        printf(" %10s %9s %7s %7s", "train loss", "eval loss", "ROUGE-1", "ROUGE-L");
    putchar('\n');
}

/* A number of this width, or a dash where there is none. */
static void cell(int width, int digits, double v)
{
    if (isnan(v))
        printf(" %*s", width, "-");
    else
        printf(" %*.*f", width, digits, v);
}

/* Five significant digits: granularities and kWh run over many decades. */
static void wide(int width, double v)
{
    if (isnan(v))
        printf(" %*s", width, "-");
    else
        printf(" %*.4g", width, v);
}

void progress_row(struct progress *p, const struct round_record *r)
{
    bool is_evaluated = !isnan(r->eval_loss);
    if (p->log->is_quiet ||
        !(is_evaluated || r->round == 1 || r->round == p->rounds || r->round % p->step == 0))
        return;
    log_clear(p->log);
    char at[32], lasted[32];
    progress_time(at, r->end_s);
    progress_time(lasted, r->duration_s);
    printf("%7lld %11s", (long long)r->round, at);
    if (r->round == 0) {
        printf(" %10s %9s %10s %10s %8s", "-", "-", "-", "-", "-");
    } else {
        printf(" %10s", lasted);
        wide(9, r->granularity);
        wide(10, r->comm_kwh);
        wide(10, r->device_kwh);
        printf(" %4lld/%-3lld", (long long)r->arrived, (long long)r->selected);
    }
    if (p->has_training) {
        cell(10, 3, r->train_loss);
        cell(9, 3, r->eval_loss);
        cell(7, 1, r->rouge1);
        cell(7, 1, r->rougeL);
    }
    putchar('\n');
    fflush(stdout);
}

void progress_status(struct progress *p, int64_t round, double virtual_s, double loss)
{
    double now_s = wall_s();
    if (!p->log->is_terminal || (now_s - p->status_s < 0.1 && round < p->rounds))
        return;
    p->status_s = now_s;
    enum { WIDTH = 24 };
    char bar[WIDTH + 1];
    int full = (int)(WIDTH * round / p->rounds);
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < full ? '#' : '.';
    bar[WIDTH] = 0;
    char at[32], left[32], said[32] = "";
    progress_time(at, virtual_s);
    progress_time(left, (now_s - p->begun_s) / (double)(round > 0 ? round : 1) *
                            (double)(p->rounds - round));
    if (!isnan(loss))
        snprintf(said, sizeof(said), "  loss %.3f", loss);
    log_status(p->log, "[%s] round %lld/%lld  simulated %s%s  %s left", bar, (long long)round,
               (long long)p->rounds, at, said, left);
}
