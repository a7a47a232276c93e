#include "sim/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Ends an over-long message visibly, and keeps it one line: names and values of the user's files may hold new
 * lines and what else moves a terminal's cursor. */
static void finish(char *text, int wanted)
{
    if (wanted >= ERR_TEXT_BYTES)
        memcpy(text + ERR_TEXT_BYTES - 4, "...", 4);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

enum err_code err_set(struct err *e, enum err_code code, const char *format, ...)
{
    if (!e)
        return code;
    va_list args;
    va_start(args, format);
    int wanted = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    finish(e->text, wanted);
    e->code = code;
    return code;
}

enum err_code err_in(struct err *e, enum err_code code, const char *format, ...)
{
    if (!e)
        return code;
    char said[ERR_TEXT_BYTES], prefix[ERR_TEXT_BYTES];
    memcpy(said, e->text, sizeof(said));
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof(prefix), format, args);
    va_end(args);
    int wanted = snprintf(e->text, sizeof(e->text), "%s: %s", prefix, said);
    finish(e->text, wanted);
    e->code = code;
    return code;
}

int err_exit_status(enum err_code code)
{
    switch (code) {
    case OK:
        return 0;
    case ERR_INPUT:
    case ERR_LIMIT:
        return 2;
    case ERR_INTERRUPTED:
        return 130;
    case ERR_IO:
    case ERR_MEMORY:
    case ERR_DEVICE:
    case ERR_INTERNAL:
        break;
    }
    return 1;
}
