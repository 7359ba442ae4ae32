/* SPDX-License-Identifier: BSD-3-Clause */
/* Foreign text in what is shown: errors, suggestions, log lines, warnings. */
#include "base/error.h"
#include "base/log.h"
#include "base/warnings.h"
#include "base/shown.h"
#include "base/text.h"
#include "base/checked.h"
#include "support/tap.h"
#include <stdio.h>
#include <stdlib.h>

static void test_cases(void)
{
    static const char *const cases[][2] = {
        { "plain", "plain" },
        { "a\nb", "a\\x0ab" },
        { "\xFF", "\\xff" },
        { "\xC3\xA4", "\xC3\xA4" },
        { "\xC3", "\\xc3" },
        { "\xE2\x82\xAC", "\xE2\x82\xAC" },
        { "\xE2\x82", "\\xe2\\x82" },
        { "\xF0\x9F\x98\x80!", "\xF0\x9F\x98\x80!" },
        { "", "" },
        { "\x1B[31m\x7F", "\\x1b[31m\\x7f" },
        { "\xC2\x9B" "2J", "\\u009b2J" },             /* C1 */
        { "a\xE2\x80\xAE" "b", "a\\u202eb" },         /* reorders what follows */
        { "\xE2\x81\xA6\xE2\x80\x8F", "\\u2066\\u200f" },
        { "\xE2\x80\xA8", "\\u2028" },                /* ends a line */
        { "\xED\xA0\x80", "\\xed\\xa0\\x80" },        /* half of a pair */
    };
    char out[64];
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        is_str(dt2_show(cases[i][0], out, sizeof out), cases[i][1], "show case %zu", i);
        ok(dt2_is_showable(cases[i][0], strlen(cases[i][0])) == (strcmp(cases[i][0], cases[i][1]) == 0),
           "case %zu: as it is, or not", i);
    }
    char small[8];
    is_str(dt2_show("abcdef\xC3\xA4", small, sizeof small), "abcd...", "a text is cut, and it can be seen");
    is_str(dt2_show("abc\xC3\xA4" "fgh", small, sizeof small), "abc...", "at a character");
    is_str(dt2_show("abcdefg", small, sizeof small), "abcdefg", "what fits is whole");
}

static void random_text(char *bytes, size_t size)
{
    for (size_t j = 0; j + 1 < size; j++)
        bytes[j] = (char)(1 + random_below(255));
    bytes[size - 1] = '\0';
}

static void collect(void *data, enum dt2_log_level level, const char *line)
{
    (void)level;
    bool *good = data;
    *good &= dt2_is_showable(line, strlen(line));
}

/* Whatever a file, a device or a path is called: no way out shows it raw, and no array is cut inside a character. */
static void test_ways_out(void)
{
    bool shown_right = true, errors = true, suggestions = true, logged = true, noted = true;
    const struct dt2_log log = { collect, &logged };
    for (int i = 0; i < 2000; i++) {
        char bytes[3000], shown[40];
        random_text(bytes, i % 10 ? 40 : sizeof bytes);
        struct dt2_error err;
        struct dt2_warnings warnings = { 0 };
        dt2_show(bytes, shown, sizeof shown);
        shown_right &= dt2_is_showable(shown, strlen(shown));
        dt2_fail(&err, DT2_EFAILED, "%s: is bad", bytes);
        dt2_fail_prefix(&err, DT2_EFAILED, "%s: ", bytes);
        dt2_suggest(&err, "take %s", bytes);
        dt2_log_line(&log, DT2_LOG_WARNING, "of %s", bytes);
        errors &= dt2_is_showable(err.text, strlen(err.text));
        suggestions &= dt2_is_showable(err.suggestion, strlen(err.suggestion));
        if (dt2_warnings_add(&warnings, NULL, "of %s", bytes) == 0)
            noted &= dt2_is_showable(warnings.items[0], strlen(warnings.items[0]));
        dt2_warnings_clear(&warnings);
    }
    ok(shown_right, "2000 random texts are shown as one line of UTF-8");
    ok(errors, "errors are");
    ok(suggestions, "suggestions are");
    ok(logged, "log lines are");
    ok(noted, "warnings are");
}

/* However long the words before it are, the caret is there, under its character. */
static void test_caret(void)
{
    char name[4000];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    struct dt2_error err;
    dt2_fail_caret(&err, DT2_EUSAGE, "cuda:0,\x1B;cpu", 7, "device '%s'", name);
    ok(strstr(err.text, "\n  cuda:0, ;cpu\n         ^"), "the caret stands under its character");
    dt2_fail_prefix(&err, DT2_EUSAGE, "%s: ", name);
    ok(strstr(err.text, "\n  cuda:0, ;cpu\n         ^"), "behind a long prefix too");
    dt2_fail_caret(&err, DT2_EUSAGE, "a\xE2\x80\xAE" "b\xFFx", 6, "x");
    ok(strstr(err.text, "\n  a?b"), "what is around it is shown plainly");
    ok(!strchr(err.text, '\xAE') && !strchr(err.text, '\xFF'), "and nothing of it raw");
}

int main(void)
{
    seed_random(20261129);
    test_cases();
    test_ways_out();
    test_caret();
    return done_testing();
}
