/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sessions on simulated machines, as lives: each is one process on a machine of its own, whose end the simulator reports. The
 * readers are kernels of the simulator, which run late on the caller's stream and compare what they find: a place in the window
 * that is used again too early, or read too early, is a violation.
 */
#ifndef DT2_TESTS_LIVES_H
#define DT2_TESTS_LIVES_H

#include "mixed/user.h"

/* Where models are: a compute device, and how much of the model lies on which. */
static const char *const places[][2] = {
    { "cuda:0", "cuda:0,15%;cuda:1,20%;hip:0,20%;opencl:0,20%;cpu,*" },
    { "hip:0", "hip:0,15%;cuda:1,20%;hip:1,20%;opencl:0,20%;cpu,*" },
    { "opencl:0", "opencl:0,15%;cuda:0,20%;hip:0,20%;opencl:1,20%;cpu,*" },
    { "cpu", "cpu,15%;cuda:0,20%;hip:0,30%;opencl:1,*" },
    { "opencl:0", "opencl:0,20%;opencl:1,40%;cpu,*" },
};

/* What a budget still has. */
__attribute__((unused)) static uint64_t left_of(const char *name)
{
    struct dt2_devices *devices;
    uint64_t left = DT2_UNKNOWN;
    if (dt2_devices_list(context, 0, &devices, NULL) < 0)
        return left;
    for (size_t i = 0; i < dt2_devices_budget_count(devices); i++)
        if (strcmp(dt2_devices_budget(devices, i)->name, name) == 0)
            left = dt2_devices_budget(devices, i)->free_bytes;
    dt2_devices_free(devices);
    return left;
}

__attribute__((unused)) static void bind_failures(void (**fail)(const char *, uint64_t, bool, int), void (**forgive)(void))
{
    RUNTIME_BIND("libdt2sim.so", "sim_fail", *fail);
    RUNTIME_BIND("libdt2sim.so", "sim_forgive", *forgive);
}

struct life {
    const char *name;
    void (*live)(const char *place);
    const char *places; /* indices */
    const char *what;
    const char *machine; /* NULL: "small" */
};

/* Runs a life: its name and the index of its place; the seed is in the environment. */
static int live(const struct life *lives, size_t count, const char *name, const char *place)
{
    struct dt2_error err;
    tap_random_state = strtoull(getenv("DT2_LIFE_SEED"), NULL, 0);
    source_make(&source, "model.safetensors", TENSORS_MOST, 200000);
    if (dt2_context_create(NULL, &context, &err))
        layout_die("%s", err.text);
    for (size_t i = 0; i < count; i++)
        if (strcmp(lives[i].name, name) == 0)
            lives[i].live(place);
    dt2_context_destroy(context);
    source_free(&source);
    return wrong ? 1 : 0;
}

/* A seed for the next process, which it and its machine find in the environment; valid until the next. */
static const char *next_seed(void)
{
    static char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, random_u64());
    setenv("DT2_LIFE_SEED", seed, 1);
    setenv("DISTORCH2_SIM_SEED", seed, 1);
    return seed;
}

/* All lives at all of their places. */
static void live_all(const struct life *lives, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (const char *place = lives[i].places; *place; place++) {
            char machine[64], index[2] = { *place, '\0' };
            const char *seed = next_seed();
            snprintf(machine, sizeof machine, "machines/%s.sim", lives[i].machine ? lives[i].machine : "small");
            ok(on_machine(data_path(machine), lives[i].name, index) == 0, "%s on %s (seed %s)", lives[i].what,
               places[*place - '0'][0], seed);
        }
}

/* A program of lives: one, when it has started itself for that, else all, and `more` (NULL: none). */
static int lives_main(const struct life *lives, size_t count, void (*more)(void), int argc, char **argv)
{
    if (argc == 3)
        return live(lives, count, argv[1], argv[2]);
    if (!can_simulate())
        return skip_all("not all of the CUDA, HIP and OpenCL drivers were built");
    seed_random(20260705);
    live_all(lives, count);
    if (more)
        more();
    return done_testing();
}

#endif
