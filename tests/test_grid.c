#include "sim/grid.h"
#include "sim/scenario.h"
#include "tests/test.h"

static enum err_code read_text(struct grid *g, struct arena *a, const char *text, struct err *e)
{
    struct json_doc *doc = NULL;
    enum err_code code = json_parse(&doc, "s.json", text, strlen(text), e);
    if (!code)
        code = grid_read(g, a, json_root(doc), "sweep", e);
    json_close(doc);
    return code;
}

static void the_first_key_varies_slowest(void)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    CHECK_INT(
        read_text(&g, &a,
                  "{\"sweep\": {\"network.up\": [\"5Mbps\", \"10Mbps\"], \"seed\": [1, 2, 3]}}",
                  &e),
        OK);
    CHECK_INT(g.n_points, 6);
    CHECK_INT(g.n_keys, 2);
    CHECK_STR(grid_assignment(&g, &a, 0, 0), "network.up=\"5Mbps\"");
    CHECK_STR(grid_assignment(&g, &a, 5, 0), "network.up=\"10Mbps\"");
    CHECK_STR(grid_point_name(&g, &a, 1), "up=5Mbps, seed=2");
    CHECK_STR(grid_point_name(&g, &a, 3), "up=10Mbps, seed=1");
    arena_free(&a);
}

static void a_list_of_points_varies_its_keys_together(void)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    CHECK_INT(
        read_text(&g, &a,
                  "{\"sweep\": [{\"network.up\": \"5Mbps\", \"network.server.up\": \"1Gbps\"}, "
                  "{\"network.up\": \"10Mbps\", \"network.server.up\": \"2Gbps\"}]}",
                  &e),
        OK);
    CHECK_INT(grid_vary(&g, &a, "--vary", "seed=7,8", &e), OK);
    CHECK_INT(g.n_points, 4);
    CHECK_STR(grid_point_name(&g, &a, 2), "network.up=10Mbps, network.server.up=2Gbps, seed=7");
    CHECK_INT(grid_vary(&g, &a, "--vary", "network.up=1Mbps", &e), ERR_INPUT);
    CHECK_HAS(e.text, "--vary network.up: is a key of the scenario's list of points already");
    arena_free(&a);
}

static void values_are_json_or_bare_text_and_keep_their_commas(void)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    grid_init(&g);
    CHECK_INT(
        grid_vary(&g, &a, "--vary",
                  "federation.payload=lora, {\"down\": \"1MB\", \"up\": \"2MB\"},\"a,b\",[1,2]",
                  &e),
        OK);
    CHECK_INT(g.n_points, 4);
    CHECK_STR(grid_label(&g, 0, 0), "lora");
    CHECK_STR(grid_label(&g, 1, 0), "{\"down\": \"1MB\", \"up\": \"2MB\"}");
    CHECK_STR(grid_label(&g, 2, 0), "a,b");
    CHECK_STR(grid_assignment(&g, &a, 2, 0), "federation.payload=\"a,b\"");
    CHECK_STR(grid_label(&g, 3, 0), "[1,2]");
    arena_free(&a);
}

static void a_key_on_the_command_line_replaces_the_files_values(void)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    CHECK_INT(
        read_text(&g, &a, "{\"sweep\": {\"seed\": [1, 2, 3], \"federation.rounds\": [4]}}", &e),
        OK);
    CHECK_INT(grid_vary(&g, &a, "--vary", "seed=9", &e), OK);
    CHECK_INT(g.n_points, 1);
    CHECK_STR(grid_point_name(&g, &a, 0), "seed=9, rounds=4");
    arena_free(&a);
}

static void check_refused(const char *text, const char *want)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    CHECK_INT(read_text(&g, &a, text, &e), ERR_INPUT);
    CHECK_HAS(e.text, want);
    arena_free(&a);
}

static void mistakes_in_a_scenario_are_named(void)
{
    check_refused("{\"sweep\": 3}",
                  "s.json: sweep: expected an object of lists, or a list of points");
    check_refused("{\"sweep\": {\"seed\": 3}}", "sweep.seed: expected a list, got 3");
    check_refused("{\"sweep\": {\"seed\": []}}", "sweep.seed: expected 1..10000 values, got 0");
    check_refused("{\"sweep\": {\"seed\": [1, 2, 1]}}",
                  "expected every value once, got \"1\" again");
    check_refused("{\"sweep\": {\"output.dir\": [\"a\"]}}",
                  "sweep.output.dir: cannot be varied: each point has a folder of its own");
    check_refused("{\"sweep\": {\"extends\": [\"a\"]}}", "sweep.extends: cannot be varied");
    check_refused("{\"sweep\": [{\"seed\": 1}, {\"name\": \"x\"}]}",
                  "sweep[1].seed: expected a value, but the key is missing");
    check_refused("{\"sweep\": [{\"seed\": 1}, {\"seed\": 2, \"name\": \"x\"}]}",
                  "sweep[1].name: unknown key");
    check_refused("{\"sweep\": [{\"seed\": 1}, {\"seed\": 1}]}",
                  "sweep[1]: expected every point once");
}

static void ten_thousand_points_are_the_limit(void)
{
    struct arena a = {0};
    struct grid g;
    struct err e = {0};
    char text[8192] = "seed=0";
    for (int i = 1; i < 100; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), ",%d", i);
    grid_init(&g);
    CHECK_INT(grid_vary(&g, &a, "--vary", text, &e), OK);
    char other[8400];
    snprintf(other, sizeof(other), "federation.rounds%s", text + 4);
    CHECK_INT(grid_vary(&g, &a, "--vary", other, &e), OK);
    CHECK_INT(g.n_points, 10000);
    CHECK_INT(grid_vary(&g, &a, "--vary", "federation.batch=1,2", &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected at most 10000 points");
    arena_free(&a);
}

static void a_run_reads_the_grid_and_its_record_of_itself_has_none(void)
{
    struct scenario *s = NULL;
    struct err e = {0};
    CHECK_INT(scenario_read(&s, "s.json", "{\"sweep\": {\"seed\": [1, 2]}}", &e), OK);
    CHECK_INT(s ? s->sweep.n_points : 0, 2);
    struct json_out o;
    json_out_init(&o);
    json_out_begin(&o, NULL, '{');
    if (s)
        scenario_write(s, &o, true);
    json_out_end(&o, '}');
    CHECK_TRUE(!strstr(o.text, "sweep"));
    json_out_fini(&o);
    scenario_close(s);
    s = NULL;
    CHECK_INT(scenario_read(&s, "s.json", "{\"sweep\": {\"seed\": 1}}", &e), ERR_INPUT);
    scenario_close(s);
}

int main(void)
{
    CASE(the_first_key_varies_slowest);
    CASE(a_list_of_points_varies_its_keys_together);
    CASE(values_are_json_or_bare_text_and_keep_their_commas);
    CASE(a_key_on_the_command_line_replaces_the_files_values);
    CASE(mistakes_in_a_scenario_are_named);
    CASE(ten_thousand_points_are_the_limit);
    CASE(a_run_reads_the_grid_and_its_record_of_itself_has_none);
    return test_end();
}
