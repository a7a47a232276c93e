#include "sim/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MAX_COLUMNS 512

void log_init(struct log *l, bool is_quiet)
{
    *l = (struct log){.is_quiet = is_quiet, .is_terminal = isatty(STDERR_FILENO) == 1};
}

void log_clear(struct log *l)
{
    if (!l->has_status)
        return;
    fputs("\r\033[K", stderr);
    l->has_status = false;
}

__attribute__((format(printf, 3, 0))) static void say(struct log *l, const char *prefix,
                                                      const char *format, va_list args)
{
    log_clear(l);
    fputs(prefix, stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
}

void log_note(struct log *l, const char *format, ...)
{
    if (l->is_quiet)
        return;
    va_list args;
    va_start(args, format);
    say(l, "", format, args);
    va_end(args);
}

void log_warn(struct log *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(l, "warning: ", format, args);
    va_end(args);
}

void log_status(struct log *l, const char *format, ...)
{
    if (l->is_quiet || !l->is_terminal)
        return;
    char line[MAX_COLUMNS];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    struct winsize w;
    int columns = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
    fprintf(stderr, "\r%.*s\033[K", columns - 1, line);
    l->has_status = true;
}
