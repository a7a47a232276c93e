#include "sim/base/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "sim/base/file.h"
#include "sim/base/mem.h"

#define MAGIC "ve-blk01"
#define SUFFIX ".block"
#define STALE_ASIDE_S 3600 /* a file written aside is a killed process's after an hour */

enum { KEY_DIGITS = 32, NAME_BYTES = KEY_DIGITS + sizeof(SUFFIX), N_WRITERS = 8 };

struct header {
    char magic[8];
    uint64_t key_hi, key_lo, n_bytes;
    uint64_t check_hi, check_lo; /* of what stands before, and the bytes */
};

struct store {
    char *folder;
    size_t max_bytes;
    size_t budget;         /* what may be written before the folder is looked at again */
    pthread_mutex_t mutex; /* guards budget and report */
    struct store_report report;
};

/* A block as a look at the folder finds it. */
struct found {
    char name[NAME_BYTES];
    struct timespec used;
    size_t n_bytes;
};

struct look {
    size_t n, cap;
    struct found *found;
    double bytes;
};

enum err_code store_open(struct store **out, const char *folder, size_t max_bytes, struct err *e)
{
    void *memory;
    CHECK(max_bytes >= STORE_MIN_BYTES);
    enum err_code code = file_make_folder(folder, e);
    if (!code)
        code = mem_big(&memory, sizeof(struct store), "a store", e);
    if (code)
        return code;
    struct store *s = memory;
    s->folder = file_absolute(folder);
    s->max_bytes = max_bytes;
    pthread_mutex_init(&s->mutex, NULL);
    *out = s;
    return OK;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pthread_mutex_destroy(&s->mutex);
    mem_free(s->folder);
    mem_free(s);
}

void store_report(struct store *s, struct store_report *out)
{
    pthread_mutex_lock(&s->mutex);
    *out = s->report;
    pthread_mutex_unlock(&s->mutex);
}

static char *path_of(const struct store *s, struct hash128 key)
{
    char name[NAME_BYTES];
    hash_hex(key, name);
    memcpy(name + KEY_DIGITS, SUFFIX, sizeof(SUFFIX));
    return file_join(s->folder, name);
}

static struct header header_of(struct hash128 key, const void *bytes, size_t n)
{
    struct header h = {.key_hi = key.hi, .key_lo = key.lo, .n_bytes = n};
    memcpy(h.magic, MAGIC, sizeof(h.magic));
    struct hash128 check = {0};
    check = hash_more(check, &h, offsetof(struct header, check_hi));
    check = hash_more(check, bytes, n);
    h.check_hi = check.hi;
    h.check_lo = check.lo;
    return h;
}

static void note_damage(struct store *s, const char *path, const char *why)
{
    pthread_mutex_lock(&s->mutex);
    if (s->report.n_damaged++ == 0)
        snprintf(s->report.damaged, sizeof(s->report.damaged), "%s: %s", path, why);
    pthread_mutex_unlock(&s->mutex);
}

/* --- reading --- */

static bool read_whole(int fd, void *to, size_t n)
{
    char *at = to;
    while (n > 0) {
        ssize_t got = read(fd, at, n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        n -= (size_t)got;
    }
    return true;
}

/* NULL when the block is whole, otherwise what is wrong with it. Read, not mapped: a mapping of a
 * file that somebody cuts short would end the process. */
static const char *read_block(int fd, struct hash128 key, void **bytes, size_t *n)
{
    struct stat st;
    struct header h;
    void *memory = NULL;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return "expected a file";
    if (st.st_size < (off_t)sizeof(h) || !read_whole(fd, &h, sizeof(h)))
        return "damaged: cut short";
    size_t n_bytes = (size_t)st.st_size - sizeof(h);
    if (h.n_bytes != n_bytes)
        return "damaged: its length is not what it was";
    if (mem_big(&memory, n_bytes + 1, "a block", NULL))
        return "does not fit in memory";
    if (!read_whole(fd, memory, n_bytes)) {
        mem_free(memory);
        return "cannot be read";
    }
    struct header right = header_of(key, memory, n_bytes);
    if (memcmp(&h, &right, sizeof(h)) != 0) {
        mem_free(memory);
        return "damaged: its checksum differs";
    }
    *bytes = memory;
    *n = n_bytes;
    return NULL;
}

bool store_get(struct store *s, struct hash128 key, void **bytes, size_t *n)
{
    char *path = path_of(s, key);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    const char *wrong = NULL;
    bool is_there = fd >= 0;
    if (is_there)
        wrong = read_block(fd, key, bytes, n);
    else if (errno != ENOENT)
        wrong = strerror(errno);
    if (wrong)
        note_damage(s, path, wrong);
    else if (is_there)
        (void)futimens(fd, NULL); /* used now; a store that we may only read keeps its order */
    if (fd >= 0)
        close(fd);
    mem_free(path);
    return is_there && !wrong;
}

void store_disown(struct store *s, struct hash128 key)
{
    char *path = path_of(s, key);
    note_damage(s, path, "damaged: its content makes no sense");
    mem_free(path);
}

/* --- making room --- */

static size_t cost_of(size_t n_bytes)
{
    size_t page = STORE_PAGE_BYTES;
    return (n_bytes + sizeof(struct header) + page - 1) / page * page;
}

static bool is_block(const char *name)
{
    return strlen(name) == NAME_BYTES - 1 && strspn(name, "0123456789abcdef") == KEY_DIGITS &&
           strcmp(name + KEY_DIGITS, SUFFIX) == 0;
}

static bool is_aside(const char *name)
{
    char block[NAME_BYTES];
    size_t n = NAME_BYTES - 1;
    if (strlen(name) <= n || strncmp(name + n, ".tmp-", 5) != 0)
        return false;
    memcpy(block, name, n);
    block[n] = 0;
    return is_block(block);
}

/* All blocks there are. What killed processes left half written goes. */
static bool look_at(const char *folder, struct look *l)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return false;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    for (struct dirent *d; (d = readdir(dir));) {
        struct stat st;
        bool aside = is_aside(d->d_name);
        if ((!aside && !is_block(d->d_name)) ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        if (aside) {
            if (now.tv_sec - st.st_mtim.tv_sec > STALE_ASIDE_S)
                (void)unlinkat(dirfd(dir), d->d_name, 0);
            continue;
        }
        mem_grow((void **)&l->found, &l->cap, l->n + 1, sizeof(l->found[0]));
        struct found *f = &l->found[l->n++];
        memcpy(f->name, d->d_name, NAME_BYTES);
        f->used = st.st_mtim;
        f->n_bytes = (size_t)st.st_size;
        size_t page = STORE_PAGE_BYTES;
        l->bytes += (double)((f->n_bytes + page - 1) / page * page);
    }
    closedir(dir);
    return true;
}

static int by_use(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec)
        return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec)
        return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Removes what was used longest ago until no more than bytes are left. */
static size_t evict(int folder, struct look *l, double bytes)
{
    size_t n_removed = 0, page = STORE_PAGE_BYTES;
    qsort(l->found, l->n, sizeof(l->found[0]), by_use);
    for (size_t i = 0; i < l->n && l->bytes > bytes; i++) {
        if (unlinkat(folder, l->found[i].name, 0) == 0)
            n_removed++;
        else if (errno != ENOENT)
            continue;
        l->bytes -= (double)((l->found[i].n_bytes + page - 1) / page * page);
    }
    return n_removed;
}

/* Room for cost bytes at least. One process at a time removes; another goes on meanwhile, because
 * the first makes room for both. Called with the mutex held. */
static void make_room(struct store *s, size_t cost)
{
    struct look l = {0};
    double max = (double)s->max_bytes;
    int folder = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0 && look_at(s->folder, &l) && l.bytes + (double)cost > max &&
        flock(folder, LOCK_EX | LOCK_NB) == 0)
        s->report.n_removed += evict(folder, &l, 0.9 * max - (double)cost);
    if (folder >= 0)
        close(folder); /* gives the lock back */
    double room = max - l.bytes;
    s->budget = room > 0 ? (size_t)(room / N_WRITERS) : 0;
    if (s->budget < cost)
        s->budget = cost;
    mem_free(l.found);
}

/* --- writing --- */

/* Whether a block of this cost may be written. */
static bool reserve(struct store *s, size_t cost)
{
    pthread_mutex_lock(&s->mutex);
    bool is_too_large = cost > s->max_bytes / 4, may = !is_too_large && !s->report.unwritable[0];
    s->report.n_too_large += is_too_large;
    if (may && s->budget < cost)
        make_room(s, cost);
    if (may)
        s->budget -= cost;
    pthread_mutex_unlock(&s->mutex);
    return may;
}

void store_put(struct store *s, struct hash128 key, const void *bytes, size_t n)
{
    struct file_out *f = NULL;
    struct err e = {0};
    if (!reserve(s, cost_of(n)))
        return;
    char *path = path_of(s, key);
    struct header h = header_of(key, bytes, n);
    enum err_code code = file_create(&f, path, &e);
    if (!code &&
        ((code = file_write(f, &h, sizeof(h), &e)) || (code = file_write(f, bytes, n, &e))))
        file_abandon(f);
    else if (!code)
        code = file_commit_unsynced(f, &e);
    if (code) {
        pthread_mutex_lock(&s->mutex);
        memcpy(s->report.unwritable, e.text, sizeof(e.text));
        pthread_mutex_unlock(&s->mutex);
    }
    mem_free(path);
}
