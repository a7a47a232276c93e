#include "models/t5.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"

enum { MAX_PATH_BYTES = 4096 };

static bool has_model(const char *folder)
{
    char *config = file_join(folder, "config.json");
    bool is_there = file_exists(config);
    mem_free(config);
    return is_there;
}

enum err_code t5_folder(char **out, const char *weights, struct err *e)
{
    static const char prefix[] = "builtin:";
    char place[3][2 * MAX_PATH_BYTES] = {"", "", ""};
    if (strncmp(weights, prefix, sizeof(prefix) - 1) != 0) {
        *out = file_join(".", weights);
        return OK;
    }
    const char *name = weights + sizeof(prefix) - 1, *home = getenv("VERYEDGE_HOME");
    if (!*name || strchr(name, '/') || strlen(name) > 64 || strcmp(name, "..") == 0)
        return err_set(e, ERR_INPUT,
                       "expected a built-in model such as builtin:tiny, got \"%.80s\"", weights);
    char *program = file_program_folder();
    if (home && *home)
        snprintf(place[0], sizeof(place[0]), "%s/models/%s", home, name);
    snprintf(place[1], sizeof(place[1]), "%s/../share/veryedge/%s", program, name);
    mem_free(program);
    snprintf(place[2], sizeof(place[2]), "%s/%s", VERYEDGE_MODELS_DIR, name);
    for (int i = 0; i < 3; i++) {
        if (place[i][0] && has_model(place[i])) {
            *out = file_join(".", place[i]);
            return OK;
        }
    }
    return err_set(e, ERR_INPUT, "no built-in model \"%s\": looked in %s%s%s and %s", name,
                   place[0], place[0][0] ? ", " : "", place[1], place[2]);
}
