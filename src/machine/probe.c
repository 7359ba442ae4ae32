/* SPDX-License-Identifier: BSD-3-Clause */
#include "machine/probe.h"
#include "base/clock.h"
#include "base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEPT_BYTES 1024 /* of what the child says: its end */
#define CAME_BACK 77    /* the child's status when the trial has returned: a runtime may end the process by itself */
#define LOOK_MS 50

/* The child: nothing that it says is seen, no core is dumped, and it does not outlive its parent. */
static void run(void (*trial)(void *data), void *data, int said)
{
    const struct rlimit no_core = { 0, 0 };
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setrlimit(RLIMIT_CORE, &no_core);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    setpgid(0, 0);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(said, STDERR_FILENO);
    trial(data);
    _exit(CAME_BACK);
}

/* Adds what comes to the end of what is kept. */
static void keep(char *kept, size_t *used, int said)
{
    char part[KEPT_BYTES / 4];
    ssize_t got = read(said, part, sizeof part);
    if (got <= 0)
        return;
    if (*used + (size_t)got >= KEPT_BYTES) {
        size_t drop = *used + (size_t)got + 1 - KEPT_BYTES;
        memmove(kept, kept + drop, *used - drop);
        *used -= drop;
    }
    memcpy(kept + *used, part, (size_t)got);
    *used += (size_t)got;
    kept[*used] = '\0';
}

/* Listens to the child until it ends; false: not in time. */
static bool watch(pid_t child, int said, unsigned seconds, char *kept, int *status)
{
    uint64_t end_ns = dt2_now_ns() + (uint64_t)seconds * 1000000000;
    size_t used = 0;
    while (dt2_now_ns() < end_ns) {
        struct pollfd from = { said, POLLIN, 0 };
        bool ended = waitpid(child, status, WNOHANG) != 0;
        int ready = poll(&from, 1, ended ? 0 : LOOK_MS);
        if (ready > 0 && (from.revents & POLLIN))
            keep(kept, &used, said);
        else if (ended)
            return true;
        else if (ready > 0) /* it has closed its end, and is still there */
            poll(NULL, 0, LOOK_MS);
    }
    return false;
}

/* The last line that says something. */
static const char *last_line(char *text)
{
    for (size_t length = strlen(text); length > 0 && text[length - 1] == '\n'; length--)
        text[length - 1] = '\0';
    char *newline = strrchr(text, '\n');
    return newline ? newline + 1 : text;
}

/* Says how a child ended that did not come back. */
static void explain(int status, const char *line, char *how, size_t size)
{
    char end[128];
    if (WIFEXITED(status))
        snprintf(end, sizeof end, "ends the process with status %d", WEXITSTATUS(status));
    else
        snprintf(end, sizeof end, "ends the process with signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    snprintf(how, size, "%s%s%s", end, *line ? ": " : "", line);
}

bool dt2_probe(void (*trial)(void *data), void *data, unsigned seconds, char *how, size_t size)
{
    DT2_KEEP_ERRNO;
    char kept[KEPT_BYTES] = "";
    int said[2], status = 0;
    if (pipe2(said, O_CLOEXEC) < 0)
        return true;
    pid_t child = fork();
    if (child == 0)
        run(trial, data, said[1]);
    close(said[1]);
    bool in_time = child < 0 || watch(child, said[0], seconds, kept, &status);
    close(said[0]);
    if (!in_time) {
        if (kill(-child, SIGKILL) < 0)
            kill(child, SIGKILL);
        while (waitpid(child, &status, 0) < 0 && errno == EINTR)
            ;
        snprintf(how, size, "does not come to an end within %u seconds", seconds);
        return false;
    }
    if (child < 0 || (WIFEXITED(status) && WEXITSTATUS(status) == CAME_BACK))
        return true;
    explain(status, last_line(kept), how, size);
    return false;
}
