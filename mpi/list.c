/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files a model has: those that opening it opens. And opening it again, of what they have become. */
#include "image.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct dt2_image *find(const struct dt2_images *images, const char *path)
{
    for (size_t i = 0; i < images->count; i++)
        if (strcmp(images->items[i].path, path) == 0)
            return &images->items[i];
    return NULL;
}

static int fail_nomem(struct dt2_error *err)
{
    return dt2_job_fail(err, DT2_ENOMEM, "out of memory");
}

/* A descriptor more of the same; or a code. */
static int again(int fd, const char *path, struct dt2_error *err)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return copy >= 0 ? copy : dt2_job_fail(err, DT2_EFAILED, "%s: cannot open: %s", path, strerror(errno));
}

/* -- listing -------------------------------------------------------------------------------------------------------- */

static int add(struct dt2_images *images, const char *path, int fd, struct dt2_error *err)
{
    struct dt2_image *grown = realloc(images->items, (images->count + 1) * sizeof *grown);
    char *kept = strdup(path);
    struct dt2_image image = { .path = kept, .file = fd, .memory = -1 };
    images->items = grown ? grown : images->items;
    int rc = !grown || !kept ? fail_nomem(err) : 0;
    if (rc == 0 && fstat(fd, &image.seen) < 0)
        rc = dt2_job_fail(err, DT2_EFAILED, "%s: cannot be looked at: %s", path, strerror(errno));
    if (rc < 0) {
        free(kept);
        close(fd);
        return rc;
    }
    image.size = (uint64_t)image.seen.st_size;
    grown[images->count++] = image;
    return 0;
}

static int open_and_list(void *data, const char *path, struct dt2_error *err)
{
    struct dt2_images *images = data;
    const struct dt2_image *known = find(images, path);
    if (known)
        return again(known->file, path, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return dt2_job_fail(err, errno == ENOENT || errno == ENOTDIR ? DT2_ENOENT : DT2_EFAILED, "%s: cannot open: %s", path,
                            strerror(errno));
    int rc = add(images, path, fd, err);
    return rc < 0 ? rc : again(fd, path, err);
}

static int open_by(dt2_open_fn *open, struct dt2_images *images, const char *path, const char *key, struct dt2_file **file,
                   struct dt2_error *err)
{
    struct dt2_file_options how = DT2_FILE_OPTIONS_INIT;
    how.key = key;
    how.open = open;
    how.open_data = images;
    return dt2_file_open_with(path, &how, file, err);
}

int dt2_images_list(const char *path, const char *key, struct dt2_images *images, struct dt2_error *err)
{
    struct dt2_file *file;
    int rc = open_by(open_and_list, images, path, key, &file, err);
    if (rc < 0)
        return rc;
    strcpy(images->fingerprint, dt2_file_fingerprint(file));
    dt2_file_free(file);
    return 0;
}

/* -- comparing ------------------------------------------------------------------------------------------------------ */

int dt2_images_compare(const struct dt2_job *job, const struct dt2_images *images, struct dt2_error *err)
{
    struct {
        uint64_t count;
        char fingerprint[sizeof images->fingerprint];
    } first = { .count = images->count };
    memcpy(first.fingerprint, images->fingerprint, sizeof first.fingerprint);
    int failed = dt2_job_bcast(job->leaders, 0, &first, sizeof first, err), differs = 0;
    if (first.count != images->count)
        differs = dt2_job_fail(err, DT2_EFAILED, "the model has %zu files here, and %" PRIu64 " on rank 0", images->count, first.count);
    for (uint64_t i = 0; !failed && i < first.count; i++) {
        const struct dt2_image *image = i < images->count ? &images->items[i] : NULL;
        uint64_t size = image ? image->size : 0;
        failed = dt2_job_bcast(job->leaders, 0, &size, sizeof size, err);
        if (!failed && !differs && image->size != size)
            differs = dt2_job_fail(err, DT2_EFAILED, "%s has %" PRIu64 " bytes here, and %" PRIu64 " on rank 0", image->path,
                                   image->size, size);
    }
    if (!failed && !differs && strcmp(images->fingerprint, first.fingerprint) != 0)
        differs = dt2_job_fail(err, DT2_EFAILED, "%s has another table of tensors here than on rank 0", images->items[0].path);
    return failed ? failed : differs;
}

/* -- opening -------------------------------------------------------------------------------------------------------- */

static int open_image(void *data, const char *path, struct dt2_error *err)
{
    const struct dt2_image *image = find(data, path);
    if (!image)
        return dt2_job_fail(err, DT2_EFAILED, "%s: the model on the first rank of this node has no such file", path);
    return again(image->memory, path, err);
}

int dt2_images_open(struct dt2_images *images, const char *path, const char *key, struct dt2_file **file, struct dt2_error *err)
{
    return open_by(open_image, images, path, key, file, err);
}

void dt2_images_clear(struct dt2_images *images)
{
    for (size_t i = 0; i < images->count; i++) {
        const struct dt2_image *image = &images->items[i];
        if (image->map)
            munmap(image->map, image->size);
        if (image->memory >= 0)
            close(image->memory);
        if (image->file >= 0)
            close(image->file);
        free(image->path);
    }
    free(images->items);
    *images = (struct dt2_images){ 0 };
}
