#include "sim/limits.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/progress.h"

enum { MAX_NAME = 32 };
#define MAX_AMOUNT 1e15
#define SECONDS_OF_A_DAY 86400.0

static const char *const LIMITS[N_LIMITS] = {"round", "total", "kwh", "carbon", "money"};
static const char *const UNITS[N_LIMITS] = {"", "", " kWh", " kg CO2e", ""};
static const char *const PRICES[N_PRICES] = {"fixed", "client", "client_day",
                                             "gb",    "kwh",    "device_kwh"};

void limits_init(struct limits *l)
{
    for (int i = 0; i < N_LIMITS; i++)
        l->most[i] = (double)INFINITY;
}

/* Splits "NAME=VALUE"; *which is the name's place. */
static enum err_code split(const char *option, const char *text, const char *const *names, size_t n,
                           size_t *which, const char **value, struct err *e)
{
    char name[MAX_NAME];
    const char *equals = strchr(text, '=');
    if (!equals)
        return err_set(e, ERR_INPUT, "%s: expected NAME=VALUE, got \"%.60s\"", option, text);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    *value = equals + 1;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0) {
            *which = i;
            return OK;
        }
    const char *near = text_nearest(name, names, n);
    if (near)
        return err_set(e, ERR_INPUT, "%s: unknown name \"%s\", did you mean \"%s\"?", option, name,
                       near);
    return err_set(e, ERR_INPUT, "%s: unknown name \"%s\", see veryedge plan --help", option, name);
}

enum err_code limits_parse(struct limits *l, const char *text, struct err *e)
{
    size_t which;
    const char *value;
    enum err_code code = split("--limit", text, LIMITS, N_LIMITS, &which, &value, e);
    if (code)
        return code;
    if (which == LIMIT_ROUND || which == LIMIT_TOTAL)
        code = text_quantity(value, UNIT_TIME_S, 0, MAX_AMOUNT, &l->most[which], e);
    else
        code = text_double(value, 0, MAX_AMOUNT, &l->most[which], e);
    return code ? err_in(e, code, "--limit %s", LIMITS[which]) : OK;
}

enum err_code prices_parse(struct prices *p, const char *text, struct err *e)
{
    size_t which;
    const char *value;
    enum err_code code = split("--price", text, PRICES, N_PRICES, &which, &value, e);
    if (!code && (code = text_double(value, 0, MAX_AMOUNT, &p->of[which], e)))
        err_in(e, code, "--price %s", PRICES[which]);
    p->are_known = p->are_known || !code;
    return code;
}

enum err_code prices_read(struct prices *p, struct json object, struct err *e)
{
    enum err_code code = OK;
    for (size_t i = 0; i < N_PRICES && !code; i++) {
        p->are_known = p->are_known || (object.node && json_has(object, PRICES[i]));
        code = json_double(object, PRICES[i], 0, MAX_AMOUNT, &p->of[i], &p->of[i], e);
    }
    return code ? code : json_finish(object, e);
}

void limits_taken(const struct summary_record *s, const struct prices *p, double taken[N_LIMITS])
{
    double clients = (double)s->clients, days = s->virtual_s / SECONDS_OF_A_DAY;
    taken[LIMIT_ROUND] = s->mean_duration_s;
    taken[LIMIT_TOTAL] = s->virtual_s;
    taken[LIMIT_KWH] = s->total_kwh;
    taken[LIMIT_CARBON] = 1e-3 * s->carbon_g;
    taken[LIMIT_MONEY] = p->of[PRICE_FIXED] + p->of[PRICE_CLIENT] * clients +
                         p->of[PRICE_CLIENT_DAY] * clients * days +
                         p->of[PRICE_GB] * 1e-9 * (double)(s->bytes_down + s->bytes_up) +
                         p->of[PRICE_KWH] * s->total_kwh + p->of[PRICE_DEVICE_KWH] * s->device_kwh;
    if (!p->are_known)
        taken[LIMIT_MONEY] = (double)NAN;
}

int limits_nearest(const struct limits *l, const double taken[N_LIMITS])
{
    int nearest = -1;
    double largest = -1;
    for (int i = 0; i < N_LIMITS; i++) {
        if (!isfinite(l->most[i]))
            continue;
        double ratio = l->most[i] > 0 ? taken[i] / l->most[i] : taken[i] > 0 ? (double)INFINITY : 1;
        if (ratio > largest) {
            largest = ratio;
            nearest = i;
        }
    }
    return nearest;
}

bool limits_are_met(const struct limits *l, const double taken[N_LIMITS])
{
    for (int i = 0; i < N_LIMITS; i++)
        if (isfinite(l->most[i]) && !(taken[i] <= l->most[i]))
            return false;
    return true;
}

const char *limits_name(enum limit which)
{
    return LIMITS[which];
}

void limits_format(char out[48], enum limit which, double value)
{
    if (which == LIMIT_ROUND || which == LIMIT_TOTAL)
        progress_time(out, value);
    else
        snprintf(out, 48, "%.4g%s", value, UNITS[which]);
}
