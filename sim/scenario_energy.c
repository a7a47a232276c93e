/* Section "energy": joules per bit, how a round is accounted for, and grams of CO2. */
#include "sim/base/check.h"
#include "sim/scenario_parts.h"

#define DEFAULT_CARBON_G_PER_KWH 381.0 /* Germany 2023, codecarbon's global_energy_mix.json */
#define MAX_ACCOUNTS 16

/* Whether the stated values are those of j16, however they were written. */
static bool is_j16(const struct perbit_set *set)
{
    const struct perbit_set *j16 = perbit_find("j16");
    for (size_t i = 0; i < PERBIT_ELEMENTS; i++)
        for (int dir = 0; dir < PERBIT_DIRECTIONS; dir++)
            if (set->value[i].j_per_bit[dir] != j16->value[i].j_per_bit[dir])
                return false;
    return true;
}

/* An accounting with fitted constants has numbers for some devices and networks only. */
static enum err_code check_accounting(struct json energy, const struct scenario *s, struct err *e)
{
    const struct account *a = s->energy.accounting;
    if (a->needs_j16 && !is_j16(&s->energy.per_bit))
        return json_fail(energy, "accounting", e,
                         "%s was fitted on energy.per_bit j16 and takes no other values", a->name);
    for (size_t i = 0; a->refuses && i < s->n_groups; i++) {
        const struct scenario_group *g = &s->group[i];
        const struct account_group asked = {.device = g->device.name,
                                            .access = g->access.topology->name,
                                            .down_bps = g->access.rate_bps[NET_DOWN],
                                            .up_bps = g->access.rate_bps[NET_UP]};
        const char *why = a->refuses(&asked);
        if (why)
            return json_fail(energy, "accounting", e, "%s: group %s: %s", a->name, g->name, why);
    }
    return OK;
}

enum err_code scenario_parse_energy(struct json root, struct scenario *s, struct err *e)
{
    const char *names[MAX_ACCOUNTS];
    size_t n = account_count(), which = 0;
    const size_t first = 0;
    const double carbon = DEFAULT_CARBON_G_PER_KWH;
    struct json o;
    CHECK(n <= MAX_ACCOUNTS);
    for (size_t i = 0; i < n; i++)
        names[i] = account_at(i)->name;
    enum err_code code = json_object_opt(root, "energy", &o, e);
    if (!code)
        code = perbit_parse(o, "per_bit", &s->energy.per_bit, e);
    if (!code)
        code = json_choice(o, "accounting", names, n, &first, &which, e);
    if (!code)
        code = json_double(o, "carbon_g_per_kwh", 0, SCENARIO_MAX_CARBON_G_PER_KWH, &carbon,
                           &s->energy.carbon_g_per_kwh, e);
    if (code)
        return code;
    s->energy.accounting = account_at(which);
    s->energy.charged = account_charged(s->energy.accounting, &s->energy.per_bit);
    code = check_accounting(o, s, e);
    return code ? code : json_finish(o, e);
}
