/* Files that a network names. Option, modulo 4: a bandwidth trace, measured rates, a graph, a
 * SimGrid platform. Oracle: what is accepted becomes a plan or is refused for its clients' sake,
 * and written with every default it reads back as the same network. */
#include "net/topology.h"
#include "tests/fuzz.h"

static const char *const NAMES[] = {"n.csv", "n.csv", "n.json", "n.xml"};

/* The network of a text, and what it is when it is written; NULL and e when it is refused. */
static char *resolve(const char *text, bool is_written, struct topology_root *r, struct arena *a,
                     struct err *e)
{
    struct json_doc *doc = NULL;
    char *out = NULL;
    FUZZ_CHECK(!json_parse(&doc, "s.json", text, strlen(text), e));
    struct json network = json_root(doc);
    if (is_written)
        FUZZ_CHECK(!json_object(network, "network", &network, e));
    if (!topology_parse_root(network, r, a, e)) {
        struct json_out o;
        json_out_init(&o);
        json_out_begin(&o, NULL, '{');
        topology_write_root(&o, "network", r);
        json_out_end(&o, '}');
        out = arena_strdup(a, o.text);
        json_out_fini(&o);
    }
    json_close(doc);
    return out;
}

static void check_plan(const struct topology_root *r)
{
    struct topology_group g = {"a", &r->access, 100};
    struct plan *p = NULL;
    struct err e = {0};
    enum err_code code = topology_plan(&p, r, 1, &g, 10, &e);
    if (code)
        fuzz_refused(code, &e, "");
    else
        FUZZ_CHECK(p->n_clients == 100 && p->is_marked);
    plan_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct topology_root r, again;
    struct err e = {0};
    char text[400];
    if (size == 0)
        return 0;
    size_t kind = data[0] % 4;
    const char *path = fuzz_write(NAMES[kind], data + 1, size - 1);
    int n = kind == 0   ? snprintf(text, sizeof(text), "{\"trace\": \"%s\"}", path)
            : kind == 1 ? snprintf(text, sizeof(text), "{\"draw\": \"%s\"}", path)
                        : snprintf(text, sizeof(text), "{\"topology\": \"%s\", \"file\": \"%s\"}",
                                   kind == 2 ? "graph" : "platform", path);
    FUZZ_CHECK(n > 0 && n < (int)sizeof(text));
    const char *first = resolve(text, false, &r, &a, &e);
    if (first) {
        const char *second = resolve(first, true, &again, &a, &e);
        if (!second || strcmp(first, second) != 0)
            fprintf(stderr, "%s\n%s\n%s\n", e.text, first, second ? second : "");
        FUZZ_CHECK(second && strcmp(first, second) == 0);
        check_plan(&r);
    } else {
        fuzz_refused(e.code, &e, "s.json");
    }
    arena_free(&a);
    return 0;
}
