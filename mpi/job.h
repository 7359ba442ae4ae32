/* SPDX-License-Identifier: BSD-3-Clause */
/* The ranks of a job: which of them are one node, who reads for each node, and errors that all of them have. */
#ifndef DT2_MPI_JOB_H
#define DT2_MPI_JOB_H

#include <distorch2-mpi.h>

struct dt2_job {
    MPI_Comm all;     /* of ours, so that nothing of the program's meets it */
    MPI_Comm node;    /* the ranks of this one's node; the first of them is its leader */
    MPI_Comm leaders; /* MPI_COMM_NULL on who is none */
    int rank;
    int leader, leader_count; /* on a leader: which of them it is */
    bool leads;
    char where[512]; /* "rank 3 on HOST" */
};

/* Fills an error; returns its code. */
int dt2_job_fail(struct dt2_error *err, int code, const char *format, ...) DT2_PRINTF(3, 4);
/* What a call of MPI's returned, as ours. */
int dt2_job_mpi(int rc, const char *what, struct dt2_error *err);
/* `count` bytes from rank `root` of a communicator to all of it. */
int dt2_job_bcast(MPI_Comm comm, int root, void *bytes, size_t count, struct dt2_error *err);

/*
 * MPI_Wait(), which leaves the processor to those who have work: MPI's own looks again and again without a pause. What is to be there
 * soon is waited for `briefly`.
 */
int dt2_job_wait(MPI_Request *request, bool briefly);

/* Collective, as the next: `node` as in struct dt2_mpi_options. *job is to be cleared in any case. */
int dt2_job_make(MPI_Comm comm, const char *node, struct dt2_job *job, struct dt2_error *err);
/* 0 where no rank has failed; else on all of them the error of the first that has, which names the rank. */
int dt2_job_settle(const struct dt2_job *job, int rc, struct dt2_error *err);
void dt2_job_clear(struct dt2_job *job);

#endif
