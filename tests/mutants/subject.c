/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the mutants do: a load over all devices, another that ejects it, both verified, and one that fails while copies
 * are under way. How they end is no matter here; the simulator says what was wrong.
 *
 * usage: subject COMPUTE-DEVICE ALLOCATIONS
 */
#include "failing/work.h"
#include "support/tap.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    struct work_places places = { argv[1], argv[2], false };
    struct work_file files[3];
    struct dt2_model *models[3];
    struct dt2_context *context;
    struct dt2_error err = { 0 };
    seed_random(20260108);
    work_file_make(&files[0], "A.safetensors");
    work_file_make(&files[1], "B.safetensors");
    work_file_make(&files[2], "C.safetensors");
    if (dt2_context_create(NULL, &context, &err) < 0)
        return 2;
    for (int i = 0; i < 3; i++) {
        places.cut = i == 2;
        if (work_load(context, &files[i], &places, &models[i], &err) < 0)
            diag("%s", err.text);
        else if (!work_is_right(&files[i], models[i], &err))
            diag("%s", err.text);
    }
    for (int i = 0; i < 3; i++) {
        work_unload(models[i]);
        work_file_clear(&files[i]);
    }
    dt2_context_destroy(context);
    return 0;
}
