/* Watts of the processor packages from their energy counters, as Linux shows them (Documentation/power/powercap):
 * /sys/class/powercap/intel-rapl:N/energy_uj, of Intel's and AMD's processors alike; most systems let only root
 * read them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/mem.h"
#include "sim/base/wall.h"
#include "sim/watts_source.h"

#define FOLDER "/sys/class/powercap/intel-rapl:"
enum { MAX_PACKAGES = 16 };

struct package {
    double uj, max_uj; /* the last reading; where the counter wraps */
};

struct rapl {
    struct arena arena; /* owns this struct */
    int n;
    struct package package[MAX_PACKAGES];
    double at_s;
};

static bool read_number(int package, const char *file, double *out)
{
    char path[128], text[64] = "", *end = text;
    snprintf(path, sizeof(path), FOLDER "%d/%s", package, file);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    if (fgets(text, sizeof(text), f))
        *out = strtod(text, &end);
    fclose(f);
    return end > text;
}

static void *rapl_open(char why[160])
{
    struct arena arena = {0};
    struct rapl *r = ARENA_NEW(&arena, struct rapl, 1);
    r->arena = arena;
    while (r->n < MAX_PACKAGES && read_number(r->n, "energy_uj", &r->package[r->n].uj) &&
           read_number(r->n, "max_energy_range_uj", &r->package[r->n].max_uj))
        r->n++;
    r->at_s = wall_s();
    if (r->n > 0)
        return r;
    snprintf(why, 160, FOLDER "0/energy_uj is not there or may not be read");
    arena_free(&arena);
    return NULL;
}

static void rapl_close(void *state)
{
    struct arena arena = ((struct rapl *)state)->arena;
    arena_free(&arena);
}

static void rapl_about(void *state, struct watts_about *out)
{
    struct rapl *r = state;
    double uw, sum_w = 0;
    snprintf(out->source, sizeof(out->source), "RAPL, %d package%s", r->n, r->n == 1 ? "" : "s");
    bool is_known = true;
    for (int i = 0; i < r->n; i++) {
        is_known = is_known && read_number(i, "constraint_0_power_limit_uw", &uw);
        sum_w += is_known ? 1e-6 * uw : 0;
    }
    if (is_known)
        out->limit_w = sum_w;
}

static double rapl_read(void *state)
{
    struct rapl *r = state;
    double sum_uj = 0, now_s = wall_s(), past_s = now_s - r->at_s;
    for (int i = 0; i < r->n; i++) {
        double uj;
        if (!read_number(i, "energy_uj", &uj))
            return (double)NAN;
        double spent = uj - r->package[i].uj;
        sum_uj += spent < 0 ? spent + r->package[i].max_uj : spent;
        r->package[i].uj = uj;
    }
    r->at_s = now_s;
    return past_s > 0 ? 1e-6 * sum_uj / past_s : (double)NAN;
}

const struct watts_source watts_rapl = {rapl_open, rapl_close, rapl_about, rapl_read};
