#include "models/backend.h"

#include <string.h>

#include "models/cpu.h"

static const struct backend_ops *const BACKENDS[] = {&cpu_backend};
static const char *const NAMES[] = {"cpu", NULL};

const struct backend_ops *backend_find(const char *name)
{
    for (size_t i = 0; i < sizeof(BACKENDS) / sizeof(BACKENDS[0]); i++)
        if (strcmp(BACKENDS[i]->name, name) == 0)
            return BACKENDS[i];
    return NULL;
}

const char *const *backend_names(void)
{
    return NAMES;
}
