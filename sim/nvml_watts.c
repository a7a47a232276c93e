/* Watts of the first GPU by NVIDIA's management library, which comes with the driver and is opened when asked
 * for. Its few functions are declared here, by its documentation (NVML API reference), so that no header of it
 * is needed to build. */
#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/mem.h"
#include "sim/watts_source.h"

enum { NVML_SUCCESS = 0, NVML_CLOCK_SM = 1 };
typedef struct nvml_device *nvml_device_t;

struct nvml {
    struct arena arena; /* owns this struct */
    void *library;
    nvml_device_t device;
    int (*shutdown)(void);
    int (*power)(nvml_device_t, unsigned *milliwatts);
    int (*limit)(nvml_device_t, unsigned *milliwatts);
    int (*clock)(nvml_device_t, int type, unsigned *mhz);
    int (*name)(nvml_device_t, char *out, unsigned n);
    int (*driver)(char *out, unsigned n);
};

/* dlsym gives an object's address; POSIX lets it be copied into a function's. */
static bool find(void *library, const char *name, void *function)
{
    void *at = dlsym(library, name);
    memcpy(function, &at, sizeof(at));
    return at != NULL;
}

static void nvml_close(void *state)
{
    struct nvml *n = state;
    if (n->shutdown)
        n->shutdown();
    dlclose(n->library);
    struct arena arena = n->arena;
    arena_free(&arena);
}

static bool find_all(struct nvml *n)
{
    return find(n->library, "nvmlDeviceGetPowerUsage", &n->power) &&
           find(n->library, "nvmlDeviceGetEnforcedPowerLimit", &n->limit) &&
           find(n->library, "nvmlDeviceGetClockInfo", &n->clock) &&
           find(n->library, "nvmlDeviceGetName", &n->name) &&
           find(n->library, "nvmlSystemGetDriverVersion", &n->driver);
}

static void *nvml_open(char why[160])
{
    int (*init)(void), (*handle)(unsigned, nvml_device_t *);
    int (*shutdown)(void);
    unsigned milliwatts;
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(why, 160, "libnvidia-ml.so.1 is not here");
        return NULL;
    }
    struct arena arena = {0};
    struct nvml *n = ARENA_NEW(&arena, struct nvml, 1);
    n->arena = arena;
    n->library = library;
    bool is_open = find(library, "nvmlInit_v2", &init) && find(library, "nvmlShutdown", &shutdown) &&
                   find(library, "nvmlDeviceGetHandleByIndex_v2", &handle) && find_all(n) &&
                   init() == NVML_SUCCESS;
    if (is_open) {
        n->shutdown = shutdown;
        if (handle(0, &n->device) == NVML_SUCCESS && n->power(n->device, &milliwatts) == NVML_SUCCESS)
            return n;
    }
    snprintf(why, 160, "libnvidia-ml.so.1 gives no power readings");
    nvml_close(n);
    return NULL;
}

static void nvml_about(void *state, struct watts_about *out)
{
    struct nvml *n = state;
    unsigned value;
    snprintf(out->source, sizeof(out->source), "NVML");
    if (n->name(n->device, out->device, sizeof(out->device)) != NVML_SUCCESS)
        out->device[0] = 0;
    if (n->driver(out->driver, sizeof(out->driver)) != NVML_SUCCESS)
        out->driver[0] = 0;
    if (n->clock(n->device, NVML_CLOCK_SM, &value) == NVML_SUCCESS)
        out->clock_mhz = value;
    if (n->limit(n->device, &value) == NVML_SUCCESS)
        out->limit_w = 1e-3 * value;
}

static double nvml_read(void *state)
{
    struct nvml *n = state;
    unsigned milliwatts;
    return n->power(n->device, &milliwatts) == NVML_SUCCESS ? 1e-3 * milliwatts : (double)NAN;
}

const struct watts_source watts_nvml = {nvml_open, nvml_close, nvml_about, nvml_read};
