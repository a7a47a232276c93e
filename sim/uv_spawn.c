#include "sim/spawn.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>
#include <uv.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

enum { TAIL_BYTES = 4096, TICK_MS = 1000 };

/* A child that runs: its process, the pipe of its stderr and the end of what came through it. */
struct slot {
    struct crew *crew;
    size_t index;
    uv_process_t process;
    uv_pipe_t pipe;
    int n_open; /* of the two handles */
    bool is_running;
    size_t n_tail;
    char tail[TAIL_BYTES], chunk[TAIL_BYTES];
};

struct crew {
    uv_loop_t loop;
    uv_signal_t on_int, on_term;
    uv_timer_t timer;
    size_t n, n_begun, n_slots;
    struct spawn_child *child;
    struct slot *slot;
    const struct spawn_watch *watch;
    bool is_interrupted;
};

/* The last line that says something, without the word that main puts in front. */
static void last_words(struct slot *s, char *out, size_t n)
{
    while (s->n_tail && strchr("\r\n ", s->tail[s->n_tail - 1]))
        s->n_tail--;
    size_t begin = s->n_tail;
    while (begin && s->tail[begin - 1] != '\n')
        begin--;
    if (s->n_tail - begin > 7 && memcmp(s->tail + begin, "error: ", 7) == 0)
        begin += 7;
    snprintf(out, n, "%.*s", (int)(s->n_tail - begin), s->tail + begin);
}

static void ended(struct crew *c, struct slot *s)
{
    struct spawn_child *child = &c->child[s->index];
    child->is_ended = true;
    if (child->status)
        last_words(s, child->said, sizeof(child->said));
    if (child->status > 128 && !child->said[0])
        snprintf(child->said, sizeof(child->said), "ended by signal %d (%s)", child->status - 128,
                 strsignal(child->status - 128));
    else if (child->status && !child->said[0])
        snprintf(child->said, sizeof(child->said), "exit status %d without a message",
                 child->status);
    if (c->watch->ended)
        c->watch->ended(c->watch->user, s->index);
}

static void handle_closed(uv_handle_t *handle)
{
    struct slot *s = handle->data;
    if (--s->n_open > 0)
        return;
    s->is_running = false;
    ended(s->crew, s);
}

static void exited(uv_process_t *process, int64_t status, int signum)
{
    struct slot *s = process->data;
    s->crew->child[s->index].status = signum ? 128 + signum : (int)status;
    uv_close((uv_handle_t *)process, handle_closed);
}

static void give_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
    (void)suggested;
    struct slot *s = handle->data;
    *buffer = uv_buf_init(s->chunk, sizeof(s->chunk));
}

/* Keeps the last half buffer at least. */
static void heard(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
    struct slot *s = stream->data;
    if (n < 0) {
        uv_close((uv_handle_t *)stream, handle_closed);
        return;
    }
    size_t more = (size_t)n;
    if (s->n_tail + more > TAIL_BYTES) {
        size_t drop = s->n_tail + more - TAIL_BYTES;
        s->n_tail -= drop;
        memmove(s->tail, s->tail + drop, s->n_tail);
    }
    memcpy(s->tail + s->n_tail, buffer->base, more);
    s->n_tail += more;
}

/* libuv takes argv without const and leaves it alone. */
static int start(struct crew *c, struct slot *s)
{
    const char *const *argv = c->child[s->index].argv;
    char **open_argv;
    memcpy(&open_argv, &argv, sizeof(open_argv));
    uv_stdio_container_t stdio[3] = {{.flags = UV_IGNORE}, {.flags = UV_IGNORE}};
    CHECK(uv_pipe_init(&c->loop, &s->pipe, 0) == 0);
    stdio[2].flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE);
    stdio[2].data.stream = (uv_stream_t *)&s->pipe;
    const uv_process_options_t options = {.file = argv[0],
                                          .args = open_argv,
                                          .flags = UV_PROCESS_DETACHED,
                                          .stdio_count = 3,
                                          .stdio = stdio,
                                          .exit_cb = exited};
    s->process.data = s->pipe.data = s;
    s->n_open = 2;
    s->n_tail = 0;
    s->is_running = true;
    int rc = uv_spawn(&c->loop, &s->process, &options);
    if (!rc)
        rc = uv_read_start((uv_stream_t *)&s->pipe, give_buffer, heard);
    return rc;
}

static void begin(struct crew *c, struct slot *s, size_t index)
{
    s->crew = c;
    s->index = index;
    c->child[index].is_started = true;
    int rc = start(c, s);
    if (!rc)
        return;
    c->child[index].status = 127;
    s->n_tail =
        (size_t)snprintf(s->tail, sizeof(s->tail), "cannot be started: %s", uv_strerror(rc));
    uv_close((uv_handle_t *)&s->process, handle_closed);
    uv_close((uv_handle_t *)&s->pipe, handle_closed);
}

/* Begins what there is a slot for; false when nothing runs and nothing will. */
static bool keep_busy(struct crew *c)
{
    bool is_busy = false;
    for (size_t i = 0; i < c->n_slots; i++) {
        if (!c->slot[i].is_running && c->n_begun < c->n && !c->is_interrupted)
            begin(c, &c->slot[i], c->n_begun++);
        is_busy = is_busy || c->slot[i].is_running;
    }
    return is_busy;
}

static void interrupted(uv_signal_t *handle, int signum)
{
    (void)signum;
    struct crew *c = handle->data;
    c->is_interrupted = true;
    uv_signal_stop(&c->on_int); /* a second one ends the process */
    uv_signal_stop(&c->on_term);
    for (size_t i = 0; i < c->n_slots; i++)
        if (c->slot[i].is_running && uv_is_active((uv_handle_t *)&c->slot[i].process))
            uv_process_kill(&c->slot[i].process, SIGINT);
}

static void ticked(uv_timer_t *timer)
{
    struct crew *c = timer->data;
    if (c->watch->tick)
        c->watch->tick(c->watch->user);
}

enum err_code spawn_all(size_t n, struct spawn_child *child, size_t n_at_once,
                        const struct spawn_watch *watch, struct err *e)
{
    CHECK(n_at_once >= 1);
    if (n == 0)
        return OK;
    struct crew c = {
        .n = n, .child = child, .watch = watch, .n_slots = n < n_at_once ? n : n_at_once};
    void *memory;
    enum err_code code =
        mem_big(&memory, c.n_slots * sizeof(struct slot), "the child processes", e);
    if (code)
        return code;
    c.slot = memory;
    int rc = uv_loop_init(&c.loop);
    if (rc) {
        mem_free(c.slot);
        return err_set(e, ERR_INTERNAL, "libuv: no event loop: %s", uv_strerror(rc));
    }
    CHECK(uv_signal_init(&c.loop, &c.on_int) == 0 && uv_signal_init(&c.loop, &c.on_term) == 0);
    CHECK(uv_timer_init(&c.loop, &c.timer) == 0);
    c.on_int.data = c.on_term.data = c.timer.data = &c;
    uv_signal_start(&c.on_int, interrupted, SIGINT);
    uv_signal_start(&c.on_term, interrupted, SIGTERM);
    uv_timer_start(&c.timer, ticked, TICK_MS, TICK_MS);
    while (keep_busy(&c))
        uv_run(&c.loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&c.on_int, NULL);
    uv_close((uv_handle_t *)&c.on_term, NULL);
    uv_close((uv_handle_t *)&c.timer, NULL);
    uv_run(&c.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&c.loop) == 0);
    mem_free(c.slot);
    return c.is_interrupted ? err_set(e, ERR_INTERRUPTED, "interrupted") : OK;
}

enum err_code spawn_self(char *out, size_t n, struct err *e)
{
    int rc = uv_exepath(out, &n);
    return rc ? err_set(e, ERR_INTERNAL, "libuv: own path: %s", uv_strerror(rc)) : OK;
}

enum err_code spawn_end_with(long parent, struct err *e)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        return err_set(e, ERR_INTERRUPTED, "process %ld, which wanted this run, has ended", parent);
    return OK;
}
