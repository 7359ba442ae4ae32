/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tests of the simulator itself: each case is a process of its own on a machine of its own, and what the simulator
 * reports of it is looked at from outside. Within a case, must() says what has to hold.
 */
#ifndef DT2_TESTS_SIM_SANDBOX_H
#define DT2_TESTS_SIM_SANDBOX_H

#include "sim.h"
#include "support/tap.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned case_failed;

#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            diag("%s:%d: not so: %s", __FILE__, __LINE__, #condition);                                                 \
            case_failed++;                                                                                             \
        }                                                                                                              \
    } while (0)

struct outcome {
    int status; /* as waitpid gives it */
    char report[1 << 16];
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        _exit(3);
}

/* The last number under a key; `absent` when it is not there. */
__attribute__((unused)) static uint64_t reported(const struct outcome *outcome, const char *key)
{
    uint64_t value = UINT64_MAX;
    size_t length = strlen(key);
    for (const char *line = outcome->report; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (strncmp(line, key, length) == 0 && line[length] == '=')
            value = strtoull(line + length + 1, NULL, 10);
    return value;
}

/* Runs a case on a machine; the report is read when it has ended. */
static void run_case(const char *machine, void (*body)(void), struct outcome *outcome)
{
    char folder[] = "/tmp/dt2-sim-XXXXXX", path[64], report[64];
    if (!mkdtemp(folder))
        _exit(3);
    snprintf(path, sizeof path, "%s/machine", folder);
    snprintf(report, sizeof report, "%s/report", folder);
    write_file(path, machine);
    write_file(report, "");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setenv("DISTORCH2_SIM", path, 1);
        setenv("DISTORCH2_SIM_REPORT", report, 1);
        body();
        exit(case_failed ? 1 : 0);
    }
    waitpid(child, &outcome->status, 0);
    FILE *file = fopen(report, "r");
    size_t size = file ? fread(outcome->report, 1, sizeof outcome->report - 1, file) : 0;
    outcome->report[size] = '\0';
    if (file)
        fclose(file);
    unlink(path);
    unlink(report);
    rmdir(folder);
}

struct sim_case {
    const char *what;
    const char *machine;
    void (*body)(void);
    const char *key; /* what the report must say, NULL: that nothing is wrong */
    uint64_t value;
};

static void run_cases(const struct sim_case *cases, size_t count)
{
    static struct outcome outcome;
    for (size_t i = 0; i < count; i++) {
        const struct sim_case *one = &cases[i];
        run_case(one->machine, one->body, &outcome);
        ok(outcome.status == 0, "%s", one->what);
        uint64_t value = reported(&outcome, one->key ? one->key : "violations");
        if (!is_u64(value, one->value, "%s: the report says so", one->what))
            diag("%s", outcome.report);
    }
}
#define RUN_CASES(cases) run_cases(cases, sizeof(cases) / sizeof *(cases))

#endif
