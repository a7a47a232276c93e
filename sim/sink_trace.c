#include "sim/sink.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"

/* Chrome's trace event format: https://ui.perfetto.dev and chrome://tracing open it. Process 0 is
 * the server, with one slice per round; process 1, 2, ... are the groups of clients, in the order
 * in which they first take part; their threads are clients. The slices of a participation tile its
 * round: download, train, upload, wait. Whoever is late is cut off by the round's end in the middle
 * of one; whoever dropped out or has not the memory has a slice of that name from its last known
 * time to the round's end, because clients.csv holds no later one. Times are virtual, in
 * microseconds, rounded to nanoseconds before anything is subtracted. */

enum { N_PHASES = 4, SERVER_PID = 0 };

struct trace_sink {
    struct sink base;
    struct file_out *file;
    FILE *to;
    const char **group; /* [n_groups], as clients brought them; process = index + 1 */
    size_t n_groups, cap_groups;
    struct client_record *open; /* [n_open]: participations of rounds that have no record yet */
    size_t n_open, cap_open;
    uint64_t *seen; /* a bit per client: its thread has a name */
    size_t cap_seen, n_seen_words;
    int64_t n_participations, n_kept;
    bool is_begun;
};

static void begin_event(struct trace_sink *s)
{
    fputs(s->is_begun ? ",\n" : "\n", s->to);
    s->is_begun = true;
}

/* A string as JSON has it, with its quotes. */
static void put_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\')
            fprintf(to, "\\%c", c);
        else if (c < 0x20)
            fprintf(to, "\\u%04x", c);
        else
            fputc(c, to);
    }
    fputc('"', to);
}

static void name_process(struct trace_sink *s, size_t pid, const char *name)
{
    begin_event(s);
    fprintf(
        s->to,
        "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%zu,\"tid\":0,\"args\":{\"name\":", pid);
    put_string(s->to, name);
    fputs("}}", s->to);
}

static void name_thread(struct trace_sink *s, size_t pid, int64_t client)
{
    size_t word = (size_t)client / 64;
    uint64_t bit = (uint64_t)1 << (client % 64);
    if (word >= s->n_seen_words) {
        mem_grow((void **)&s->seen, &s->cap_seen, word + 1, sizeof(s->seen[0]));
        memset(s->seen + s->n_seen_words, 0, (word + 1 - s->n_seen_words) * sizeof(s->seen[0]));
        s->n_seen_words = word + 1;
    }
    if (s->seen[word] & bit)
        return;
    s->seen[word] |= bit;
    begin_event(s);
    fprintf(s->to,
            "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%zu,\"tid\":%" PRId64
            ",\"args\":{\"name\":\"client %" PRId64 "\"}}",
            pid, client, client);
}

static size_t process_of(struct trace_sink *s, const char *group)
{
    for (size_t i = 0; i < s->n_groups; i++)
        if (strcmp(s->group[i], group) == 0)
            return i + 1;
    mem_grow((void **)&s->group, &s->cap_groups, s->n_groups + 1, sizeof(s->group[0]));
    s->group[s->n_groups++] = group;
    name_process(s, s->n_groups, group);
    return s->n_groups;
}

static void put_us(FILE *to, const char *key, int64_t ns)
{
    fprintf(to, "\"%s\":%" PRId64 ".%03" PRId64 ",", key, ns / 1000, ns % 1000);
}

static int64_t ns_of(double seconds)
{
    return llround(1e9 * seconds);
}

static void put_slice(struct trace_sink *s, const char *name, size_t pid, int64_t tid,
                      int64_t t0_ns, int64_t t1_ns)
{
    begin_event(s);
    fprintf(s->to, "{\"name\":\"%s\",\"ph\":\"X\",\"pid\":%zu,\"tid\":%" PRId64 ",", name, pid,
            tid);
    put_us(s->to, "ts", t0_ns);
    put_us(s->to, "dur", t1_ns - t0_ns);
    fputs("\"args\":{", s->to);
}

static void put_client(struct trace_sink *s, const struct client_record *c, double end_s)
{
    static const char *const PHASES[N_PHASES] = {"download", "train", "upload", "wait"};
    const double at_s[N_PHASES + 1] = {c->download_start_s, c->download_end_s, c->train_end_s,
                                       c->upload_end_s, end_s};
    const int64_t bytes[N_PHASES] = {c->bytes_down, 0, c->bytes_up, 0};
    size_t pid = process_of(s, c->group);
    name_thread(s, pid, c->client);
    for (int i = 0; i < N_PHASES; i++) {
        bool is_last = i == N_PHASES - 1 || isnan(at_s[i + 1]);
        int64_t t0_ns = ns_of(at_s[i]), t1_ns = ns_of(is_last ? end_s : at_s[i + 1]);
        bool is_cut = is_last && i < N_PHASES - 1;
        if (t1_ns > t0_ns || i < N_PHASES - 1) {
            put_slice(s, is_cut && strcmp(c->status, "late") != 0 ? c->status : PHASES[i], pid,
                      c->client, t0_ns, t1_ns);
            fprintf(s->to, "\"round\":%" PRId64, c->round);
            if (bytes[i])
                fprintf(s->to, ",\"bytes\":%" PRId64, bytes[i]);
            if (is_last)
                fprintf(s->to, ",\"status\":\"%s\"", c->status);
            fputs("}}", s->to);
        }
        if (is_last)
            break;
    }
}

/* The round's end is known: its participations can be drawn. */
static void put_round(struct trace_sink *s, const struct round_record *r)
{
    size_t kept = 0, n = 0;
    for (size_t i = 0; i < s->n_open; i++) {
        if (s->open[i].round == r->round) {
            put_client(s, &s->open[i], r->end_s);
            n++;
        } else {
            s->open[kept++] = s->open[i];
        }
    }
    s->n_open = kept;
    if (n == 0)
        return;
    char name[32];
    snprintf(name, sizeof(name), "round %" PRId64, r->round);
    put_slice(s, name, SERVER_PID, 0, ns_of(r->start_s), ns_of(r->end_s));
    fprintf(s->to, "\"round\":%" PRId64 ",\"selected\":%" PRId64 ",\"arrived\":%" PRId64 "}}",
            r->round, r->selected, r->arrived);
}

static void trace_abandon(struct sink *base)
{
    struct trace_sink *s = (struct trace_sink *)base;
    file_abandon(s->file);
    mem_free(s->group);
    mem_free(s->open);
    mem_free(s->seen);
    mem_free(s);
}

static enum err_code trace_open(struct sink **out, const char *folder, bool is_labelled,
                                struct err *e)
{
    (void)is_labelled; /* nothing of it depends on an accounting */
    void *memory;
    enum err_code code = mem_big(&memory, sizeof(struct trace_sink), "an output", e);
    if (code)
        return code;
    struct trace_sink *s = memory;
    s->base.ops = &sink_trace;
    char *path = file_join(folder, "trace.json");
    code = file_create(&s->file, path, e);
    mem_free(path);
    if (code) {
        trace_abandon(&s->base);
        return code;
    }
    s->to = file_stream(s->file);
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", s->to);
    name_process(s, SERVER_PID, "server");
    *out = &s->base;
    return OK;
}

static enum err_code trace_row(struct sink *base, const struct table *t, const void *record,
                               struct err *e)
{
    struct trace_sink *s = (struct trace_sink *)base;
    if (t == record_clients(false) || t == record_clients(true)) {
        const struct client_record *c = record;
        s->n_participations++;
        if (s->n_kept == SINK_TRACE_MAX_PARTICIPATIONS)
            return OK;
        s->n_kept++;
        mem_grow((void **)&s->open, &s->cap_open, s->n_open + 1, sizeof(s->open[0]));
        s->open[s->n_open++] = *c;
    } else if (t == record_rounds()) {
        put_round(s, record);
    }
    return ferror(s->to) ? err_set(e, ERR_IO, "trace.json: cannot be written, is the disk full?")
                         : OK;
}

static enum err_code trace_end(struct sink *base, struct err *e)
{
    struct trace_sink *s = (struct trace_sink *)base;
    fprintf(s->to,
            "\n],\"otherData\":{\"time\":\"virtual\",\"participations\":%" PRId64
            ",\"participations_here\":%" PRId64 ",\"participations_at_most\":%d}}\n",
            s->n_participations, s->n_kept - (int64_t)s->n_open, SINK_TRACE_MAX_PARTICIPATIONS);
    enum err_code code = file_commit(s->file, e);
    s->file = NULL;
    trace_abandon(base);
    return code;
}

const struct sink_ops sink_trace = {
    .name = "trace",
    .what = "trace.json: the rounds of every client over virtual time, for Perfetto",
    .open = trace_open,
    .row = trace_row,
    .close = trace_end,
    .abandon = trace_abandon,
};
