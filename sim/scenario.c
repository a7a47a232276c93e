#include "sim/scenario.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/backend.h"
#include "models/crew.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/overlay.h"
#include "sim/scenario_parts.h"

#define DEFAULT_SEED 1
enum { MAX_BACKENDS = 8 };
#define BYTES_PER_VALUE 4.0 /* float32 */

bool scenario_is_name(const char *text)
{
    size_t n = strlen(text);
    if (n == 0 || n > SCENARIO_MAX_NAME || text[0] == '.')
        return false;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f || *p == '/')
            return false;
    return true;
}

const char *scenario_resolve(struct scenario *s, struct json object, const char *key,
                             const char *path)
{
    const char *origin = json_origin(object, key);
    if (!origin || strcmp(origin, "--set") == 0)
        return arena_strdup(&s->arena, path);
    char *folder = file_folder_of(origin), *joined = file_join(folder, path);
    const char *out = arena_strdup(&s->arena, joined);
    mem_free(folder);
    mem_free(joined);
    return out;
}

/* "scenarios/lte.json" -> "lte". */
static const char *name_of_file(struct scenario *s)
{
    const char *slash = strrchr(s->path, '/'), *base = slash ? slash + 1 : s->path;
    size_t n = strlen(base);
    if (n > 5 && strcmp(base + n - 5, ".json") == 0)
        n -= 5;
    char *name = arena_printf(&s->arena, "%.*s", (int)n, base);
    return scenario_is_name(name) ? name : "scenario";
}

enum err_code scenario_parse_name(struct json root, struct scenario *s, struct err *e)
{
    const char *fallback = name_of_file(s), *name, *text;
    const int64_t seed_fallback = DEFAULT_SEED;
    int64_t seed = 0;
    enum err_code code = json_string(root, "name", &fallback, &name, e);
    if (code)
        return code;
    if (!scenario_is_name(name))
        return json_fail(root, "name", e,
                         "expected 1..%d printable letters without \"/\", got \"%.80s\"",
                         SCENARIO_MAX_NAME, name);
    code = json_string(root, "about", &(const char *){""}, &text, e);
    if (!code)
        code = json_int(root, "seed", 0, SCENARIO_MAX_SEED, &seed_fallback, &seed, e);
    s->name = arena_strdup(&s->arena, name);
    s->about = code ? "" : arena_strdup(&s->arena, text);
    s->seed = (uint64_t)seed;
    return code;
}

enum err_code scenario_parse_network(struct json root, struct scenario *s, struct err *e)
{
    struct json network;
    enum err_code code = json_object_opt(root, "network", &network, e);
    if (!code)
        code = topology_parse_root(network, &s->network, &s->arena, e);
    s->network.seed = s->seed;
    return code;
}

/* What really trains the clients: every backend has every precision, or says why not when it is opened. */
static enum err_code parse_backend(struct json o, struct scenario_compute *c, struct err *e)
{
    const char *names[MAX_BACKENDS + 1] = {"auto"};
    const size_t first = 0;
    size_t n = 1, n_precisions = 0, which = 0, precision = 0;
    for (const char *const *name = backend_names(); *name && n <= MAX_BACKENDS; name++)
        names[n++] = *name;
    while (backend_precisions()[n_precisions])
        n_precisions++;
    enum err_code code = json_choice(o, "backend", names, n, &first, &which, e);
    if (!code)
        code = json_choice(o, "precision", backend_precisions(), n_precisions, &first, &precision, e);
    if (code)
        return code;
    c->backend = names[which];
    c->precision = backend_precisions()[precision];
    CHECK(which == 0 || backend_with(c->backend, c->precision));
    return OK;
}

enum err_code scenario_parse_compute(struct json root, struct scenario *s, struct err *e)
{
    static const char *const readings[] = {"printed", "without-double-count"};
    const char *const profile = "profile";
    const size_t first_reading = 0;
    const int64_t no_chunk = 0, one = 1;
    const double no_limit = 0;
    const char *time;
    size_t reading = 0;
    int64_t chunk = 0, n_gpus = 1;
    struct json o;
    struct scenario_compute *c = &s->compute;
    enum err_code code = json_object_opt(root, "compute", &o, e);
    if (!code)
        code = json_string(o, "time", &profile, &time, e);
    if (code)
        return code;
    c->is_profile = strcmp(time, profile) == 0;
    if (!c->is_profile) {
        struct err why;
        code = text_quantity(time, UNIT_TIME_S, 0, SCENARIO_MAX_TIME_S, &c->fixed_s, &why);
        if (code)
            return json_fail(o, "time", e, "\"profile\" or a time: %s", why.text);
    }
    code = parse_backend(o, c, e);
    if (!code)
        code = json_choice(o, "profile_reading", readings, 2, &first_reading, &reading, e);
    if (!code)
        code = json_int(o, "chunk", 0, SCENARIO_MAX_CLIENTS, &no_chunk, &chunk, e);
    if (!code)
        code = json_int(o, "gpus", 1, CREW_MAX_PARTS, &one, &n_gpus, e);
    if (!code)
        code = json_quantity(o, "memory", UNIT_SIZE_BYTES, 1, SCENARIO_MAX_PAYLOAD_BYTES, &no_limit,
                             &c->memory_bytes, e);
    c->reading = reading == 0 ? DEVICE_PRINTED : DEVICE_OPT_STEP;
    c->chunk = (size_t)chunk;
    c->n_gpus = (int)n_gpus;
    return code ? code : json_finish(o, e);
}

enum err_code scenario_parse_output(struct json root, struct scenario *s, struct err *e)
{
    const char *dir, *nothing = NULL;
    const int64_t at_the_end = 0;
    int64_t every = 0;
    struct json o;
    enum err_code code = json_object_opt(root, "output", &o, e);
    if (!code)
        code = json_string(o, "dir", &nothing, &dir, e);
    if (!code)
        code = json_int(o, "adapter_every", 0, SCENARIO_MAX_ROUNDS, &at_the_end, &every, e);
    if (code)
        return code;
    if (every > 0 && s->model.train != SCENARIO_LORA)
        return json_fail(o, "adapter_every", e, "expected 0 with model.train %s, got %lld",
                         s->model.train == SCENARIO_FULL ? "full" : "none", (long long)every);
    s->output.adapter_every = (uint32_t)every;
    if (dir && !dir[0])
        return json_fail(o, "dir", e, "expected the name of a folder, got \"\"");
    if (dir) {
        s->output.dir = scenario_resolve(s, o, "dir", dir);
    } else {
        char *folder = file_folder_of(s->path);
        char *joined = file_join(folder, "runs");
        s->output.dir = arena_printf(&s->arena, "%s/%s", joined, s->name);
        mem_free(joined);
        mem_free(folder);
    }
    return json_finish(o, e);
}

static enum err_code parse_all(struct json root, struct scenario *s, struct err *e)
{
    static enum err_code (*const parts[])(struct json, struct scenario *, struct err *) = {
        scenario_parse_name,    scenario_parse_network,  scenario_parse_clients,
        scenario_parse_model,   scenario_parse_data,     scenario_parse_federation,
        scenario_parse_compute, scenario_parse_evaluate, scenario_parse_energy,
        scenario_parse_output,
    };
    struct json built_with;
    enum err_code code = OK;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && !code; i++)
        code = parts[i](root, s, e);
    /* A run's own scenario.json says what it was made with; that is no setting. */
    if (!code)
        code = json_object_opt(root, "built_with", &built_with, e);
    if (!code)
        code = grid_read(&s->sweep, &s->arena, root, "sweep", e);
    return code ? code : json_finish(root, e);
}

/* Types a document and closes it. path: where it comes from, for messages, names and relative paths. */
static enum err_code from_document(struct scenario **out, const char *path, struct json_doc *doc,
                                   struct err *e)
{
    struct scenario *s = calloc(1, sizeof(*s));
    CHECK(s && "out of memory");
    s->path = arena_strdup(&s->arena, path);
    enum err_code code = parse_all(json_root(doc), s, e);
    json_close(doc);
    if (code) {
        scenario_close(s);
        return code;
    }
    *out = s;
    return OK;
}

enum err_code scenario_load(struct scenario **out, const char *path, size_t n_sets,
                            const char *const *sets, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = overlay_load(&doc, path, n_sets, sets, e);
    return code ? code : from_document(out, path, doc, e);
}

enum err_code scenario_read(struct scenario **out, const char *name, const char *text,
                            struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, name, text, strlen(text), e);
    return code ? code : from_document(out, name, doc, e);
}

void scenario_close(struct scenario *s)
{
    if (!s)
        return;
    arena_free(&s->arena);
    mem_free(s);
}

const struct scenario_group *scenario_group_of(const struct scenario *s, size_t client)
{
    CHECK(client < s->n_clients);
    size_t lo = 0, hi = s->n_groups;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->group[mid].first <= client)
            lo = mid;
        else
            hi = mid;
    }
    return &s->group[lo];
}

double scenario_payload_bytes(const struct scenario *s, const struct t5_config *config, bool is_tied,
                              enum net_dir dir)
{
    const struct scenario_federation *f = &s->federation;
    bool is_full = s->model.train == SCENARIO_FULL;
    size_t head = (size_t)config->vocab * (size_t)config->d_model;
    double adapter = is_full ? 0 : (double)lora_size(config, &s->model.lora);
    switch (f->payload) {
    case SCENARIO_PAYLOAD_LORA:
        return BYTES_PER_VALUE * adapter;
    case SCENARIO_PAYLOAD_FULL:
        return BYTES_PER_VALUE * ((double)(t5_parameters(config) - (is_tied ? head : 0)) + adapter);
    case SCENARIO_PAYLOAD_GIVEN:
        break;
    }
    return f->payload_bytes[dir];
}
