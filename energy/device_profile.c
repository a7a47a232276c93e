#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "energy/device.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

char *device_profile(const char *name)
{
    const char *home = getenv("VERYEDGE_HOME");
    char *out = NULL, *program = file_program_folder();
    struct arena scratch = {0};
    const char *place[3] = {
        home && *home ? arena_printf(&scratch, "%s/profiles/%s.json", home, name) : NULL,
        arena_printf(&scratch, "%s/../share/veryedge/profiles/%s.json", program, name),
        arena_printf(&scratch, "%s/%s.json", VERYEDGE_PROFILES_DIR, name)};
    for (int i = 0; i < 3 && !out && !strchr(name, '/'); i++)
        if (place[i] && file_exists(place[i]))
            out = file_join(".", place[i]);
    mem_free(program);
    arena_free(&scratch);
    return out;
}
