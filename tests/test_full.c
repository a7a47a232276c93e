/* Full fine-tuning: every weight of every client, one after another in one copy of the model. */
#include "models/trainer.h"
#include "sim/base/json.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "tests/made_up.h"
#include "tests/program.h"

enum { N_CLIENTS = 3, BATCH = 2, STEPS = 2, PER_CLIENT = BATCH * STEPS, VOCAB = 50 };

static const struct t5_config config = {VOCAB, 24, 5, 28, 4, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};

struct bench {
    struct arena a;
    struct t5 *model;
    struct sample sample[N_CLIENTS * PER_CLIENT];
    const struct sample *list[N_CLIENTS * PER_CLIENT];
    int n_per_step[STEPS];
    struct train_member member[N_CLIENTS];
    double loss[N_CLIENTS];
    struct train_job job;
    size_t n;
};

static void begin(struct bench *b)
{
    struct err e = {0};
    *b = (struct bench){.n_per_step = {BATCH, BATCH}};
    CHECK_INT(t5_open_random(&b->model, backend_find("cpu"), &config, 5, &e), OK);
    b->n = t5_n_flat(b->model);
    for (int i = 0; i < N_CLIENTS * PER_CLIENT; i++) {
        struct sample *x = &b->sample[i];
        x->n_input = 5 + i;
        x->n_target = 2 + i % 5;
        x->input = made_up_tokens(&b->a, 2 * (uint32_t)i, x->n_input, VOCAB, false);
        x->target = made_up_tokens(&b->a, 2 * (uint32_t)i + 1, x->n_target, VOCAB, false);
        b->list[i] = x;
    }
    for (int c = 0; c < N_CLIENTS; c++)
        b->member[c] =
            (struct train_member){100 + (uint32_t)c, b->list + c * PER_CLIENT, b->n_per_step};
    float *in = ARENA_NEW(&b->a, float, b->n);
    CHECK_INT(t5_get_flat(b->model, in, &e), OK);
    b->job = (struct train_job){.n_members = N_CLIENTS,
                                .member = b->member,
                                .hyper = {.local_steps = STEPS, .lr = 0.05f, .dropout = 0.1f},
                                .seed = 77,
                                .adapter_in = in,
                                .loss = b->loss};
    b->job.adapter_out = ARENA_NEW(&b->a, float, N_CLIENTS * b->n);
}

static void end(struct bench *b)
{
    t5_close(b->model);
    arena_free(&b->a);
}

static void run(const struct bench *b, const struct train_job *job, int n_threads)
{
    struct err e = {0};
    struct trainer *t = NULL;
    const struct train_limits limits = {
        .max_members = N_CLIENTS, .max_batch = BATCH, .max_input = 40, .max_target = 12};
    if (trainer_open(&t, b->model, NULL, &limits, n_threads, &e) || trainer_run(t, job, &e))
        TEST_FAIL("%s", e.text);
    else
        CHECK_INT(trainer_size(t), b->n);
    trainer_close(t);
}

/* One step of plain SGD with learning rate 1: minus the gradient, which a pass of its own gives. */
static void a_step_moves_every_weight_by_its_gradient(void)
{
    struct err e = {0};
    struct bench b;
    struct pack *p = NULL;
    struct t5_work *w = NULL;
    double nll[BATCH], moved = 0, off = 0;
    begin(&b);
    b.job.hyper = (struct train_hyper){.local_steps = 1, .lr = 1};
    run(&b, &b.job, 2);
    const struct t5_limits limits = {1, BATCH, 100, 100, 0, 0};
    CHECK_INT(pack_open(&p, 1, BATCH, 100, 100, &e), OK);
    CHECK_INT(t5_work_open(&w, b.model, T5_FULL, NULL, &limits, 2, &e), OK);
    pack_clear(p, config.start_id);
    pack_member(p, 101);
    for (int i = 0; i < BATCH; i++) {
        const struct sample *s = b.member[1].sample[i];
        CHECK_TRUE(pack_add(p, s->input, s->n_input, s->target, s->n_target));
    }
    pack_finish(p);
    const struct t5_pass pass = {.pack = p};
    CHECK_INT(t5_step(w, &pass, NULL, nll, &e), OK);
    const float *g = t5_work_dw(w), *out = b.job.adapter_out + b.n;
    for (size_t i = 0; i < b.n; i++) {
        double want = (double)b.job.adapter_in[i] - (double)g[i];
        moved += (double)g[i] * (double)g[i];
        off += pow((double)out[i] - want, 2);
    }
    CHECK_TRUE(moved > 0 && sqrt(off) <= 1e-5 * sqrt(moved));
    for (size_t i = 0; i < t5_n_tensors(b.model); i++) { /* none is left out */
        const struct t5_tensor *t = t5_tensor_at(b.model, i);
        double here = 0;
        for (size_t j = t->at; j < t->at + t->n; j++)
            here += fabs((double)(out[j] - b.job.adapter_in[j]));
        if (!(here > 0))
            TEST_FAIL("%s did not move", t->name);
    }
    t5_work_close(w);
    pack_close(p);
    end(&b);
}

static void clients_do_not_see_each_other_and_threads_change_no_byte(void)
{
    struct bench b;
    begin(&b);
    b.job.hyper.optimizer = LOCAL_ADAMW;
    b.job.hyper.beta1 = 0.9f;
    b.job.hyper.beta2 = 0.99f;
    b.job.hyper.epsilon = 1e-8f;
    run(&b, &b.job, 1);
    float *first = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    memcpy(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first));
    run(&b, &b.job, 3);
    CHECK_TRUE(memcmp(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first)) == 0);
    struct train_job last = b.job;
    last.n_members = 1;
    last.member += 2;
    run(&b, &last, 2);
    CHECK_TRUE(memcmp(first + 2 * b.n, b.job.adapter_out, b.n * sizeof(*first)) == 0);
    CHECK_TRUE(memcmp(first + b.n, b.job.adapter_out, b.n * sizeof(*first)) != 0);
    end(&b);
}

#define FULL                                                                                       \
    "run s.json --quiet --set output.dir=%s --set federation.rounds=%d --set evaluate.every=%d "   \
    "%s "

static double summary(const char *name, const char *key)
{
    struct json_doc *doc = NULL;
    struct err e = {0};
    double v = (double)NAN;
    char path[256];
    snprintf(path, sizeof(path), PROGRAM_DIR "/%s/summary.json", name);
    if (json_load(&doc, path, &e) || json_double(json_root(doc), key, -1e30, 1e30, NULL, &v, &e))
        TEST_FAIL("%s", e.text);
    json_close(doc);
    return v;
}

static void a_federation_of_full_models_learns(void)
{
    CHECK_INT(program(FULL, "one", 3, 3, "--workers 1"), 0);
    CHECK_INT(program(FULL, "two", 3, 3, "--workers 2 --set compute.chunk=1"), 0);
    struct csv *r = program_csv("one/rounds.csv"), *s = program_csv("two/rounds.csv");
    CHECK_TRUE(program_cell(r, 2, "eval_loss") < 0.95 * summary("one", "first_eval_loss"));
    for (size_t i = 0; i < 3; i++) {
        CHECK_TRUE(program_cell(r, i, "train_loss") == program_cell(s, i, "train_loss"));
        /* two clients, four bytes for each of the parameters */
        CHECK_INT(program_cell(r, i, "bytes_up"), 2 * 4 * 76961152LL);
    }
    CHECK_TRUE(program_cell(r, 2, "eval_loss") == program_cell(s, 2, "eval_loss"));
    csv_close(r);
    csv_close(s);
}

static void its_model_folder_goes_on_where_it_ended(void)
{
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/one/adapter"));
    CHECK_INT(program(FULL, "next", 1, 1, "--set model.weights=one/model"), 0);
    CHECK_NEAR(summary("next", "first_eval_loss"), summary("one", "last_eval_loss"), 0);
    CHECK_INT(program(FULL, "one", 1, 0, ""), 0); /* a former run with a model folder is replaced */
}

static void what_belongs_to_adapters_is_refused(void)
{
    CHECK_INT(program(FULL, "x", 1, 0, "--set federation.payload=lora"), 2);
    CHECK_HAS(program_text("err.txt"), "federation.payload: expected \"full\" or sizes");
    CHECK_INT(program(FULL, "x", 1, 0, "--set output.adapter_every=1"), 2);
    CHECK_HAS(program_text("err.txt"), "output.adapter_every: expected 0 with model.train full");
    CHECK_INT(program(FULL, "x", 1, 0, "--set model.adapter=one"), 2);
    CHECK_HAS(program_text("err.txt"), "model.adapter: expected no such key");
    CHECK_INT(
        program(FULL, "x", 1, 0,
                "--set 'federation.server={\"optimizer\":\"fedavg\",\"average\":\"products\"}'"),
        2);
    CHECK_HAS(program_text("err.txt"), "federation.server: expected average \"factors\"");
    CHECK_INT(program(FULL, "x", 1, 0,
                      "--set clients.count=200000 --set data.samples=200000 --set "
                      "federation.clients_per_round=200000 --set data.max_input=8"),
              1);
    CHECK_HAS(program_text("err.txt"),
              "full fine-tuning of builtin:tiny: 200000 clients a round need");
    CHECK_TRUE(!file_exists(PROGRAM_DIR "/x"));
}

int main(void)
{
    program_begin();
    program_write(
        "s.json",
        "{ \"clients\": { \"count\": 3 }, \"model\": { \"train\": \"full\", \"costs_of\": "
        "\"flan-t5-small\" }, \"data\": { \"samples\": 60, \"heldout\": 8 }, "
        "\"federation\": { \"clients_per_round\": 2, \"batch\": 2, \"local_steps\": 3, "
        "\"client_lr\": 0.05, \"server\": { \"optimizer\": \"fedavg\" } }, \"evaluate\": { "
        "\"rouge\": false } }");
    CASE(a_step_moves_every_weight_by_its_gradient);
    CASE(clients_do_not_see_each_other_and_threads_change_no_byte);
    CASE(a_federation_of_full_models_learns);
    CASE(its_model_folder_goes_on_where_it_ended);
    CASE(what_belongs_to_adapters_is_refused);
    program_end();
    return test_end();
}
