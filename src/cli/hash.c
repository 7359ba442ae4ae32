/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/hash.h"
#include "cli/inspect.h"
#include "cli/report.h"
#include "cli/text.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#if HAVE_LIBCRYPTO
#include <openssl/evp.h>
#endif

/* -- progress -- */

void cli_reading_start(struct cli_reading *reading, const struct cli_options *options, const char *phase,
                       const char *name, uint64_t total_bytes)
{
    *reading = (struct cli_reading){ .phase = phase, .name = name, .total_bytes = total_bytes };
    cli_progress_start(&reading->progress, options);
    cli_interrupt_start();
}

/* So many bytes more were read. */
static int went_on(struct cli_reading *reading, uint64_t bytes, struct dt2_error *err)
{
    reading->done_bytes += bytes;
    struct dt2_progress now = { .model = reading->name, .done_bytes = reading->done_bytes,
                                .total_bytes = reading->total_bytes };
    if (cli_progress_show(&reading->progress, reading->phase, &now))
        return cli_fail(err, DT2_ECANCELLED, "%s: interrupted", reading->name);
    return 0;
}

/* -- SHA-256 -- */

#if HAVE_LIBCRYPTO
#define CHUNK ((size_t)1 << 20)

static int hash_stream(FILE *stream, const char *path, EVP_MD_CTX *context, struct cli_reading *reading,
                       struct dt2_error *err)
{
    unsigned char *buffer = cli_alloc(1, CHUNK);
    int rc = 0;
    for (size_t n; rc == 0 && (n = fread(buffer, 1, CHUNK, stream)) > 0;) {
        if (EVP_DigestUpdate(context, buffer, n) != 1)
            rc = cli_fail(err, DT2_EFAILED, "%s: libcrypto cannot go on with SHA-256", path);
        else
            rc = went_on(reading, n, err);
    }
    if (rc == 0 && ferror(stream))
        rc = cli_fail(err, DT2_EFAILED, "%s: %s", path, strerror(errno));
    free(buffer);
    return rc;
}

int cli_sha256(const char *path, struct cli_reading *reading, char out[CLI_SHA256_SIZE], struct dt2_error *err)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    FILE *stream = fopen(path, "re");
    if (!stream)
        return cli_fail(err, DT2_EFAILED, "%s: %s", path, strerror(errno));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int rc = 0;
    if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        rc = cli_fail(err, DT2_EFAILED, "libcrypto has no SHA-256 here");
    if (rc == 0)
        rc = hash_stream(stream, path, context, reading, err);
    if (rc == 0 && EVP_DigestFinal_ex(context, digest, &length) != 1)
        rc = cli_fail(err, DT2_EFAILED, "%s: libcrypto cannot end SHA-256", path);
    for (unsigned i = 0; rc == 0 && i < length && i < (CLI_SHA256_SIZE - 1) / 2; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(context);
    fclose(stream);
    return rc;
}
#else
int cli_sha256(const char *path, struct cli_reading *reading, char out[CLI_SHA256_SIZE], struct dt2_error *err)
{
    (void)path, (void)reading, (void)out;
    cli_fail(err, DT2_EFAILED, "this distorch2 was built without libcrypto, which has SHA-256");
    return cli_suggest(err, "sha256sum(1) tells it too; --checksums needs nothing");
}
#endif

/* -- XXH3 -- */

static uint64_t largest_tensor(const struct dt2_file *file)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++)
        largest = dt2_file_tensor(file, i)->bytes > largest ? dt2_file_tensor(file, i)->bytes : largest;
    return largest;
}

int cli_xxh3(const struct dt2_file *file, struct cli_reading *reading, char (*out)[CLI_XXH3_SIZE],
             struct dt2_error *err)
{
    void *buffer = cli_alloc(1, largest_tensor(file));
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < dt2_file_tensor_count(file); i++) {
        uint64_t bytes = dt2_file_tensor(file, i)->bytes;
        rc = dt2_file_read(file, i, buffer, bytes, err);
        if (rc == 0)
            rc = went_on(reading, bytes, err);
        snprintf(out[i], CLI_XXH3_SIZE, "%016" PRIx64, (uint64_t)XXH3_64bits(buffer, bytes));
    }
    free(buffer);
    return rc;
}

/* -- both, of a model -- */

static int take_sha256(const struct cli_options *options, const char *name, const struct dt2_file *file,
                       struct cli_sums *sums, struct dt2_error *err)
{
    size_t count;
    uint64_t total = 0;
    struct stat st;
    struct cli_part *parts = cli_count_parts(file, &count);
    for (size_t i = 0; i < count; i++)
        total += stat(parts[i].path, &st) == 0 ? (uint64_t)st.st_size : 0;
    struct cli_reading reading;
    cli_reading_start(&reading, options, "hashing", name, total);
    sums->sha256 = cli_alloc(count, sizeof *sums->sha256);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = cli_sha256(parts[i].path, &reading, sums->sha256[i], err);
    free(parts);
    return rc;
}

static uint64_t sum_of_tensors(const struct dt2_file *file)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++)
        sum += dt2_file_tensor(file, i)->bytes;
    return sum;
}

int cli_sums_take(const struct cli_options *options, const char *name, const struct dt2_file *file,
                  struct cli_sums *sums, struct dt2_error *err)
{
    int rc = options->sha256 ? take_sha256(options, name, file, sums, err) : 0;
    if (rc == 0 && options->checksums) {
        struct cli_reading reading;
        cli_reading_start(&reading, options, "reading", name, sum_of_tensors(file));
        sums->xxh3 = cli_alloc(dt2_file_tensor_count(file), sizeof *sums->xxh3);
        rc = cli_xxh3(file, &reading, sums->xxh3, err);
    }
    cli_status_hide();
    return rc;
}

void cli_sums_clear(struct cli_sums *sums)
{
    free(sums->sha256);
    free(sums->xxh3);
    *sums = (struct cli_sums){ NULL, NULL };
}
