/* sim/outdir.h: the output folder of a run: written aside, then put in place as a whole.
 *
 * A run writes into "DIR.part-PID". outdir_commit takes a former run's folder away and gives the new one its
 * name; until then the old results stay. A folder that holds anything a run does not write is refused. */
#ifndef SIM_OUTDIR_H
#define SIM_OUTDIR_H

#include "sim/base/err.h"

struct outdir {
    char *path;  /* where the results will be */
    char *aside; /* where they are written now */
    char *made;  /* the topmost folder above them that was not there before; NULL: all were */
};

/* Checks path and creates the folder aside. ERR_INPUT: it is a file, or holds foreign files; ERR_IO: it cannot
 * be written. On error nothing is left behind. */
enum err_code outdir_open(struct outdir *d, const char *path, struct err *e);

/* Puts the results in place and closes d. On error the old results are still there. */
enum err_code outdir_commit(struct outdir *d, struct err *e);

/* Removes what was written aside and closes d. Zeroed or closed is fine. */
void outdir_abandon(struct outdir *d);

#endif
