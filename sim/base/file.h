/* sim/base/file.h: files mapped in whole, and files that survive a kill or a full disk on the way
 * out. */
#ifndef SIM_BASE_FILE_H
#define SIM_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "sim/base/err.h"

/* A whole file, read only. n_bytes may be 0 (then bytes is not NULL either). */
struct file {
    const unsigned char *bytes;
    size_t n_bytes;
    void *map; /* private: what to unmap or free */
    bool is_mapped;
};

/* Maps path; a pipe is read to its end. Messages start with the path. ERR_INPUT when it is missing
 * or a folder, or when the path may not be used; ERR_IO when the disk is full or broken. That goes
 * for all functions below. */
enum err_code file_map(struct file *f, const char *path, struct err *e);
void file_unmap(struct file *f); /* NULL or zeroed is fine */

/* A file that is being written aside ("PATH.tmp-PID"). It takes its name only in file_commit, after
 * write, flush and fsync; file_abandon removes the aside copy. Exactly one of these ends it. */
struct file_out;
enum err_code file_create(struct file_out **out, const char *path, struct err *e);
FILE *file_stream(struct file_out *f); /* fully buffered; errors are found at commit or flush */
enum err_code file_write(struct file_out *f, const void *bytes, size_t n, struct err *e);
enum err_code file_commit(struct file_out *f, struct err *e); /* closes f in any case */
/* The same without waiting for the disk: other processes see the whole file or none, but after a crash
 * of the machine it may hold anything. For what carries a checksum and can be made again. */
enum err_code file_commit_unsynced(struct file_out *f, struct err *e);
void file_abandon(struct file_out *f);                        /* NULL is fine */

/* Whole content at once: aside, synced, renamed. */
enum err_code file_replace(const char *path, const void *bytes, size_t n, struct err *e);

/* Creates a folder and its parents; fine if it is there. */
enum err_code file_make_folder(const char *path, struct err *e);
bool file_exists(const char *path);
bool file_is_folder(const char *path);
/* Removes a file or a whole folder tree; fine if it is not there. */
enum err_code file_remove_tree(const char *path, struct err *e);

/* "dir/name" of path "dir/name/x.json" -> "dir/name"; "." when it has no slash. Caller frees with
 * mem_free. */
char *file_folder_of(const char *path);
/* path as seen from folder: path itself when it is absolute. Caller frees with mem_free. */
char *file_join(const char *folder, const char *path);
/* The folder of the running program; "." when the system does not say. Caller frees with mem_free. */
char *file_program_folder(void);
/* path from the root, as seen from the current folder; links stay. Caller frees with mem_free. */
char *file_absolute(const char *path);

#endif
