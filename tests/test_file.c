#include "sim/base/file.h"

#include <sys/stat.h>

#include "sim/base/mem.h"
#include "tests/test.h"

/* A folder of our own, gone at the end. */
static const char *place(void)
{
    static char folder[] = "test_file.XXXXXX";
    static bool is_made;
    if (!is_made)
        is_made = mkdtemp(folder) != NULL;
    return folder;
}

static char *in_place(const char *name)
{
    return file_join(place(), name);
}

static void check_content(const char *path, const char *want)
{
    struct file f = {0};
    struct err e = {0};
    if (file_map(&f, path, &e)) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(f.n_bytes, strlen(want));
    CHECK_TRUE(memcmp(f.bytes, want, strlen(want)) == 0);
    file_unmap(&f);
    CHECK_TRUE(!f.bytes);
    file_unmap(&f);
}

static void a_committed_file_takes_its_name_and_an_abandoned_one_leaves_nothing(void)
{
    char *path = in_place("a.txt");
    struct file_out *out;
    struct err e = {0};
    CHECK_INT(file_create(&out, path, &e), OK);
    fputs("one", file_stream(out));
    CHECK_INT(file_write(out, " two", 4, &e), OK);
    CHECK_TRUE(!file_exists(path));
    CHECK_INT(file_commit(out, &e), OK);
    check_content(path, "one two");
    CHECK_INT(file_create(&out, path, &e), OK);
    fputs("lost", file_stream(out));
    file_abandon(out);
    file_abandon(NULL);
    check_content(path, "one two");
    CHECK_INT(file_replace(path, "", 0, &e), OK);
    check_content(path, "");
    mem_free(path);
}

static void nothing_is_left_aside(void)
{
    char command[200];
    snprintf(command, sizeof(command), "test -z \"$(ls %s | grep tmp)\"", place());
    CHECK_INT(system(command), 0);
}

static void a_full_disk_keeps_the_old_file_and_says_so(void)
{
    struct file_out *out;
    struct err e = {0};
    /* A link to /dev/full under the aside name: what is written is refused with "no space". */
    char aside[200], *path = in_place("full.txt");
    SKIP_UNLESS("/dev/full");
    CHECK_INT(file_replace(path, "old", 3, &e), OK);
    snprintf(aside, sizeof(aside), "%s.tmp-%ld", path, (long)getpid());
    CHECK_INT(symlink("/dev/full", aside), 0);
    CHECK_INT(file_create(&out, path, &e), OK);
    fputs("new", file_stream(out));
    CHECK_INT(file_commit(out, &e), ERR_IO);
    CHECK_HAS(e.text, "full.txt: cannot write: no space left on device");
    check_content(path, "old");
    CHECK_TRUE(!file_exists(aside));
    mem_free(path);
}

static void wrong_paths_are_the_users_error(void)
{
    struct file f = {0};
    struct file_out *out = NULL;
    struct err e = {0};
    char *missing = in_place("missing/x"), *plain = in_place("plain"), *below = in_place("plain/x");
    CHECK_INT(file_map(&f, missing, &e), ERR_INPUT);
    CHECK_HAS(e.text, "missing/x: no such file");
    CHECK_INT(file_map(&f, place(), &e), ERR_INPUT);
    CHECK_HAS(e.text, "expected a file, got a folder");
    CHECK_INT(file_create(&out, missing, &e), ERR_INPUT);
    CHECK_INT(file_create(&out, place(), &e), ERR_INPUT);
    CHECK_TRUE(out == NULL);
    CHECK_INT(file_replace(plain, "x", 1, &e), OK);
    CHECK_INT(file_make_folder(plain, &e), ERR_INPUT);
    CHECK_HAS(e.text, "plain: expected a folder, got a file");
    CHECK_INT(file_make_folder(below, &e), ERR_INPUT);
    CHECK_INT(file_make_folder("", &e), ERR_INPUT);
    mem_free(missing);
    mem_free(plain);
    mem_free(below);
}

static void folders_are_made_with_their_parents_and_removed_with_their_children(void)
{
    struct err e = {0};
    char *deep = in_place("d/e/f"), *file = in_place("d/e/f/x"), *top = in_place("d");
    char *outside = in_place("outside"), *link = in_place("d/link");
    CHECK_INT(file_make_folder(deep, &e), OK);
    CHECK_INT(file_make_folder(deep, &e), OK);
    CHECK_TRUE(file_is_folder(deep));
    CHECK_INT(file_replace(file, "x", 1, &e), OK);
    CHECK_INT(file_replace(outside, "kept", 4, &e), OK);
    CHECK_INT(symlink("../outside", link), 0);
    CHECK_INT(file_remove_tree(top, &e), OK);
    CHECK_TRUE(!file_exists(top));
    check_content(outside, "kept"); /* links are removed, not followed */
    CHECK_INT(file_remove_tree(top, &e), OK);
    CHECK_INT(file_remove_tree(outside, &e), OK);
    mem_free(deep);
    mem_free(file);
    mem_free(top);
    mem_free(outside);
    mem_free(link);
}

static void a_pipe_is_read_to_its_end(void)
{
    int ends[2];
    char path[64];
    struct file f = {0};
    struct err e = {0};
    CHECK_INT(pipe(ends), 0);
    CHECK_INT(write(ends[1], "through", 7), 7);
    close(ends[1]);
    snprintf(path, sizeof(path), "/dev/fd/%d", ends[0]);
    CHECK_INT(file_map(&f, path, &e), OK);
    CHECK_INT(f.n_bytes, 7);
    CHECK_TRUE(f.bytes && memcmp(f.bytes, "through", 7) == 0);
    file_unmap(&f);
    close(ends[0]);
}

static void check_text(char *got, const char *want)
{
    CHECK_STR(got, want);
    mem_free(got);
}

static void paths_are_taken_apart_and_put_together(void)
{
    check_text(file_folder_of("a/b/x.json"), "a/b");
    check_text(file_folder_of("x.json"), ".");
    check_text(file_folder_of("/x.json"), "/");
    check_text(file_join("a/b", "c"), "a/b/c");
    check_text(file_join("a/b/", "c"), "a/b/c");
    check_text(file_join("a", "/c"), "/c");
    check_text(file_join(".", "c"), "c");
    check_text(file_join("/", "c"), "/c");
    check_text(file_absolute("/c"), "/c");
    char *here = file_absolute("c");
    CHECK_TRUE(here[0] == '/' && strcmp(here + strlen(here) - 2, "/c") == 0);
    mem_free(here);
}

int main(void)
{
    CASE(a_committed_file_takes_its_name_and_an_abandoned_one_leaves_nothing);
    CASE(wrong_paths_are_the_users_error);
    CASE(folders_are_made_with_their_parents_and_removed_with_their_children);
    CASE(a_pipe_is_read_to_its_end);
    CASE(paths_are_taken_apart_and_put_together);
    CASE(a_full_disk_keeps_the_old_file_and_says_so);
    CASE(nothing_is_left_aside);
    file_remove_tree(place(), NULL);
    return test_end();
}
