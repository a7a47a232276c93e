/* Local training as a scenario asks for it: epochs in place of steps, the proximal term. */
#include "tests/program.h"

#define RUN "run s.json --quiet --set output.dir=%s --set federation.batch=%d --workers %d %s"

static double column(const char *table, size_t row, const char *name)
{
    struct csv *c = program_csv(table);
    double v = program_cell(c, row, name);
    csv_close(c);
    return v;
}

/* Seconds that the client of a row computed. */
static double train_s(const char *table, size_t row)
{
    return column(table, row, "train_end_s") - column(table, row, "download_end_s");
}

static void an_epoch_uses_every_sample_and_costs_its_mini_batches(void)
{
    CHECK_INT(program(RUN, "eight", 8, 2, "--set federation.local_steps=1"), 0);
    CHECK_INT(program(RUN, "four", 4, 2, "--set federation.local_steps=1"), 0);
    CHECK_INT(program(RUN, "five", 5, 2, "--set federation.local_steps=1"), 0);
    double t8 = train_s("eight/clients.csv", 0), t4 = train_s("four/clients.csv", 0),
           t5 = train_s("five/clients.csv", 0);
    CHECK_TRUE(t4 > 0 && t8 > t5 && t5 > t4);
    CHECK_INT(program(RUN, "epochs", 8, 2, "--set federation.local_epochs=2"), 0);
    struct csv *c = program_csv("epochs/clients.csv");
    int n_21 = 0;
    for (size_t i = 0; i < csv_rows(c); i++) { /* 62 samples: 21, 21, 20 */
        bool is_21 = program_cell(c, i, "samples") > 41;
        double seconds = program_cell(c, i, "train_end_s") - program_cell(c, i, "download_end_s");
        CHECK_INT(program_cell(c, i, "samples"), is_21 ? 42 : 40);
        CHECK_NEAR(seconds, 2 * (2 * t8 + (is_21 ? t5 : t4)), 1e-9);
        n_21 += is_21;
    }
    CHECK_INT(csv_rows(c), 6);
    CHECK_INT(n_21, 4);
    csv_close(c);
}

static void epochs_repeat_with_any_number_of_workers_and_in_chunks(void)
{
    CHECK_INT(program(RUN, "one", 8, 1, "--set federation.local_epochs=2"), 0);
    CHECK_INT(program(RUN, "cut", 8, 2, "--set federation.local_epochs=2 --set compute.chunk=1"),
              0);
    CHECK_INT(program("run one/scenario.json --quiet --no-cache --set output.dir=again"), 0);
    for (size_t i = 0; i < 2; i++) {
        double loss = column("epochs/rounds.csv", i, "train_loss");
        CHECK_NEAR(column("one/rounds.csv", i, "train_loss"), loss, 0);
        CHECK_NEAR(column("again/rounds.csv", i, "train_loss"), loss, 0);
        CHECK_REL(column("cut/rounds.csv", i, "train_loss"), loss, 1e-3);
    }
}

static void the_proximal_term_is_part_of_local_training(void)
{
    CHECK_INT(program(RUN, "none", 8, 2, "--set federation.client.prox_mu=0"), 0);
    CHECK_INT(program(RUN, "prox", 8, 2, "--set federation.client.prox_mu=0.5"), 0);
    CHECK_NEAR(column("none/rounds.csv", 0, "train_loss"),
               column("prox/rounds.csv", 0, "train_loss"),
               1e-3); /* two steps: the second begins lr g away */
    CHECK_TRUE(column("none/rounds.csv", 1, "train_loss") !=
               column("prox/rounds.csv", 1, "train_loss"));
    CHECK_HAS(program_text("prox/scenario.json"), "\"prox_mu\": 0.5");
}

static void what_does_not_go_together_is_refused(void)
{
    CHECK_INT(
        program(RUN, "x", 8, 2, "--set federation.local_epochs=1 --set federation.local_steps=2"),
        2);
    CHECK_HAS(program_text("err.txt"),
              "federation.local_epochs: expected no such key beside local_steps");
    CHECK_INT(program(RUN, "x", 8, 2, "--set federation.local_epochs=1 --set model.train=none"), 2);
    CHECK_HAS(program_text("err.txt"),
              "federation.local_epochs: expected local_steps with model.train none");
    CHECK_INT(program(RUN, "x", 8, 2, "--set federation.local_epochs=0"), 2);
    CHECK_HAS(program_text("err.txt"), "federation.local_epochs: expected 1..1000, got 0");
    CHECK_INT(program(RUN, "x", 8, 2, "--set federation.client.prox_mu=-1"), 2);
    CHECK_HAS(program_text("err.txt"), "federation.client.prox_mu: expected 0..1000, got -1");
    CHECK_INT(program("check s.json --set federation.local_epochs=3"), 0);
    CHECK_HAS(program_text("out.txt"), "\"local_epochs\": 3");
}

int main(void)
{
    program_begin();
    program_write("s.json",
                  "{ \"clients\": { \"count\": 3 }, \"model\": { \"costs_of\": "
                  "\"flan-t5-small\", \"lora\": { \"rank\": 4, \"alpha\": 8 } }, \"data\": { "
                  "\"samples\": 62, \"heldout\": 8 }, \"federation\": { \"rounds\": 2, "
                  "\"client_lr\": 0.3 }, \"evaluate\": { \"every\": 0 } }");
    CASE(an_epoch_uses_every_sample_and_costs_its_mini_batches);
    CASE(epochs_repeat_with_any_number_of_workers_and_in_chunks);
    CASE(the_proximal_term_is_part_of_local_training);
    CASE(what_does_not_go_together_is_refused);
    program_end();
    return test_end();
}
