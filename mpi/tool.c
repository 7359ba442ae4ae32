/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2-mpi: the commands load and plan of the tool on every rank of a job, of one model that is opened by all of them together.
 * Each rank's command writes its JSON, and rank 0 makes one table, or one document, of all.
 */
#include "ranks.h"
#include "cli/commands.h"
#include "cli/model.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/term.h"
#include "cli/text.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int rank;

/* Collective: 0 where nobody failed; else the code of the first who did, and who reports it. */
static int agree(int rc, const struct dt2_error *err)
{
    int mine = rc < 0 ? rank : INT_MAX, first;
    MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (first == INT_MAX)
        return 0;
    if (first == rank)
        cli_report(err);
    MPI_Bcast(&rc, 1, MPI_INT, first, MPI_COMM_WORLD);
    return rc;
}

/* -- one command on this rank ------------------------------------------------------------------------------------- */

/* The model that all ranks have opened, for the command, which opens it once. */
static struct dt2_file *opened;

static int give_opened(const char *path, const struct dt2_file_options *how, struct dt2_file **file, struct dt2_error *err)
{
    (void)how;
    if (!opened)
        return cli_fail(err, DT2_EFAILED, "%s: was opened once, by all ranks", path);
    *file = opened;
    opened = NULL;
    return 0;
}

/* Who has loaded keeps what it shares until all have: else the last would read for themselves. */
static void wait_for_all(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
}

/* What the command writes to standard output, to be freed. */
static char *run_captured(const struct cli_command *command, const struct cli_options *options, int *status)
{
    struct dt2_error err;
    int memory = memfd_create("distorch2-mpi", MFD_CLOEXEC), out = dup(STDOUT_FILENO);
    if (memory < 0 || out < 0 || dup2(memory, STDOUT_FILENO) < 0) {
        perror("distorch2-mpi");
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    int rc = command->run(options, &err);
    if (rc < 0) {
        json_t *document = json_object();
        cli_json_set(document, "error", cli_json_error(&err));
        cli_json_print(document);
    }
    *status = rc < 0 ? dt2_exit_status(rc) : rc;
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    close(out);
    off_t bytes = lseek(memory, 0, SEEK_END);
    char *text = cli_alloc((size_t)bytes + 1, 1);
    ssize_t got = pread(memory, text, (size_t)bytes, 0);
    text[got < 0 ? 0 : got] = '\0';
    close(memory);
    return text;
}

/* -- the job ------------------------------------------------------------------------------------------------------ */

static int check(const struct cli_command *command, const struct cli_options *options, struct dt2_error *err)
{
    if (options->argument_count != 1)
        return cli_fail(err, DT2_EUSAGE, "%s needs one model", command->name);
    if (options->compare)
        return cli_fail(err, DT2_EUSAGE, "--compare is distorch2's: each rank has one plan here");
    return 0;
}

/* The path of the model, from rank 0: only that looks for it. */
static int resolve(struct cli_options *options, char path[PATH_MAX], struct dt2_error *err)
{
    struct cli_catalog catalog = { .options = options };
    char *found = NULL;
    int rc = 0;
    if (rank == 0) {
        const char *name = options->arguments[0];
        rc = dt2_catalog_is_path(name) ? 0 : cli_catalog_open(&catalog, err);
        if (rc == 0)
            rc = dt2_catalog_resolve(catalog.opened, name, &found, err);
        snprintf(path, PATH_MAX, "%s", found ? found : "");
        dt2_text_free(found);
        cli_catalog_close(&catalog);
    }
    rc = agree(rc, err);
    MPI_Bcast(path, PATH_MAX, MPI_CHAR, 0, MPI_COMM_WORLD);
    return rc;
}

static int show_reading(void *progress, const struct dt2_progress *now)
{
    return cli_progress_show(progress, "reading", now);
}

static int open_model(const struct cli_options *options, const char *path, const char *node, struct dt2_error *err)
{
    struct dt2_mpi_options how = DT2_MPI_OPTIONS_INIT;
    struct cli_progress progress;
    cli_progress_start(&progress, options);
    cli_interrupt_start();
    how.key = options->key;
    how.node = node;
    how.progress = show_reading;
    how.progress_data = &progress;
    return agree(dt2_mpi_file_open(MPI_COMM_WORLD, path, &how, &opened, err), err);
}

/* Returns the exit status. */
static int run_all(const struct cli_command *command, struct cli_options *options, const char *path, const char *node)
{
    bool json = options->json;
    char *argument[] = { (char *)(uintptr_t)path };
    int status;
    options->json = true;
    options->arguments = argument;
    cli_file_open = give_opened;
    cli_loaded = wait_for_all;
    char *document = run_captured(command, options, &status);
    dt2_file_free(opened);
    status = ranks_report(command, path, node, document, status, json);
    free(document);
    return status;
}

static int run_command(const struct cli_command *command, int argc, char **argv)
{
    struct cli_options options;
    struct dt2_error err;
    char path[PATH_MAX] = "";
    const char *node = getenv("DISTORCH2_MPI_NODE");
    int rc = cli_options_parse(command->bit, argc, argv, &options, &err), status;
    cli_report_level((enum dt2_log_level)options.log_level);
    if (rc == 0 && !options.help && !options.version)
        rc = check(command, &options, &err);
    rc = agree(rc, &err);
    if (rc == 0 && (options.help || options.version)) {
        if (rank == 0 && options.help)
            cli_help_command(command);
        else if (rank == 0)
            printf("distorch2 %s\n", dt2_version());
        cli_options_clear(&options);
        return 0;
    }
    options.progress = rank == 0 ? options.progress : CLI_PROGRESS_NONE;
    if (rc == 0)
        rc = resolve(&options, path, &err);
    if (rc == 0)
        rc = open_model(&options, path, node && *node ? node : NULL, &err);
    status = rc < 0 ? dt2_exit_status(rc) : run_all(command, &options, path, node);
    cli_options_clear(&options);
    return status;
}

static void help(void)
{
    puts("Usage: mpirun distorch2-mpi {load|plan} [OPTION]... MODEL\n"
         "Open a model once for all ranks of a job, and load it or plan it on each.\n"
         "\n"
         "The options are those of distorch2: distorch2-mpi load --help lists them.\n"
         "Exit status: that of the rank that fared worst, as of distorch2.");
}

/* Of one rank alone. */
static int refuse(const char *word)
{
    struct dt2_error err;
    cli_fail(&err, DT2_EUSAGE, word ? "there is no command '%s'" : "a command is missing%s", word ? word : "");
    cli_suggest(&err, "the commands are load and plan; distorch2 has others, which need no MPI");
    cli_report(&err);
    return dt2_exit_status(DT2_EUSAGE);
}

int main(int argc, char **argv)
{
    int level, status = 0;
    setenv("HWLOC_HIDE_ERRORS", "2", 0);
    if (MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS)
        return dt2_exit_status(DT2_EFAILED);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    cli_term_start();
    const char *word = argc > 1 ? argv[1] : NULL;
    const struct cli_command *command = word ? cli_command_find(word) : NULL;
    if (command && command->bit & (CLI_LOAD | CLI_PLAN))
        status = run_command(command, argc - 1, argv + 1);
    else if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0))
        rank == 0 ? help() : (void)0;
    else if (word && (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0))
        rank == 0 ? (void)printf("distorch2 %s\n", dt2_version()) : (void)0;
    else
        status = rank == 0 ? refuse(word) : dt2_exit_status(DT2_EUSAGE);
    if (fflush(stdout) != 0 && status == 0)
        status = dt2_exit_status(DT2_EFAILED);
    MPI_Finalize();
    return status;
}
