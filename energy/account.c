#include "energy/account.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"

#define MB 1e6
#define A100 "a100-80gb"
#define ORIN "agx-orin-64gb"

static void set_granularity(struct account_round *r)
{
    if (r->t_comm_s > 0)
        r->granularity = r->t_comp_s / r->t_comm_s;
    else
        r->granularity = r->t_comp_s > 0 ? (double)INFINITY : (double)NAN;
}

static struct account_round literal_round(double duration_s, size_t n,
                                          const struct account_part *part)
{
    CHECK(duration_s >= 0);
    struct account_round r = {0};
    for (size_t i = 0; i < n; i++) {
        CHECK(part[i].train_s >= 0);
        r.t_comp_s = fmax(r.t_comp_s, part[i].train_s);
    }
    if (r.t_comp_s > duration_s)
        r.t_comp_s = duration_s;
    r.t_comm_s = duration_s - r.t_comp_s;
    set_granularity(&r);
    return r;
}

static double table1_t_comp_s(const char *device)
{
    if (strcmp(device, A100) == 0)
        return ACCOUNT_TABLE1_A100_S;
    return strcmp(device, ORIN) == 0 ? ACCOUNT_TABLE1_ORIN_S : (double)NAN;
}

/* The table's 1 Gbit/s is 1000 times its LTE, where 40 and 10 Mbit/s would be 62.5 times slower.
 * The cells with LoRA over 1 Gbit/s come out only with whole milliseconds: 11, 28 and 76. */
static double table1_t_comm_s(const char *access, double payload_bytes)
{
    double s = ACCOUNT_TABLE1_S_PER_MB * payload_bytes / MB;
    if (strcmp(access, "lte") == 0)
        return s;
    return strcmp(access, "wired") == 0 ? round(s) / 1000 : (double)NAN;
}

/* The slowest of each, as in the definition of T_comp. */
static struct account_round table1_round(double duration_s, size_t n,
                                         const struct account_part *part)
{
    CHECK(duration_s >= 0);
    struct account_round r = {0};
    for (size_t i = 0; i < n; i++) {
        double comp_s = table1_t_comp_s(part[i].device);
        double comm_s = table1_t_comm_s(part[i].access, part[i].payload_bytes);
        CHECK(!isnan(comp_s) && !isnan(comm_s));
        r.t_comp_s = fmax(r.t_comp_s, comp_s);
        r.t_comm_s = fmax(r.t_comm_s, comm_s);
    }
    set_granularity(&r);
    return r;
}

static const char *table1_refuses(const struct account_group *g)
{
    if (isnan(table1_t_comp_s(g->device)))
        return "expected devices " A100 " or " ORIN
               " (its T_comp is one constant for each of them)";
    bool is_lte = strcmp(g->access, "lte") == 0;
    if (!is_lte && strcmp(g->access, "wired") != 0)
        return "expected the access networks lte or wired (its T_comm is one constant for each)";
    if (g->down_bps != (is_lte ? 40e6 : 1e9) || g->up_bps != (is_lte ? 10e6 : 1e9))
        return is_lte ? "expected lte with 40Mbps down and 10Mbps up (its T_comm knows no other)"
                      : "expected wired with 1Gbps each way (its T_comm knows no other)";
    return NULL;
}

static void table1_charge(struct perbit_set *set)
{
    for (size_t i = 0; i < PERBIT_ELEMENTS; i++) {
        struct perbit_value *v = &set->value[i];
        bool is_endpoint = strcmp(v->element, "lte_endpoint") == 0;
        bool is_access = is_endpoint || strcmp(v->element, "lte_base_station") == 0;
        for (int dir = 0; dir < PERBIT_DIRECTIONS; dir++) {
            double j = v->j_per_bit[dir];
            if (is_access)
                j = is_endpoint ? 0 : ACCOUNT_TABLE1_LTE_J_PER_BIT;
            v->j_per_bit[dir] = ACCOUNT_TABLE1_FACTOR * j;
        }
        v->status = "fitted";
        v->source = is_access ? "fitted to the study's Table 1, LTE access 1550 nJ/bit; times 32"
                              : "the set's value times 32, as the study's Table 1 needs";
    }
    set->name = "j16-x32-paper-table1";
}

static const struct account accounts[] = {
    {.name = "literal",
     .what = "true units: slowest participant's training against the rest of the round",
     .round = literal_round},
    {.name = "paper-table1",
     .what = "what the study's printed Table 1 is consistent with; not physical",
     .warning = "paper-table1: J/bit x 32, LTE access 1550 nJ/bit, T_comp and T_comm by constants; "
                "not physical",
     .round = table1_round,
     .refuses = table1_refuses,
     .charge = table1_charge,
     .needs_j16 = true},
};

size_t account_count(void)
{
    return sizeof(accounts) / sizeof(accounts[0]);
}

const struct account *account_at(size_t i)
{
    CHECK(i < account_count());
    return &accounts[i];
}

const struct account *account_find(const char *name)
{
    for (size_t i = 0; i < account_count(); i++)
        if (strcmp(accounts[i].name, name) == 0)
            return &accounts[i];
    return NULL;
}

struct perbit_set account_charged(const struct account *a, const struct perbit_set *stated)
{
    struct perbit_set set = *stated;
    if (a->charge)
        a->charge(&set);
    return set;
}
