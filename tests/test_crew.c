/* A cohort cut into parts for several devices: every client once, the same bytes for any number of devices, one
 * part's results to rounding. */
#include "tests/lab_backend.h"
#include "tests/made_up.h"
#include "tests/test.h"

#include "models/crew.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"

enum { N_CLIENTS = 5, BATCH = 2, STEPS = 2, VOCAB = 30, MAX_IN = 9, MAX_OUT = 4 };

static const struct t5_config CONFIG = {VOCAB, 16, 8, 16, 2, 1, 1, 32, 128, 1e-6f, 0.1f, 0, 1, 0};
static const struct lora_spec LORA = {
    .rank = 4, .alpha = 8, .dropout = 0.05f, .targets = LORA_Q | LORA_V};

/* --- the work --- */

struct bench {
    struct arena a;
    struct train_job job;
    struct train_limits limits;
    size_t n; /* values of an adapter */
};

static struct train_member member(struct arena *a, uint32_t c)
{
    const struct sample **list = ARENA_NEW(a, const struct sample *, STEPS * BATCH);
    int *n_per_step = ARENA_NEW(a, int, STEPS);
    for (uint32_t i = 0; i < STEPS * BATCH; i++) {
        struct sample *s = ARENA_NEW(a, struct sample, 1);
        s->n_input = 2 + (int)((c + i) % (MAX_IN - 1));
        s->n_target = 1 + (int)((c + 2 * i) % MAX_OUT);
        s->input = made_up_tokens(a, 8 * c + i, s->n_input, VOCAB, false);
        s->target = made_up_tokens(a, 1000 + 8 * c + i, s->n_target, VOCAB, false);
        list[i] = s;
    }
    n_per_step[0] = 1 + (int)(c % BATCH);
    n_per_step[1] = BATCH;
    return (struct train_member){100 + c, list, n_per_step};
}

static void bench_init(struct bench *b)
{
    struct lora_layout l;
    *b = (struct bench){.limits = {N_CLIENTS, BATCH, MAX_IN, MAX_OUT, 0, 0}};
    struct train_member *m = ARENA_NEW(&b->a, struct train_member, N_CLIENTS);
    for (uint32_t c = 0; c < N_CLIENTS; c++)
        m[c] = member(&b->a, c);
    lora_layout_init(&l, &CONFIG, &LORA);
    b->n = l.size;
    float *in = ARENA_NEW(&b->a, float, l.size);
    lora_init(&l, 9, in);
    for (size_t i = 0; i < l.size; i++) /* B must not be 0, or A gets no gradient */
        in[i] += (float)(0.05 * rng_normal(9, RNG_SPLIT, 0, i));
    lora_layout_fini(&l);
    b->job = (struct train_job){.n_members = N_CLIENTS,
                                .member = m,
                                .hyper = {.local_steps = STEPS, .lr = 0.1f, .dropout = 0.1f},
                                .seed = 77,
                                .adapter_in = in};
}

struct outcome {
    float *adapter; /* [N_CLIENTS * n] */
    double loss[N_CLIENTS];
};

static void train(struct bench *b, int n_devices, int n_parts, size_t n_abreast, struct outcome *out)
{
    struct backend_ops ops = lab_machine(n_devices);
    struct t5 *model = NULL;
    struct crew *crew = NULL;
    struct err e = {0};
    out->adapter = ARENA_NEW(&b->a, float, N_CLIENTS * b->n);
    b->job.adapter_out = out->adapter;
    b->job.loss = out->loss;
    if (t5_open_random(&model, &ops, &CONFIG, 5, &e) ||
        crew_open(&crew, model, &LORA, &b->limits, n_parts, 4, &e) ||
        crew_run(crew, &b->job, n_abreast, &e))
        TEST_FAIL("%s", e.text);
    else
        CHECK_INT(crew_size(crew), n_devices < n_parts ? n_devices : n_parts);
    for (int part = 0; crew && part < n_parts; part++)
        CHECK_INT(crew_worker_of(crew, part), part % crew_size(crew));
    crew_close(crew);
    t5_close(model);
}

/* |a - b| / |a - base|: error of the change that training made. */
static double change_error(const struct bench *b, const float *x, const float *y)
{
    double diff = 0, norm = 0;
    for (size_t i = 0; i < N_CLIENTS * b->n; i++) {
        diff += pow((double)x[i] - (double)y[i], 2);
        norm += pow((double)x[i] - (double)b->job.adapter_in[i % b->n], 2);
    }
    return sqrt(diff / norm);
}

static void check_same(const struct bench *b, const struct outcome *x, const struct outcome *y)
{
    CHECK_TRUE(memcmp(x->adapter, y->adapter, N_CLIENTS * b->n * sizeof(float)) == 0);
    CHECK_TRUE(memcmp(x->loss, y->loss, sizeof(x->loss)) == 0);
}

/* --- cases --- */

static void every_member_is_in_one_pass_of_one_part(void)
{
    const size_t sizes[] = {1, 2, 5, 10, 63, 64, 65, 1000};
    const int parts[] = {1, 2, 3, 7, 64};
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 5; j++)
            for (size_t n_abreast = 1; n_abreast <= sizes[i]; n_abreast += 1 + n_abreast / 3) {
                size_t n = sizes[i], part_n[CREW_MAX_PARTS] = {0}, n_passes = 0, most = 0, least = n;
                int before = 0, part = 0, last = parts[j] - 1;
                for (size_t first = 0, take; first < n; first += take, n_passes++) {
                    take = crew_pass(n, parts[j], n_abreast, first, &part);
                    CHECK_TRUE(take >= 1 && take <= n_abreast && first + take <= n);
                    CHECK_TRUE(part == before || part == before + 1);
                    part_n[part] += take;
                    before = part;
                }
                last = (size_t)last < n ? last : (int)n - 1;
                CHECK_INT(part, last);
                for (int p = 0; p <= last; p++) {
                    most = part_n[p] > most ? part_n[p] : most;
                    least = part_n[p] < least ? part_n[p] : least;
                }
                CHECK_INT(most, crew_part_size(n, parts[j]));
                CHECK_TRUE(most - least <= 1);
                CHECK_TRUE(n_passes <= crew_most_passes(n, parts[j], n_abreast));
            }
}

static void devices_change_no_bit_and_parts_change_rounding_only(void)
{
    struct bench b;
    struct outcome whole, of[3];
    bench_init(&b);
    for (int n_devices = 1; n_devices <= 3; n_devices++)
        train(&b, n_devices, 3, N_CLIENTS, &of[n_devices - 1]);
    check_same(&b, &of[1], &of[0]);
    check_same(&b, &of[2], &of[0]);
    train(&b, 1, 1, N_CLIENTS, &whole);
    double error = change_error(&b, whole.adapter, of[0].adapter);
    if (!(error <= 1e-5))
        TEST_FAIL("the adapters' change differs by %g", error);
    for (int c = 0; c < N_CLIENTS; c++)
        CHECK_REL(of[0].loss[c], whole.loss[c], 1e-5);
    arena_free(&b.a);
}

static void passes_of_a_part_are_its_own(void)
{
    struct bench b;
    struct outcome of[2];
    bench_init(&b);
    for (int n_devices = 1; n_devices <= 2; n_devices++)
        train(&b, n_devices, 2, 1, &of[n_devices - 1]);
    check_same(&b, &of[1], &of[0]);
    arena_free(&b.a);
}

static void a_replica_has_the_same_weights_and_hash(void)
{
    struct backend_ops ops = lab_machine(2);
    struct t5 *model = NULL, *other = NULL;
    struct err e = {0};
    struct arena a = {0};
    if (t5_open_random(&model, &ops, &CONFIG, 5, &e) || t5_open_replica(&other, model, 1, &e)) {
        TEST_FAIL("%s", e.text);
    } else {
        size_t n = t5_n_flat(model);
        float *x = ARENA_NEW(&a, float, n), *y = ARENA_NEW(&a, float, n);
        CHECK_INT(t5_get_flat(model, x, &e), OK);
        CHECK_INT(t5_get_flat(other, y, &e), OK);
        CHECK_TRUE(memcmp(x, y, n * sizeof(float)) == 0);
        CHECK_TRUE(t5_hash(model).lo == t5_hash(other).lo && t5_hash(model).hi == t5_hash(other).hi);
        CHECK_INT(t5_rehash(other, &e), OK);
        CHECK_TRUE(t5_hash(model).lo == t5_hash(other).lo);
        CHECK_TRUE(t5_weights(model) != t5_weights(other));
    }
    t5_close(other);
    t5_close(model);
    arena_free(&a);
}

/* A part that is larger than its trainer was planned for. */
static void a_failure_of_any_worker_comes_out(void)
{
    struct bench b;
    struct err e = {0};
    struct t5 *model = NULL;
    struct crew *crew = NULL;
    struct backend_ops ops = lab_machine(2);
    struct outcome out;
    bench_init(&b);
    out.adapter = ARENA_NEW(&b.a, float, N_CLIENTS * b.n);
    b.job.adapter_out = out.adapter;
    b.job.loss = out.loss;
    b.limits.max_members = 2; /* parts of 2 and 3 */
    if (t5_open_random(&model, &ops, &CONFIG, 5, &e) ||
        crew_open(&crew, model, &LORA, &b.limits, 2, 2, &e))
        TEST_FAIL("%s", e.text);
    CHECK_INT(crew_run(crew, &b.job, N_CLIENTS, &e), ERR_LIMIT);
    CHECK_HAS(e.text, "a job of 3 clients");
    crew_close(crew);
    t5_close(model);
    arena_free(&b.a);
}

int main(void)
{
    setenv("CUDA_EMU_DEVICES", "2", 0); /* for tests/cuda_emu: memory of either is hidden from the other's kernels */
    lab_skip_unless(&LAB_BACKEND);
    CASE(every_member_is_in_one_pass_of_one_part);
    CASE(a_replica_has_the_same_weights_and_hash);
    CASE(devices_change_no_bit_and_parts_change_rounding_only);
    CASE(passes_of_a_part_are_its_own);
    CASE(a_failure_of_any_worker_comes_out);
    return test_end();
}
