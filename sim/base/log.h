/* sim/base/log.h: what the program says beside its results: whole lines on stderr, one level.
 * Only the main thread logs; worker threads compute and touch nothing else. */
#ifndef SIM_BASE_LOG_H
#define SIM_BASE_LOG_H

#include <stdbool.h>

struct log {
    bool is_quiet;    /* notes are dropped, warnings are not */
    bool is_terminal; /* stderr is a terminal: a status line may be drawn and redrawn */
    bool has_status;  /* a status line stands on the terminal now */
};

/* Looks at stderr. */
void log_init(struct log *l, bool is_quiet);

/* A line of information ("using 2 workers"). */
void log_note(struct log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "warning: ..." */
void log_warn(struct log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Redraws the status line (progress). Does nothing when stderr is no terminal or quiet. */
void log_status(struct log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Takes the status line away, before a result is printed. */
void log_clear(struct log *l);

#endif
