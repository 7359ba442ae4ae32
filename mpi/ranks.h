/* SPDX-License-Identifier: BSD-3-Clause */
/* What all ranks of a job report, as one. */
#ifndef DT2_MPI_RANKS_H
#define DT2_MPI_RANKS_H

#include "cli/commands.h"
#include "cli/json.h"
#include <distorch2-mpi.h>

/*
 * Collective: rank 0 prints what the command wrote on each rank, as one document or one table, and what failed. Returns the exit
 * status: the highest of all.
 */
int ranks_report(const struct cli_command *command, const char *path, const char *node, const char *document, int status, bool json);

#endif
