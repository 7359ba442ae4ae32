/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to store a model in another dtype than its file has: loads as it is and in each dtype, beside plain reads of the
 * file and plain copies of as many bytes, in the same rounds. All rates are in bytes of the file.
 *
 *   bench-cast MODEL [ROUNDS]
 */
#include "bench/limit.h"
#include <distorch2.h>

static const char *const dtypes[] = { "keep", "F16", "BF16" };
#define DTYPES (sizeof dtypes / sizeof *dtypes)

static struct dt2_context *context;

/* -- the limit of copies: as many threads, from memory that was read into fresh huge pages -- */

struct copies {
    const char *from;
    char *to;
    size_t size;
    _Atomic size_t next;
};

static void *copy_pieces(void *data)
{
    struct copies *copies = data;
    for (size_t at; (at = atomic_fetch_add(&copies->next, PIECE)) < copies->size;)
        memcpy(copies->to + at, copies->from + at, copies->size - at < PIECE ? copies->size - at : PIECE);
    return NULL;
}

static double measure_copies(size_t size)
{
    char *source_map, *map, *source = map_fresh(size, &source_map);
    memset(source, 1, size);
    double begin = now();
    struct copies copies = { .from = source, .to = map_fresh(size, &map), .size = size };
    run_threads(copy_pieces, &copies);
    double seconds = now() - begin;
    munmap(map, size + HUGE_PAGE);
    munmap(source_map, size + HUGE_PAGE);
    return (double)size * 1e-9 / seconds;
}

/* -- loads -- */

static double measure_load(const struct dt2_file *file, const char *dtype, const char *device)
{
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_file *stored;
    struct dt2_blocks *blocks;
    struct dt2_model *model;
    struct dt2_error err;
    char expert[64];
    snprintf(expert, sizeof expert, "%s,*", device);
    how.dtype = dtype;
    request.compute_device = device;
    request.expert_mode_allocations = expert;
    if (dt2_file_stored(file, &how, &stored, &err) < 0 || dt2_blocks_make(stored, &blocks, &err) < 0 ||
        dt2_model_load(context, stored, blocks, &request, NULL, &model, &err) < 0)
        die(device, err.text);
    double seconds = (double)dt2_model_statistics(model)->ns * 1e-9;
    dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
    dt2_model_unref(model);
    dt2_blocks_free(blocks);
    dt2_file_free(stored);
    return (double)dt2_file_total_bytes(file) * 1e-9 / seconds;
}

static void print_row(const char *device, const char *dtype, double *rates, const double *reads, const double *copies)
{
    double ratios[ROUNDS_MOST];
    for (unsigned i = 0; i < rounds; i++)
        ratios[i] = rates[i] / (reads[i] < copies[i] ? reads[i] : copies[i]);
    double ratio = median(ratios), rate = median(rates);
    printf("load to %-9s as %-4s  %6.2f GB/s of the file (%.2f..%.2f)  of min(read, memcpy): round by round %.2f (0.8 wanted)\n",
           device, dtype, rate, rates[0], rates[rounds - 1], ratio);
}

int main(int argc, char **argv)
{
    static const char *const devices[] = { "cpu", "opencl:0" };
    static double reads[ROUNDS_MOST], copies[ROUNDS_MOST], rates[2][DTYPES][ROUNDS_MOST];
    struct dt2_devices *list;
    struct dt2_file *file;
    struct dt2_error err;
    rounds = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : rounds;
    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MOST)
        die("usage", "bench-cast MODEL [ROUNDS]");
    count_threads();
    if (dt2_context_create(NULL, &context, &err) < 0 || dt2_file_open(argv[1], &file, &err) < 0 ||
        dt2_devices_list(context, 0, &list, &err) < 0)
        die(argv[1], err.text);
    size_t index, size = dt2_file_total_bytes(file);
    size_t count = dt2_devices_find(list, devices[1], &index, NULL) == 0 ? 2 : 1;
    dt2_devices_free(list);
    measure_limit(argv[1]); /* warms the file */
    for (unsigned i = 0; i < rounds; i++) {
        back_memory(size);
        reads[i] = measure_limit(argv[1]);
        back_memory(2 * size);
        copies[i] = measure_copies(size);
        for (size_t device = 0; device < count; device++)
            for (size_t dtype = 0; dtype < DTYPES; dtype++) {
                back_memory(size);
                rates[device][dtype][i] = measure_load(file, dtypes[dtype], devices[device]);
            }
    }
    for (size_t device = 0; device < count; device++)
        for (size_t dtype = 0; dtype < DTYPES; dtype++)
            print_row(devices[device], dtypes[dtype], rates[device][dtype], reads, copies);
    printf("plain reads %.2f GB/s, plain copies %.2f GB/s\n", median(reads), median(copies));
    dt2_file_free(file);
    dt2_context_destroy(context);
    return 0;
}
