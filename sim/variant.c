#include "sim/variant.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "energy/account.h"
#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/hash.h"
#include "sim/base/json.h"
#include "sim/base/wall.h"
#include "sim/progress.h"
#include "sim/result.h"
#include "sim/run.h"
#include "sim/spawn.h"

enum { MAX_PATH = 4096, MAX_FOLDER_NAME = 64, N_FIXED_ARGS = 8 + CACHE_MAX_ARGS };

/* --- the folder --- */

/* A killed run leaves "NAME.part-PID", one killed while it took its place "NAME.old-PID" as well.
 */
static enum err_code remove_leftovers(const char *folder, struct err *e)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return err_set(e, ERR_IO, "%s: cannot be read: %s", folder, strerror(errno));
    enum err_code code = OK;
    for (struct dirent *d; !code && (d = readdir(dir));) {
        if (!strstr(d->d_name, ".part-") && !strstr(d->d_name, ".old-"))
            continue;
        char *path = file_join(folder, d->d_name);
        code = file_remove_tree(path, e);
        mem_free(path);
    }
    closedir(dir);
    return code;
}

enum err_code variants_open(struct variants *vs, const char *folder, struct err *e)
{
    *vs = (struct variants){.lock = -1};
    vs->folder = arena_strdup(&vs->arena, folder);
    const char *below = arena_printf(&vs->arena, "%s/variants", folder);
    enum err_code code = file_make_folder(below, e);
    if (code)
        return code;
    const char *path = arena_printf(&vs->arena, "%s/.lock", folder);
    vs->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (vs->lock < 0)
        return err_set(e, ERR_IO, "%s: cannot be created: %s", path, strerror(errno));
    if (flock(vs->lock, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, ERR_INPUT, "%s: another veryedge works in this folder", folder);
    return remove_leftovers(below, e);
}

void variants_close(struct variants *vs)
{
    if (!vs->folder)
        return;
    if (vs->lock >= 0)
        close(vs->lock);
    mem_free(vs->variant);
    arena_free(&vs->arena);
    *vs = (struct variants){.lock = -1};
}

/* --- adding --- */

/* A name for a folder: the label's harmless letters, and a hash where others had to go. */
static const char *folder_of(struct variants *vs, const char *label)
{
    char name[MAX_FOLDER_NAME + 1], hex[33];
    size_t n = 0;
    bool is_changed = false;
    for (const char *p = label; *p; p++) {
        bool is_fine = isalnum((unsigned char)*p) || strchr("=+-_", *p) || (*p == '.' && n > 0);
        bool is_comma = *p == ',' && p[1] == ' ';
        if (n == MAX_FOLDER_NAME) {
            is_changed = true;
            break;
        }
        name[n++] = is_fine || is_comma ? *p : '-';
        p += is_comma;
        is_changed = is_changed || !(is_fine || is_comma);
    }
    name[n] = 0;
    if (!is_changed && n > 0 && !strstr(name, ".part-") && !strstr(name, ".old-"))
        return arena_printf(&vs->arena, "%s/variants/%s", vs->folder, name);
    for (char *p = name; (p = strchr(p, '.'));)
        *p = '-';
    hash_hex(hash_bytes(label, strlen(label)), hex);
    return arena_printf(&vs->arena, "%s/variants/%s.%.8s", vs->folder, name, hex);
}

/* What trains it here: a GPU is looked for once, not once per variant. */
static enum err_code settle_backend(struct variants *vs, struct variant *v, struct scenario *s,
                                    struct err *e)
{
    struct backend_choice choice;
    v->asked_backend = arena_strdup(&vs->arena, s->compute.backend);
    v->precision = arena_strdup(&vs->arena, s->compute.precision);
    for (const struct variant *w = vs->variant; w < v; w++)
        if (w->backend && w->is_training && s->model.train != SCENARIO_NONE &&
            strcmp(w->asked_backend, v->asked_backend) == 0 &&
            strcmp(w->precision, v->precision) == 0) {
            v->backend = s->compute.backend = w->backend;
            return OK;
        }
    enum err_code code = run_settle(s, &choice, e);
    v->backend = code ? NULL : arena_strdup(&vs->arena, s->compute.backend);
    return code;
}

static void read_scenario(struct variants *vs, struct variant *v)
{
    struct scenario *s = NULL;
    struct err e = {0};
    struct json_out o;
    enum err_code code = scenario_load(&s, v->scenario, v->n_sets, v->sets, &e);
    if (!code)
        code = settle_backend(vs, v, s, &e);
    if (code) {
        scenario_close(s);
        v->state = VARIANT_FAILED;
        v->message = arena_strdup(&vs->arena, e.text);
        return;
    }
    v->is_training = s->model.train != SCENARIO_NONE;
    v->seed = s->seed;
    run_scenario_text(s, &o);
    v->resolved = arena_strdup(&vs->arena, o.text);
    json_out_fini(&o);
    json_out_init(&o);
    scenario_write_learning(s, &o);
    v->learning = hash_bytes(o.text, o.n);
    json_out_fini(&o);
    scenario_close(s);
}

struct variant *variants_add(struct variants *vs, const char *label, const char *scenario,
                             size_t n_sets, const char *const *sets)
{
    mem_grow((void **)&vs->variant, &vs->cap, vs->n + 1, sizeof(vs->variant[0]));
    struct variant *v = &vs->variant[vs->n++];
    const char **copy = ARENA_NEW(&vs->arena, const char *, n_sets);
    for (size_t i = 0; i < n_sets; i++)
        copy[i] = arena_strdup(&vs->arena, sets[i]);
    *v = (struct variant){.label = arena_strdup(&vs->arena, label),
                          .scenario = arena_strdup(&vs->arena, scenario),
                          .n_sets = n_sets,
                          .sets = copy,
                          .folder = folder_of(vs, label)};
    read_scenario(vs, v);
    return v;
}

/* --- running --- */

/* Whether the folder holds the complete run of this very scenario; its summary then. */
static bool is_done(struct variants *vs, struct variant *v)
{
    char *path = file_join(v->folder, "scenario.json");
    struct file f = {0};
    struct summary_record summary;
    bool is_same = false;
    if (file_exists(path) && !file_map(&f, path, NULL)) {
        size_t n = strlen(v->resolved), n_file = f.n_bytes;
        while (n_file > 0 && f.bytes[n_file - 1] == '\n')
            n_file--;
        while (n > 0 && v->resolved[n - 1] == '\n')
            n--;
        is_same = n_file == n && memcmp(f.bytes, v->resolved, n) == 0;
    }
    file_unmap(&f);
    mem_free(path);
    if (!is_same || result_summary(&summary, &vs->arena, v->folder, NULL) ||
        strcmp(summary.outcome, "interrupted") == 0)
        return false;
    v->summary = summary;
    return true;
}

/* A run that fails leaves a former run's folder alone. Without scenario.json that cannot pass
 * for its own. */
static enum err_code disown_former(const struct variant *v, struct err *e)
{
    char *path = file_join(v->folder, "scenario.json");
    enum err_code code = file_remove_tree(path, e);
    mem_free(path);
    return code;
}

struct session {
    struct variants *vs;
    struct log *log;
    const struct variant_options *o;
    size_t n_children, n_ended, n_kept;
    size_t n_first; /* children that run before the others */
    size_t *index;  /* of each child's variant */
    double begun_s;
};

static void show(const struct session *s)
{
    char spent[32], left[32];
    double spent_s = wall_s() - s->begun_s;
    progress_time(spent, spent_s);
    if (s->n_ended == 0 || s->n_ended == s->n_children) {
        log_status(s->log, "%zu of %zu runs  %s", s->n_ended + s->n_kept, s->n_children + s->n_kept,
                   spent);
        return;
    }
    progress_time(left, spent_s / (double)s->n_ended * (double)(s->n_children - s->n_ended));
    log_status(s->log, "%zu of %zu runs  %s, about %s left", s->n_ended + s->n_kept,
               s->n_children + s->n_kept, spent, left);
}

static void tick(void *user)
{
    show(user);
}

static void child_ended(void *user, size_t child)
{
    struct session *s = user;
    (void)child;
    s->n_ended++;
    show(s);
}

/* argv of `veryedge run`; in the arena. */
static const char *const *command_of(struct variants *vs, const struct variant *v, const char *self,
                                     int n_workers, const struct cache *cache)
{
    struct arena *a = &vs->arena;
    const char **argv = ARENA_NEW(a, const char *, N_FIXED_ARGS + 2 * v->n_sets + 4);
    size_t n = 0;
    argv[n++] = self;
    argv[n++] = "run";
    argv[n++] = "--quiet";
    argv[n++] = arena_printf(a, "--parent=%ld", (long)getpid());
    if (n_workers > 0)
        argv[n++] = arena_printf(a, "--workers=%d", n_workers);
    argv[n++] = arena_printf(a, "--backend=%s", v->backend);
    if (v->is_training)
        n += cache_words(cache, argv + n, a);
    for (size_t i = 0; i < v->n_sets; i++)
        argv[n++] = arena_printf(a, "--set=%s", v->sets[i]);
    struct json_out o; /* as JSON: a folder may be called "5" */
    json_out_init(&o);
    json_out_string(&o, NULL, v->folder);
    argv[n++] = arena_printf(a, "--set=output.dir=%s", o.text);
    json_out_fini(&o);
    argv[n++] = "--";
    argv[n++] = v->scenario;
    argv[n] = NULL;
    return argv;
}

static void settle(struct variants *vs, struct variant *v, const struct spawn_child *child)
{
    if (!child->is_ended)
        return;
    if (child->status == 0 && is_done(vs, v)) {
        v->state = VARIANT_DONE;
        return;
    }
    v->state = VARIANT_FAILED;
    v->message = child->status ? arena_strdup(&vs->arena, child->said)
                               : "its folder does not hold what it was asked for";
}

/* Whether a child before this one trains the same. */
static bool is_follower(const struct session *s, const struct variant *v)
{
    for (size_t i = 0; i < s->n_children; i++) {
        const struct variant *other = &s->vs->variant[s->index[i]];
        if (other->is_training && memcmp(&other->learning, &v->learning, sizeof(v->learning)) == 0)
            return s->o->cache.folder != NULL;
    }
    return false;
}

/* Which variants have to run, those not kept, in the order in which they begin. */
static enum err_code choose(struct session *s, struct err *e)
{
    struct variants *vs = s->vs;
    s->index = ARENA_NEW(&vs->arena, size_t, vs->n);
    size_t *later = ARENA_NEW(&vs->arena, size_t, vs->n), n_later = 0;
    for (size_t i = 0; i < vs->n; i++) {
        struct variant *v = &vs->variant[i];
        if (v->state != VARIANT_READY)
            continue;
        if (!s->o->is_fresh && is_done(vs, v)) {
            v->state = VARIANT_DONE;
            v->was_kept = true;
            s->n_kept++;
            continue;
        }
        enum err_code code = disown_former(v, e);
        if (code)
            return code;
        if (v->is_training && !is_follower(s, v))
            s->index[s->n_children++] = i;
        else
            later[n_later++] = i;
    }
    s->n_first = s->n_children;
    for (size_t i = 0; i < n_later; i++)
        s->index[s->n_children++] = later[i];
    return OK;
}

/* Some of the children, n_jobs at once. */
static enum err_code run_some(struct session *s, struct spawn_child *child, size_t first, size_t n,
                              int n_jobs, struct err *e)
{
    char self[MAX_PATH];
    const struct spawn_watch watch = {.ended = child_ended, .tick = tick, .user = s};
    if (n == 0)
        return OK;
    enum err_code code = spawn_self(self, sizeof(self), e);
    if (code)
        return code;
    if ((size_t)n_jobs > n)
        n_jobs = (int)n;
    int n_workers = s->o->n_workers > 0 ? s->o->n_workers
                    : n_jobs > 1        ? (run_cores() + n_jobs - 1) / n_jobs
                                        : 0;
    for (size_t i = first; i < first + n; i++)
        child[i].argv =
            command_of(s->vs, &s->vs->variant[s->index[i]], self, n_workers, &s->o->cache);
    return spawn_all(n, child + first, (size_t)n_jobs, &watch, e);
}

/* How much of the training was known. */
static void tell_cache(const struct session *s)
{
    struct result_cache sum = {0};
    for (size_t i = 0; i < s->n_children; i++) {
        const struct variant *v = &s->vs->variant[s->index[i]];
        if (v->state != VARIANT_DONE || !v->is_training)
            continue;
        struct result_cache r = result_cache(v->folder);
        sum.passes += r.passes;
        sum.passes_known += r.passes_known;
        sum.evaluations += r.evaluations;
        sum.evaluations_known += r.evaluations_known;
        sum.damaged += r.damaged;
    }
    if (sum.passes + sum.evaluations > 0)
        log_note(s->log,
                 "known from other runs: %" PRId64 " of %" PRId64 " training passes, %" PRId64
                 " of %" PRId64 " evaluations",
                 sum.passes_known, sum.passes, sum.evaluations_known, sum.evaluations);
    if (sum.damaged > 0)
        log_warn(s->log, "%" PRId64 " known results were damaged and were computed again", sum.damaged);
}

enum err_code variants_run(struct variants *vs, const struct variant_options *o, struct log *log,
                           struct err *e)
{
    struct session s = {.vs = vs, .log = log, .o = o, .begun_s = wall_s()};
    enum err_code code = choose(&s, e);
    if (code)
        return code;
    struct spawn_child *child = ARENA_NEW(&vs->arena, struct spawn_child, s.n_children);
    int n_jobs = o->n_jobs > 0 ? o->n_jobs : 1;
    show(&s);
    code = run_some(&s, child, 0, s.n_first, n_jobs, e);
    n_jobs = o->n_jobs > 0 ? o->n_jobs : run_cores();
    if (!code)
        code = run_some(&s, child, s.n_first, s.n_children - s.n_first, n_jobs, e);
    log_clear(log);
    for (size_t i = 0; i < s.n_children; i++)
        settle(vs, &vs->variant[s.index[i]], &child[i]);
    tell_cache(&s);
    if (code == ERR_INTERRUPTED)
        return err_set(e, code, "%zu of %zu runs are kept; the same command goes on from there",
                       variants_count(vs, VARIANT_DONE), vs->n);
    return code;
}

const char *variants_warning(const struct variants *vs)
{
    for (size_t i = 0; i < vs->n; i++) {
        if (vs->variant[i].state != VARIANT_DONE)
            continue;
        const struct account *a = account_find(vs->variant[i].summary.accounting);
        if (a && a->warning)
            return a->warning;
    }
    return NULL;
}

size_t variants_count(const struct variants *vs, enum variant_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < vs->n; i++)
        n += vs->variant[i].state == state;
    return n;
}

enum err_code variants_check(const struct variants *vs, struct err *e)
{
    for (size_t i = 0; i < vs->n; i++)
        if (vs->variant[i].state != VARIANT_FAILED)
            return OK;
    CHECK(vs->n > 0);
    return vs->n == 1 ? err_set(e, ERR_INPUT, "%s", vs->variant[0].message)
                      : err_set(e, ERR_INPUT, "all %zu runs failed, the first: %s", vs->n,
                                vs->variant[0].message);
}
