/* SPDX-License-Identifier: BSD-3-Clause */
/* Free memory: of the host, of a node, and what control groups leave of it. */
#include "base/checked.h"
#include "machine/cgroup.h"
#include "support/tap.h"
#include "support/scratch.h"

#define MIB (1ull << 20)
#define V2_MOUNT "30 20 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define V1_MOUNT "31 20 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
#define V1_OTHER "32 20 0:28 / /sys/fs/cgroup/cpu rw shared:8 - cgroup cgroup rw,cpu,cpuacct\n"

struct file {
    const char *path, *content;
};

struct group_case {
    const char *what;
    struct file files[16];
    bool limited;
    uint64_t total, available;
};

static const struct group_case cases[] = {
    { "nothing at all", { { "/proc/self/cgroup", "" } }, false, 0, 0 },
    { "v2, a limit on the group",
      { { "/proc/self/cgroup", "0::/job/task\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/task/memory.max", "104857600\n" },
        { "/sys/fs/cgroup/job/task/memory.current", "62914560\n" },
        { "/sys/fs/cgroup/job/task/memory.stat",
          "anon 20971520\nfile 41943040\ninactive_file 31457280\nactive_file 10485760\n" } },
      true,
      100 * MIB,
      80 * MIB },
    { "v2, the parent is tighter",
      { { "/proc/self/cgroup", "0::/job/task\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/task/memory.max", "104857600\n" },
        { "/sys/fs/cgroup/job/task/memory.current", "1048576\n" },
        { "/sys/fs/cgroup/job/task/memory.stat", "inactive_file 0\nactive_file 0\n" },
        { "/sys/fs/cgroup/job/memory.max", "209715200\n" },
        { "/sys/fs/cgroup/job/memory.current", "199229440\n" },
        { "/sys/fs/cgroup/job/memory.stat", "inactive_file 0\nactive_file 0\n" } },
      true,
      200 * MIB,
      10 * MIB },
    { "v2, max everywhere",
      { { "/proc/self/cgroup", "0::/job\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/memory.max", "max\n" },
        { "/sys/fs/cgroup/job/memory.current", "1048576\n" } },
      false,
      0,
      0 },
    { "v2, max below a limit",
      { { "/proc/self/cgroup", "0::/a/b/c\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/a/b/c/memory.max", "max\n" },
        { "/sys/fs/cgroup/a/b/c/memory.current", "1\n" },
        { "/sys/fs/cgroup/a/memory.max", "1048576\n" },
        { "/sys/fs/cgroup/a/memory.current", "2097152\n" } },
      true,
      MIB,
      0 },
    { "v2, a namespace: the group is the root of its mount",
      { { "/proc/self/cgroup", "0::/\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/memory.max", "52428800\n" },
        { "/sys/fs/cgroup/memory.current", "10485760\n" } },
      true,
      50 * MIB,
      40 * MIB },
    { "v2, the mount shows the end of the host's path",
      { { "/proc/self/cgroup", "0::/docker/abc/inner\n" },
        { "/proc/self/mountinfo", "30 20 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n" },
        { "/sys/fs/cgroup/inner/memory.max", "52428800\n" },
        { "/sys/fs/cgroup/inner/memory.current", "0\n" },
        { "/sys/fs/cgroup/memory.max", "41943040\n" },
        { "/sys/fs/cgroup/memory.current", "0\n" } },
      true,
      40 * MIB,
      40 * MIB },
    { "v2, the mount does not show the group: its root stands for it",
      { { "/proc/self/cgroup", "0::/../other\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/memory.max", "41943040\n" },
        { "/sys/fs/cgroup/memory.current", "0\n" } },
      true,
      40 * MIB,
      40 * MIB },
    { "v2, a sibling's name that begins alike is not the group",
      { { "/proc/self/cgroup", "0::/docker/abcdef\n" },
        { "/proc/self/mountinfo", "30 20 0:26 /docker/abc /mnt/one rw - cgroup2 cgroup2 rw\n" V2_MOUNT },
        { "/mnt/onedef/memory.max", "1048576\n" },
        { "/mnt/onedef/memory.current", "0\n" },
        { "/sys/fs/cgroup/docker/abcdef/memory.max", "2097152\n" },
        { "/sys/fs/cgroup/docker/abcdef/memory.current", "0\n" } },
      true,
      2 * MIB,
      2 * MIB },
    { "v2, a mount point with a space",
      { { "/proc/self/cgroup", "0::/job\n" },
        { "/proc/self/mountinfo", "30 20 0:26 / /mnt/c\\040group rw - cgroup2 cgroup2 rw\n" },
        { "/mnt/c group/job/memory.max", "2097152\n" },
        { "/mnt/c group/job/memory.current", "1048576\n" } },
      true,
      2 * MIB,
      MIB },
    { "v2, a group is slowed down before it is at its limit",
      { { "/proc/self/cgroup", "0::/job\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/memory.max", "104857600\n" },
        { "/sys/fs/cgroup/job/memory.high", "52428800\n" },
        { "/sys/fs/cgroup/job/memory.current", "10485760\n" } },
      true,
      50 * MIB,
      40 * MIB },
    { "v2, slowed down above what it may have at all",
      { { "/proc/self/cgroup", "0::/job\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/memory.max", "52428800\n" },
        { "/sys/fs/cgroup/job/memory.high", "104857600\n" },
        { "/sys/fs/cgroup/job/memory.current", "10485760\n" } },
      true,
      50 * MIB,
      40 * MIB },
    { "v2, slowed down and not limited, and the group above it neither",
      { { "/proc/self/cgroup", "0::/job/task\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/task/memory.max", "max\n" },
        { "/sys/fs/cgroup/job/task/memory.high", "max\n" },
        { "/sys/fs/cgroup/job/task/memory.current", "10485760\n" },
        { "/sys/fs/cgroup/job/memory.max", "max\n" },
        { "/sys/fs/cgroup/job/memory.high", "20971520\n" },
        { "/sys/fs/cgroup/job/memory.current", "10485760\n" } },
      true,
      20 * MIB,
      10 * MIB },
    { "v1, total_ counters, not the group's own",
      { { "/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/slurm/job1\n1:name=systemd:/y\n" },
        { "/proc/self/mountinfo", V1_OTHER V1_MOUNT },
        { "/sys/fs/cgroup/memory/slurm/job1/memory.limit_in_bytes", "104857600\n" },
        { "/sys/fs/cgroup/memory/slurm/job1/memory.usage_in_bytes", "52428800\n" },
        { "/sys/fs/cgroup/memory/slurm/job1/memory.stat",
          "active_file 1\ninactive_file 1\ntotal_inactive_file 10485760\ntotal_active_file 10485760\n" } },
      true,
      100 * MIB,
      70 * MIB },
    { "v1, unlimited is a huge number",
      { { "/proc/self/cgroup", "4:memory:/\n" },
        { "/proc/self/mountinfo", V1_MOUNT },
        { "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n" },
        { "/sys/fs/cgroup/memory/memory.usage_in_bytes", "52428800\n" } },
      false,
      0,
      0 },
    { "v1, a parent without hierarchy does not bind its children",
      { { "/proc/self/cgroup", "4:memory:/a/b\n" },
        { "/proc/self/mountinfo", V1_MOUNT },
        { "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "104857600\n" },
        { "/sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", "0\n" },
        { "/sys/fs/cgroup/memory/a/memory.use_hierarchy", "0\n" },
        { "/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1048576\n" },
        { "/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "0\n" } },
      true,
      100 * MIB,
      100 * MIB },
    { "hybrid: the memory controller is on v1",
      { { "/proc/self/cgroup", "4:memory:/job\n0::/job\n" },
        { "/proc/self/mountinfo", V1_MOUNT "33 20 0:29 / /sys/fs/cgroup/unified rw shared:5 - cgroup2 cgroup2 rw\n" },
        { "/sys/fs/cgroup/unified/job/cgroup.procs", "1\n" },
        { "/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "3145728\n" },
        { "/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1048576\n" } },
      true,
      3 * MIB,
      2 * MIB },
    { "a limit without a usage cannot be read",
      { { "/proc/self/cgroup", "0::/job\n" },
        { "/proc/self/mountinfo", V2_MOUNT },
        { "/sys/fs/cgroup/job/memory.max", "104857600\n" } },
      false,
      0,
      0 },
    { "nonsense in every file",
      { { "/proc/self/cgroup", "0::\n::\nmemory\n0\n" },
        { "/proc/self/mountinfo",
          "nonsense\n30 - cgroup2\n - cgroup2 x y\n30 20 0:26 / /sys/fs/cgroup rw - cgroup2\n" },
        { "/sys/fs/cgroup/memory.max", "-1\n" },
        { "/sys/fs/cgroup/memory.current", "many\n" } },
      false,
      0,
      0 },
};

static void test_groups(void)
{
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        const struct group_case *c = &cases[i];
        const char *root = scratch_begin();
        for (size_t j = 0; j < DT2_COUNT(c->files) && c->files[j].path; j++)
            scratch_text(c->files[j].path, c->files[j].content);
        struct dt2_memory limit = { 0, 0 };
        ok(dt2_cgroup_memory(root, &limit) == c->limited, "%s: %s", c->what, c->limited ? "limited" : "no limit");
        is_u64(limit.total_bytes, c->total, "%s: the limit", c->what);
        is_u64(limit.free_bytes, c->available, "%s: what is free of it", c->what);
    }
    scratch_end();
}

static void test_meminfo(void)
{
    const char *root = scratch_begin();
    struct dt2_memory memory = dt2_meminfo_host(root);
    is_u64(memory.total_bytes, DT2_UNKNOWN, "no /proc/meminfo: the total is unknown");
    is_u64(memory.free_bytes, DT2_UNKNOWN, "and so is what is free");
    scratch_text("/proc/meminfo", "MemTotal:       2048 kB\nMemFree:         100 kB\nMemAvailable:   1024 kB\n");
    memory = dt2_meminfo_host(root);
    is_u64(memory.total_bytes, 2 * MIB, "MemTotal");
    is_u64(memory.free_bytes, MIB, "MemAvailable, not MemFree");
    scratch_text("/proc/meminfo", "MemTotal:       2048 kB\nMemFree:         100 kB\n");
    is_u64(dt2_meminfo_host(root).free_bytes, DT2_UNKNOWN, "a kernel without MemAvailable");

    scratch_text("/sys/devices/system/node/node3/meminfo",
              "Node 3 MemTotal:       8192 kB\nNode 3 MemFree:        1024 kB\n"
              "Node 3 MemUsed:        7168 kB\nNode 3 Active(anon):    512 kB\n"
              "Node 3 Inactive(anon):  512 kB\nNode 3 Active(file):   1024 kB\n"
              "Node 3 Inactive(file): 2048 kB\nNode 3 KReclaimable:    999 kB\n"
              "Node 3 SReclaimable:    512 kB\nNode 3 SUnreclaim:      512 kB\n");
    memory = dt2_meminfo_node(root, 3);
    is_u64(memory.total_bytes, 8 * MIB, "a node's MemTotal");
    is_u64(memory.free_bytes, 4608 * 1024, "free, page cache and reclaimable slabs, and nothing else");
    is_u64(dt2_meminfo_node(root, 4).free_bytes, DT2_UNKNOWN, "a node that is not there");
    scratch_end();
    memory = dt2_meminfo_host("");
    ok(memory.total_bytes != DT2_UNKNOWN && memory.free_bytes <= memory.total_bytes, "this machine's own memory");
}

int main(void)
{
    test_groups();
    test_meminfo();
    return done_testing();
}
