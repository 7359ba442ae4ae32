/* SPDX-License-Identifier: BSD-3-Clause */
/* What is kept of speeds, when several write it at once, and when it cannot be kept. */
#include "machine/steps.h"
#include "model/speeds.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[4096], path[8192];

static struct dt2_devices *parse(const char *text)
{
    struct dt2_devices *devices = NULL;
    struct dt2_error err;
    if (dt2_devices_parse(text, strlen(text), &devices, &err) < 0) {
        ok(false, "devices: %s", err.text);
        exit(1);
    }
    return devices;
}

#define MACHINE(speed) "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":9,\"links\":[{\"to\":\"cpu\",\"measured_gbps\":" #speed "}]}]}"

/* What another process does: passes of networks that only it has. */
static void learn(int who, int times)
{
    char network[32];
    for (int i = 0; i < times; i++) {
        snprintf(network, sizeof network, "%d-%d", who, i);
        dt2_speeds_learn(NULL, "cpu", network, 1000000);
    }
}

static void test_at_once(void)
{
    enum { PROCESSES = 4 };
    int times = (int)random_rounds(25);
    struct dt2_devices *devices = parse(MACHINE(1.5));
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0) {
            dt2_devices_free(devices);
            learn(i, times);
            _exit(0);
        }
    for (int i = 0; i < times; i++) /* who measures meanwhile forgets none of them */
        dt2_speeds_keep(NULL, devices);
    while (wait(NULL) > 0)
        ;
    dt2_devices_free(devices);
    devices = dt2_speeds_read(NULL);
    is_u64(devices ? devices->step_count : 0, (uint64_t)PROCESSES * (uint64_t)times, "what four have learnt at once is all kept");
    is_int(devices && dt2_steps_find(devices, "cpu", "3-1") && !dt2_steps_find(devices, "cpu", "4-0"), 1, "by its name");
    dt2_devices_free(devices);
}

/* A cache that is wrong, or cannot be written, costs nothing but what would be kept. */
static void test_wrong(void)
{
    static const char *const wrong[] = { "", "{", "[]", "{\"devices\":3}", "{\"devices\":[{\"name\":\"cpu\"}],\"steps\":7}" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        FILE *file = fopen(path, "w");
        ok(file && fputs(wrong[i], file) >= 0 && fclose(file) == 0, "a cache that holds '%s'", wrong[i]);
        ok(!dt2_speeds_read(NULL) && !dt2_speeds_learn(NULL, "cpu", "x", 1), "is not used, and nothing is added");
    }
    unlink(path);
    ok(!dt2_speeds_learn(NULL, "cpu", "x", 1), "without one nothing is learnt");
    struct dt2_devices *devices = parse(MACHINE(2.5));
    ok(mkdir(path, 0700) == 0, "a folder in its place");
    dt2_speeds_keep(NULL, devices);
    ok(!dt2_speeds_read(NULL), "nothing is kept");
    rmdir(path);
    dt2_speeds_keep(NULL, devices);
    dt2_devices_free(devices);
    devices = dt2_speeds_read(NULL);
    ok(devices && dt2_device_link(&devices->devices[0], "cpu")->measured_gbps > 2, "and then it is");
    dt2_devices_free(devices);
    setenv("XDG_CACHE_HOME", "/dev/null", 1);
    ok(!dt2_speeds_read(NULL) && !dt2_speeds_learn(NULL, "cpu", "x", 1), "no place for a cache");
    setenv("XDG_CACHE_HOME", folder, 1);
}

int main(void)
{
    struct utsname host;
    snprintf(folder, sizeof folder, "%s/cache", scratch_begin());
    if (uname(&host) < 0 || setenv("XDG_CACHE_HOME", folder, 1) < 0)
        return 1;
    snprintf(path, sizeof path, "%s/distorch2/speeds-%s.json", folder, host.nodename);
    struct dt2_devices *devices = parse(MACHINE(1.5));
    ok(!dt2_speeds_read(NULL), "nothing is kept yet");
    dt2_speeds_keep(NULL, devices);
    dt2_devices_free(devices);
    test_at_once();
    test_wrong();
    return done_testing();
}
