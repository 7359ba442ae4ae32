/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads a model several times, keeps all, and asks the kernel on which node each page of each buffer lies.
 *
 *   where [-u] [-b NODE | -i] [-s FILE] MODEL ALLOCATIONS TIMES [DEVICE=SIZE]
 *
 * Before that, of the first load while it runs: "wished nodeN PAGES", of memory that is to lie near a device (staging, and what is
 * wrapped for it), and "readers nodeN COUNT", of threads that may run there alone: node N has processor N.
 *
 * A line for each buffer: "DEVICE node0 PAGES node1 PAGES ..."; for a load that fails: "error CODE TEXT", and no more. Warnings of the
 * plan: "warning TEXT"; lines of the log: "log TEXT". -u: the process may not bind memory, as in containers. -b, -i: its memory policy
 * binds it to a node, or interleaves. -s: what it loads is shared, and kept until there is such a file; "shared BYTES filled BYTES" are those
 * of the last load.
 */
#include <distorch2.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NODES = 8, BATCH = 512 };

static void die(const char *what)
{
    fprintf(stderr, "where: %s\n", what);
    exit(1);
}

/* Refuses mbind() to this process. */
static void forbid_binding(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mbind, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        die("mbind() cannot be forbidden");
}

/* As numactl does. */
static void set_policy(int mode, long node)
{
    unsigned long nodes = mode == MPOL_BIND ? 1ul << node : (1ul << 2) | (1ul << 3);
    if (syscall(SYS_set_mempolicy, mode, &nodes, NODES + 1) < 0)
        die("no memory policy can be set");
}

static void print_log(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_WARNING)
        printf("log %s\n", line);
}

static void print_warnings(const struct dt2_plan *plan)
{
    for (size_t i = 0; i < dt2_plan_warning_count(plan); i++)
        printf("warning %s\n", dt2_plan_warning(plan, i));
}

/* Adds the pages of a range to the counts of their nodes; what is not there is not counted. */
static void count_pages(const char *memory, uint64_t bytes, unsigned long counts[NODES])
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = (uintptr_t)memory / page * page, end = (uintptr_t)memory + bytes;
    for (uintptr_t each = at; each < end; each += page)
        (void)*(const volatile char *)each; /* what others have filled is not mapped here before */
    while (at < end) {
        void *pages[BATCH];
        int status[BATCH];
        unsigned long n = 0;
        for (; n < BATCH && at < end; at += page)
            pages[n++] = (void *)at;
        if (syscall(SYS_move_pages, 0, n, pages, NULL, status, 0) < 0)
            die("move_pages() cannot be asked");
        for (unsigned long i = 0; i < n; i++)
            if (status[i] >= 0 && status[i] < NODES)
                counts[status[i]]++;
    }
}

static void print_buffers(const struct dt2_model *model)
{
    for (size_t i = 0; i < dt2_model_buffer_count(model); i++) {
        struct dt2_buffer buffer = DT2_BUFFER_INIT;
        unsigned long counts[NODES] = { 0 };
        if (dt2_model_buffer(model, i, &buffer, NULL) < 0)
            die("a buffer has no address");
        if (strncmp(buffer.device, "cpu", 3) == 0)
            count_pages(buffer.handle, buffer.bytes, counts);
        printf("%s", buffer.device);
        for (int node = 0; node < NODES; node++)
            if (counts[node])
                printf(" node%d %lu", node, counts[node]);
        putchar('\n');
    }
}

/* -- while a load runs */

static unsigned long wished[NODES], readers[NODES];

static void keep_most(unsigned long most[NODES], const unsigned long now[NODES])
{
    for (int i = 0; i < NODES; i++)
        if (now[i] > most[i])
            most[i] = now[i];
}

/* Pages of memory with a wish, or a binding, of its own. */
static void look_at_memory(void)
{
    FILE *maps = fopen("/proc/self/numa_maps", "re");
    unsigned long now[NODES] = { 0 };
    char line[1024];
    while (maps && fgets(line, sizeof line, maps))
        for (char *word = strstr(line, " prefer") ? strstr(line, " N") : NULL; word; word = strstr(word + 1, " N")) {
            int node;
            unsigned long pages;
            if (sscanf(word, " N%d=%lu", &node, &pages) == 2 && node >= 0 && node < NODES)
                now[node] += pages;
        }
    if (maps)
        fclose(maps);
    keep_most(wished, now);
}

static void look_at_threads(void)
{
    unsigned long now[NODES] = { 0 };
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *task; tasks && (task = readdir(tasks));) {
        cpu_set_t set;
        int one = 0;
        if (*task->d_name == '.' || sched_getaffinity((pid_t)strtol(task->d_name, NULL, 10), sizeof set, &set) < 0)
            continue;
        while (one < NODES && !CPU_ISSET(one, &set))
            one++;
        if (CPU_COUNT(&set) == 1 && one < NODES)
            now[one]++;
    }
    if (tasks)
        closedir(tasks);
    keep_most(readers, now);
}

static int watch(void *data, const struct dt2_progress *progress)
{
    (void)data, (void)progress;
    look_at_memory();
    look_at_threads();
    return 0;
}

static void print_nodes(const char *what, const unsigned long counts[NODES])
{
    for (int node = 0; node < NODES; node++)
        if (counts[node])
            printf("%s node%d %lu\n", what, node, counts[node]);
}

/* -- */

/* A budget of "DEVICE=SIZE". */
static struct dt2_limit budget_of(char *text)
{
    char *size = strchr(text, '=');
    struct dt2_limit budget = { text, 0 };
    if (!size || dt2_size_parse(size + 1, &budget.bytes, NULL) < 0)
        die("a budget is DEVICE=SIZE");
    *size = '\0';
    return budget;
}

int main(int argc, char **argv)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_context_options listening = DT2_CONTEXT_OPTIONS_INIT;
    struct dt2_limit budget;
    struct dt2_context *context;
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_model *model;
    struct dt2_error err;
    const char *until = NULL;
    for (int option; (option = getopt(argc, argv, "+uib:s:")) != -1;)
        if (option == 'u')
            forbid_binding();
        else if (option == 's')
            until = optarg;
        else
            set_policy(option == 'i' ? MPOL_INTERLEAVE : MPOL_BIND, option == 'b' ? strtol(optarg, NULL, 10) : 0);
    argv += optind - 1;
    argc -= optind - 1;
    request.share = until ? DT2_SHARE_NODE : DT2_SHARE_NONE;
    if (argc < 4)
        die("where [-u] [-b NODE | -i] [-s FILE] MODEL ALLOCATIONS TIMES [DEVICE=SIZE]");
    request.compute_device = "cpu";
    options.progress = watch;
    listening.log = print_log;
    request.expert_mode_allocations = argv[2];
    if (argc > 4) {
        budget = budget_of(argv[4]);
        request.budgets = &budget;
        request.budget_count = 1;
    }
    request.eject_models = false;
    if (dt2_context_create(&listening, &context, &err) < 0 || dt2_file_open(argv[1], &file, &err) < 0 ||
        dt2_blocks_make_all(file, &blocks, &err) < 0)
        die(err.text);
    for (long i = strtol(argv[3], NULL, 10); i > 0; i--) {
        int rc = dt2_model_load(context, file, blocks, &request, &options, &model, &err);
        if (rc < 0) {
            printf("error %d %s\n", dt2_exit_status(rc), err.text);
            break;
        }
        print_nodes("wished", wished);
        print_nodes("readers", readers);
        print_buffers(model);
        print_warnings(dt2_model_applied_plan(model));
        if (until)
            printf("shared %" PRIu64 " filled %" PRIu64 "\n", dt2_model_statistics(model)->shared_bytes,
                   dt2_model_statistics(model)->filled_bytes);
        dt2_model_unref(model);
    }
    fflush(stdout);
    while (until && access(until, F_OK) < 0)
        usleep(100000);
    dt2_context_destroy(context);
    dt2_blocks_free(blocks);
    dt2_file_free(file);
    return 0;
}
