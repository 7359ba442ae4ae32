/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of a model, and the image of each in the memory of a node. */
#ifndef DT2_MPI_IMAGE_H
#define DT2_MPI_IMAGE_H

#include "job.h"
#include <sys/stat.h>

struct dt2_image {
    char *path; /* as the model leads to it, on this node */
    uint64_t size;
    int file;         /* of a leader: what it reads; else -1 */
    struct stat seen; /* when it was opened */
    int memory;       /* the image; -1: there is none yet */
    char *map;        /* of a leader, while it fills it */
};

struct dt2_images {
    struct dt2_image *items;
    size_t count;
    char fingerprint[33];
};

/* Opens the model at the path, and lists its files. Of one rank alone. */
int dt2_images_list(const char *path, const char *key, struct dt2_images *images, struct dt2_error *err);
/* Whether all nodes have the same. Of the leaders. */
int dt2_images_compare(const struct dt2_job *job, const struct dt2_images *images, struct dt2_error *err);
/* Memory for all, if this node has it. Of one rank alone. */
int dt2_images_make(struct dt2_images *images, struct dt2_error *err);
/* Reads and sends all of it, and tells how far that is. Of the leaders, which all stop soon after one of them has failed. */
int dt2_images_fill(const struct dt2_job *job, const struct dt2_images *images, const struct dt2_mpi_options *options,
                    struct dt2_error *err);
/* Ends writing to what was filled. Of one rank alone. */
int dt2_images_close(struct dt2_images *images, struct dt2_error *err);
/* Gives a node's ranks the list of its leader, and the images. Of the node. */
int dt2_images_share(const struct dt2_job *job, struct dt2_images *images, struct dt2_error *err);
/* Opens the model of the images. Of one rank alone. */
int dt2_images_open(struct dt2_images *images, const char *path, const char *key, struct dt2_file **file, struct dt2_error *err);
void dt2_images_clear(struct dt2_images *images);

#endif
