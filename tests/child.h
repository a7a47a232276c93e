/* tests/child.h: runs a piece of a test in a process of its own, because SimGrid allows one network
 * per process. The child hands back one block of bytes. */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Writes, or reads, n bytes; false when the other end is gone first. */
static inline bool child_move(int fd, void *bytes, size_t n, bool is_write)
{
    char *at = bytes;
    while (n > 0) {
        ssize_t moved = is_write ? write(fd, at, n) : read(fd, at, n);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return false;
        at += moved;
        n -= (size_t)moved;
    }
    return true;
}

/* Calls work(arg, result) in a child; its result [n_bytes] comes back. False when the child died.
 */
static inline bool child_run(void (*work)(void *arg, void *result), void *arg, void *result,
                             size_t n_bytes)
{
    int ends[2];
    fflush(stdout);
    if (pipe(ends) != 0)
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        work(arg, result);
        bool is_sent = child_move(ends[1], result, n_bytes, true);
        fflush(stdout);
        _exit(is_sent ? 0 : 1);
    }
    close(ends[1]);
    bool is_whole = pid > 0 && child_move(ends[0], result, n_bytes, false);
    close(ends[0]);
    int status = 1;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return is_whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

#endif
