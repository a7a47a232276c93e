/* sim/base/err.h: one error code and one message that grows on its way up.
 *
 * Whatever the outside world can break returns enum err_code and explains itself in its last
 * parameter. The leaf states the fact (err_set), each caller may prefix what it was doing (err_in),
 * and only main prints. A NULL struct err is allowed everywhere: the code is then all there is. */
#ifndef SIM_BASE_ERR_H
#define SIM_BASE_ERR_H

enum err_code {
    OK = 0,
    ERR_INPUT,       /* the user's file, key, option or value is wrong: exit 2 */
    ERR_LIMIT,       /* asked for more than a stated limit: exit 2 */
    ERR_IO,          /* the machine could not read or write: exit 1 */
    ERR_MEMORY,      /* not enough memory, the message says how much was needed: exit 1 */
    ERR_DEVICE,      /* no such accelerator, or it failed: exit 1 */
    ERR_INTERNAL,    /* a library failed in a way we do not understand: exit 1 */
    ERR_INTERRUPTED, /* the user pressed Ctrl-C: exit 130 */
};

#define ERR_TEXT_BYTES 1024

struct err {
    enum err_code code;
    char text[ERR_TEXT_BYTES]; /* one line, lower case, no full stop; cut with "..." when too long */
};

/* Sets code and message; control characters in it become "?", so that it stays one line. Returns code, so that
 * "return err_set(...)" reads well. */
enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message that is there; returns code. */
enum err_code err_in(struct err *e, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The process's exit status for a code: 0, 1, 2 or 130. */
int err_exit_status(enum err_code code);

#endif
