/* trace.json: every event is what Chrome's trace event format asks for, and the slices of every
 * participation tile its round, to the nanosecond that is printed. */
#include "sim/base/json.h"
#include "sim/sink.h"
#include "tests/program.h"

enum { MAX_ROUNDS = 64, MAX_CLIENTS = 256, MAX_PIDS = 8, MAX_PHASES = 4 };

struct slice {
    const char *name, *status; /* "" where it has none */
    int64_t start_ns, end_ns;
    double bytes; /* NaN likewise */
};

/* One participation: its slices as they follow each other in the file. */
struct lane {
    int pid, n;
    struct slice slice[MAX_PHASES];
};

struct trace {
    struct json_doc *doc;
    struct json events, other;
    struct lane lane[MAX_ROUNDS + 1][MAX_CLIENTS];
    struct slice round[MAX_ROUNDS + 1];
    bool has_process[MAX_PIDS], has_thread[MAX_PIDS][MAX_CLIENTS];
    int64_t busy_ns[MAX_PIDS][MAX_CLIENTS]; /* the end of a thread's last slice */
    char process[MAX_PIDS][96];
};

static struct json member(struct json object, const char *key)
{
    struct json v = {0};
    if (json_has(object, key))
        json_value(object, key, &v, NULL);
    return v;
}

static bool is_number_at_least(struct json v, double lo)
{
    double x = -1;
    return v.node && json_is_number(v) &&
           !json_double(v, NULL, -HUGE_VAL, HUGE_VAL, NULL, &x, NULL) && x >= lo;
}

static double number(struct json object, const char *key)
{
    double x = (double)NAN;
    struct json v = member(object, key);
    if (v.node && json_is_number(v))
        json_double(v, NULL, -HUGE_VAL, HUGE_VAL, NULL, &x, NULL);
    return x;
}

static const char *word(struct json object, const char *key)
{
    const char *s = "";
    struct json v = member(object, key);
    if (v.node && json_is_string(v))
        json_string(v, NULL, NULL, &s, NULL);
    return s;
}

static int64_t ns_of(struct json event, const char *key)
{
    return llround(1e3 * number(event, key));
}

/* --- the format: what keys an event has, and of what type --- */

static bool is_whole_below(double v, int end)
{
    return v >= 0 && v < end && v == floor(v);
}

/* Keys of an event, and nothing else: "X" (a slice) or "M" (a name). */
static void check_keys(struct json event, const char *const *keys)
{
    size_t n = 0;
    for (; keys[n]; n++)
        if (!json_has(event, keys[n]))
            TEST_FAIL("an event \"%s\" lacks \"%s\"", word(event, "name"), keys[n]);
    CHECK_INT(json_count(event), n);
}

static void see_name(struct trace *t, struct json event, int pid, int tid)
{
    static const char *const KEYS[] = {"name", "ph", "pid", "tid", "args", NULL};
    const char *what = word(event, "name"), *name = word(member(event, "args"), "name");
    check_keys(event, KEYS);
    CHECK_TRUE(*name != 0);
    if (strcmp(what, "process_name") == 0) {
        CHECK_TRUE(!t->has_process[pid]);
        t->has_process[pid] = true;
        snprintf(t->process[pid], sizeof(t->process[pid]), "%s", name);
    } else if (strcmp(what, "thread_name") == 0) {
        CHECK_TRUE(!t->has_thread[pid][tid]);
        t->has_thread[pid][tid] = true;
    } else {
        TEST_FAIL("a name of \"%s\"", what);
    }
}

static void see_slice(struct trace *t, struct json event, int pid, int tid)
{
    static const char *const KEYS[] = {"name", "ph", "pid", "tid", "ts", "dur", "args", NULL};
    struct json args = member(event, "args");
    check_keys(event, KEYS);
    CHECK_TRUE(is_number_at_least(member(event, "ts"), 0) &&
               is_number_at_least(member(event, "dur"), 0));
    CHECK_TRUE(args.node && json_is_object(args) &&
               is_whole_below(number(args, "round"), MAX_ROUNDS + 1));
    CHECK_TRUE(t->has_process[pid] && (pid == 0 || t->has_thread[pid][tid]));
    struct slice s = {word(event, "name"), word(args, "status"), ns_of(event, "ts"), 0,
                      number(args, "bytes")};
    s.end_ns = s.start_ns + ns_of(event, "dur");
    CHECK_TRUE(s.start_ns >= t->busy_ns[pid][tid]); /* viewers nest what overlaps */
    t->busy_ns[pid][tid] = s.end_ns;
    int round = (int)number(args, "round");
    if (pid == 0) {
        t->round[round] = s;
        return;
    }
    struct lane *lane = &t->lane[round][tid];
    CHECK_TRUE(lane->n == 0 || lane->pid == pid);
    lane->pid = pid;
    CHECK_TRUE(lane->n < MAX_PHASES);
    if (lane->n < MAX_PHASES)
        lane->slice[lane->n++] = s;
}

static void open_trace(struct trace *t, const char *folder)
{
    char path[512];
    struct err e = {0};
    *t = (struct trace){0};
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/trace.json", folder);
    if (json_load(&t->doc, path, &e)) {
        TEST_FAIL("%s", e.text);
        exit(1);
    }
    struct json root = json_root(t->doc);
    CHECK_INT(json_array(root, "traceEvents", &t->events, NULL), OK);
    CHECK_INT(json_object(root, "otherData", &t->other, NULL), OK);
    CHECK_STR(word(root, "displayTimeUnit"), "ms");
    CHECK_INT(json_count(root), 3);
    for (size_t i = 0; i < json_count(t->events); i++) {
        struct json event = json_at(t->events, i);
        double pid = number(event, "pid"), tid = number(event, "tid");
        if (!is_whole_below(pid, MAX_PIDS) || !is_whole_below(tid, MAX_CLIENTS)) {
            TEST_FAIL("event %zu: pid %g, tid %g", i, pid, tid);
            continue;
        }
        if (strcmp(word(event, "ph"), "M") == 0)
            see_name(t, event, (int)pid, (int)tid);
        else if (strcmp(word(event, "ph"), "X") == 0)
            see_slice(t, event, (int)pid, (int)tid);
        else
            TEST_FAIL("event %zu: ph \"%s\"", i, word(event, "ph"));
    }
}

/* --- tiling --- */

static int64_t cell_ns(const struct csv *c, size_t row, const char *column)
{
    return llround(1e9 * program_cell(c, row, column));
}

/* Download, train, upload and wait touch each other, begin with the round and end with it; each
 * ends where clients.csv says, what comes to no end with the round. */
static void check_lane(const struct trace *t, const struct csv *c, size_t row, int64_t round_ns[2])
{
    static const char *const ENDS[] = {"download_end_s", "train_end_s", "upload_end_s"};
    static const char *const PHASES[] = {"download", "train", "upload", "wait"};
    const char *status = program_word(c, row, "status");
    const struct lane *lane =
        &t->lane[(int)program_cell(c, row, "round")][(int)program_cell(c, row, "client")];
    if (lane->n == 0) {
        TEST_FAIL("row %zu of clients.csv is not there", row);
        return;
    }
    CHECK_STR(t->process[lane->pid], program_word(c, row, "group"));
    CHECK_INT(lane->slice[0].start_ns, cell_ns(c, row, "download_start_s"));
    CHECK_INT(lane->slice[0].start_ns, round_ns[0]);
    CHECK_INT(lane->slice[lane->n - 1].end_ns, round_ns[1]);
    for (int i = 1; i < lane->n; i++)
        CHECK_INT(lane->slice[i].start_ns, lane->slice[i - 1].end_ns);
    int n_known = 0;
    while (n_known < 3 && !isnan(program_cell(c, row, ENDS[n_known])))
        n_known++;
    for (int i = 0; i < n_known; i++) {
        CHECK_INT(lane->slice[i].end_ns, cell_ns(c, row, ENDS[i]));
        CHECK_STR(lane->slice[i].name, PHASES[i]);
    }
    const struct slice *last = &lane->slice[lane->n - 1];
    bool is_cut = n_known < 3;
    CHECK_INT(lane->n, n_known + (is_cut || last->end_ns > cell_ns(c, row, ENDS[2])));
    if (lane->n > n_known)
        CHECK_STR(last->name, is_cut && strcmp(status, "late") != 0 ? status : PHASES[n_known]);
    if (lane->n > n_known)
        CHECK_STR(last->status, status);
    if (n_known > 0)
        CHECK_NEAR(lane->slice[0].bytes, program_cell(c, row, "bytes_down"), 0);
}

/* Returns how many participations there are of this status. */
static size_t check_folder(const char *folder, const char *status)
{
    static struct trace t;
    char name[64];
    size_t n = 0, n_lanes = 0;
    open_trace(&t, folder);
    snprintf(name, sizeof(name), "%s/clients.csv", folder);
    struct csv *c = program_csv(name);
    snprintf(name, sizeof(name), "%s/rounds.csv", folder);
    struct csv *r = program_csv(name);
    CHECK_INT(number(t.other, "participations"), csv_rows(c));
    CHECK_INT(number(t.other, "participations_here"), csv_rows(c));
    CHECK_STR(t.process[0], "server");
    for (size_t row = 0; row < csv_rows(r); row++) {
        char title[32];
        snprintf(title, sizeof(title), "round %zu", row + 1);
        CHECK_STR(t.round[row + 1].name, title);
        CHECK_INT(t.round[row + 1].start_ns, cell_ns(r, row, "start_s"));
        CHECK_INT(t.round[row + 1].end_ns, cell_ns(r, row, "end_s"));
    }
    for (size_t row = 0; row < csv_rows(c); row++) {
        size_t round = (size_t)program_cell(c, row, "round") - 1;
        int64_t round_ns[2] = {cell_ns(r, round, "start_s"), cell_ns(r, round, "end_s")};
        check_lane(&t, c, row, round_ns);
        n += strcmp(program_word(c, row, "status"), status) == 0;
    }
    for (int round = 0; round <= MAX_ROUNDS; round++)
        for (int client = 0; client < MAX_CLIENTS; client++)
            n_lanes += t.lane[round][client].n > 0;
    CHECK_INT(n_lanes, csv_rows(c)); /* and no others */
    json_close(t.doc);
    csv_close(c);
    csv_close(r);
    return n;
}

#define RUN_ALONE                                                                                  \
    "--quiet --set model.train=none --set model.costs_of=flan-t5-small --set evaluate.every=0 "

static void whoever_arrives_has_four_phases_that_tile_the_round(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/mixed.json' " RUN_ALONE
                      "--set output.dir=mixed --set federation.rounds=40 --set "
                      "federation.clients_per_round=30"),
              0);
    CHECK_INT(check_folder("mixed", "ok"), 40 * 30);
}

static void shared_cells_tile_too(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/lte-cell.json' " RUN_ALONE
                      "--set output.dir=cell --set federation.rounds=20"),
              0);
    CHECK_TRUE(check_folder("cell", "ok") > 0);
}

static void the_late_are_cut_off_by_the_rounds_end(void)
{
    CHECK_INT(
        program("run '" TEST_SOURCE "/scenarios/mixed.json' " RUN_ALONE
                "--set output.dir=late --set federation.deadline=4.6s --set federation.rounds=20"),
        0);
    CHECK_TRUE(check_folder("late", "late") > 20);
}

static void those_who_fail_end_with_their_status(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/mixed.json' " RUN_ALONE
                      "--set output.dir=dropped --set federation.failure_rate=0.3 --set "
                      "federation.rounds=20"),
              0);
    CHECK_TRUE(check_folder("dropped", "dropped") > 20);
    CHECK_INT(
        program("run '" TEST_SOURCE "/scenarios/mixed.json' --quiet --set model.train=none --set "
                "evaluate.every=0 --set model.costs_of=flan-t5-xl --set federation.batch=64 --set "
                "output.dir=oom --set federation.rounds=3"),
        0);
    CHECK_TRUE(check_folder("oom", "out_of_memory") > 0);
}

static void no_training_time_is_a_slice_of_no_length(void)
{
    CHECK_INT(program("run '" TEST_SOURCE "/scenarios/mixed.json' " RUN_ALONE
                      "--set output.dir=instant --set compute.time=0s --set federation.rounds=5"),
              0);
    CHECK_INT(check_folder("instant", "ok"), 5 * 10);
}

static void a_long_run_is_cut_and_says_so(void)
{
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/network-only.json' --quiet --set output.dir=long --set "
                      "federation.rounds=300 --set federation.clients_per_round=100"),
              0);
    struct json_doc *doc = NULL;
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/long/trace.json", NULL), OK);
    struct json other = member(json_root(doc), "otherData");
    CHECK_INT(number(other, "participations"), 30000);
    CHECK_INT(number(other, "participations_here"), SINK_TRACE_MAX_PARTICIPATIONS);
    json_close(doc);
}

int main(void)
{
    program_begin();
    CASE(whoever_arrives_has_four_phases_that_tile_the_round);
    CASE(shared_cells_tile_too);
    CASE(the_late_are_cut_off_by_the_rounds_end);
    CASE(those_who_fail_end_with_their_status);
    CASE(no_training_time_is_a_slice_of_no_length);
    CASE(a_long_run_is_cut_and_says_so);
    program_end();
    return test_end();
}
