/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libdistorch2-mpi: one model for all ranks of a job of MPI's. Opening the file is collective, and reads it once for the whole job;
 * all that comes after is <distorch2.h>, with the file as any other. It is a library of its own, for the MPI that it was built with:
 * libdistorch2 knows of none.
 */
#ifndef DISTORCH2_MPI_H
#define DISTORCH2_MPI_H

#include <distorch2.h>
#include <mpi.h>

DT2_BEGIN_DECLS

/* How a model is opened; zero or NULL means the default. */
struct dt2_mpi_options {
    size_t struct_size;
    const char *key; /* as in struct dt2_file_options; the same on all ranks */
    /*
     * Ranks that share memory and name the same here are a node, and have one image of the files. NULL: those of one machine and one
     * namespace of processes.
     */
    const char *node;
    /*
     * Called on the ranks that read, of which rank 0 is one, by the thread that called, some ten times a second and at the end: how many
     * bytes of the files their node has; without devices. A return value other than 0, of any of them, cancels it on all ranks. It calls nothing of MPI's.
     */
    dt2_progress_fn *progress;
    void *progress_data;
};
#define DT2_MPI_OPTIONS_INIT { sizeof(struct dt2_mpi_options), NULL, NULL, NULL, NULL }

/*
 * Opens a model on all ranks of `comm`, as dt2_file_open_with() does. Collective: every rank calls it, with the path under which its
 * node has the model, and no other call of MPI's on `comm` at the same time. `comm` is not changed, and may be freed afterwards. The thread is
 * one that may call MPI.
 *
 * Of each node one rank reads: of N nodes the k-th reads every N-th piece of the files, and sends it to the others. So the job reads the
 * files once, and every node has them in memory that its ranks share and that ends with the last file of theirs: until dt2_file_free() it
 * takes as many bytes of the node as the files have, beside what is loaded from it. A load with DT2_SHARE_NODE makes one copy
 * a node of that, too. Every file's data are read, also where a plan needs none of them.
 *
 * *file belongs to the rank, and needs no MPI: dt2_file_free() is not collective, and may come after MPI_Finalize().
 *
 * Errors: all ranks have the same, which is that of the first rank that failed, and names it: as dt2_file_open_with(); DT2_EFAILED when
 * nodes have files of other sizes or tables at the path, when a file changes while it is read, and when MPI itself fails;
 * DT2_ENOFIT when a node has not the memory; DT2_ECANCELLED; DT2_EUSAGE for a struct_size below the first. What was made is given back, on all.
 */
DT2_PUBLIC int dt2_mpi_file_open(MPI_Comm comm, const char *path, const struct dt2_mpi_options *options, struct dt2_file **file,
                                 struct dt2_error *err);

DT2_END_DECLS
#endif
