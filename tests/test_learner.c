/* The learner's lanes: chunks of several devices side by side, joined in any order. The machine has the CPU as often
 * as is said. */
#include "tests/lab_backend.h"
#include "tests/test.h"

#include "models/crew.h"
#include "models/t5.h"
#include "sim/learner.h"

enum { N_PER_ROUND = 5, N_ROUNDS = 2, N_CLIENTS = 8 };

static struct learner_spec spec_of(const struct backend_ops *ops, int n_parts)
{
    struct server_hyper server = server_opt_defaults(server_opt_find("fedadamw"));
    return (struct learner_spec){
        .weights = "builtin:tiny",
        .backend = ops,
        .lora = {.rank = 4, .alpha = 8, .dropout = 0.05f, .targets = LORA_Q | LORA_V},
        .data = {.source = "builtin:dialogues", .prefix = "summarize: ", .max_input = 32, .max_target = 16,
                 .seed = 3, .n_train = 64, .n_heldout = 4},
        .split = {.kind = SPLIT_IID, .n_clients = N_CLIENTS, .min_samples = 1, .seed = 3},
        .hyper = {.lr = 0.1f, .dropout = 0.1f},
        .server = server,
        .seed = 3,
        .n_clients = N_CLIENTS,
        .n_per_round = N_PER_ROUND,
        .n_rounds = N_ROUNDS,
        .dealing = {.batch = 2, .n_steps = 1},
        .chunk = 2,
        .n_parts = n_parts,
        .n_workers = 3,
        .eval_samples = 4,
        .eval_batch = 4,
        .max_new_tokens = 4,
        .beams = {.n_beams = 1}};
}

/* A round in which member 1 is known not to return; joined from the last to the first beside an evaluation. */
static void play_round(struct learner *l, uint32_t round, double loss[N_PER_ROUND], double *judged)
{
    const uint32_t client[N_PER_ROUND] = {0, 2, 3, 5, 7};
    const bool trains[N_PER_ROUND] = {true, round != 1, true, true, true};
    size_t arrived[N_PER_ROUND], n = 0;
    struct err e = {0};
    struct eval_result result;
    enum err_code code;
    int ticket = 0;
    CHECK_INT(learner_evaluate(l, &ticket, &e), OK);
    learner_begin(l, round, N_PER_ROUND, client, trains);
    for (size_t i = N_PER_ROUND; i-- > 0;) {
        loss[i] = 0;
        if (trains[i] && learner_join(l, i, &loss[i], &e))
            TEST_FAIL("%s", e.text);
    }
    for (size_t i = 0; i < N_PER_ROUND; i++)
        if (trains[i])
            arrived[n++] = i;
    CHECK_INT(learner_aggregate(l, n, arrived, &e), OK);
    CHECK_INT(learner_end_round(l, &e), OK);
    CHECK_TRUE(learner_evaluated(l, ticket, true, &result, &code, &e));
    CHECK_INT(code, OK);
    *judged = result.loss;
}

struct outcome {
    double loss[N_ROUNDS][N_PER_ROUND], judged[N_ROUNDS];
    size_t n_passes, n;
    float *adapter;
};

static void play(int n_devices, int n_parts, struct outcome *out)
{
    struct backend_ops ops = lab_machine(n_devices);
    struct learner_spec spec = spec_of(&ops, n_parts);
    struct pool *pool = NULL;
    struct learner *l = NULL;
    struct err e = {0};
    *out = (struct outcome){0};
    CHECK_INT(pool_open(&pool, learner_lanes(&spec), &e), OK);
    if (learner_open(&l, &spec, pool, &e)) {
        TEST_FAIL("%s", e.text);
    } else {
        char said[512];
        learner_describe(l, said, sizeof(said));
        CHECK_INT(learner_devices(l), n_devices < n_parts ? n_devices : n_parts);
        CHECK_TRUE((strstr(said, "MiB on each of") != NULL) == (learner_devices(l) > 1));
        for (uint32_t round = 1; round <= N_ROUNDS; round++)
            play_round(l, round, out->loss[round - 1], &out->judged[round - 1]);
        out->n = learner_adapter_size(l);
        out->adapter = calloc(out->n, sizeof(float));
        learner_trained(l, out->adapter);
        out->n_passes = learner_counts(l).n_passes;
        CHECK_TRUE(learner_train_wall_s(l) > 0);
    }
    pool_close(pool);
    learner_close(l);
}

/* Round 1 has four trainees: parts of 1, 1 and 2; round 2 has five: 1, 2 and 2. The first run has the most lanes:
 * libuv's threads are as many as it asks for. */
static void the_number_of_devices_changes_no_bit_of_a_run(void)
{
    struct outcome of[3];
    for (int n_devices = 3; n_devices >= 1; n_devices--)
        play(n_devices, 3, &of[n_devices - 1]);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(of[i].n_passes, 6);
        CHECK_TRUE(memcmp(of[i].loss, of[0].loss, sizeof(of[0].loss)) == 0);
        CHECK_TRUE(memcmp(of[i].judged, of[0].judged, sizeof(of[0].judged)) == 0);
        CHECK_TRUE(of[i].n > 0 && memcmp(of[i].adapter, of[0].adapter, of[0].n * sizeof(float)) == 0);
    }
    for (int i = 0; i < 3; i++)
        free(of[i].adapter);
}

static void the_number_of_parts_changes_losses_by_rounding_only(void)
{
    struct outcome whole, cut;
    play(1, 1, &whole);
    play(2, 2, &cut);
    CHECK_INT(whole.n_passes, 5); /* of two clients at most: 2 and 3 */
    for (int i = 0; i < N_PER_ROUND; i++)
        CHECK_REL(cut.loss[0][i], whole.loss[0][i], 1e-5);
    CHECK_REL(cut.judged[0], whole.judged[0], 0);
    free(whole.adapter);
    free(cut.adapter);
}

int main(void)
{
    CASE(the_number_of_devices_changes_no_bit_of_a_run);
    CASE(the_number_of_parts_changes_losses_by_rounding_only);
    return test_end();
}
