/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Random models on random simulated machines by random requests: what the loader does not refuse is right to the byte,
 * and neither on the way there nor at the end does the simulator find anything wrong.
 */
#include "base/checked.h"
#include "mixed/simulated.h"
#include "mixed/source.h"

enum { MACHINES = 24, PLANS = 15, MODELS = 3, GPUS_MOST = 4 };
#define MIB (1ull << 20)

/* -- the machine */

static const char *const makers[] = { "cuda", "hip", "opencl", "cuda, opencl", "hip, opencl" };

static void describe_gpu(FILE *file, unsigned i, const char *drivers)
{
    fprintf(file, "[gpu g%u]\nname = Card %u\nplatform = Platform %u\ndrivers = %s\n", i, i, (unsigned)random_below(2),
            drivers);
    fprintf(file, "memory = %uMiB\ncontext = %uKiB\n", 1u << random_below(6), (unsigned)random_below(300));
    fprintf(file, "granule = %u\npci = 0000:%02x:00.0\nuuid = %032x\n", random_below(2) ? 65536 : 1, i + 1, i + 0x100);
    if (strstr(drivers, "opencl")) {
        static const char *const identities[] = { "khr", "nv", "amd" };
        fprintf(file, "max_alloc = %uKiB\nbase_align_bits = %u\n", 128u << random_below(5), 1024u << random_below(5));
        fprintf(file, "identity = %s\n", identities[random_below(3)]);
    }
    if (random_below(3) == 0)
        fprintf(file, "others = %uKiB\n", (unsigned)random_below(900));
    if (random_below(6) == 0)
        fprintf(file, "others_grow = %uKiB\n", 1 + (unsigned)random_below(60));
    if (random_below(4) == 0)
        fprintf(file, "link_gbps = %u\n", 1 + (unsigned)random_below(3));
}

/* Writes a machine of up to four cards. Gives how many. */
static unsigned make_machine(const char *path)
{
    FILE *file = fopen(path, "w");
    if (!file)
        exit(1);
    unsigned count = (unsigned)random_below(GPUS_MOST + 1);
    const char *drivers[GPUS_MOST];
    for (unsigned i = 0; i < count; i++)
        drivers[i] = makers[random_below(DT2_COUNT(makers))];
    fprintf(file, "seed = %u\ndelay_us = %u\n", (unsigned)random_below(1000000), (unsigned)random_below(120));
    for (unsigned i = 0; i < count; i++) {
        describe_gpu(file, i, drivers[i]);
        const char *sign = "peers =";
        for (unsigned j = 0; j < count; j++)
            if (i != j && strncmp(drivers[i], drivers[j], 3) == 0 && random_below(2)) {
                fprintf(file, "%s g%u", sign, j);
                sign = ",";
            }
        fputs("\n", file);
    }
    fclose(file);
    return count;
}

/* -- the request */

struct wish {
    struct dt2_request request;
    char compute[32], donors[128], expert[512];
    struct dt2_limit reserves[GPUS_MOST + 1];
};

static const char *random_device(const struct dt2_devices *devices)
{
    const struct dt2_device *device = dt2_devices_get(devices, random_below(dt2_devices_count(devices)));
    return device->alias_count && random_below(3) == 0 ? device->aliases[0] : device->name;
}

static void random_expert(struct wish *wish, const struct dt2_devices *devices, uint64_t model_bytes)
{
    char *end = wish->expert, *stop = end + sizeof wish->expert;
    size_t count = dt2_devices_count(devices);
    unsigned room = 100;
    for (size_t i = 0; i < count; i++) {
        const char *name = dt2_devices_get(devices, (i + 1) % count)->name; /* the host, which is first, comes last */
        unsigned share = (unsigned)random_below(room + 1);
        if (i + 1 == count)
            end += snprintf(end, (size_t)(stop - end), "%s,*", name);
        else if (random_below(3) == 0)
            end += snprintf(end, (size_t)(stop - end), "%s,%" PRIu64 "b;", name, random_below(model_bytes / 2 + 1));
        else if (random_below(4)) {
            end += snprintf(end, (size_t)(stop - end), "%s,%u%%;", name, share);
            room -= share;
        }
    }
    if (random_below(2))
        wish->request.expert_mode_allocations = wish->expert;
}

/* Cards this small would be all reserve. */
static void no_reserves(struct wish *wish, const struct dt2_devices *devices)
{
    wish->request.reserves = wish->reserves;
    for (size_t i = 1; i < dt2_devices_count(devices) && wish->request.reserve_count < DT2_COUNT(wish->reserves); i++)
        wish->reserves[wish->request.reserve_count++] = (struct dt2_limit){ dt2_devices_get(devices, i)->name, 0 };
}

static void make_wish(struct wish *wish, const struct dt2_devices *devices, uint64_t model_bytes)
{
    *wish = (struct wish){ .request = DT2_REQUEST_INIT };
    snprintf(wish->compute, sizeof wish->compute, "%s", random_device(devices));
    snprintf(wish->donors, sizeof wish->donors, "%s", random_below(2) ? "cpu" : random_device(devices));
    if (random_below(3))
        wish->request.compute_device = wish->compute;
    wish->request.donor_device = wish->donors;
    wish->request.virtual_vram_bytes = random_below(model_bytes + 1);
    wish->request.eject_models = random_below(3) > 0;
    wish->request.pack = random_below(3) == 0;
    random_expert(wish, devices, model_bytes);
    no_reserves(wish, devices);
}

/* -- a life */

struct life {
    struct dt2_context *context;
    struct source sources[MODELS];
    unsigned loaded, refused, wrong;
};

static void complain(struct life *life, const struct wish *wish, const char *what, const struct dt2_error *err)
{
    diag("%s: compute %s, donors %s, virtual %" PRIu64 ", expert '%s', eject %d: %s", what,
         wish->request.compute_device ? wish->compute : "-", wish->donors, wish->request.virtual_vram_bytes,
         wish->request.expert_mode_allocations ? wish->expert : "", wish->request.eject_models, err->text);
    life->wrong++;
}

static const struct source *source_of(const struct life *life, const struct dt2_model *model)
{
    const struct source *source = life->sources;
    while (strcmp(source->path, dt2_model_path(model)) != 0)
        source++;
    return source;
}

/* All that is loaded now is right; sometimes one of them goes. */
static void look_at_models(struct life *life, const struct wish *wish)
{
    struct dt2_model *models[PLANS];
    struct dt2_error err = { 0 };
    size_t count = dt2_context_models(life->context, models, PLANS);
    size_t goes = random_below(2) ? count : random_below(count + 1);
    for (size_t i = 0; i < count; i++) {
        if (!source_is(source_of(life, models[i]), models[i]))
            complain(life, wish, "wrong bytes", &err);
        if (i == goes && dt2_model_unload(models[i], DT2_UNLOAD_REFUSE, &err))
            complain(life, wish, "cannot be unloaded", &err);
        dt2_model_unref(models[i]);
    }
}

/* One load; what it does not take gives a refusal with a number in it. */
static void load(struct life *life, const struct wish *wish, const struct source *source)
{
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    options.verify = true;
    options.staging_bytes = random_below(2) ? 0 : 1 + random_below(4 * MIB);
    int rc = dt2_model_load(life->context, source->file, source->blocks, &wish->request, &options, &model, &err);
    if (rc == 0) {
        life->loaded++;
        if (dt2_model_statistics(model)->verified_bytes != dt2_file_total_bytes(source->file))
            complain(life, wish, "not verified", &err);
    } else if (rc == DT2_ENOFIT && err.text[strcspn(err.text, "0123456789")]) {
        life->refused++;
    } else {
        complain(life, wish, "failed", &err);
    }
    dt2_model_unref(model);
}

static void one_plan(struct life *life)
{
    struct dt2_devices *devices;
    struct dt2_error err = { 0 };
    struct wish wish;
    const struct source *source = &life->sources[random_below(MODELS)];
    if (dt2_devices_list(life->context, random_below(4) ? 0 : DT2_DEVICES_FREE, &devices, &err)) {
        diag("%s", err.text);
        life->wrong++;
        return;
    }
    make_wish(&wish, devices, dt2_file_total_bytes(source->file));
    load(life, &wish, source);
    look_at_models(life, &wish);
    dt2_devices_free(devices);
}

static int live(const char *seed, const char *tally)
{
    struct life life = { 0 };
    struct dt2_error err;
    tap_random_state = strtoull(seed, NULL, 0);
    for (size_t i = 0; i < MODELS; i++) {
        char name[24];
        snprintf(name, sizeof name, "%zu.safetensors", i);
        source_make(&life.sources[i], name, 1 + random_below(TENSORS_MOST), 1 + random_below(300000));
    }
    if (dt2_context_create(NULL, &life.context, &err))
        return 1;
    for (unsigned i = 0; i < PLANS; i++)
        one_plan(&life);
    dt2_context_destroy(life.context);
    for (size_t i = 0; i < MODELS; i++)
        source_free(&life.sources[i]);
    FILE *file = fopen(tally, "a");
    if (!file || fprintf(file, "%u %u\n", life.loaded, life.refused) < 0 || fclose(file))
        return 1;
    return life.wrong ? 1 : 0;
}

static void show_file(const char *path)
{
    char line[256];
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        diag("%s", line);
    if (file)
        fclose(file);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[1], argv[2]);
    if (!can_simulate())
        return skip_all("not all of the CUDA, HIP and OpenCL drivers were built");
    seed_random(20260601);
    unsigned machines = random_rounds(MACHINES), loaded = 0, refused = 0;
    char machine[PATH_MAX], tally[PATH_MAX], seed[32];
    snprintf(machine, sizeof machine, "%s", scratch("machine.sim"));
    snprintf(tally, sizeof tally, "%s", scratch("tally"));
    for (unsigned i = 0; i < machines; i++) {
        unsigned gpus = make_machine(machine);
        snprintf(seed, sizeof seed, "%" PRIu64, random_u64());
        if (!ok(on_machine(machine, seed, tally) == 0, "machine %u, %u GPUs: %d plans", i, gpus, PLANS))
            show_file(machine);
    }
    FILE *file = fopen(tally, "r");
    for (unsigned a, b; file && fscanf(file, "%u %u", &a, &b) == 2;)
        loaded += a, refused += b;
    if (file)
        fclose(file);
    diag("%u loads verified, %u refused, on %u machines", loaded, refused, machines);
    diag("count: %u mixed loads verified", loaded);
    ok(loaded > machines * PLANS / 4, "a fair part of them fits");
    return done_testing();
}
