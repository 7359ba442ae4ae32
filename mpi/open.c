/* SPDX-License-Identifier: BSD-3-Clause */
/* dt2_mpi_file_open(): each step is done by some of the ranks, and then all know whether it went well. */
#include "image.h"
#include <errno.h>

static int read_options(const struct dt2_mpi_options *given, struct dt2_mpi_options *options, struct dt2_error *err)
{
    const struct dt2_mpi_options defaults = DT2_MPI_OPTIONS_INIT;
    *options = defaults;
    if (!given)
        return 0;
    if (given->struct_size < sizeof *options)
        return dt2_job_fail(err, DT2_EUSAGE, "the options' struct_size is %zu: set it by DT2_MPI_OPTIONS_INIT", given->struct_size);
    for (size_t i = sizeof *options; i < given->struct_size; i++)
        if (((const char *)given)[i])
            return dt2_job_fail(err, DT2_EUSAGE, "the options ask for what this version does not know");
    options->key = given->key;
    options->node = given->node;
    options->progress = given->progress;
    options->progress_data = given->progress_data;
    return 0;
}

static int read_all(const struct dt2_job *job, const char *path, const struct dt2_mpi_options *options, struct dt2_images *images,
                    struct dt2_error *err)
{
    int rc = job->leads ? dt2_images_list(path, options->key, images, err) : 0;
    rc = dt2_job_settle(job, rc, err);
    if (rc == 0)
        rc = dt2_job_settle(job, job->leads ? dt2_images_compare(job, images, err) : 0, err);
    if (rc == 0)
        rc = dt2_job_settle(job, job->leads ? dt2_images_make(images, err) : 0, err);
    if (rc < 0)
        return rc;
    if (job->leads)
        rc = dt2_images_fill(job, images, options, err);
    if (rc == 0 && job->leads)
        rc = dt2_images_close(images, err);
    return dt2_job_settle(job, rc, err);
}

int dt2_mpi_file_open(MPI_Comm comm, const char *path, const struct dt2_mpi_options *given, struct dt2_file **file,
                      struct dt2_error *err)
{
    int saved = errno;
    struct dt2_mpi_options options;
    struct dt2_images images = { 0 };
    struct dt2_file *opened = NULL;
    struct dt2_error unread;
    struct dt2_job job;
    err = err ? err : &unread;
    int wrong = read_options(given, &options, err);
    int rc = dt2_job_make(comm, options.node, &job, wrong ? &unread : err);
    if (rc == 0)
        rc = dt2_job_settle(&job, wrong, err);
    if (rc == 0)
        rc = read_all(&job, path, &options, &images, err);
    if (rc == 0) {
        rc = dt2_images_share(&job, &images, err);
        if (rc == 0)
            rc = dt2_images_open(&images, path, options.key, &opened, err);
        rc = dt2_job_settle(&job, rc, err); /* only now may a leader close what others open through it */
    }
    dt2_images_clear(&images);
    dt2_job_clear(&job);
    if (rc < 0)
        dt2_file_free(opened);
    else
        *file = opened;
    errno = saved;
    return rc;
}
