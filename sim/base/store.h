/* sim/base/store.h: blocks of bytes on the disk under a hash of what they were made from, for what
 * can be made again: a cache.
 *
 * One block is one file, FOLDER/KEY.block: magic, key, length and checksum, then the bytes. It is
 * written aside and renamed, and not synced: whatever a crash, a flipped bit or a mix-up leaves
 * fails its checksum, is counted as damaged, and the next store_put of that key takes its place.
 * Any number of processes may use a folder at once; nobody waits for anybody.
 *
 * Files and no embedded database, by measurement (2 cores, ext4, blocks of 3 MB, one process and
 * eight at once, busy machine): reading 0.5 .. 1.0 ms by files, 0.8 .. 1.1 ms by LMDB, 12 .. 26 ms
 * by SQLite; writing 4 .. 17, 2 .. 9 and 11 .. 31 ms. A block saves 400 ms and more of training, so
 * files cost 1 to 4 % of what they save. LMDB's gain is below 1 %, for a size fixed in advance,
 * writers that wait for each other, no network file systems, and, unsynced, a whole database that
 * one crash can tear.
 *
 * Bounded: when its blocks (in whole pages of 4 KiB) would be more than max_bytes, those used
 * longest ago go, down to nine tenths. A file's time of change is when it was used last. The bound
 * holds for up to eight processes that write at once, give or take a block for each. Files with
 * other names are left alone.
 *
 * A store that cannot be written (disk full, no permission) is no error of anybody's work: it stops
 * taking blocks and says so in its report. */
#ifndef SIM_BASE_STORE_H
#define SIM_BASE_STORE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/hash.h"

struct store;

enum { STORE_PAGE_BYTES = 4096 };
#define STORE_MIN_BYTES ((size_t)1 << 20)

/* Makes the folder if need be; ERR_INPUT or ERR_IO when it cannot. max_bytes >= STORE_MIN_BYTES. */
enum err_code store_open(struct store **out, const char *folder, size_t max_bytes, struct err *e);
void store_close(struct store *s); /* NULL is fine */

/* The following may be called by several threads at once. */

/* The block of a key, in memory that the caller frees with mem_free; false when there is none that
 * is whole. */
bool store_get(struct store *s, struct hash128 key, void **bytes, size_t *n);
/* Keeps a block; one larger than a quarter of max_bytes is not kept. */
void store_put(struct store *s, struct hash128 key, const void *bytes, size_t n);
/* For a caller to whom a block's content makes no sense though its checksum is right. */
void store_disown(struct store *s, struct hash128 key);

struct store_report {
    size_t n_damaged;                /* blocks met */
    size_t n_removed;                /* blocks that had to go */
    size_t n_too_large;              /* blocks that were not kept for their size */
    char damaged[ERR_TEXT_BYTES];    /* the first of them; "" without */
    char unwritable[ERR_TEXT_BYTES]; /* why no more blocks are taken; "" when they are */
};
void store_report(struct store *s, struct store_report *out);

#endif
