#define _GNU_SOURCE /* renameat2: the new folder takes the old one's place in one step */
#include "sim/outdir.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/tensorboard.h"

/* What a run writes, now or in a later version; a folder with anything else is not ours to replace. */
static const char *const FILES[] = {"rounds.csv",   "clients.csv", "elements.csv",     "summary.json",
                                    "scenario.json", "trace.json", "performance.json", "report.html",
                                    "columns.json", "samples.csv", "emissions.csv",    TENSORBOARD_FILE, NULL};
static const char *const FOLDERS[] = {"adapter", "model", NULL};
/* Of adapter/ and its round-N/, and of model/. */
static const char *const KEPT_FILES[] = {"adapter_config.json", "adapter_model.safetensors", "README.md",
                                         "config.json", "model.safetensors", "spiece.model",
                                         "tokenizer.json", "tokenizer_config.json",
                                         "special_tokens_map.json", "generation_config.json", NULL};

#define PART ".part-"

static bool is_listed(const char *const *list, const char *name)
{
    for (; *list; list++)
        if (strcmp(*list, name) == 0)
            return true;
    return false;
}

static enum err_code foreign(const char *path, const char *name, struct err *e)
{
    return err_set(e, ERR_INPUT, "%s: expected an empty folder or a former run's, found \"%s\" in it",
                   path, name);
}

/* Only the files of a run (depth 0), or of its folders (1) and their round-N/ (2), lie in path. */
static enum err_code check_names(const char *path, int depth, struct err *e)
{
    DIR *dir = opendir(path);
    if (!dir)
        return err_set(e, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    enum err_code code = OK;
    for (struct dirent *d; !code && (d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
            continue;
        char *inside = file_join(path, d->d_name);
        bool is_folder = file_is_folder(inside);
        if (is_folder && ((depth == 0 && is_listed(FOLDERS, d->d_name)) ||
                          (depth == 1 && strncmp(d->d_name, "round-", 6) == 0)))
            code = check_names(inside, depth + 1, e);
        else if (is_folder || !is_listed(depth ? KEPT_FILES : FILES, d->d_name))
            code = foreign(path, d->d_name, e);
        mem_free(inside);
    }
    closedir(dir);
    return code;
}

/* A scenario.json alone may be the one that the user wrote: a former run left a summary beside it. */
static enum err_code check_whole(const char *path, struct err *e)
{
    char *scenario = file_join(path, "scenario.json"), *summary = file_join(path, "summary.json");
    enum err_code code = OK;
    if (file_exists(scenario) && !file_exists(summary))
        code = err_set(e, ERR_INPUT,
                       "%s: expected an empty folder or a former run's, found \"scenario.json\" "
                       "without \"summary.json\" in it",
                       path);
    mem_free(scenario);
    mem_free(summary);
    return code;
}

static enum err_code check_former(const char *path, struct err *e)
{
    struct stat here, above;
    if (lstat(path, &here) != 0)
        return OK;
    if (!file_exists(path))
        return err_set(e, ERR_INPUT, "%s: expected a folder for the results, found a link to nothing",
                       path);
    if (!file_is_folder(path))
        return err_set(e, ERR_INPUT, "%s: expected a folder for the results, found a file", path);
    enum err_code code = check_names(path, 0, e);
    if (!code)
        code = check_whole(path, e);
    if (code)
        return code;
    char *parent = file_join(path, "..");
    bool is_mount = stat(path, &here) == 0 && stat(parent, &above) == 0 && here.st_dev != above.st_dev;
    mem_free(parent);
    return is_mount ? err_set(e, ERR_INPUT,
                              "%s: a file system is mounted there, so it cannot be replaced: expected "
                              "a folder below it",
                              path)
                    : OK;
}

static char *text_of(const char *path, const char *tail)
{
    struct arena scratch = {0};
    char *joined = arena_printf(&scratch, "%s%s%ld", path, tail, (long)getpid());
    char *out = NULL;
    size_t cap = 0, n = strlen(joined) + 1;
    mem_grow((void **)&out, &cap, n, 1);
    memcpy(out, joined, n);
    arena_free(&scratch);
    return out;
}

/* The topmost folder above path that is not there yet, or NULL. The caller frees it. */
static char *first_missing(const char *path)
{
    char *missing = NULL, *folder = file_folder_of(path);
    while (!file_exists(folder)) {
        mem_free(missing);
        missing = folder;
        folder = file_folder_of(missing);
    }
    mem_free(folder);
    return missing;
}

/* Takes away the empty folders that were made above path, from the lowest up. */
static void remove_made(const char *path, const char *made)
{
    char *folder = file_folder_of(path);
    while (made && strlen(folder) >= strlen(made) &&
           (rmdir(folder) == 0 || errno == ENOENT)) {
        char *above = file_folder_of(folder);
        mem_free(folder);
        folder = above;
    }
    mem_free(folder);
}

/* Folders aside that a killed run left: whoever still writes one holds a lock on it. */
static void remove_stale(const char *path)
{
    char *folder = file_folder_of(path);
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t n = strlen(name), tail = strlen(PART);
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        const char *x = d->d_name;
        if (strncmp(x, name, n) || strncmp(x + n, PART, tail) || !isdigit((unsigned char)x[n + tail]))
            continue;
        char *stale = file_join(folder, x);
        int fd = open(stale, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            file_remove_tree(stale, NULL);
        if (fd >= 0)
            close(fd);
        mem_free(stale);
    }
    if (dir)
        closedir(dir);
    mem_free(folder);
}

static void close_paths(struct outdir *d)
{
    if (d->lock >= 0)
        close(d->lock);
    mem_free(d->path);
    mem_free(d->aside);
    mem_free(d->made);
    *d = (struct outdir){.lock = -1};
}

enum err_code outdir_open(struct outdir *d, const char *path, struct err *e)
{
    char *full = file_join(".", path);
    size_t n = strlen(full);
    while (n > 1 && full[n - 1] == '/')
        full[--n] = 0;
    enum err_code code = check_former(full, e);
    if (code) {
        mem_free(full);
        return code;
    }
    char *real = realpath(full, NULL); /* a link keeps pointing there; "." has a name */
    if (real) {
        mem_free(full);
        full = real;
    }
    *d = (struct outdir){.path = full, .aside = text_of(full, PART), .lock = -1};
    code = outdir_begin(d, e);
    if (code) {
        close_paths(d);
        return code;
    }
    rmdir(d->aside); /* so nothing is left should the opening be interrupted */
    remove_made(d->path, d->made);
    remove_stale(d->path);
    return OK;
}

enum err_code outdir_begin(struct outdir *d, struct err *e)
{
    mem_free(d->made);
    d->made = first_missing(d->path);
    enum err_code code = file_make_folder(d->aside, e);
    if (code) {
        remove_made(d->path, d->made);
        return code;
    }
    if (d->lock >= 0)
        close(d->lock);
    d->lock = open(d->aside, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (d->lock >= 0)
        flock(d->lock, LOCK_EX | LOCK_NB); /* where there are no locks: nothing is cleaned away either */
    return OK;
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* The results get the name; the former ones, if any, are then those aside. */
static int exchange(struct outdir *d)
{
    if (!file_exists(d->path))
        return rename(d->aside, d->path) ? errno : 0;
    if (renameat2(AT_FDCWD, d->aside, AT_FDCWD, d->path, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    char *old = text_of(d->path, ".old-"); /* this file system cannot: two steps */
    int why = rename(d->path, old) ? errno : 0;
    if (!why && rename(d->aside, d->path) != 0) {
        why = errno;
        rename(old, d->path);
    }
    if (!why)
        rename(old, d->aside);
    mem_free(old);
    return why;
}

enum err_code outdir_commit(struct outdir *d, struct err *e)
{
    sync_folder(d->aside);
    int why = exchange(d);
    if (why) {
        enum err_code code =
            err_set(e, ERR_IO, "%s: cannot be put in place: %s", d->path, strerror(why));
        outdir_abandon(d);
        return code;
    }
    char *parent = file_folder_of(d->path);
    sync_folder(parent);
    mem_free(parent);
    file_remove_tree(d->aside, NULL);
    close_paths(d);
    return OK;
}

void outdir_abandon(struct outdir *d)
{
    if (!d->path)
        return;
    file_remove_tree(d->aside, NULL);
    remove_made(d->path, d->made);
    close_paths(d);
}
