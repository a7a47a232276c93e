/* The event file of `veryedge tensorboard`, read back by a reader of the test's own: framing,
 * checksums and every value, against rounds.csv and summary.json. */
#include <stdint.h>

#include "sim/base/json.h"
#include "sim/record.h"
#include "sim/tensorboard.h"
#include "tests/program.h"

/* --- the reader: a table-driven CRC and a protobuf walk, not the program's --- */

static uint32_t crc32c(const unsigned char *p, size_t n)
{
    uint32_t table[256], crc = 0xffffffff;
    for (uint32_t i = 0; i < 256; i++) {
        table[i] = i;
        for (int bit = 0; bit < 8; bit++)
            table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78 : table[i] >> 1;
    }
    for (size_t i = 0; i < n; i++)
        crc = crc >> 8 ^ table[(crc ^ p[i]) & 0xff];
    return crc ^ 0xffffffff;
}

static uint32_t unmask(uint32_t crc)
{
    crc -= 0xa282ead8;
    return crc << 15 | crc >> 17;
}

struct span {
    const unsigned char *at, *end;
};

struct field {
    unsigned number, wire;
    uint64_t value;    /* of a varint, of 4 or 8 bytes */
    struct span block; /* of a block */
};

static uint64_t take(struct span *s, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n && s->at < s->end; i++)
        v |= (uint64_t)*s->at++ << 8 * i;
    return v;
}

static uint64_t take_varint(struct span *s)
{
    uint64_t v = 0;
    for (int shift = 0; s->at < s->end && shift < 64; shift += 7) {
        unsigned char c = *s->at++;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            break;
    }
    return v;
}

static bool next_field(struct span *s, struct field *f)
{
    if (s->at >= s->end)
        return false;
    uint64_t key = take_varint(s);
    *f = (struct field){.number = (unsigned)(key >> 3), .wire = (unsigned)(key & 7)};
    if (f->wire == 0) {
        f->value = take_varint(s);
    } else if (f->wire == 1 || f->wire == 5) {
        f->value = take(s, f->wire == 1 ? 8 : 4);
    } else {
        CHECK_INT(f->wire, 2);
        uint64_t n = take_varint(s);
        if (n > (uint64_t)(s->end - s->at)) {
            TEST_FAIL("a block of %llu bytes in %zu", (unsigned long long)n,
                      (size_t)(s->end - s->at));
            return false;
        }
        f->block = (struct span){s->at, s->at + n};
        s->at += n;
    }
    return true;
}

enum { MAX_SCALARS = 4096 };

struct scalar {
    double wall_time;
    int64_t step;
    char tag[64], description[256];
    float value;
};

struct events {
    size_t n, n_records;
    char version[32];
    struct scalar scalar[MAX_SCALARS];
};

static void copy_text(char *out, size_t size, struct span s)
{
    size_t n = (size_t)(s.end - s.at) < size - 1 ? (size_t)(s.end - s.at) : size - 1;
    memcpy(out, s.at, n);
    out[n] = 0;
}

static void read_value(struct events *ev, double wall_time, int64_t step, struct span value)
{
    struct scalar *s = &ev->scalar[ev->n < MAX_SCALARS - 1 ? ev->n++ : MAX_SCALARS - 1];
    *s = (struct scalar){.wall_time = wall_time, .step = step, .value = (float)NAN};
    for (struct field f, m; next_field(&value, &f);) {
        if (f.number == 1)
            copy_text(s->tag, sizeof(s->tag), f.block);
        if (f.number == 2) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&s->value, &bits, 4);
        }
        while (f.number == 9 && next_field(&f.block, &m))
            if (m.number == 3)
                copy_text(s->description, sizeof(s->description), m.block);
    }
}

static void read_event(struct events *ev, struct span message)
{
    double wall_time = (double)NAN;
    int64_t step = 0;
    for (struct field f, v; next_field(&message, &f);) {
        if (f.number == 1)
            memcpy(&wall_time, &f.value, 8);
        if (f.number == 2)
            step = (int64_t)f.value;
        if (f.number == 3)
            copy_text(ev->version, sizeof(ev->version), f.block);
        while (f.number == 5 && next_field(&f.block, &v))
            read_value(ev, wall_time, step, v.block);
    }
}

static void read_events(struct events *ev, const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/" TENSORBOARD_FILE, name);
    struct file file = {0};
    struct err e = {0};
    *ev = (struct events){0};
    if (file_map(&file, path, &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct span s = {file.bytes, file.bytes + file.n_bytes};
    while (s.end - s.at >= 16) {
        const unsigned char *head = s.at;
        uint64_t n = take(&s, 8);
        CHECK_INT(unmask((uint32_t)take(&s, 4)), crc32c(head, 8));
        if (n + 4 > (uint64_t)(s.end - s.at)) {
            TEST_FAIL("a record of %llu bytes does not end", (unsigned long long)n);
            break;
        }
        struct span message = {s.at, s.at + n};
        s.at += n;
        CHECK_INT(unmask((uint32_t)take(&s, 4)), crc32c(message.at, (size_t)n));
        read_event(ev, message);
        ev->n_records++;
    }
    CHECK_INT(s.end - s.at, 0);
    file_unmap(&file);
}

static const struct scalar *find(const struct events *ev, const char *tag, int64_t step)
{
    for (size_t i = 0; i < ev->n; i++)
        if (ev->scalar[i].step == step && strcmp(ev->scalar[i].tag, tag) == 0)
            return &ev->scalar[i];
    return NULL;
}

/* --- cases --- */

static void the_checksum_is_that_of_the_standard(void)
{
    unsigned char zeros[32] = {0};
    CHECK_INT(tensorboard_crc32c("123456789", 9), 0xe3069283);
    CHECK_INT(tensorboard_crc32c(zeros, 32), 0x8a9136aa); /* RFC 3720, B.4 */
    CHECK_INT(tensorboard_crc32c("", 0), 0);
}

static void runs_become_event_files(void)
{
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/quickstart.json' --quiet --set output.dir=a --set "
                      "federation.rounds=3 --set evaluate.every=2 --set evaluate.samples=4"),
              0);
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/network-only.json' --quiet --set output.dir=b --set "
                      "federation.rounds=50"),
              0);
    CHECK_INT(program("tensorboard a b"), 0);
    CHECK_HAS(program_text("out.txt"), "a/" TENSORBOARD_FILE ": 3 rounds, ");
    CHECK_HAS(program_text("out.txt"), "b/" TENSORBOARD_FILE ": 50 rounds, ");
}

/* Returns how many values of rounds.csv there are. */
static size_t check_rounds(const struct events *ev, const struct csv *c)
{
    const struct table *t = record_rounds();
    size_t n = 0;
    for (size_t i = 0; i < t->n_columns; i++)
        for (size_t row = 0; row < csv_rows(c); row++) {
            char tag[64];
            double v = program_cell(c, row, t->column[i].name);
            snprintf(tag, sizeof(tag), "rounds/%s", t->column[i].name);
            const struct scalar *s = find(ev, tag, (int64_t)program_cell(c, row, "round"));
            bool is_there = i > 0 && t->column[i].type != COLUMN_TEXT && !isnan(v);
            if (!is_there != !s)
                TEST_FAIL("%s of row %zu: in one file only", tag, row);
            if (!s || !is_there)
                continue;
            CHECK_TRUE(s->value == (float)v);
            CHECK_NEAR(s->wall_time, program_cell(c, row, "end_s"), 0);
            n++;
        }
    return n;
}

static size_t check_summary(const struct events *ev, const char *path, int64_t last)
{
    const struct table *t = record_summary();
    struct json_doc *doc = NULL;
    struct err e = {0};
    size_t n = 0;
    CHECK_INT(json_load(&doc, path, &e), OK);
    for (size_t i = 0; i < t->n_columns; i++) {
        char tag[64];
        struct json v = {0};
        double number = 0;
        snprintf(tag, sizeof(tag), "summary/%s", t->column[i].name);
        json_value(json_root(doc), t->column[i].name, &v, NULL);
        const struct scalar *s = find(ev, tag, last);
        CHECK_TRUE(!s == !(v.node && json_is_number(v)));
        if (!s || json_double(v, NULL, -HUGE_VAL, HUGE_VAL, NULL, &number, NULL))
            continue;
        CHECK_TRUE(s->value == (float)number);
        n++;
    }
    json_close(doc);
    return n;
}

static void every_number_comes_back_with_its_round_and_virtual_time(void)
{
    static struct events ev;
    static const char *const FOLDERS[] = {"a", "b"};
    for (int i = 0; i < 2; i++) {
        char name[64], path[512];
        snprintf(name, sizeof(name), "%s/rounds.csv", FOLDERS[i]);
        snprintf(path, sizeof(path), PROGRAM_DIR "/%s/summary.json", FOLDERS[i]);
        struct csv *c = program_csv(name);
        read_events(&ev, FOLDERS[i]);
        CHECK_STR(ev.version, "brain.Event:2");
        size_t n = check_rounds(&ev, c), n_totals = check_summary(&ev, path, (int64_t)csv_rows(c)),
               n_first = 0;
        for (size_t k = 0; k < ev.n; k++)
            n_first += ev.scalar[k].step == 0;
        CHECK_TRUE(n > 100 - 60 * (i == 0) && n_totals > 15);
        CHECK_INT(ev.n, n + n_totals + n_first);
        CHECK_INT(n_first, i == 0 ? 6 : 0); /* loss, four ROUGE and facts before the first round */
        /* the version, the rounds, that before the first where it was evaluated, the totals */
        CHECK_INT(ev.n_records, 2 + csv_rows(c) + (i == 0));
        csv_close(c);
    }
}

static void the_state_before_the_first_round_is_step_zero_at_time_zero(void)
{
    static struct events ev;
    struct json_doc *doc = NULL;
    double first = 0;
    read_events(&ev, "a");
    CHECK_INT(json_load(&doc, PROGRAM_DIR "/a/summary.json", NULL), OK);
    json_double(json_root(doc), "first_eval_loss", 0, 100, NULL, &first, NULL);
    const struct scalar *s = find(&ev, "rounds/eval_loss", 0);
    CHECK_TRUE(s != NULL && s->value == (float)first && s->wall_time == 0);
    json_close(doc);
}

static void the_first_value_of_a_tag_says_unit_and_meaning(void)
{
    static struct events ev;
    read_events(&ev, "b");
    const struct scalar *first = find(&ev, "rounds/comm_kwh", 1),
                        *second = find(&ev, "rounds/comm_kwh", 2);
    CHECK_TRUE(first && second);
    if (first && second) {
        CHECK_STR(first->description, "kWh; energy of all network elements for the round's bits");
        CHECK_STR(second->description, "");
    }
}

static void the_same_run_gives_the_same_bytes_and_its_folder_can_be_replaced(void)
{
    CHECK_INT(system("cp " PROGRAM_DIR "/b/" TENSORBOARD_FILE " " PROGRAM_DIR "/before"), 0);
    CHECK_INT(program("run '" TEST_SOURCE
                      "/scenarios/network-only.json' --quiet --set output.dir=b --set "
                      "federation.rounds=50"),
              0);
    CHECK_INT(program("tensorboard b"), 0);
    CHECK_INT(system("cmp -s " PROGRAM_DIR "/b/" TENSORBOARD_FILE " " PROGRAM_DIR "/before"), 0);
}

static void bad_folders_are_named(void)
{
    CHECK_INT(program("tensorboard nowhere"), 2);
    CHECK_HAS(program_text("err.txt"), "nowhere: expected a folder that veryedge run has written");
    CHECK_INT(system("cp -r " PROGRAM_DIR "/b " PROGRAM_DIR "/broken"), 0);
    program_write("broken/rounds.csv", "round,end_s,comm_kwh\n1,1,1\n");
    CHECK_INT(program("tensorboard broken"), 2);
    CHECK_HAS(program_text("err.txt"), "broken/rounds.csv: expected a column \"device_kwh\"");
    program_write("broken/rounds.csv", "round,end_s,comm_kwh,device_kwh\n1,1,x,1\n");
    CHECK_INT(program("tensorboard broken"), 2);
    CHECK_HAS(program_text("err.txt"), "broken/rounds.csv: row 1, comm_kwh: ");
}

int main(void)
{
    program_begin();
    CASE(the_checksum_is_that_of_the_standard);
    CASE(runs_become_event_files);
    CASE(every_number_comes_back_with_its_round_and_virtual_time);
    CASE(the_state_before_the_first_round_is_step_zero_at_time_zero);
    CASE(the_first_value_of_a_tag_says_unit_and_meaning);
    CASE(the_same_run_gives_the_same_bytes_and_its_folder_can_be_replaced);
    CASE(bad_folders_are_named);
    program_end();
    return test_end();
}
