/* SPDX-License-Identifier: BSD-3-Clause */
/* How planning grows with the model: 10^3 to 10^6 blocks on 16 devices, with the exponent that fits, and the memory that it takes. */
#include <distorch2.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define DEVICES 16
#define MODELS 4
#define TENSORS 844 /* of an SDXL ControlNet */
#define NAME 24
#define LEAST_SECONDS 0.2 /* of repeating, for each number */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct dt2_devices *make_machine(void)
{
    char text[4096] = "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":4000000000000000}";
    struct dt2_devices *devices;
    struct dt2_error err;
    for (int i = 0; i < DEVICES - 1; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), ",{\"name\":\"cuda:%d\",\"total_bytes\":70368744177664}", i);
    strcat(text, "]}");
    if (dt2_devices_parse(text, strlen(text), &devices, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    return devices;
}

struct model {
    struct dt2_block *blocks;
    char *names;
    size_t count;
    uint64_t bytes;
};

static struct model make_model(size_t count)
{
    struct model model = { calloc(count, sizeof *model.blocks), calloc(count, NAME), count, 0 };
    if (!model.blocks || !model.names)
        exit(1);
    for (size_t i = 0; i < count; i++) {
        snprintf(model.names + NAME * i, NAME, "b%zu", i);
        model.blocks[i].name = model.names + NAME * i;
        model.blocks[i].bytes = 1000000 + i * 7919 % 100000;
        model.bytes += model.blocks[i].bytes;
    }
    return model;
}

struct what {
    const char *name;
    const char *expert;
    bool pack;
    bool whole; /* prediction: passes are gone through block by block */
    bool refused; /* half of the model fits the compute device: what would fit is looked for */
};

/* Seconds of one plan. */
static double measure(const struct dt2_devices *devices, const struct model *model, const struct what *what)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_limit budget = { "cuda:0", model->bytes / 2 };
    double begin = now(), end;
    unsigned rounds = 0;
    request.expert_mode_allocations = what->expert;
    request.pack = what->pack;
    request.virtual_vram_bytes = model->bytes / 4 < (uint64_t)128 << 30 ? model->bytes / 4 : (uint64_t)128 << 30;
    request.budgets = &budget;
    request.budget_count = what->refused;
    do {
        struct dt2_plan *plan = NULL;
        struct dt2_error err;
        int rc = dt2_plan_make(devices, model->blocks, model->count, &request, &plan, &err);
        if (rc != (what->refused ? DT2_ENOFIT : 0)) {
            fprintf(stderr, "%s: %s\n", what->name, rc ? err.text : "it fits");
            exit(1);
        }
        if (what->whole && !(plan && dt2_plan_prediction(plan)->whole)) {
            fprintf(stderr, "%s: it is not predicted whole\n", what->name);
            exit(1);
        }
        dt2_plan_free(plan);
        rounds++;
        end = now();
    } while (end - begin < LEAST_SECONDS);
    return (end - begin) / rounds;
}

static void print_row(const struct what *what, const double *seconds)
{
    printf("%-28s", what->name);
    for (int i = 0; i < MODELS; i++)
        printf("  %10.3f ms", seconds[i] * 1e3);
    if (what->refused)
        printf("  as long as the search may take\n");
    else
        printf("  n^%.2f\n", log10(seconds[MODELS - 1] / seconds[1]) / (MODELS - 2));
}

int main(void)
{
    static const struct what whats[] = {
        { "virtual VRAM", NULL, false, false, false },
        { "sixteen shares, packed",
          "cuda:0,5%;cuda:1,5%;cuda:2,5%;cuda:3,5%;cuda:4,5%;cuda:5,5%;cuda:6,5%;cuda:7,5%;cuda:8,5%;cuda:9,5%;cuda:10,5%;"
          "cuda:11,5%;cuda:12,5%;cuda:13,5%;cuda:14,5%;cpu,*", true, false, false },
        { "refused, a string suggested", "cuda:0,80%;cpu,*", false, false, true },
    };
    struct dt2_devices *devices = make_machine();
    double seconds[sizeof whats / sizeof *whats][MODELS];
    size_t count = 1000;
    printf("planning on %d devices      ", DEVICES);
    for (int i = 0; i < MODELS; i++, count *= 10) {
        struct model model = make_model(count);
        for (size_t j = 0; j < sizeof whats / sizeof *whats; j++)
            seconds[j][i] = measure(devices, &model, &whats[j]);
        printf("  %7zu blocks", count);
        fflush(stdout);
        free(model.blocks);
        free(model.names);
    }
    printf("\n");
    for (size_t j = 0; j < sizeof whats / sizeof *whats; j++)
        print_row(&whats[j], seconds[j]);
    static const struct what predicted = { "predicted", "cuda:0,50%;cpu,*", false, true, false };
    struct model model = make_model(TENSORS);
    printf("%d blocks, with a prediction block by block: %.3f ms (below 2 wanted)\n", TENSORS,
           measure(devices, &model, &predicted) * 1e3);
    free(model.blocks);
    free(model.names);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("at most %ld MiB, model and machine included\n", usage.ru_maxrss / 1024);
    dt2_devices_free(devices);
    return 0;
}
