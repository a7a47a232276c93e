/* sim/outdir.h: the output folder of a run: written aside, then put in place as a whole.
 *
 * A run writes into "DIR.part-PID". outdir_commit exchanges it with a former run's folder in one step, then removes
 * that; until then the old results stay. A folder that holds anything a run does not write is refused, and so
 * is a mount point, which cannot be renamed. A link is followed. */
#ifndef SIM_OUTDIR_H
#define SIM_OUTDIR_H

#include "sim/base/err.h"

struct outdir {
    char *path;  /* where the results will be */
    char *aside; /* where they are written, between begin and commit */
    char *made;  /* the topmost folder above them that was not there before; NULL: all were */
    int lock;    /* held on aside: it is not stale; -1: none */
};

/* Checks path and that the folder aside can be made there, and leaves nothing behind. Removes folders aside that killed
 * runs left. ERR_INPUT: it is a file, holds foreign files, or cannot be written; ERR_IO: the machine fails. */
enum err_code outdir_open(struct outdir *d, const char *path, struct err *e);

/* Makes the folder aside. On error nothing is left behind; d stays open. */
enum err_code outdir_begin(struct outdir *d, struct err *e);

/* Puts the results in place and closes d. On error the old results are still there. */
enum err_code outdir_commit(struct outdir *d, struct err *e);

/* Removes what was written aside and closes d. Zeroed or closed is fine. */
void outdir_abandon(struct outdir *d);

#endif
