/* A driver for the fuzzers where clang's libFuzzer is not at hand: tries every file of the corpus,
 * then mutants of them until the time is up. Takes libFuzzer's arguments -max_total_time=S,
 * -runs=N, -seed=N and files or folders, or inputs to be tried alone. Blind (no coverage), but
 * which mutants come, and in which order, is a function of seed and corpus. A crash or an input
 * that takes over 25 s leaves crash-<fuzzer> or slow-<fuzzer> in the current folder. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <time.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "tests/fuzz.h"

enum { MAX_INPUT = 1 << 16, MAX_SEEDS = 4096, LIMIT_S = 25 };

struct input {
    uint8_t *bytes;
    size_t n;
};

struct driver {
    const char *name;
    struct input seed[MAX_SEEDS];
    size_t n_seeds;
    uint64_t key, at; /* of the random numbers */
    uint8_t now[MAX_INPUT + 1];
    size_t n_now;
};

/* What the signal handler must find. */
static struct driver *driver(void)
{
    static struct driver d;
    return &d;
}

static void on_signal(int sig)
{
    char path[160];
    const struct driver *d = driver();
    snprintf(path, sizeof(path), "%s-%s", sig == SIGALRM ? "slow" : "crash", d->name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0 && write(fd, d->now, d->n_now) >= 0)
        close(fd);
    static const char said[] = "fuzz: the input is in crash-* or slow-* of this folder\n";
    if (write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
        _exit(1);
    signal(sig, SIG_DFL);
    _exit(1);
}

static void catch_signals(void)
{
    static const int sigs[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM};
    for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
        signal(sigs[i], on_signal);
}

static void load(struct driver *d, const char *path)
{
    struct file f = {0};
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *inside = file_join(path, entry->d_name);
        load(d, inside);
        mem_free(inside);
    }
    if (dir) {
        closedir(dir);
        return;
    }
    struct err e;
    if (file_map(&f, path, &e)) {
        fprintf(stderr, "fuzz: %s\n", e.text);
        exit(1);
    }
    size_t n = f.n_bytes < MAX_INPUT ? f.n_bytes : MAX_INPUT;
    FUZZ_CHECK(d->n_seeds < MAX_SEEDS);
    struct input *s = &d->seed[d->n_seeds++];
    *s = (struct input){malloc(n + 1), n};
    memcpy(s->bytes, f.bytes, n);
    file_unmap(&f);
}

/* Folders are read in an order of the system's; sorted, so that a seed number means the same
 * everywhere. */
static int by_content(const void *pa, const void *pb)
{
    const struct input *a = pa, *b = pb;
    size_t n = a->n < b->n ? a->n : b->n;
    int order = memcmp(a->bytes, b->bytes, n);
    return order ? order : (a->n > b->n) - (a->n < b->n);
}

static void try_now(struct driver *d)
{
    uint8_t *copy = malloc(d->n_now); /* of its own size, so that a sanitizer sees a byte too far */
    memcpy(copy, d->now, d->n_now);
    alarm(LIMIT_S);
    LLVMFuzzerTestOneInput(copy, d->n_now);
    alarm(0);
    free(copy);
}

static size_t below(struct driver *d, size_t n)
{
    return n ? (size_t)(rng_u64(d->key, RNG_ROUND, 0, d->at++) % n) : 0;
}

/* Puts n bytes in place of gone bytes at a place, as far as there is room. */
static void splice(struct driver *d, size_t at, size_t gone, const uint8_t *bytes, size_t n)
{
    if (d->n_now - gone + n > MAX_INPUT)
        return;
    memmove(d->now + at + n, d->now + at + gone, d->n_now - at - gone);
    if (n > 0)
        memcpy(d->now + at, bytes, n);
    d->n_now = d->n_now - gone + n;
}

static void mutate(struct driver *d)
{
    static const char *const words[] = {"-1",
                                        "0",
                                        "1e999",
                                        "9007199254740993",
                                        "18446744073709551616",
                                        "1.5",
                                        "nul",
                                        "null",
                                        "true",
                                        "[]",
                                        "{}",
                                        "\"\"",
                                        "[[",
                                        "}",
                                        "\\u0000",
                                        "\xff\xfe",
                                        "\"\\ud800\"",
                                        ",",
                                        "NaN",
                                        "4294967296",
                                        "1e-320",
                                        "../x",
                                        "builtin:",
                                        "\n",
                                        "\t\r\n "};
    size_t at = below(d, d->n_now + 1), left = d->n_now - at;
    size_t some = below(d, (left < 32 ? left : 32) + 1);
    uint8_t byte = (uint8_t)below(d, 256);
    const char *word = words[below(d, sizeof(words) / sizeof(words[0]))];
    const struct input *other = &d->seed[below(d, d->n_seeds)];
    size_t from = below(d, other->n + 1), n = below(d, other->n - from + 1);
    switch (below(d, 8)) {
    case 0:
        splice(d, at, left > 0, &byte, 1);
        break;
    case 1:
        splice(d, at, 0, &byte, 1);
        break;
    case 2:
        splice(d, at, some, NULL, 0);
        break;
    case 3:
        splice(d, at, 0, (const uint8_t *)word, strlen(word));
        break;
    case 4:
        splice(d, at, some, (const uint8_t *)word, strlen(word));
        break;
    case 5:
        splice(d, at, some, other->bytes + from, n < 64 ? n : 64);
        break;
    case 6:
        splice(d, at, left, other->bytes + from, n);
        break;
    default:
        if (left > 0)
            d->now[at] = (uint8_t)(d->now[at] ^ 1u << below(d, 8));
    }
}

static bool number(const char *arg, const char *name, double *out)
{
    size_t n = strlen(name);
    if (strncmp(arg, name, n) != 0)
        return false;
    *out = atof(arg + n);
    return true;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    struct driver *d = driver();
    double max_s = 0, runs = -1, seed = 1, begun_s = seconds();
    const char *slash = strrchr(argv[0], '/');
    d->name = slash ? slash + 1 : argv[0];
    catch_signals();
    for (int i = 1; i < argc; i++) {
        if (!number(argv[i], "-max_total_time=", &max_s) && !number(argv[i], "-runs=", &runs) &&
            !number(argv[i], "-seed=", &seed) && argv[i][0] != '-')
            load(d, argv[i]);
    }
    if (d->n_seeds == 0) {
        fprintf(stderr, "usage: %s [-max_total_time=S] [-runs=N] [-seed=N] FILE_OR_FOLDER...\n",
                d->name);
        return 1;
    }
    qsort(d->seed, d->n_seeds, sizeof(d->seed[0]), by_content);
    d->key = (uint64_t)seed;
    double n_runs = 0;
    for (; n_runs < (double)d->n_seeds; n_runs++) {
        const struct input *s = &d->seed[(size_t)n_runs];
        memcpy(d->now, s->bytes, d->n_now = s->n);
        try_now(d);
    }
    while (seconds() - begun_s < max_s && (runs < 0 || n_runs < runs)) {
        const struct input *s = &d->seed[below(d, d->n_seeds)];
        memcpy(d->now, s->bytes, d->n_now = s->n);
        for (size_t k = below(d, 6) + 1; k > 0; k--)
            mutate(d);
        try_now(d);
        n_runs++;
    }
    file_remove_tree(fuzz_folder(), NULL);
    printf("%s: %.0f inputs from %zu of the corpus in %.1f s\n", d->name, n_runs, d->n_seeds,
           seconds() - begun_s);
    for (size_t i = 0; i < d->n_seeds; i++)
        free(d->seed[i].bytes);
    return 0;
}
