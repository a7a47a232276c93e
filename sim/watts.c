#include "sim/watts.h"

#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"
#include "sim/watts_source.h"

#define PERIOD_NS 100000000L /* 10 Hz */

struct watts {
    struct arena arena; /* owns this struct */
    const struct watts_source *source;
    void *state;
    pthread_t thread;
    pthread_mutex_t lock;
    double sum_w;
    int n;
    bool is_over;
};

static void *sample(void *arg)
{
    struct watts *w = arg;
    const struct timespec period = {0, PERIOD_NS};
    for (bool is_over = false; !is_over;) {
        nanosleep(&period, NULL);
        pthread_mutex_lock(&w->lock);
        double now_w = w->source->read(w->state);
        if (!isnan(now_w)) {
            w->sum_w += now_w;
            w->n++;
        }
        is_over = w->is_over;
        pthread_mutex_unlock(&w->lock);
    }
    return NULL;
}

struct watts *watts_open(bool is_gpu, char why[160])
{
    const struct watts_source *source = is_gpu ? &watts_nvml : &watts_rapl;
    void *state = source->open(why);
    if (!state)
        return NULL;
    struct arena arena = {0};
    struct watts *w = ARENA_NEW(&arena, struct watts, 1);
    w->arena = arena;
    w->source = source;
    w->state = state;
    pthread_mutex_init(&w->lock, NULL);
    CHECK(pthread_create(&w->thread, NULL, sample, w) == 0);
    return w;
}

void watts_close(struct watts *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_over = true;
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    w->source->close(w->state);
    struct arena arena = w->arena;
    arena_free(&arena);
}

void watts_about(struct watts *w, struct watts_about *out)
{
    *out = (struct watts_about){.clock_mhz = (double)NAN, .limit_w = (double)NAN};
    pthread_mutex_lock(&w->lock);
    w->source->about(w->state, out);
    pthread_mutex_unlock(&w->lock);
}

void watts_begin(struct watts *w)
{
    pthread_mutex_lock(&w->lock);
    w->source->read(w->state); /* a counter's reading covers the time since the last one */
    w->sum_w = 0;
    w->n = 0;
    pthread_mutex_unlock(&w->lock);
}

double watts_mean(struct watts *w, int *n_readings)
{
    pthread_mutex_lock(&w->lock);
    double mean = w->n > 0 ? w->sum_w / w->n : (double)NAN;
    if (n_readings)
        *n_readings = w->n;
    pthread_mutex_unlock(&w->lock);
    return mean;
}
