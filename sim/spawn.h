/* sim/spawn.h: other processes of this machine, some at a time, each with what it said last.
 *
 * A child has no terminal: its stdin and stdout are /dev/null, its stderr is read here, and it
 * leads a session of its own, so that a Ctrl-C reaches it once, through us. */
#ifndef SIM_SPAWN_H
#define SIM_SPAWN_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

struct spawn_child {
    const char *const *argv; /* [0] the program's path; NULL ends it */
    /* filled in */
    bool is_started, is_ended;
    int status;                /* exit status, or 128 + the signal that ended it */
    char said[ERR_TEXT_BYTES]; /* the last line of its stderr without "error: ", or how it ended; ""
                                  for status 0 */
};

struct spawn_watch {
    void (*ended)(void *user, size_t child); /* in the order in which they end */
    void (*tick)(void *user);                /* about once a second */
    void *user;
};

/* Runs all children, n_at_once at a time, begun in order, and returns when all have ended. A child
 * that cannot be started, fails or is killed is no error of this call. On SIGINT or SIGTERM no more
 * are begun, those that run get SIGINT, and when they have ended ERR_INTERRUPTED is returned; a
 * second signal ends this process at once. */
enum err_code spawn_all(size_t n, struct spawn_child *child, size_t n_at_once,
                        const struct spawn_watch *watch, struct err *e);

/* The path of this program's own file. */
enum err_code spawn_self(char *out, size_t n, struct err *e);

/* For a child: from now on the kernel ends (SIGKILL) this process when process parent ends, however
 * that comes. ERR_INTERRUPTED when it has ended already. */
enum err_code spawn_end_with(long parent, struct err *e);

#endif
