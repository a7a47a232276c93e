#include "sim/pool.h"

#include <signal.h>
#include <stdint.h>

#include "tests/test.h"

#define N_JOBS 200

struct tally {
    uint64_t input, output;
    uint64_t *chain; /* order-dependent: shows that a lane keeps its order */
};

static void work(void *arg)
{
    struct tally *t = arg;
    uint64_t x = t->input;
    for (int i = 0; i < 20000; i++)
        x = x * 6364136223846793005u + 1442695040888963407u;
    t->output = x;
    if (t->chain)
        *t->chain = *t->chain * 31 + t->input;
}

static void run(int n_lanes, uint64_t chain[2])
{
    struct pool *p = NULL;
    struct err e = {0};
    CHECK_INT(pool_open(&p, n_lanes, &e), OK);
    static const uint64_t start = 7;
    chain[0] = chain[1] = start;
    struct tally tally[N_JOBS];
    struct pool_job job[N_JOBS];
    memset(job, 0, sizeof(job));
    for (int i = 0; i < N_JOBS; i++) {
        int lane = i % 2;
        tally[i] = (struct tally){.input = (uint64_t)i, .chain = &chain[lane]};
        job[i].work = work;
        job[i].arg = &tally[i];
        pool_submit(p, lane % n_lanes, &job[i]);
        if (i % 17 == 0)
            CHECK_INT(pool_wait(p, &job[i / 2], &e), OK);
    }
    for (int i = N_JOBS - 1; i >= 0; i--)
        CHECK_INT(pool_wait(p, &job[i], &e), OK);
    for (int i = 0; i < N_JOBS; i++)
        CHECK_TRUE(pool_is_done(p, &job[i]));
    pool_close(p);
}

static void jobs_of_a_lane_keep_their_order_for_any_number_of_lanes(void)
{
    uint64_t one[2], two[2];
    run(1, one);
    run(2, two);
    CHECK_TRUE(one[0] == two[0] && one[1] == two[1]);
}

static void closing_waits_for_jobs_nobody_joined(void)
{
    struct pool *p = NULL;
    struct err e = {0};
    CHECK_INT(pool_open(&p, 2, &e), OK);
    struct tally tally[2] = {{.input = 1}, {.input = 2}};
    struct pool_job job[2] = {{.work = work, .arg = &tally[0]}, {.work = work, .arg = &tally[1]}};
    pool_submit(p, 0, &job[0]);
    pool_submit(p, 1, &job[1]);
    pool_close(p);
    CHECK_TRUE(tally[0].output != 0 && tally[1].output != 0);
}

static void a_signal_ends_a_wait(void)
{
    struct pool *p = NULL;
    struct err e = {0};
    CHECK_INT(pool_open(&p, 1, &e), OK);
    pool_watch(p);
    CHECK_TRUE(!pool_is_interrupted(p));
    raise(SIGINT);
    CHECK_TRUE(pool_is_interrupted(p));
    struct pool_job never = {.work = work};
    CHECK_INT(pool_wait(p, &never, &e), ERR_INTERRUPTED);
    pool_close(p);
}

int main(void)
{
    CASE(jobs_of_a_lane_keep_their_order_for_any_number_of_lanes);
    CASE(closing_waits_for_jobs_nobody_joined);
    CASE(a_signal_ends_a_wait);
    return test_end();
}
