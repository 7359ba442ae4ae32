/* SPDX-License-Identifier: BSD-3-Clause */
/* Checksums: SHA-256 of files, as hubs tell it, and XXH3 of tensors, which says which one differs. */
#ifndef CLI_HASH_H
#define CLI_HASH_H

#include "cli/options.h"
#include "cli/progress.h"

#define CLI_SHA256_SIZE 65 /* in hexadecimal digits, with the NUL */
#define CLI_XXH3_SIZE 17

/* Something that is read to its end, for a checksum or to compare: its progress. */
struct cli_reading {
    struct cli_progress progress;
    const char *phase, *name;
    uint64_t done_bytes, total_bytes;
};
void cli_reading_start(struct cli_reading *reading, const struct cli_options *options, const char *phase,
                       const char *name, uint64_t total_bytes);

/* Writes the SHA-256 of a file. Errors: DT2_EFAILED, also where the tool was built without; DT2_ECANCELLED. */
int cli_sha256(const char *path, struct cli_reading *reading, char out[CLI_SHA256_SIZE], struct dt2_error *err);

/* Writes the XXH3 of each tensor of a file into `out`, in the file's order. Errors: DT2_EFAILED, DT2_ECANCELLED. */
int cli_xxh3(const struct dt2_file *file, struct cli_reading *reading, char (*out)[CLI_XXH3_SIZE],
             struct dt2_error *err);

/* The sums of one model that inspect was asked for; NULL each where it was not. */
struct cli_sums {
    char (*sha256)[CLI_SHA256_SIZE]; /* of each part */
    char (*xxh3)[CLI_XXH3_SIZE];     /* of each tensor */
};
int cli_sums_take(const struct cli_options *options, const char *name, const struct dt2_file *file,
                  struct cli_sums *sums, struct dt2_error *err);
void cli_sums_clear(struct cli_sums *sums);

#endif
