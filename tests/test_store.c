/* The store of blocks: what comes back is what was put, or nothing, whatever happens to the files.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "sim/base/file.h"
#include "sim/base/mem.h"
#include "sim/base/rng.h"
#include "sim/base/store.h"
#include "tests/test.h"

#define FOLDER "test_store.folder"

enum { HEADER_BYTES = 48, N_KEYS = 40, N_PROCESSES = 8 };

static struct store *open_store(size_t max_bytes)
{
    struct store *s = NULL;
    struct err e = {0};
    if (store_open(&s, FOLDER, max_bytes, &e))
        TEST_FAIL("%s", e.text);
    return s;
}

static struct store *fresh(size_t max_bytes)
{
    file_remove_tree(FOLDER, NULL);
    return open_store(max_bytes);
}

static struct hash128 key_of(int i)
{
    return hash_bytes(&i, sizeof(i));
}

static void path_of(int i, char out[128])
{
    char hex[33];
    hash_hex(key_of(i), hex);
    snprintf(out, 128, FOLDER "/%s.block", hex);
}

/* Content of block i: a function of i. */
static size_t content(int i, unsigned char *out, size_t n)
{
    for (size_t k = 0; k < n; k++)
        out[k] = (unsigned char)(rng_u64(7, RNG_PICK, (uint32_t)i, k / 8) >> 8 * (k % 8));
    return n;
}

static void put(struct store *s, int i, size_t n)
{
    unsigned char *bytes = malloc(n + 1);
    store_put(s, key_of(i), bytes, content(i, bytes, n));
    free(bytes);
}

/* 1: there and right, 0: not there, -1: wrong. */
static int get(struct store *s, int i, size_t n)
{
    void *bytes;
    size_t n_got;
    if (!store_get(s, key_of(i), &bytes, &n_got))
        return 0;
    unsigned char *right = malloc(n + 1);
    content(i, right, n);
    int result = n_got == n && memcmp(bytes, right, n) == 0 ? 1 : -1;
    free(right);
    mem_free(bytes);
    return result;
}

static size_t damaged(struct store *s)
{
    struct store_report r;
    store_report(s, &r);
    return r.n_damaged;
}

static void flip(const char *path, long at)
{
    int fd = open(path, O_RDWR);
    unsigned char byte;
    bool is_done = pread(fd, &byte, 1, at) == 1;
    byte ^= (unsigned char)(1u << at % 8);
    is_done = is_done && pwrite(fd, &byte, 1, at) == 1;
    close(fd);
    CHECK_TRUE(is_done);
}

static void a_block_comes_back_to_the_byte(void)
{
    static const size_t sizes[] = {0, 1, 4096 - HEADER_BYTES, 100000, 3000000};
    struct store *s = fresh(64 << 20);
    for (int i = 0; i < 5; i++) {
        CHECK_INT(get(s, i, sizes[i]), 0);
        put(s, i, sizes[i]);
    }
    store_close(s);
    s = open_store(64 << 20);
    for (int i = 0; i < 5; i++)
        CHECK_INT(get(s, i, sizes[i]), 1);
    CHECK_INT(damaged(s), 0);
    store_close(s);
}

static void a_flipped_byte_anywhere_is_noticed_and_the_block_replaced(void)
{
    enum { N = 100 };
    char path[128];
    struct store *s = fresh(64 << 20);
    put(s, 1, N);
    path_of(1, path);
    for (long at = 0; at < HEADER_BYTES + N; at++) {
        flip(path, at);
        CHECK_INT(get(s, 1, N), 0);
        CHECK_INT(damaged(s), at + 1);
        put(s, 1, N);
        CHECK_INT(get(s, 1, N), 1);
    }
    struct store_report r;
    store_report(s, &r);
    CHECK_HAS(r.damaged, path + strlen(FOLDER));
    CHECK_HAS(r.damaged, "damaged: ");
    store_close(s);
}

static void a_torn_or_swapped_file_is_noticed(void)
{
    enum { N = 5000 };
    char path[128], other[128];
    struct store *s = fresh(64 << 20);
    static const off_t lengths[] = {
        0, 1, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + N - 1, HEADER_BYTES + N + 1};
    path_of(1, path);
    for (size_t i = 0; i < 6; i++) {
        put(s, 1, N);
        CHECK_INT(truncate(path, lengths[i]), 0);
        CHECK_INT(get(s, 1, N), 0);
        CHECK_INT(damaged(s), i + 1);
    }
    put(s, 2, N);
    path_of(2, other);
    CHECK_INT(rename(other, path), 0);
    CHECK_INT(get(s, 1, N), 0);
    CHECK_INT(mkdir(other, 0755), 0);
    CHECK_INT(get(s, 2, N), 0);
    CHECK_INT(damaged(s), 8);
    store_close(s);
}

/* Bytes of all blocks in whole pages; how many. */
static double folder_bytes(int *n)
{
    double sum = 0;
    DIR *dir = opendir(FOLDER);
    *n = 0;
    for (struct dirent *d; dir && (d = readdir(dir));) {
        struct stat st;
        char path[512];
        snprintf(path, sizeof(path), FOLDER "/%s", d->d_name);
        if (!strstr(d->d_name, ".block") || stat(path, &st) != 0)
            continue;
        sum += 4096.0 * ceil((double)st.st_size / 4096);
        ++*n;
    }
    if (dir)
        closedir(dir);
    return sum;
}

/* Says that a block was used so many seconds ago. */
static void age(int i, int seconds)
{
    char path[128];
    struct timespec now[2];
    path_of(i, path);
    clock_gettime(CLOCK_REALTIME, &now[0]);
    now[0].tv_sec -= seconds;
    now[1] = now[0];
    CHECK_INT(utimensat(AT_FDCWD, path, now, 0), 0);
}

static void the_size_is_bounded_and_the_least_recently_used_go_first(void)
{
    enum { N = 60000, MAX = 1 << 20, N_FIRST = 16 };
    int n;
    struct store *s = fresh(MAX);
    for (int i = 0; i < N_FIRST; i++) {
        put(s, i, N);
        age(i, 1000 - i);
    }
    folder_bytes(&n);
    CHECK_INT(n, N_FIRST);
    CHECK_INT(get(s, 0, N), 1); /* the oldest, used now */
    for (int i = N_FIRST; i < N_FIRST + 8; i++) {
        put(s, i, N);
        CHECK_TRUE(folder_bytes(&n) <= MAX);
    }
    CHECK_INT(get(s, 0, N), 1);
    CHECK_INT(get(s, 1, N), 0);
    CHECK_INT(get(s, N_FIRST - 1, N), 1);
    CHECK_INT(get(s, N_FIRST + 7, N), 1);
    struct store_report r;
    store_report(s, &r);
    CHECK_INT(n, N_FIRST + 8 - (long long)r.n_removed);
    put(s, 100, MAX / 4 + 1);
    CHECK_INT(get(s, 100, MAX / 4 + 1), 0); /* too large to be kept */
    store_report(s, &r);
    CHECK_INT(r.n_too_large, 1);
    CHECK_INT(damaged(s), 0);
    store_close(s);
}

static void other_files_stay_and_killed_writers_leftovers_go(void)
{
    enum { N = 60000 };
    static const char *const other[] = {FOLDER "/notes.txt",
                                        FOLDER "/0123456789abcdef0123456789abcdef",
                                        FOLDER "/0123456789abcdef.block"};
    static const char leftover[] = FOLDER "/0123456789abcdef0123456789abcdef.block.tmp-7";
    struct store *s = fresh(1 << 20);
    for (int i = 0; i < 3; i++)
        CHECK_INT(file_replace(other[i], "mine", 4, NULL), OK);
    CHECK_INT(file_replace(leftover, "half", 4, NULL), OK);
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    CHECK_INT(utimensat(AT_FDCWD, leftover, old, 0), 0);
    for (int i = 0; i < 40; i++)
        put(s, i, N);
    for (int i = 0; i < 3; i++)
        CHECK_TRUE(file_exists(other[i]));
    CHECK_TRUE(!file_exists(leftover));
    store_close(s);
}

static void a_store_that_cannot_be_written_says_so_and_nothing_else(void)
{
    struct store *s = fresh(1 << 20);
    CHECK_INT(rmdir(FOLDER), 0);
    put(s, 1, 10);
    CHECK_INT(get(s, 1, 10), 0);
    struct store_report r;
    store_report(s, &r);
    CHECK_HAS(r.unwritable, "cannot write: ");
    CHECK_INT(r.n_damaged, 0);
    store_close(s);
    struct err e = {0};
    CHECK_INT(store_open(&s, "/dev/null/store", 1 << 20, &e), ERR_INPUT);
    CHECK_HAS(e.text, "/dev/null");
}

/* Puts and gets at random; the exit status is how many wrong blocks it got. */
static int hammer(uint32_t who)
{
    struct store *s = NULL;
    int n_wrong = 0, n_right = 0;
    if (store_open(&s, FOLDER, 1 << 20, NULL))
        return 99;
    for (uint64_t step = 0; step < 600; step++) {
        int i = (int)rng_below(3, RNG_ORDER, who, step, N_KEYS);
        size_t n = 20000 + 1000 * (size_t)i;
        int got = get(s, i, n);
        n_wrong += got < 0;
        n_right += got > 0;
        if (got <= 0)
            put(s, i, n);
    }
    store_close(s);
    return n_wrong ? n_wrong : n_right > 0 ? 0 : 98;
}

/* Blocks of 40 keys, 1.6 MB, in a store of 1 MiB, while somebody flips bytes in them. */
static void eight_processes_at_once_never_get_a_wrong_block(void)
{
    pid_t child[N_PROCESSES];
    int n_left = N_PROCESSES, n_flipped = 0, n;
    store_close(fresh(1 << 20));
    fflush(stdout);
    for (uint32_t i = 0; i < N_PROCESSES; i++)
        if ((child[i] = fork()) == 0)
            _exit(hammer(i));
    for (uint64_t step = 0; n_left > 0; step++) {
        int status;
        char path[128];
        path_of((int)rng_below(4, RNG_ORDER, 0, step, N_KEYS), path);
        int fd = open(path, O_WRONLY);
        n_flipped += fd >= 0 && pwrite(fd, "x", 1, (long)(step % 20000)) == 1;
        if (fd >= 0)
            close(fd);
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; n_left--)
            CHECK_INT(WIFEXITED(status) ? WEXITSTATUS(status) : 97, 0);
        if (step > 30000) { /* a minute: they wait for each other */
            TEST_FAIL("%d of %d processes have not ended", n_left, N_PROCESSES);
            for (int i = 0; i < N_PROCESSES; i++)
                kill(child[i], SIGKILL);
            break;
        }
    }
    CHECK_TRUE(n_flipped > 0);
    CHECK_TRUE(folder_bytes(&n) <= (1 << 20) + N_PROCESSES * 61440);
}

int main(void)
{
    CASE(a_block_comes_back_to_the_byte);
    CASE(a_flipped_byte_anywhere_is_noticed_and_the_block_replaced);
    CASE(a_torn_or_swapped_file_is_noticed);
    CASE(the_size_is_bounded_and_the_least_recently_used_go_first);
    CASE(other_files_stay_and_killed_writers_leftovers_go);
    CASE(a_store_that_cannot_be_written_says_so_and_nothing_else);
    CASE(eight_processes_at_once_never_get_a_wrong_block);
    file_remove_tree(FOLDER, NULL);
    return test_end();
}
