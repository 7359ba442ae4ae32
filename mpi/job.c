/* SPDX-License-Identifier: BSD-3-Clause */
#include "job.h"
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* -- errors --------------------------------------------------------------------------------------------------------- */

int dt2_job_fail(struct dt2_error *err, int code, const char *format, ...)
{
    va_list args;
    err->code = code;
    err->suggestion[0] = '\0';
    va_start(args, format);
    vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    return code;
}

int dt2_job_mpi(int rc, const char *what, struct dt2_error *err)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0;
    if (rc == MPI_SUCCESS)
        return 0;
    MPI_Error_string(rc, text, &length);
    return dt2_job_fail(err, DT2_EFAILED, "%s: %.*s", what, length, text);
}

int dt2_job_bcast(MPI_Comm comm, int root, void *bytes, size_t count, struct dt2_error *err)
{
    return dt2_job_mpi(MPI_Bcast(bytes, (int)count, MPI_BYTE, root, comm), "MPI_Bcast", err);
}

static void prefix(const struct dt2_job *job, struct dt2_error *err)
{
    char text[sizeof err->text];
    memcpy(text, err->text, sizeof text);
    int length = snprintf(err->text, sizeof err->text, "%s: ", job->where);
    snprintf(err->text + length, sizeof err->text - (size_t)length, "%.*s", (int)sizeof text, text);
}

int dt2_job_wait(MPI_Request *request, bool briefly)
{
    const struct timespec most = { .tv_nsec = 2000000 };
    int done = 0, rc = MPI_SUCCESS;
    for (unsigned times = 0; rc == MPI_SUCCESS; times++) {
        rc = MPI_Test(request, &done, MPI_STATUS_IGNORE);
        if (done)
            break;
        if (briefly || times < 100)
            sched_yield();
        else
            nanosleep(&most, NULL);
    }
    return rc;
}

int dt2_job_settle(const struct dt2_job *job, int rc, struct dt2_error *err)
{
    int mine = rc < 0 ? job->rank : INT_MAX, first;
    MPI_Request request;
    int failed = dt2_job_mpi(MPI_Iallreduce(&mine, &first, 1, MPI_INT, MPI_MIN, job->all, &request), "MPI_Iallreduce", err);
    if (failed == 0)
        failed = dt2_job_mpi(dt2_job_wait(&request, false), "MPI_Iallreduce", err);
    if (failed || first == INT_MAX)
        return failed;
    if (first == job->rank)
        prefix(job, err);
    failed = dt2_job_bcast(job->all, first, err, sizeof *err, err);
    return failed ? failed : err->code;
}

/* -- nodes ---------------------------------------------------------------------------------------------------------- */

/* Ranks reach each other's memory through /proc, so those of another namespace of processes are another node. */
static int colour(const char *node)
{
    struct stat st = { 0 };
    uint32_t hash = 2166136261U; /* FNV-1a */
    (void)!stat("/proc/self/ns/pid", &st);
    for (size_t i = 0; i < sizeof st.st_ino; i++)
        hash = (hash ^ (st.st_ino >> 8 * i & 0xFF)) * 16777619U;
    for (; node && *node; node++)
        hash = (hash ^ (unsigned char)*node) * 16777619U;
    return (int)(hash & INT_MAX);
}

static void say_where(const char *node, struct dt2_job *job)
{
    char host[MPI_MAX_PROCESSOR_NAME + 1] = "";
    int length = 0;
    MPI_Get_processor_name(host, &length);
    if (node)
        snprintf(job->where, sizeof job->where, "rank %d on %.100s (%.*s)", job->rank, node, length, host);
    else
        snprintf(job->where, sizeof job->where, "rank %d on %.*s", job->rank, length, host);
}

static int divide(const char *node, struct dt2_job *job, struct dt2_error *err)
{
    MPI_Comm machine = MPI_COMM_NULL;
    int rank;
    int rc = dt2_job_mpi(MPI_Comm_split_type(job->all, MPI_COMM_TYPE_SHARED, job->rank, MPI_INFO_NULL, &machine),
                         "MPI_Comm_split_type", err);
    if (rc == 0)
        rc = dt2_job_mpi(MPI_Comm_split(machine, colour(node), job->rank, &job->node), "MPI_Comm_split", err);
    if (machine != MPI_COMM_NULL)
        MPI_Comm_free(&machine);
    if (rc < 0)
        return rc;
    MPI_Comm_rank(job->node, &rank);
    job->leads = rank == 0;
    rc = dt2_job_mpi(MPI_Comm_split(job->all, job->leads ? 0 : MPI_UNDEFINED, job->rank, &job->leaders), "MPI_Comm_split", err);
    if (rc == 0 && job->leads) {
        MPI_Comm_rank(job->leaders, &job->leader);
        MPI_Comm_size(job->leaders, &job->leader_count);
    }
    return rc;
}

int dt2_job_make(MPI_Comm comm, const char *node, struct dt2_job *job, struct dt2_error *err)
{
    *job = (struct dt2_job){ .all = MPI_COMM_NULL, .node = MPI_COMM_NULL, .leaders = MPI_COMM_NULL };
    int rc = dt2_job_mpi(MPI_Comm_dup(comm, &job->all), "MPI_Comm_dup", err);
    if (rc < 0)
        return rc;
    MPI_Comm_set_errhandler(job->all, MPI_ERRORS_RETURN); /* which the others inherit */
    MPI_Comm_rank(job->all, &job->rank);
    say_where(node, job);
    return divide(node, job, err);
}

void dt2_job_clear(struct dt2_job *job)
{
    MPI_Comm *each[] = { &job->leaders, &job->node, &job->all };
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (*each[i] != MPI_COMM_NULL)
            MPI_Comm_free(each[i]);
}
