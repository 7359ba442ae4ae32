/* SPDX-License-Identifier: BSD-3-Clause */
/* TAP for C tests: one line a check, the plan at the end. A test that fails goes on; main returns done_testing(). */
#ifndef DT2_TESTS_TAP_H
#define DT2_TESTS_TAP_H

#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One count for all files of a program: weak, so that they share it. */
__attribute__((weak)) unsigned tap_count, tap_failed;

__attribute__((unused, format(printf, 1, 2))) static void diag(const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        printf("# %s\n", line);
    }
    fflush(stdout);
}

__attribute__((unused, format(printf, 4, 5))) static bool tap_check(bool good, const char *file, int line,
                                                                    const char *format, ...)
{
    char name[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (char *c = name; *c; c++)
        if (*c == '\n' || *c == '#')
            *c = ' ';
    printf("%sok %u - %s\n", good ? "" : "not ", ++tap_count, name);
    if (!good) {
        tap_failed++;
        diag("failed at %s:%d", file, line);
    }
    fflush(stdout);
    return good;
}

/* ok(condition, "what holds", ...) */
#define ok(condition, ...) tap_check((condition), __FILE__, __LINE__, __VA_ARGS__)
/* Numbers and strings, printed when they differ. NULL strings compare equal to NULL only. */
#define is_u64(got, expected, ...) tap_is_u64((got), (expected), __FILE__, __LINE__, __VA_ARGS__)
#define is_int(got, expected, ...) tap_is_int((got), (expected), __FILE__, __LINE__, __VA_ARGS__)
#define is_str(got, expected, ...) tap_is_str((got), (expected), __FILE__, __LINE__, __VA_ARGS__)

#define TAP_IS(name, type, equal, conversion)                                                                          \
    __attribute__((unused, format(printf, 5, 6))) static bool name(type got, type expected, const char *file, int line, \
                                                                  const char *format, ...)                             \
    {                                                                                                                  \
        char text[1024];                                                                                               \
        va_list args;                                                                                                  \
        va_start(args, format);                                                                                        \
        vsnprintf(text, sizeof text, format, args);                                                                    \
        va_end(args);                                                                                                  \
        bool good = tap_check((equal), file, line, "%s", text);                                                        \
        if (!good)                                                                                                     \
            diag("     got: %" conversion "\nexpected: %" conversion, got, expected);                                  \
        return good;                                                                                                   \
    }
TAP_IS(tap_is_u64, uint64_t, got == expected, PRIu64)
TAP_IS(tap_is_int, int64_t, got == expected, PRId64)

__attribute__((unused, format(printf, 5, 6))) static bool tap_is_str(const char *got, const char *expected,
                                                                     const char *file, int line, const char *format,
                                                                     ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bool good = tap_check(got == expected || (got && expected && strcmp(got, expected) == 0), file, line, "%s", text);
    if (!good)
        diag("     got: %s\nexpected: %s", got ? got : "(null)", expected ? expected : "(null)");
    return good;
}

/* Skips `n` checks, saying why. */
__attribute__((unused)) static void skip(unsigned n, const char *reason)
{
    for (unsigned i = 0; i < n; i++)
        printf("ok %u # SKIP %s\n", ++tap_count, reason);
}

/* Ends a whole program as skipped: use as `return skip_all("reason")` before any check. */
__attribute__((unused)) static int skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    return 0;
}

__attribute__((unused)) static int done_testing(void)
{
    printf("1..%u\n", tap_count);
    if (tap_failed)
        diag("%u of %u checks failed", tap_failed, tap_count);
    return tap_failed ? 1 : 0;
}

/* A small generator for property tests: the seed is printed, and DT2_TEST_SEED sets it. */
__attribute__((weak)) uint64_t tap_random_state;

__attribute__((unused)) static void seed_random(uint64_t fallback)
{
    const char *text = getenv("DT2_TEST_SEED");
    tap_random_state = text ? strtoull(text, NULL, 0) : fallback;
    diag("seed %" PRIu64 " (set DT2_TEST_SEED to repeat)", tap_random_state);
}

__attribute__((unused)) static uint64_t random_u64(void)
{
    uint64_t z = __atomic_add_fetch(&tap_random_state, 0x9E3779B97F4A7C15u, __ATOMIC_RELAXED); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* How many random cases to try: fewer where every instruction costs more (valgrind; DT2_TEST_SLOW says how many times). */
__attribute__((unused)) static unsigned random_rounds(unsigned usual)
{
    const char *text = getenv("DT2_TEST_SLOW");
    unsigned long slow = text ? strtoul(text, NULL, 10) : 1;
    return slow > 1 ? usual / (unsigned)slow : usual;
}

/* 0 .. n - 1 */
__attribute__((unused)) static uint64_t random_below(uint64_t n)
{
    return random_u64() % n;
}

#endif
