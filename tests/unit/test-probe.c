/* SPDX-License-Identifier: BSD-3-Clause */
/* What may end a process, tried in one of its own. */
#include "machine/probe.h"
#include "support/tap.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void comes_back(void *data)
{
    *(int *)data = 1; /* of the child's copy */
}

static void says_much(void *data)
{
    (void)data;
    for (int i = 0; i < 100000; i++)
        fprintf(stderr, "line %d\n", i);
    raise(SIGSEGV);
}

static void aborts(void *data)
{
    (void)data;
    abort();
}

static void exits(void *data)
{
    (void)data;
    exit(0);
}

static void hangs(void *data)
{
    (void)data;
    signal(SIGTERM, SIG_IGN);
    for (;;)
        pause();
}

/* With a child of its own that keeps standard error open. */
static void leaves_a_child(void *data)
{
    (void)data;
    if (fork() == 0)
        for (int i = 0; i < 60; i++)
            sleep(1);
}

static void hangs_without_output(void *data)
{
    (void)data;
    close(STDERR_FILENO);
    for (;;)
        pause();
}

static const struct {
    const char *what;
    void (*trial)(void *data);
    bool good;
    const char *how;
} cases[] = {
    { "what comes back", comes_back, true, "" },
    { "what aborts", aborts, false, "signal 6 (Aborted)" },
    { "what says much and crashes", says_much, false, "signal 11 (Segmentation fault): line 99999" },
    { "what exits", exits, false, "status 0" },
    { "what hangs", hangs, false, "does not come to an end within 1 seconds" },
    { "what hangs in silence", hangs_without_output, false, "does not come to an end within 1 seconds" },
    { "what leaves a child behind", leaves_a_child, true, "" },
};

int main(void)
{
    int touched = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char how[256] = "";
        errno = 4242;
        bool good = dt2_probe(cases[i].trial, &touched, 1, how, sizeof how);
        is_int(errno, 4242, "errno stays");
        ok(good == cases[i].good, "%s", cases[i].what);
        ok(strstr(how, cases[i].how) != NULL, "it is said how: %s", how);
    }
    is_int(touched, 0, "nothing of it reaches this process");
    return done_testing();
}
