#define _DEFAULT_SOURCE /* usleep */
#include "models/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#include "tests/test.h"

enum { N_TASKS = 500 };

struct work {
    int n_done[N_TASKS];
    double value[N_TASKS];
    atomic_int n_seen;
};

static void count_task(void *arg, int task, int thread)
{
    struct work *w = arg;
    w->n_done[task]++;
    w->value[task] += 1.0 / (task + 1);
    atomic_fetch_add(&w->n_seen, 1);
    (void)thread;
}

static struct team *team_of(int n_threads)
{
    struct team *t = NULL;
    struct err e = {0};
    if (team_open(&t, n_threads, &e)) {
        printf("cannot open a team of %d: %s\n", n_threads, e.text);
        exit(1);
    }
    return t;
}

/* Plain memory, written by tasks and read by the caller between loops: the thread sanitizer watches. */
static void every_task_runs_once_in_each_of_many_loops(void)
{
    for (int threads = 1; threads <= 5; threads++) {
        struct team *t = team_of(threads);
        struct work w = {0};
        int want = 0;
        CHECK_INT(team_threads(t), threads);
        for (int loop = 0; loop < 400; loop++) {
            int n = loop * 37 % (N_TASKS + 1);
            team_run(t, n, count_task, &w);
            want += n;
            CHECK_INT(atomic_load(&w.n_seen), want);
        }
        int total = 0;
        for (int i = 0; i < N_TASKS; i++)
            total += w.n_done[i];
        CHECK_INT(total, want);
        team_close(t);
    }
}

static void loops_of_no_task_and_of_one_task(void)
{
    struct team *t = team_of(3);
    struct work w = {0};
    team_run(t, 0, count_task, &w);
    CHECK_INT(atomic_load(&w.n_seen), 0);
    team_run(t, 1, count_task, &w);
    CHECK_INT(w.n_done[0], 1);
    CHECK_INT(atomic_load(&w.n_seen), 1);
    team_close(t);
}

struct threads_seen {
    unsigned char is_busy[4];
    atomic_int n_bad, n_arrived;
};

static void watch_thread(void *arg, int task, int thread)
{
    struct threads_seen *s = arg;
    (void)task;
    if (thread < 0 || thread > 3 || s->is_busy[thread]++ != 0)
        atomic_fetch_add(&s->n_bad, 1);
    s->is_busy[thread]--;
}

/* is_busy is plain memory: two threads with one number would also be a race. */
static void no_two_tasks_at_a_time_have_one_thread_number(void)
{
    struct team *t = team_of(4);
    struct threads_seen s = {0};
    for (int loop = 0; loop < 50; loop++)
        team_run(t, 200, watch_thread, &s);
    CHECK_INT(atomic_load(&s.n_bad), 0);
    team_close(t);
}

static void nap(long ns)
{
    const struct timespec t = {.tv_nsec = ns};
    nanosleep(&t, NULL);
}

/* Tasks that end only when all four have begun. */
static void meet(void *arg, int task, int thread)
{
    struct threads_seen *s = arg;
    (void)task;
    (void)thread;
    atomic_fetch_add(&s->n_arrived, 1);
    while (atomic_load(&s->n_arrived) < 4)
        nap(10000);
}

static void all_threads_take_part(void)
{
    struct team *t = team_of(4);
    struct threads_seen s = {0};
    team_run(t, 4, meet, &s);
    CHECK_INT(atomic_load(&s.n_arrived), 4);
    nap(20000000); /* helpers are asleep by now */
    atomic_store(&s.n_arrived, 0);
    team_run(t, 4, meet, &s);
    CHECK_INT(atomic_load(&s.n_arrived), 4);
    team_close(t);
}

struct short_loop {
    int number, n_tasks, n_done[3];
};

static void count_short(void *arg, int task, int thread)
{
    struct short_loop *s = arg;
    (void)thread;
    s->n_done[task] += s->number;
}

/* Loops that are over before helpers wake, each with its own argument and number of tasks: a helper that
 * comes late must not touch the next one. */
static void helpers_that_come_late_find_the_loop_closed(void)
{
    struct team *t = team_of(4);
    int n_bad = 0;
    for (int loop = 1; loop <= 30000; loop++) {
        struct short_loop s = {.number = loop, .n_tasks = 2 + loop % 2};
        team_run(t, s.n_tasks, count_short, &s);
        for (int i = 0; i < 3; i++)
            n_bad += s.n_done[i] != (i < s.n_tasks ? loop : 0);
        for (volatile int i = 0; i < loop % 400; i = i + 1)
            ; /* so that helpers wake at any moment of the next */
    }
    CHECK_INT(n_bad, 0);
    team_close(t);
}

static void a_team_may_be_closed_at_once_and_may_be_null(void)
{
    team_close(NULL);
    for (int i = 0; i < 20; i++)
        team_close(team_of(1 + i % 4));
}

static void *own_team(void *arg)
{
    struct team *t = team_of(3);
    struct work *w = arg;
    for (int loop = 0; loop < 100; loop++)
        team_run(t, N_TASKS, count_task, w);
    team_close(t);
    return NULL;
}

static void teams_of_different_callers_do_not_meet(void)
{
    struct work w[3] = {0};
    pthread_t caller[3];
    for (int i = 0; i < 3; i++)
        if (pthread_create(&caller[i], NULL, own_team, &w[i]) != 0)
            exit(1);
    for (int i = 0; i < 3; i++)
        pthread_join(caller[i], NULL);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(atomic_load(&w[i].n_seen), 100 * N_TASKS);
        CHECK_NEAR(w[i].value[9], 10.0, 1e-12);
    }
}

int main(void)
{
    CASE(every_task_runs_once_in_each_of_many_loops);
    CASE(loops_of_no_task_and_of_one_task);
    CASE(no_two_tasks_at_a_time_have_one_thread_number);
    CASE(all_threads_take_part);
    CASE(helpers_that_come_late_find_the_loop_closed);
    CASE(a_team_may_be_closed_at_once_and_may_be_null);
    CASE(teams_of_different_callers_do_not_meet);
    return test_end();
}
