#include "energy/account.h"

#include <math.h>
#include <string.h>

#include "sim/base/check.h"

static struct account_round literal_round(double duration_s, size_t n, const double *train_s)
{
    CHECK(duration_s >= 0);
    struct account_round r = {0};
    for (size_t i = 0; i < n; i++) {
        CHECK(train_s[i] >= 0);
        if (train_s[i] > r.t_comp_s)
            r.t_comp_s = train_s[i];
    }
    if (r.t_comp_s > duration_s)
        r.t_comp_s = duration_s;
    r.t_comm_s = duration_s - r.t_comp_s;
    if (r.t_comm_s > 0)
        r.granularity = r.t_comp_s / r.t_comm_s;
    else
        r.granularity = r.t_comp_s > 0 ? (double)INFINITY : (double)NAN;
    return r;
}

static const struct account accounts[] = {
    {"literal", "true units: slowest participant's training against the rest of the round",
     literal_round},
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
