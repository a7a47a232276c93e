#include "sim/base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sim/base/check.h"
#include "sim/base/mem.h"

#define MAX_PATH 4096
#define STREAM_BUFFER_BYTES ((size_t)256 << 10)
#define MAX_TREE_DEPTH 64

struct file_out {
    FILE *stream;
    char *path, *aside, *buffer;
};

/* What the system said, in our style: it starts with a capital of its own. */
static const char *system_says(int code)
{
    const char *s = strerror(code);
    return code == ENOSPC ? "no space left on device" : s;
}

/* A wrong path is the user's business, a full or broken disk the machine's. */
static enum err_code code_of(int code)
{
    switch (code) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case EACCES:
    case EPERM:
    case EROFS:
    case ENAMETOOLONG:
    case ELOOP:
    case EEXIST:
        return ERR_INPUT;
    default:
        return ERR_IO;
    }
}

static enum err_code fail(struct err *e, const char *path, const char *verb, int code)
{
    return err_set(e, code_of(code), "%s: cannot %s: %s", path, verb, system_says(code));
}

/* A pipe or an empty file cannot be mapped: read it to its end. */
static enum err_code read_all(struct file *f, int fd, const char *path, struct err *e)
{
    unsigned char *bytes = NULL;
    size_t cap = 0, n = 0;
    for (;;) {
        mem_grow((void **)&bytes, &cap, n + 4096, 1);
        ssize_t got = read(fd, bytes + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            int why = errno;
            mem_free(bytes);
            return fail(e, path, "read", why);
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *f = (struct file){.bytes = bytes, .n_bytes = n, .map = bytes, .is_mapped = false};
    return OK;
}

enum err_code file_map(struct file *f, const char *path, struct err *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? err_set(e, ERR_INPUT, "%s: no such file", path)
                               : fail(e, path, "open", errno);
    enum err_code code = OK;
    if (fstat(fd, &st) != 0) {
        code = fail(e, path, "read", errno);
    } else if (S_ISDIR(st.st_mode)) {
        code = err_set(e, ERR_INPUT, "%s: expected a file, got a folder", path);
    } else if (S_ISREG(st.st_mode) && st.st_size > 0) {
        size_t n = (size_t)st.st_size;
        void *map = mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map == MAP_FAILED)
            code = fail(e, path, "map", errno);
        else
            *f = (struct file){.bytes = map, .n_bytes = n, .map = map, .is_mapped = true};
    } else {
        code = read_all(f, fd, path, e);
    }
    close(fd);
    return code;
}

void file_unmap(struct file *f)
{
    if (!f || !f->map)
        return;
    if (f->is_mapped)
        munmap(f->map, f->n_bytes);
    else
        mem_free(f->map);
    *f = (struct file){0};
}

static char *heap_copy(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = malloc(n);
    CHECK(p && "out of memory");
    return memcpy(p, s, n);
}

static void release(struct file_out *f)
{
    mem_free(f->path);
    mem_free(f->aside);
    mem_free(f->buffer);
    mem_free(f);
}

enum err_code file_create(struct file_out **out, const char *path, struct err *e)
{
    char aside[MAX_PATH];
    int n = snprintf(aside, sizeof(aside), "%s.tmp-%ld", path, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof(aside))
        return fail(e, path, "write", ENAMETOOLONG);
    if (file_is_folder(path))
        return fail(e, path, "write", EISDIR);
    FILE *stream = fopen(aside, "wb");
    if (!stream)
        return fail(e, path, "write", errno);
    struct file_out *f = calloc(1, sizeof(*f));
    char *buffer = malloc(STREAM_BUFFER_BYTES);
    CHECK(f && buffer && "out of memory");
    setvbuf(stream, buffer, _IOFBF, STREAM_BUFFER_BYTES);
    *f = (struct file_out){
        .stream = stream, .path = heap_copy(path), .aside = heap_copy(aside), .buffer = buffer};
    *out = f;
    return OK;
}

FILE *file_stream(struct file_out *f)
{
    return f->stream;
}

enum err_code file_write(struct file_out *f, const void *bytes, size_t n, struct err *e)
{
    errno = 0;
    if (n > 0 && fwrite(bytes, 1, n, f->stream) != n)
        return fail(e, f->path, "write", errno ? errno : EIO);
    return OK;
}

/* A rename is on the disk when its folder is. Not every file system can sync a folder: no error
 * then. */
static void sync_folder(const char *path)
{
    char *folder = file_folder_of(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
    mem_free(folder);
}

static enum err_code commit(struct file_out *f, bool is_synced, struct err *e)
{
    int why = 0;
    errno = 0;
    if (ferror(f->stream) || fflush(f->stream) != 0 || (is_synced && fsync(fileno(f->stream)) != 0))
        why = errno ? errno : EIO;
    if (fclose(f->stream) != 0 && !why)
        why = errno ? errno : EIO;
    if (why == EINVAL || why == ENOTSUP)
        why = 0; /* fsync of something that is no disk file */
    if (!why && rename(f->aside, f->path) != 0)
        why = errno;
    enum err_code code = why ? fail(e, f->path, "write", why) : OK;
    if (why)
        unlink(f->aside);
    else if (is_synced)
        sync_folder(f->path);
    release(f);
    return code;
}

enum err_code file_commit(struct file_out *f, struct err *e)
{
    return commit(f, true, e);
}

enum err_code file_commit_unsynced(struct file_out *f, struct err *e)
{
    return commit(f, false, e);
}

void file_abandon(struct file_out *f)
{
    if (!f)
        return;
    fclose(f->stream);
    unlink(f->aside);
    release(f);
}

enum err_code file_replace(const char *path, const void *bytes, size_t n, struct err *e)
{
    struct file_out *f;
    enum err_code code = file_create(&f, path, e);
    if (code)
        return code;
    code = file_write(f, bytes, n, e);
    if (code) {
        file_abandon(f);
        return code;
    }
    return file_commit(f, e);
}

enum err_code file_make_folder(const char *path, struct err *e)
{
    char part[MAX_PATH];
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof(part))
        return err_set(e, ERR_INPUT, "\"%.60s\": expected the name of a folder", path);
    memcpy(part, path, n + 1);
    for (size_t i = 1; i <= n; i++) {
        if (part[i] != '/' && part[i] != 0)
            continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0777) != 0) {
            int why = errno;
            if (!file_is_folder(part))
                return why == EEXIST
                           ? err_set(e, ERR_INPUT, "%s: expected a folder, got a file", part)
                           : fail(e, part, "make the folder", why);
        }
        part[i] = kept;
    }
    return OK;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Empties the folder that fd stands for and closes fd; links are removed, never followed. errno or
 * 0. */
static int empty_folder(int fd, int depth)
{
    DIR *d = depth < MAX_TREE_DEPTH ? fdopendir(fd) : NULL;
    if (!d) {
        int why = depth < MAX_TREE_DEPTH ? errno : ELOOP;
        close(fd);
        return why;
    }
    int why = 0;
    for (struct dirent *x; !why && (x = readdir(d)) != NULL;) {
        struct stat st;
        if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0)
            continue;
        if (fstatat(fd, x->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            why = errno;
        } else if (S_ISDIR(st.st_mode)) {
            int child = openat(fd, x->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            why = child < 0 ? errno : empty_folder(child, depth + 1);
            if (!why && unlinkat(fd, x->d_name, AT_REMOVEDIR) != 0)
                why = errno;
        } else if (unlinkat(fd, x->d_name, 0) != 0) {
            why = errno;
        }
    }
    closedir(d);
    return why;
}

enum err_code file_remove_tree(const char *path, struct err *e)
{
    struct stat st;
    int why = 0;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? OK : fail(e, path, "remove", errno);
    if (S_ISDIR(st.st_mode)) {
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        why = fd < 0 ? errno : empty_folder(fd, 0);
        if (!why && rmdir(path) != 0)
            why = errno;
    } else if (unlink(path) != 0) {
        why = errno;
    }
    return why ? fail(e, path, "remove", why) : OK;
}

char *file_folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *s = heap_copy(slash ? path : ".");
    if (slash)
        s[slash == path ? 1 : slash - path] = 0;
    return s;
}

char *file_join(const char *folder, const char *path)
{
    size_t nf = strlen(folder), np = strlen(path);
    if (path[0] == '/' || nf == 0 || strcmp(folder, ".") == 0)
        return heap_copy(path);
    char *s = malloc(nf + np + 2);
    CHECK(s && "out of memory");
    snprintf(s, nf + np + 2, "%s%s%s", folder, folder[nf - 1] == '/' ? "" : "/", path);
    return s;
}

char *file_program_folder(void)
{
    char path[MAX_PATH];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n <= 0)
        return heap_copy(".");
    path[n] = 0;
    return file_folder_of(path);
}

char *file_absolute(const char *path)
{
    char folder[MAX_PATH];
    return getcwd(folder, sizeof(folder)) ? file_join(folder, path) : heap_copy(path);
}
