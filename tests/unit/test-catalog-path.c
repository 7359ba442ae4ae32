/* SPDX-License-Identifier: BSD-3-Clause */
/* Paths as text. What is expected here is what Python's posixpath gives. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include "catalog/path.h"
#include "support/tap.h"
#include <pwd.h>
#include <unistd.h>

static void test_normal(void)
{
    static const char *const cases[][2] = {
        { "", "." },
        { ".", "." },
        { "/", "/" },
        { "//", "//" },
        { "///", "/" },
        { "/a", "/a" },
        { "//a", "//a" },
        { "///a", "/a" },
        { "////a//b", "/a/b" },
        { "a/", "a" },
        { "a//b", "a/b" },
        { "a/./b/.", "a/b" },
        { "a/../b", "b" },
        { "a/..", "." },
        { "a/b/../..", "." },
        { "..", ".." },
        { "../a", "../a" },
        { "../../a", "../../a" },
        { "a/../..", ".." },
        { "a/../../b", "../b" },
        { "../a/../b", "../b" },
        { "../a/../../b", "../../b" },
        { "/..", "/" },
        { "/../a", "/a" },
        { "//../a", "//a" },
        { "/a/../../b", "/b" },
        { "/a/b/../../c/./d//", "/c/d" },
        { "./a", "a" },
        { "a b/ c", "a b/ c" },
        { "...", "..." },
        { ".../..", "." },
        { "..a/b", "..a/b" },
        { "a../../b", "b" },
        { "/a/.b/..c", "/a/.b/..c" },
        { "a\n/b", "a\n/b" },
        { "~/a/../b", "~/b" },
        { "/.", "/" },
        { "//.", "//" },
        { "./..", ".." },
        { "./.", "." },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *got = dt2_path_normal(cases[i][0]);
        is_str(got, cases[i][1], "normal '%s'", cases[i][0]);
        dt2_release(got);
    }
}

/* Normalising twice changes nothing, and what is left holds no component that normalising removes. */
static void test_normal_properties(void)
{
    static const char *const parts[] = { "/", "/", "//", ".", "..", "a", "b.c", "..." };
    seed_random(20261124);
    bool stable = true, clean = true, shorter = true;
    for (int i = 0; i < 5000; i++) {
        char path[128] = "";
        for (uint64_t j = random_below(12); j > 0; j--)
            strcat(path, parts[random_below(DT2_COUNT(parts))]);
        char *once = dt2_path_normal(path), *twice = dt2_path_normal(once);
        stable &= strcmp(once, twice) == 0;
        clean &= !strstr(once, "/./") && !strstr(once + 1, "//") && (once[0] != '/' || !strstr(once, "/../"));
        shorter &= strlen(once) <= (path[0] ? strlen(path) : 1);
        dt2_release(once);
        dt2_release(twice);
    }
    ok(stable, "5000 random paths: normalising twice is normalising once");
    ok(clean, "5000 random paths: nothing is left to normalise");
    ok(shorter, "5000 random paths: none grows");
}

static void test_join(void)
{
    static const char *const cases[][3] = {
        { "/m", "a", "/m/a" }, { "/m/", "a", "/m/a" },  { "/m", "/a", "/a" }, { "/m", "", "/m/" },
        { "/m/", "", "/m/" },  { "", "a", "a" },        { "", "", "" },       { "/", "a", "/a" },
        { "a", "..", "a/.." }, { "a", "~/b", "a/~/b" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *got = dt2_path_join(cases[i][0], cases[i][1]);
        is_str(got, cases[i][2], "join '%s' and '%s'", cases[i][0], cases[i][1]);
        dt2_release(got);
    }
}

static void test_folder(void)
{
    static const char *const cases[][2] = { { "/a/b", "/a" }, { "/a", "/" }, { "//a", "//" }, { "/a/b/c", "/a/b" } };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *got = dt2_path_folder(cases[i][0]);
        is_str(got, cases[i][1], "folder of '%s'", cases[i][0]);
        dt2_release(got);
    }
}

static void test_home(void)
{
    static const struct {
        const char *home, *path, *expected;
    } cases[] = {
        { "/home/u", "~", "/home/u" },
        { "/home/u", "~/", "/home/u/" },
        { "/home/u", "~/m/x", "/home/u/m/x" },
        { "/home/u/", "~/m", "/home/u/m" },
        { "/home/u//", "~", "/home/u" },
        { "/", "~", "/" },
        { "/", "~/m", "/m" },
        { "", "~", "/" },
        { "", "~/m", "/m" },
        { "rel", "~/m", "rel/m" },
        { "/home/u", "a/~", "a/~" },
        { "/home/u", "", "" },
        { "/home/u", "/~/m", "/~/m" },
        { "/home/u", "~no-such-user-here/m", "~no-such-user-here/m" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        setenv("HOME", cases[i].home, 1);
        char *got = dt2_path_expand_home(cases[i].path);
        is_str(got, cases[i].expected, "'%s' at home in '%s'", cases[i].path, cases[i].home);
        dt2_release(got);
    }
    const struct passwd *user = getpwuid(getuid());
    if (!user || strcmp(user->pw_dir, "/") == 0) {
        skip(2, "this user has no home in the user database");
        return;
    }
    char named[256], expected[4200];
    snprintf(named, sizeof named, "~%s/m", user->pw_name);
    snprintf(expected, sizeof expected, "%s/m", user->pw_dir);
    char *got = dt2_path_expand_home(named);
    is_str(got, expected, "a user by name");
    dt2_release(got);
    unsetenv("HOME");
    got = dt2_path_expand_home("~/m");
    is_str(got, expected, "without HOME, the user database tells");
    dt2_release(got);
}

static void test_variables(void)
{
    static const char *const cases[][2] = {
        { "", "" },
        { "plain", "plain" },
        { "$DT2_A", "/q" },
        { "${DT2_A}", "/q" },
        { "x$DT2_A/y", "x/q/y" },
        { "$DT2_A${DT2_B}$DT2_A", "/qz/q" },
        { "$DT2_AB", "$DT2_AB" },
        { "${DT2_A}B", "/qB" },
        { "$DT2_EMPTY/x", "/x" },
        { "$DT2_NOPE/x", "$DT2_NOPE/x" },
        { "${DT2_NOPE}/x", "${DT2_NOPE}/x" },
        { "${DT2_NOPE}$DT2_B", "${DT2_NOPE}z" },
        { "$DT2_LOOP", "$DT2_LOOP and $DT2_A" },
        { "$", "$" },
        { "$$DT2_B", "$z" },
        { "$$", "$$" },
        { "$/x", "$/x" },
        { "$-$DT2_B", "$-z" },
        { "${}", "${}" },
        { "${", "${" },
        { "${DT2_B", "${DT2_B" },
        { "${DT2_B$DT2_B}", "${DT2_B$DT2_B}" },
        { "${$DT2_B", "${z" },
        { "${DT2_B }", "${DT2_B }" },
        { "$DT2_B\xC3\xA4", "z\xC3\xA4" },
        { "${DT2_C=1}", "${DT2_C=1}" },
        { "a$DT2_B.b", "az.b" },
        { "~$DT2_B", "~z" },
    };
    setenv("DT2_A", "/q", 1);
    setenv("DT2_B", "z", 1);
    setenv("DT2_C", "1=2", 1);
    setenv("DT2_EMPTY", "", 1);
    setenv("DT2_LOOP", "$DT2_LOOP and $DT2_A", 1);
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char *got = dt2_path_expand_variables(cases[i][0]);
        is_str(got, cases[i][1], "expand '%s'", cases[i][0]);
        dt2_release(got);
    }
}

static void test_absolute(void)
{
    char *got = NULL;
    is_int(dt2_path_absolute("/a/../b/", &got, NULL), 0, "an absolute path needs no working directory");
    is_str(got, "/b", "and is normalised");
    dt2_release(got);
    char here[4096], expected[4200];
    ok(getcwd(here, sizeof here), "we are somewhere");
    snprintf(expected, sizeof expected, "%s/x", here);
    is_int(dt2_path_absolute("./y/../x", &got, NULL), 0, "a relative path is joined to the working directory");
    is_str(got, expected, "and normalised");
    dt2_release(got);
}

int main(void)
{
    test_normal();
    test_normal_properties();
    test_join();
    test_folder();
    test_home();
    test_variables();
    test_absolute();
    return done_testing();
}
