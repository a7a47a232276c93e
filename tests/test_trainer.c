/* Local training of a cohort: alone as in company, whatever the threads; optimizers; finite
 * differences. */
#include "tests/lab_backend.h"
#include "tests/made_up.h"
#include "tests/test.h"

#include <pthread.h>

#include "models/trainer.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

enum { N_CLIENTS = 10, BATCH = 3, STEPS = 2, PER_CLIENT = BATCH * STEPS, VOCAB = 50 };

static const struct t5_config config = {VOCAB, 24, 5, 28, 4, 2, 2, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
static const struct lora_spec spec = {
    .rank = 4, .alpha = 8, .dropout = 0.05f, .targets = LORA_Q | LORA_V};
static const struct lora_spec spec_all = {
    .rank = 3, .alpha = 5, .dropout = 0, .targets = (1u << N_LORA_TARGETS) - 1};

/* A model, data for ten clients, and a job over them. */
struct bench {
    struct arena a;
    struct t5 *model;
    struct sample *sample;
    struct train_member member[N_CLIENTS];
    int n_per_step[N_CLIENTS][STEPS];
    struct train_job job;
    size_t n; /* values of an adapter */
};

static void bench_init(struct bench *b, const struct lora_spec *s)
{
    struct lora_layout l;
    *b = (struct bench){0};
    CHECK_INT(t5_open_random(&b->model, &LAB_BACKEND, &config, 5, NULL), OK);
    b->sample = ARENA_NEW(&b->a, struct sample, N_CLIENTS * PER_CLIENT);
    for (int i = 0; i < N_CLIENTS * PER_CLIENT; i++) {
        struct sample *x = &b->sample[i];
        x->n_input = 1 + (int)rng_below(11, RNG_PICK, (uint32_t)i, 0, 40);
        x->n_target = 1 + (int)rng_below(11, RNG_PICK, (uint32_t)i, 1, 12);
        x->input = made_up_tokens(&b->a, 2 * (uint32_t)i, x->n_input, VOCAB, true);
        x->target = made_up_tokens(&b->a, 2 * (uint32_t)i + 1, x->n_target, VOCAB, true);
    }
    for (int c = 0; c < N_CLIENTS; c++) {
        const struct sample **list = ARENA_NEW(&b->a, const struct sample *, PER_CLIENT);
        for (int i = 0; i < PER_CLIENT; i++)
            list[i] = &b->sample[c * PER_CLIENT + i];
        b->n_per_step[c][0] = 1 + c % BATCH; /* unequal mini-batches */
        b->n_per_step[c][1] = BATCH;
        b->member[c] = (struct train_member){100 + (uint32_t)c, list, b->n_per_step[c]};
    }
    lora_layout_init(&l, &config, s);
    b->n = l.size;
    float *in = ARENA_NEW(&b->a, float, l.size);
    lora_init(&l, 9, in);
    for (size_t i = 0; i < l.size; i++) /* B must not be 0, or A gets no gradient */
        in[i] += (float)(0.05 * rng_normal(9, RNG_SPLIT, 0, i));
    lora_layout_fini(&l);
    b->job = (struct train_job){.n_members = N_CLIENTS,
                                .member = b->member,
                                .hyper = {.local_steps = STEPS, .lr = 0.1f, .dropout = 0.1f},
                                .seed = 77,
                                .adapter_in = in};
    b->job.adapter_out = ARENA_NEW(&b->a, float, N_CLIENTS * b->n);
    b->job.loss = ARENA_NEW(&b->a, double, N_CLIENTS);
}

static void bench_fini(struct bench *b)
{
    t5_close(b->model);
    arena_free(&b->a);
}

static struct trainer *open_trainer(const struct bench *b, const struct lora_spec *s, int n_members,
                                    int n_threads)
{
    struct err e = {0};
    struct trainer *t = NULL;
    const struct train_limits limits = {
        .max_members = n_members, .max_batch = BATCH, .max_input = 40, .max_target = 12};
    if (trainer_open(&t, b->model, s, &limits, n_threads, &e))
        TEST_FAIL("%s", e.text);
    return t;
}

static void the_plan_is_what_a_trainer_takes(void)
{
    const struct train_hyper hypers[] = {{.local_steps = STEPS, .lr = 0.1f},
                                         {.local_steps = STEPS, .lr = 0.1f, .momentum = 0.9f},
                                         {.local_steps = STEPS,
                                          .optimizer = LOCAL_ADAMW,
                                          .lr = 0.01f,
                                          .beta1 = 0.9f,
                                          .beta2 = 0.99f,
                                          .epsilon = 1e-8f,
                                          .prox_mu = 0.1f}};
    const struct train_limits limits = {
        .max_members = N_CLIENTS, .max_batch = BATCH, .max_input = 40, .max_target = 12};
    for (size_t i = 0; i < sizeof(hypers) / sizeof(hypers[0]); i++) {
        struct bench b;
        struct err e = {0};
        bench_init(&b, &spec);
        b.job.hyper = hypers[i];
        struct trainer *t = open_trainer(&b, &spec, N_CLIENTS, 2);
        if (trainer_run(t, &b.job, &e))
            TEST_FAIL("%s", e.text);
        CHECK_INT(trainer_plan(b.model, &spec, &limits, &hypers[i], 2), trainer_bytes(t));
        trainer_close(t);
        bench_fini(&b);
    }
}

static void run(struct bench *b, const struct lora_spec *s, int n_threads)
{
    struct err e = {0};
    struct trainer *t = open_trainer(b, s, N_CLIENTS, n_threads);
    if (trainer_run(t, &b->job, &e))
        TEST_FAIL("%s", e.text);
    trainer_close(t);
}

/* |a - b| / |a - base|: error of the change that training made. */
static double change_error(const float *a, const float *b, const float *base, size_t n)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        diff += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)a[i] - (double)base[i], 2);
    }
    return sqrt(diff / norm);
}

static void a_client_alone_gets_what_it_gets_in_a_cohort_of_ten(void)
{
    struct bench b;
    bench_init(&b, &spec);
    run(&b, &spec, 2);
    struct trainer *t = open_trainer(&b, &spec, 1, 1);
    struct train_job one = b.job;
    double loss, worst = 0;
    one.n_members = 1;
    one.adapter_out = ARENA_NEW(&b.a, float, b.n);
    one.loss = &loss;
    for (int c = 0; c < N_CLIENTS; c++) {
        one.member = &b.member[c];
        CHECK_INT(trainer_run(t, &one, NULL), OK);
        const float *in_cohort = b.job.adapter_out + (size_t)c * b.n;
        worst = fmax(worst, change_error(in_cohort, one.adapter_out, b.job.adapter_in, b.n));
        CHECK_REL(loss, b.job.loss[c], 1e-5);
    }
    CHECK_TRUE(worst <= 1e-5);
    if (worst > 1e-5)
        printf("  worst %.3g\n", worst);
    trainer_close(t);
    bench_fini(&b);
}

static void the_number_of_threads_changes_no_byte(void)
{
    struct bench b;
    bench_init(&b, &spec);
    float *first = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    double loss[N_CLIENTS];
    for (int threads = 1; threads <= 4; threads *= 2) {
        run(&b, &spec, threads);
        if (threads == 1) {
            memcpy(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first));
            memcpy(loss, b.job.loss, sizeof(loss));
        }
        CHECK_TRUE(memcmp(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first)) == 0);
        CHECK_TRUE(memcmp(loss, b.job.loss, sizeof(loss)) == 0);
    }
    bench_fini(&b);
}

static void a_trainer_used_before_gives_the_same_bytes(void)
{
    struct bench b;
    bench_init(&b, &spec);
    struct trainer *t = open_trainer(&b, &spec, N_CLIENTS, 2);
    float *first = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    for (int i = 0; i < 3; i++) {
        b.job.hyper.optimizer = i == 1 ? LOCAL_ADAMW : LOCAL_SGD;
        b.job.hyper.momentum = 0.9f;
        b.job.hyper.beta1 = 0.9f;
        b.job.hyper.beta2 = 0.99f;
        b.job.hyper.epsilon = 1e-8f;
        CHECK_INT(trainer_run(t, &b.job, NULL), OK);
        if (i == 0)
            memcpy(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first));
    }
    CHECK_TRUE(memcmp(first, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*first)) == 0);
    trainer_close(t);
    bench_fini(&b);
}

struct parallel {
    struct trainer *trainer;
    struct train_job job;
    enum err_code code;
};

static void *run_parallel(void *arg)
{
    struct parallel *p = arg;
    for (int i = 0; i < 3 && !p->code; i++)
        p->code = trainer_run(p->trainer, &p->job, NULL);
    return NULL;
}

static void trainers_on_two_threads_share_a_model(void)
{
    struct bench b;
    struct parallel p[2];
    pthread_t thread[2];
    bench_init(&b, &spec);
    run(&b, &spec, 1);
    for (int i = 0; i < 2; i++) {
        p[i] = (struct parallel){open_trainer(&b, &spec, N_CLIENTS, 2), b.job, OK};
        p[i].job.adapter_out = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
        p[i].job.loss = ARENA_NEW(&b.a, double, N_CLIENTS);
    }
    for (int i = 0; i < 2; i++)
        CHECK_INT(pthread_create(&thread[i], NULL, run_parallel, &p[i]), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(pthread_join(thread[i], NULL), 0);
        CHECK_INT(p[i].code, OK);
        CHECK_TRUE(
            memcmp(p[i].job.adapter_out, b.job.adapter_out, N_CLIENTS * b.n * sizeof(float)) == 0);
        trainer_close(p[i].trainer);
    }
    bench_fini(&b);
}

static void the_seed_draws_the_masks_and_only_them(void)
{
    struct bench b;
    bench_init(&b, &spec);
    float *first = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    const size_t n_bytes = N_CLIENTS * b.n * sizeof(*first);
    run(&b, &spec, 1);
    memcpy(first, b.job.adapter_out, n_bytes);
    b.job.seed++;
    run(&b, &spec, 1);
    CHECK_TRUE(memcmp(first, b.job.adapter_out, n_bytes) != 0);
    struct lora_spec dry = spec;
    dry.dropout = 0;
    b.job.hyper.dropout = 0;
    run(&b, &dry, 1);
    memcpy(first, b.job.adapter_out, n_bytes);
    b.job.seed++;
    run(&b, &dry, 1);
    CHECK_TRUE(memcmp(first, b.job.adapter_out, n_bytes) == 0);
    bench_fini(&b);
}

/* Plain SGD with learning rate 1 for one step moves by the gradient: loss(x + h d) - loss(x - h d)
 * over 2 h must be gradient . d, for every target and several directions d. */
static void gradients_agree_with_finite_differences(void)
{
    enum { N_DIRECTIONS = 6 };
    const double h = 0.02;
    struct bench b;
    bench_init(&b, &spec_all);
    struct trainer *t = open_trainer(&b, &spec_all, N_CLIENTS, 2);
    b.job.hyper = (struct train_hyper){.local_steps = 1, .lr = 1, .dropout = 0};
    float *base = ARENA_NEW(&b.a, float, b.n), *x = ARENA_NEW(&b.a, float, b.n);
    float *g = ARENA_NEW(&b.a, float, b.n);
    memcpy(base, b.job.adapter_in, b.n * sizeof(*base));
    CHECK_INT(trainer_run(t, &b.job, NULL), OK);
    for (size_t i = 0; i < b.n; i++)
        g[i] = base[i] - b.job.adapter_out[3 * b.n + i]; /* of member 3 */
    b.job.adapter_in = x;
    for (uint32_t k = 0; k < N_DIRECTIONS; k++) {
        double along = 0, loss[2], norm = 0;
        for (size_t i = 0; i < b.n; i++) {
            double d = rng_normal(1, RNG_SPLIT, k, i);
            along += d * (double)g[i];
            norm += (double)g[i] * (double)g[i];
        }
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < b.n; i++)
                x[i] = base[i] + (float)((side ? -h : h) * rng_normal(1, RNG_SPLIT, k, i) * 0.1);
            CHECK_INT(trainer_run(t, &b.job, NULL), OK);
            loss[side] = b.job.loss[3];
        }
        double slope = (loss[0] - loss[1]) / (2 * h * 0.1);
        if (!(fabs(slope - along) <= 0.01 * sqrt(norm)))
            TEST_FAIL("direction %u: slope %.6g, gradient %.6g, |g| %.3g", k, slope, along,
                      sqrt(norm));
    }
    trainer_close(t);
    bench_fini(&b);
}

/* From one gradient, by hand: clipping to norm c, momentum, AdamW's first step of size lr. */
static void local_optimizers_do_their_steps(void)
{
    struct bench b;
    struct lora_spec dry = spec;
    dry.dropout = 0;
    bench_init(&b, &dry);
    const struct train_hyper plain = {.local_steps = 1, .lr = 0.5f};
    float *g = ARENA_NEW(&b.a, float, b.n);
    double norm = 0;
    b.job.hyper = plain;
    run(&b, &dry, 2);
    for (size_t i = 0; i < b.n; i++) {
        g[i] = (b.job.adapter_in[i] - b.job.adapter_out[i]) / 0.5f;
        norm += (double)g[i] * (double)g[i];
    }
    norm = sqrt(norm);
    b.job.hyper.max_grad_norm = (float)(norm / 4);
    run(&b, &dry, 2);
    double moved = 0;
    for (size_t i = 0; i < b.n; i++)
        moved += pow((double)(b.job.adapter_in[i] - b.job.adapter_out[i]) / 0.5, 2);
    CHECK_REL(sqrt(moved), norm / 4, 1e-3);
    b.job.hyper = plain;
    b.job.hyper.optimizer = LOCAL_ADAMW;
    b.job.hyper.lr = 0.01f;
    b.job.hyper.beta1 = 0.9f;
    b.job.hyper.beta2 = 0.999f;
    b.job.hyper.epsilon = 1e-12f;
    b.job.hyper.weight_decay = 0.1f;
    run(&b, &dry, 2);
    for (size_t i = 0; i < b.n; i++) {
        double x = (double)b.job.adapter_in[i];
        double want = x - 0.01 * 0.1 * x - (g[i] > 0 ? 0.01 : -0.01);
        if (fabs((double)g[i]) > 1e-5)
            CHECK_NEAR((double)b.job.adapter_out[i], want, 1e-5);
    }
    bench_fini(&b);
}

static void momentum_repeats_the_first_step(void)
{
    struct bench b;
    struct lora_spec dry = spec;
    dry.dropout = 0;
    bench_init(&b, &dry);
    /* two equal mini-batches and a tiny step: g2 = g1, so x moves by lr g (1 + 1 + m) */
    for (int c = 0; c < N_CLIENTS; c++) {
        const struct sample **list = ARENA_NEW(&b.a, const struct sample *, 2);
        list[0] = list[1] = &b.sample[c];
        b.n_per_step[c][0] = b.n_per_step[c][1] = 1;
        b.member[c].sample = list;
    }
    b.job.hyper = (struct train_hyper){.local_steps = 2, .lr = 1e-3f};
    run(&b, &dry, 2);
    double plain = 0, heavy = 0;
    for (size_t i = 0; i < b.n; i++)
        plain += pow((double)(b.job.adapter_in[i] - b.job.adapter_out[i]), 2);
    b.job.hyper.momentum = 0.5f;
    run(&b, &dry, 2);
    for (size_t i = 0; i < b.n; i++)
        heavy += pow((double)(b.job.adapter_in[i] - b.job.adapter_out[i]), 2);
    CHECK_REL(sqrt(heavy / plain), 2.5 / 2, 1e-2);
    bench_fini(&b);
}

/* Two steps with the same mini-batch: x1 = x0 - lr g(x0), x2 = x1 - lr (g(x1) + mu (x1 - x0)), so
 * the proximal term moves x2 by lr^2 mu g(x0) = -lr mu (x1 - x0). */
static void the_proximal_term_pulls_back_to_the_start(void)
{
    const double lr = 0.1, mu = 3;
    struct bench b;
    struct lora_spec dry = spec;
    dry.dropout = 0;
    bench_init(&b, &dry);
    float *one = ARENA_NEW(&b.a, float, N_CLIENTS *b.n),
          *two = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    b.job.hyper = (struct train_hyper){.local_steps = 1, .lr = (float)lr, .prox_mu = (float)mu};
    run(&b, &dry, 2);
    memcpy(one, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*one));
    b.job.hyper.prox_mu = 0;
    run(&b, &dry, 2); /* in the first step the term is 0 */
    CHECK_TRUE(memcmp(one, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*one)) == 0);
    b.job.hyper.local_steps = 2;
    run(&b, &dry, 2);
    memcpy(two, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*two));
    b.job.hyper.prox_mu = (float)mu;
    run(&b, &dry, 2);
    double off = 0, moved = 0;
    for (size_t i = 0; i < N_CLIENTS * b.n; i++) {
        double want = -lr * mu * ((double)one[i] - (double)b.job.adapter_in[i % b.n]);
        off += pow((double)b.job.adapter_out[i] - (double)two[i] - want, 2);
        moved += want * want;
    }
    CHECK_TRUE(moved > 0 && sqrt(off) <= 1e-4 * sqrt(moved));
    bench_fini(&b);
}

/* A member with one mini-batch beside others with two, AdamW: as if the job had one step. */
static void a_member_that_has_done_its_steps_rests(void)
{
    struct bench b;
    struct lora_spec dry = spec;
    dry.dropout = 0;
    bench_init(&b, &dry);
    b.job.hyper = (struct train_hyper){.local_steps = 2,
                                       .optimizer = LOCAL_ADAMW,
                                       .lr = 0.01f,
                                       .beta1 = 0.9f,
                                       .beta2 = 0.99f,
                                       .epsilon = 1e-8f};
    run(&b, &dry, 2);
    float *two = ARENA_NEW(&b.a, float, N_CLIENTS *b.n);
    memcpy(two, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*two));
    b.n_per_step[3][1] = b.n_per_step[4][1] = b.n_per_step[9][1] = 0;
    run(&b, &dry, 2);
    double loss = b.job.loss[3];
    for (size_t c = 0; c < N_CLIENTS; c++) {
        bool rests = c == 3 || c == 4 || c == 9;
        const float *x = b.job.adapter_out + c * b.n;
        double error = change_error(x, two + c * b.n, b.job.adapter_in, b.n);
        CHECK_TRUE(rests ? error > 1e-2 : error <= 1e-4);
    }
    memcpy(two, b.job.adapter_out, N_CLIENTS * b.n * sizeof(*two));
    b.job.hyper.local_steps = 1;
    run(&b, &dry, 2);
    CHECK_TRUE(memcmp(two + 3 * b.n, b.job.adapter_out + 3 * b.n, 2 * b.n * sizeof(*two)) == 0);
    CHECK_NEAR(b.job.loss[3], loss, 0);
    bench_fini(&b);
}

/* What a mark does after the first step's update. */
static void stop_after_update(void *user, enum t5_part part)
{
    if (part == T5_PART_UPDATE)
        atomic_store((atomic_bool *)user, true);
}

static void a_job_that_is_stopped_ends_before_its_next_step(void)
{
    struct bench b;
    struct err e = {0};
    bench_init(&b, &spec);
    CHECK_TRUE(b.job.hyper.local_steps > 1);
    struct trainer *t = open_trainer(&b, &spec, N_CLIENTS, 1);
    atomic_bool is_stopped = false;
    const struct t5_marks marks = {.ended = stop_after_update, .user = &is_stopped};
    trainer_mark(t, &marks);
    b.job.adapter_out[0] = 77;
    CHECK_INT(trainer_run(t, &b.job, &e), OK); /* nobody told the job */
    CHECK_TRUE(b.job.adapter_out[0] < 77);
    atomic_store(&is_stopped, false);
    b.job.is_stopped = &is_stopped;
    b.job.adapter_out[0] = 77;
    CHECK_INT(trainer_run(t, &b.job, &e), ERR_INTERRUPTED);
    CHECK_HAS(e.text, "stopped before local step 2");
    CHECK_TRUE(b.job.adapter_out[0] >= 77);
    trainer_close(t);
    bench_fini(&b);
}

static void the_loss_of_untrained_weights_is_near_the_logarithm_of_the_vocabulary_or_more(void)
{
    struct bench b;
    bench_init(&b, &spec);
    run(&b, &spec, 2);
    for (int c = 0; c < N_CLIENTS; c++)
        CHECK_TRUE(b.job.loss[c] > 0.9 * log(VOCAB) && b.job.loss[c] < 100);
    bench_fini(&b);
}

static void a_job_or_plan_that_is_too_large_is_refused(void)
{
    struct err e = {0};
    struct bench b;
    bench_init(&b, &spec);
    struct trainer *t = open_trainer(&b, &spec, 2, 1);
    CHECK_INT(trainer_run(t, &b.job, &e), ERR_LIMIT);
    CHECK_HAS(e.text, "a job of 10 clients: planned for 2");
    trainer_close(t);
    const struct train_limits huge = {
        .max_members = 1 << 30, .max_batch = 1 << 30, .max_input = 512, .max_target = 95};
    CHECK_INT(trainer_open(&t, b.model, &spec, &huge, 1, &e), ERR_LIMIT);
    const struct train_limits tight = {.max_members = N_CLIENTS,
                                       .max_batch = BATCH,
                                       .max_input = 40,
                                       .max_target = 12,
                                       .max_input_rows = 50};
    CHECK_INT(trainer_open(&t, b.model, &spec, &tight, 1, &e), OK);
    CHECK_INT(trainer_run(t, &b.job, &e), ERR_LIMIT);
    CHECK_HAS(e.text, "50 input");
    trainer_close(t);
    struct lora_spec bad = spec;
    bad.rank = 0;
    CHECK_INT(trainer_open(&t, b.model, &bad, &tight, 1, &e), ERR_INPUT);
    bench_fini(&b);
}

int main(void)
{
    lab_skip_unless(&LAB_BACKEND);
    CASE(a_client_alone_gets_what_it_gets_in_a_cohort_of_ten);
    CASE(the_number_of_threads_changes_no_byte);
    CASE(a_trainer_used_before_gives_the_same_bytes);
    CASE(trainers_on_two_threads_share_a_model);
    CASE(the_seed_draws_the_masks_and_only_them);
    CASE(gradients_agree_with_finite_differences);
    CASE(local_optimizers_do_their_steps);
    CASE(momentum_repeats_the_first_step);
    CASE(the_proximal_term_pulls_back_to_the_start);
    CASE(a_member_that_has_done_its_steps_rests);
    CASE(a_job_that_is_stopped_ends_before_its_next_step);
    CASE(the_loss_of_untrained_weights_is_near_the_logarithm_of_the_vocabulary_or_more);
    CASE(the_plan_is_what_a_trainer_takes);
    CASE(a_job_or_plan_that_is_too_large_is_refused);
    return test_end();
}
