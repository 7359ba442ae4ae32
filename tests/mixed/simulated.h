/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs that call themselves again on simulated machines: the first process has the plan of tests, each further one
 * is a life on a machine of its own, whose end the simulator reports.
 */
#ifndef DT2_TESTS_SIMULATED_H
#define DT2_TESTS_SIMULATED_H

#include "support/scratch.h"
#include "support/tap.h"
#include <dlfcn.h>
#include <sys/wait.h>

/* Whether there is anything to simulate with: the three drivers, and the simulator beside them. */
__attribute__((unused)) static bool can_simulate(void)
{
    static const char *const needed[] = { ".libs/dt2-cuda.so", ".libs/dt2-hip.so", ".libs/dt2-opencl.so",
                                          "tests/sim/lib/.libs/libdt2sim.so" };
    const char *build = getenv("top_builddir");
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        snprintf(path, sizeof path, "%s/%s", build ? build : ".", needed[i]);
        if (access(path, F_OK) != 0)
            return false;
    }
    return true;
}

/* Runs this program with two arguments on a machine. Gives its exit status, or 128 and the signal; 98: violations. */
__attribute__((unused)) static int on_machine(const char *machine, const char *first, const char *second)
{
    char self[PATH_MAX], run[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    const char *source = getenv("top_srcdir");
    if (length < 0)
        exit(1);
    self[length] = '\0';
    snprintf(run, sizeof run, "%s/tests/sim/run", source ? source : ".");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        dup2(STDOUT_FILENO, STDERR_FILENO);
        execl("/bin/sh", "sh", run, machine, self, first, second, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0)
        exit(1);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Within a life: a number of the simulator's report as it would be now. The drivers must have bound their runtimes. */
__attribute__((unused)) static uint64_t simulator_says(const char *key)
{
    static uint64_t (*value)(const char *);
    void *engine = value ? NULL : dlopen("libdt2sim.so", RTLD_NOW | RTLD_NOLOAD);
    if (engine) {
        void *address = dlsym(engine, "sim_value");
        memcpy(&value, &address, sizeof value);
    }
    if (!value) {
        diag("the simulator is not loaded");
        exit(1);
    }
    return value(key);
}

#endif
