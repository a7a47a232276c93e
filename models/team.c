#include "models/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/check.h"

/* Looks at a flag before sleeping: some tens of microseconds, the usual gap between two loops of a pass. */
enum { N_SPINS = 1000 };

struct helper {
    struct team *team;
    pthread_t thread;
    int index;
};

/* A loop is open while is_open is set. A helper counts itself into n_inside before it looks at is_open, and
 * the caller closes the loop before it waits for n_inside to reach 0 (all sequentially consistent), so a
 * helper that wakes late either finds the loop closed and touches nothing, or is waited for. A helper that
 * never woke is not waited for: on a busy machine the caller does the work alone. */
struct team {
    team_fn *fn;
    void *arg;
    int n_tasks;
    atomic_int next;
    atomic_int n_inside;
    atomic_bool is_open;
    atomic_bool is_caller_asleep;
    atomic_uint n_loops; /* counts loops; what sleeping helpers wait for */
    atomic_int n_asleep;
    bool is_ending; /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    int n_helpers;
    struct helper *helper;
};

static inline void pause_a_moment(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static void do_tasks(struct team *t, int thread)
{
    for (;;) {
        int task = atomic_fetch_add_explicit(&t->next, 1, memory_order_relaxed);
        if (task >= t->n_tasks)
            return;
        t->fn(t->arg, task, thread);
    }
}

static void join_loop(struct team *t, int thread)
{
    atomic_fetch_add(&t->n_inside, 1);
    if (atomic_load(&t->is_open))
        do_tasks(t, thread);
    if (atomic_fetch_sub(&t->n_inside, 1) == 1 && atomic_load(&t->is_caller_asleep)) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_signal(&t->done);
        pthread_mutex_unlock(&t->lock);
    }
}

/* Waits until a loop after number seen has begun; false when the team ends. */
static bool wait_for_loop(struct team *t, unsigned seen)
{
    for (int i = 0; i < N_SPINS; i++) {
        if (atomic_load_explicit(&t->n_loops, memory_order_acquire) != seen)
            return true;
        pause_a_moment();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->n_asleep, 1);
    while (atomic_load(&t->n_loops) == seen && !t->is_ending)
        pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->n_asleep, 1);
    bool goes_on = !t->is_ending;
    pthread_mutex_unlock(&t->lock);
    return goes_on;
}

static void *helper_main(void *arg)
{
    struct helper *h = arg;
    unsigned seen = 0;
    while (wait_for_loop(h->team, seen)) {
        seen = atomic_load(&h->team->n_loops);
        join_loop(h->team, h->index);
    }
    return NULL;
}

enum err_code team_open(struct team **out, int n_threads, struct err *e)
{
    CHECK(n_threads >= 1);
    struct team *t = calloc(1, sizeof(*t));
    if (!t)
        return err_set(e, ERR_MEMORY, "thread team: no memory");
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    pthread_cond_init(&t->done, NULL);
    t->helper = calloc((size_t)n_threads, sizeof(*t->helper));
    if (!t->helper) {
        team_close(t);
        return err_set(e, ERR_MEMORY, "thread team: no memory for %d threads", n_threads);
    }
    for (int i = 1; i < n_threads; i++) {
        struct helper *h = &t->helper[i - 1];
        *h = (struct helper){.team = t, .index = i};
        int failed = pthread_create(&h->thread, NULL, helper_main, h);
        if (failed) {
            team_close(t);
            return err_set(e, ERR_LIMIT, "thread team: thread %d of %d: %s", i + 1, n_threads,
                           strerror(failed));
        }
        t->n_helpers++;
    }
    *out = t;
    return OK;
}

void team_close(struct team *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->is_ending = true;
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < t->n_helpers; i++)
        pthread_join(t->helper[i].thread, NULL);
    pthread_cond_destroy(&t->done);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->helper);
    free(t);
}

int team_threads(const struct team *t)
{
    return t->n_helpers + 1;
}

static void wait_for_helpers(struct team *t)
{
    for (int i = 0; i < N_SPINS; i++) {
        if (atomic_load(&t->n_inside) == 0)
            return;
        pause_a_moment();
    }
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->is_caller_asleep, true);
    while (atomic_load(&t->n_inside) != 0)
        pthread_cond_wait(&t->done, &t->lock);
    atomic_store(&t->is_caller_asleep, false);
    pthread_mutex_unlock(&t->lock);
}

void team_run(struct team *t, int n_tasks, team_fn *fn, void *arg)
{
    if (t->n_helpers == 0 || n_tasks <= 1) {
        for (int task = 0; task < n_tasks; task++)
            fn(arg, task, 0);
        return;
    }
    t->fn = fn;
    t->arg = arg;
    t->n_tasks = n_tasks;
    atomic_store_explicit(&t->next, 0, memory_order_relaxed);
    atomic_store(&t->is_open, true);
    atomic_fetch_add(&t->n_loops, 1);
    if (atomic_load(&t->n_asleep) > 0) {
        pthread_mutex_lock(&t->lock);
        pthread_cond_broadcast(&t->wake);
        pthread_mutex_unlock(&t->lock);
    }
    do_tasks(t, 0);
    atomic_store(&t->is_open, false);
    wait_for_helpers(t);
}
