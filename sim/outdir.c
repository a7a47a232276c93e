#include "sim/outdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"

/* What a run writes, now or in a later version; a folder with anything else is not ours to replace. */
static const char *const OURS[] = {"rounds.csv",    "clients.csv",  "elements.csv",    "summary.json",
                                   "scenario.json", "trace.json",   "performance.json", "report.html",
                                   "columns.json", "samples.csv",  "emissions.csv", "adapter", "model",         "checkpoint"};

static bool is_ours(const char *name)
{
    for (size_t i = 0; i < sizeof(OURS) / sizeof(OURS[0]); i++)
        if (strcmp(name, OURS[i]) == 0)
            return true;
    return false;
}

static enum err_code check_former(const char *path, struct err *e)
{
    if (!file_exists(path))
        return OK;
    if (!file_is_folder(path))
        return err_set(e, ERR_INPUT, "%s: expected a folder for the results, found a file", path);
    DIR *dir = opendir(path);
    if (!dir)
        return err_set(e, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    enum err_code code = OK;
    for (struct dirent *d; !code && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") && strcmp(d->d_name, "..") && !is_ours(d->d_name))
            code = err_set(e, ERR_INPUT,
                           "%s: expected an empty folder or a former run's, found \"%s\" in it", path,
                           d->d_name);
    closedir(dir);
    return code;
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

enum err_code outdir_open(struct outdir *d, const char *path, struct err *e)
{
    char *full = file_join(".", path);
    size_t n = strlen(full);
    while (n > 1 && full[n - 1] == '/')
        full[--n] = 0;
    enum err_code code = check_former(full, e);
    if (code)
        goto failed;
    char *aside = text_of(full, ".part-"), *made = first_missing(full);
    code = file_make_folder(aside, e);
    if (code) {
        remove_made(full, made);
        mem_free(made);
        mem_free(aside);
        goto failed;
    }
    *d = (struct outdir){.path = full, .aside = aside, .made = made};
    return OK;
failed:
    mem_free(full);
    return code;
}

static void close_paths(struct outdir *d)
{
    mem_free(d->path);
    mem_free(d->aside);
    mem_free(d->made);
    *d = (struct outdir){0};
}

static void sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

enum err_code outdir_commit(struct outdir *d, struct err *e)
{
    char *old = text_of(d->path, ".old-");
    enum err_code code = OK;
    sync_folder(d->aside);
    bool had_old = file_exists(d->path);
    if (had_old && rename(d->path, old) != 0)
        code = err_set(e, ERR_IO, "%s: cannot be replaced: %s", d->path, strerror(errno));
    if (!code && rename(d->aside, d->path) != 0) {
        code = err_set(e, ERR_IO, "%s: cannot be put in place: %s", d->path, strerror(errno));
        if (had_old)
            rename(old, d->path);
    }
    if (code) {
        mem_free(old);
        outdir_abandon(d);
        return code;
    }
    char *parent = file_folder_of(d->path);
    sync_folder(parent);
    mem_free(parent);
    if (had_old)
        code = file_remove_tree(old, e);
    mem_free(old);
    close_paths(d);
    return code;
}

void outdir_abandon(struct outdir *d)
{
    if (!d->path)
        return;
    file_remove_tree(d->aside, NULL);
    remove_made(d->path, d->made);
    close_paths(d);
}
