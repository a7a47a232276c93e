#include "net/element.h"

#include <stdbool.h>
#include <string.h>

const char *net_dir_name(enum net_dir dir)
{
    return dir == NET_DOWN ? "down" : "up";
}

static const char *const NAMES[N_ELEMENT_KINDS] = {
    [ELEMENT_NIC] = "nic",
    [ELEMENT_SWITCH] = "switch",
    [ELEMENT_LTE_ENDPOINT] = "lte_endpoint",
    [ELEMENT_LTE_BASE_STATION] = "lte_base_station",
    [ELEMENT_BNG] = "bng",
    [ELEMENT_EDGE_ROUTER] = "edge_router",
    [ELEMENT_CORE_ROUTER] = "core_router",
    [ELEMENT_DC_SWITCH] = "dc_switch",
    [ELEMENT_WIFI_AP] = "wifi_ap",
    [ELEMENT_WIFI_ENDPOINT] = "wifi_endpoint",
    [ELEMENT_HOME_ROUTER] = "home_router",
    [ELEMENT_DSLAM] = "dslam",
    [ELEMENT_CMTS] = "cmts",
    [ELEMENT_OLT] = "olt",
    [ELEMENT_5G_ENDPOINT] = "5g_endpoint",
    [ELEMENT_5G_BASE_STATION] = "5g_base_station",
};

/* Catalyst 6509, Juniper E320, Cisco 7609, CRS-3: the machines of the sets j16 and v15. */
static const double CAPACITY_BPS[N_ELEMENT_KINDS] = {
    [ELEMENT_SWITCH] = 256e9,       [ELEMENT_BNG] = 320e9,       [ELEMENT_EDGE_ROUTER] = 560e9,
    [ELEMENT_CORE_ROUTER] = 4480e9, [ELEMENT_DC_SWITCH] = 256e9,
};

const char *element_name(enum element_kind kind)
{
    return NAMES[kind];
}

const char *const *element_names(void)
{
    return NAMES;
}

double element_capacity_bps(enum element_kind kind)
{
    return CAPACITY_BPS[kind];
}

static bool is_equal(const struct element_path *p, size_t n_steps, const struct element_step *steps)
{
    if (p->n_steps != n_steps)
        return false;
    for (size_t i = 0; i < n_steps; i++)
        if (p->step[i].kind != steps[i].kind || p->step[i].count != steps[i].count)
            return false;
    return true;
}

size_t element_intern(struct element_paths *p, struct arena *a, size_t n_steps,
                      const struct element_step *steps)
{
    /* The newest first: classes of one group come one after the other. */
    for (size_t i = p->n; i-- > 0;)
        if (is_equal(&p->path[i], n_steps, steps))
            return i;
    struct element_step *copy = ARENA_NEW(a, struct element_step, n_steps);
    if (n_steps > 0)
        memcpy(copy, steps, n_steps * sizeof(*copy));
    mem_grow((void **)&p->path, &p->cap, p->n + 1, sizeof(*p->path));
    p->path[p->n] = (struct element_path){.n_steps = n_steps, .step = copy};
    return p->n++;
}

void element_paths_fini(struct element_paths *p)
{
    mem_free(p->path);
    *p = (struct element_paths){0};
}

int element_count_on(const struct element_path *p, enum element_kind kind)
{
    int count = 0;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->step[i].kind == kind)
            count += p->step[i].count;
    return count;
}
