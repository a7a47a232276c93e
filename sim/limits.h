/* sim/limits.h: what a federation may take and what it costs: limits on a run's totals, and prices
 * that turn them into money.
 *
 * limits: round (mean duration), total (virtual time of the run), kwh (network and devices), carbon
 * (kg CO2e), money (by the prices).
 *
 * prices: fixed (a run), client (each of the population, once), client_day (each, per day of the
 * run), gb (10^9 bytes of payload, both ways), kwh (network and devices), device_kwh (devices
 * alone).
 *
 * Money is in whatever currency the prices are in. */
#ifndef SIM_LIMITS_H
#define SIM_LIMITS_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/record.h"

enum limit { LIMIT_ROUND, LIMIT_TOTAL, LIMIT_KWH, LIMIT_CARBON, LIMIT_MONEY, N_LIMITS };
enum price {
    PRICE_FIXED,
    PRICE_CLIENT,
    PRICE_CLIENT_DAY,
    PRICE_GB,
    PRICE_KWH,
    PRICE_DEVICE_KWH,
    N_PRICES
};

struct limits {
    double most[N_LIMITS]; /* s, s, kWh, kg, money; INFINITY: no limit */
};

struct prices {
    double of[N_PRICES];
    bool are_known; /* some price was stated */
};

void limits_init(struct limits *l); /* none */

/* "round=30s", "total=2d", "kwh=5", "carbon=2.5", "money=100" after --limit; at least 0. */
enum err_code limits_parse(struct limits *l, const char *text, struct err *e);
/* "gb=2.5" after --price; at least 0. */
enum err_code prices_parse(struct prices *p, const char *text, struct err *e);
/* The keys of an object, each over the price that is there. */
enum err_code prices_read(struct prices *p, struct json object, struct err *e);

/* What a run took: by limit. money NaN without prices. */
void limits_taken(const struct summary_record *s, const struct prices *p, double taken[N_LIMITS]);
/* The limit that is nearest, or furthest exceeded, by ratio; -1 when there are no limits. */
int limits_nearest(const struct limits *l, const double taken[N_LIMITS]);
bool limits_are_met(const struct limits *l, const double taken[N_LIMITS]);

const char *limits_name(enum limit which);
/* "12.3 s", "4.1 kWh"; out holds 48 bytes. */
void limits_format(char out[48], enum limit which, double value);

#endif
