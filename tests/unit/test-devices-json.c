/* SPDX-License-Identifier: BSD-3-Clause */
/* Snapshots as JSON: what is written is read back the same, and what is wrong is named by its path. */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/text.h"
#include "machine/steps.h"
#include "support/tap.h"

static int parse(const char *text, struct dt2_devices **devices, struct dt2_error *err)
{
    return dt2_devices_parse(text, strlen(text), devices, err);
}

static void test_saved_machine(void)
{
    const char *top = getenv("top_srcdir");
    DT2_AUTO char *path = dt2_printf("%s/tests/data/machines/two-gpus-one-amd.json", top ? top : ".");
    DT2_AUTO char *text = NULL;
    size_t length, index, order;
    struct dt2_devices *devices;
    struct dt2_error err = { 0 };
    if (!ok(dt2_read_file(path, 1 << 20, &text, &length, &err) == 0, "%s can be read", path))
        return;
    if (!ok(dt2_devices_parse(text, length, &devices, &err) == 0, "and parsed: %s", err.text))
        return;
    is_u64(dt2_devices_count(devices), 4, "four devices");
    is_u64(dt2_devices_budget_count(devices), 4, "four budgets");
    is_int(dt2_devices_find(devices, "hip:0", &index, NULL), 0, "one is hip:0");
    const struct dt2_device *hip = dt2_devices_get(devices, index);
    is_u64(hip->total_bytes, 17179869184, "its total");
    is_u64(hip->max_alloc_bytes, DT2_UNKNOWN, "null is no limit");
    is_u64(hip->alignment_bytes, 1, "its alignment");
    is_int(hip->numa_node, -1, "null is no node");
    ok(!hip->vendor, "null is no vendor");
    is_int(dt2_devices_get(devices, 3)->numa_node, 0, "the host's node");
    is_str(dt2_devices_get(devices, dt2_devices_default(devices))->name, "cuda:0", "the default");
    ok(!dt2_devices_distances(devices, &order), "no distances");
    dt2_devices_free(devices);
}

static void test_by_hand(void)
{
    struct dt2_devices *devices;
    struct dt2_error err = { 0 };
    if (!ok(parse("{\"devices\": [{\"name\": \"cuda:0\", \"total_bytes\": 100, \"free_bytes\": 90},"
                  "{\"name\": \"cpu\", \"total_bytes\": 50}, {\"name\": \"opencl:0\", \"total_bytes\": null, \"kind\": "
                  "\"cpu\","
                  "\"budgets\": [\"opencl:0\", \"cpu\"]}]}",
                  &devices, &err) == 0,
            "a short file by hand: %s", err.text))
        return;
    const struct dt2_device *cuda = dt2_devices_get(devices, 0), *cpu = dt2_devices_get(devices, 1);
    is_str(cuda->driver, "cuda", "the driver follows from the name");
    is_str(cuda->kind, "gpu", "and so does the kind");
    is_str(cpu->driver, "host", "cpu is the host's");
    is_str(cpu->kind, "host", "and host memory");
    is_u64(cuda->alignment_bytes, 1, "no alignment is 1");
    is_u64(cpu->free_bytes, DT2_UNKNOWN, "free bytes may be missing");
    is_str(cuda->budgets[0], "cuda:0", "without budgets a device is its own");
    is_u64(dt2_devices_budget_count(devices), 3, "budgets follow from the devices");
    is_u64(dt2_devices_budget_find(devices, "cuda:0")->total_bytes, 100, "with their totals");
    is_u64(dt2_devices_budget_find(devices, "cuda:0")->free_bytes, 90, "and what is free");
    is_u64(dt2_devices_get(devices, 2)->budget_count, 2, "those that are named are kept");
    dt2_devices_free(devices);
}

#define DEVICE(rest) "{\"devices\": [{\"name\": \"cpu\", \"total_bytes\": 9" rest "}]}"
#define NODES "{\"devices\": [{\"name\": \"cpu:0\", \"total_bytes\": 1}, {\"name\": \"cpu:1\", \"total_bytes\": 1}]"

#define TEN "aaaaaaaaaa"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static void test_refused(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "", "line 1" },
        { "{", "line 1" },
        { "[]", "expected an object" },
        { "{}", "devices: expected a list of devices, found nothing" },
        { "{\"devices\": null}", "devices: expected a list of devices, found null" },
        { "{\"devices\": 3}", "devices: expected a list, found a number" },
        { "{\"devices\": []}", "at least one device" },
        { "{\"devices\": [3]}", "devices[0]: expected an object, found a number" },
        { "{\"devices\": [{}]}", "devices[0].name: expected a name, found nothing" },
        { "{\"devices\": [{\"name\": \"\"}]}", "devices[0].name: expected a name" },
        { "{\"devices\": [{\"name\": 3}]}", "devices[0].name: expected a name, found a number" },
        /* What would be shown as other text, or cut, could become the name of another device. */
        { "{\"devices\": [{\"name\": \"a\\u001b:0\", \"total_bytes\": 1}]}",
          "devices[0].name: expected a name of at most 256 bytes without control characters, found 'a\\x1b:0'" },
        { "{\"devices\": [{\"name\": \"a\\u202e:0\", \"total_bytes\": 1}]}", "without control characters, found 'a\\u202e:0'" },
        { DEVICE(", \"aliases\": [\"b\\n:0\"]"), "devices[0].aliases: expected a name of at most" },
        { DEVICE(", \"links\": [{\"to\": \"b\\u007f:0\"}]"), "devices[0].links[0].to: expected a name of at most" },
        { "{\"devices\": [{\"name\": \"" HUNDRED HUNDRED HUNDRED ":0\", \"total_bytes\": 1}]}", "' of 302" },
        { "{\"devices\": [{\"name\": \"cpu\"}]}",
          "devices[0].total_bytes: expected a number of bytes or null, found nothing" },
        { DEVICE(", \"total_bytes\": 9"), "duplicate" },
        { DEVICE(", \"free_bytes\": -1"),
          "devices[0].free_bytes: expected a number of bytes or null, found a negative" },
        { DEVICE(", \"free_bytes\": 1.5"),
          "devices[0].free_bytes: expected a number of bytes or null, found a number with" },
        { DEVICE(", \"free_bytes\": \"9\""), "found a string" },
        { DEVICE(", \"free_bytes\": 99999999999999999999"), "big" },
        { DEVICE(", \"alignment_bytes\": 3"), "devices[0].alignment_bytes: expected a power of two, found 3" },
        { DEVICE(", \"alignment_bytes\": 0"),
          "devices[0].alignment_bytes: expected a number of bytes of at least 1, found 0" },
        { DEVICE(", \"numa_node\": -1"), "devices[0].numa_node: expected" },
        { DEVICE(", \"package\": 0.5"), "devices[0].package: expected" },
        { DEVICE(", \"kind\": \"tpu\""), "devices[0].kind: expected host, cpu, gpu or accelerator, found 'tpu'" },
        { DEVICE(", \"vendor\": true"), "devices[0].vendor: expected a string or null, found a truth value" },
        { DEVICE(", \"aliases\": \"x\""), "devices[0].aliases: expected a list, found a string" },
        { DEVICE(", \"aliases\": [null]"), "devices[0].aliases[0]: expected a string, found null" },
        { DEVICE(", \"aliases\": [\"cpu\"]"), "devices[0].aliases: 'cpu' names the device 'cpu' already" },
        { DEVICE(", \"budgets\": [3]"), "devices[0].budgets[0]: expected a string, found a number" },
        { DEVICE(", \"budgets\": [\"gpu\"]"), "devices[0].budgets[0]: expected 'cpu', the device's own name" },
        { DEVICE(", \"budgets\": [\"cpu\", \"cpu\"]"), "devices[0].budgets[1]: 'cpu' is named already" },
        { DEVICE(", \"budgets\": [\"cpu\", \"cgroup\"]"), "devices[0].budgets: no budget 'cgroup'" },
        { DEVICE(", \"links\": [{}]"), "devices[0].links[0].to: expected a name" },
        { DEVICE(", \"links\": [{\"to\": \"cuda:1\", \"peer\": \"perhaps\"}]"),
          "devices[0].links[0].peer: expected \"ok\", \"broken\", \"none\" or null, found \"perhaps\"" },
        { DEVICE(", \"links\": [{\"to\": \"cuda:1\", \"peer\": 1}]"), "devices[0].links[0].peer: expected a string" },
        { DEVICE(", \"links\": [{\"to\": \"cpu\", \"nominal_gbps\": -1}]"),
          "devices[0].links[0].nominal_gbps: expected a speed" },
        { "{\"devices\": [{\"name\": \"a:0\", \"total_bytes\": 1}, {\"name\": \"a:0\", \"total_bytes\": 1}]}",
          "devices[1].name: 'a:0' names the device 'a:0' already" },
        { "{\"devices\": [{\"name\": \"a:0\", \"total_bytes\": 1, \"budgets\": [\"a:0\"]}], \"budgets\": []}",
          "devices[0].budgets: no budget 'a:0' is listed" },
        { "{\"devices\": [{\"name\": \"a:0\", \"total_bytes\": 1}], \"budgets\": [{\"name\": \"b\"}, {\"name\": "
          "\"b\"}]}",
          "budgets[1].name: the budget 'b' is listed already" },
        { "{\"devices\": [{\"name\": \"a:0\", \"total_bytes\": 1}], \"budgets\": [{\"name\": \"b\", \"total_bytes\": "
          "-5}]}",
          "budgets[0].total_bytes: expected" },
        { "{\"devices\": [{\"name\": \"a:0\", \"total_bytes\": 1}], \"unusable\": [7]}",
          "unusable[0]: expected an object" },
        { NODES ", \"numa_distances\": 3}", "numa_distances: expected a list" },
        { NODES ", \"numa_distances\": [[10]]}", "a row for each of 2 devices cpu:N, found 1" },
        { NODES ", \"numa_distances\": [[10, 20], [20]]}", "numa_distances[1]: expected a list of 2 numbers" },
        { NODES ", \"numa_distances\": [[10, 20], [20, -3]]}",
          "numa_distances[1][1]: expected a distance, found a negative" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_devices *devices = NULL;
        struct dt2_error err = { 0 };
        is_int(parse(cases[i].text, &devices, &err), DT2_EFAILED, "refused: %s", cases[i].text);
        if (!ok(strstr(err.text, cases[i].says), "and says: %s", cases[i].says))
            diag("%s", err.text);
        ok(!devices, "and gives nothing");
    }
}

/* -- random snapshots, written and read back */

static const char *random_text(char *text, size_t size)
{
    static const char *const pieces[] = {
        "NVIDIA", "\"", "\\", "\n", "\xC3\xA4", "/", " ", "x\x01y", "\xF0\x9F\x98\x80"
    };
    *text = '\0';
    if (random_below(4) == 0)
        return NULL;
    for (size_t i = random_below(5); i-- > 0;)
        strncat(text, pieces[random_below(DT2_COUNT(pieces))], size - strlen(text) - 1);
    return text;
}

static uint64_t random_bytes(void)
{
    return random_below(4) == 0 ? DT2_UNKNOWN : random_u64() >> (1 + random_below(63));
}

static struct dt2_devices *random_snapshot(void)
{
    static const char *const kinds[] = { "host", "cpu", "gpu", "accelerator" };
    static const char *const peers[] = { NULL, "ok", "broken", "none" };
    struct dt2_devices *d;
    if (dt2_devices_new(&d, NULL) < 0)
        exit(1);
    size_t count = 1 + random_below(6), nodes = 0;
    for (size_t i = 0; i < count; i++) {
        char name[32], vendor[64], model[64];
        bool node = random_below(2);
        snprintf(name, sizeof name, "%s:%zu", node ? "cpu" : "level0", i);
        nodes += node;
        struct dt2_device device = { .name = name,
                                     .driver = node ? "host" : "level0",
                                     .kind = kinds[random_below(4)],
                                     .vendor = random_text(vendor, sizeof vendor),
                                     .model = random_text(model, sizeof model),
                                     .pci = random_below(2) ? "0000:01:00.0" : NULL,
                                     .uuid = random_below(2) ? "GPU-1" : NULL,
                                     .numa_node = (int)random_below(3) - 1,
                                     .package = (int)random_below(3) - 1,
                                     .total_bytes = random_bytes(),
                                     .free_bytes = random_bytes(),
                                     .alignment_bytes = (uint64_t)1 << random_below(13),
                                     .max_alloc_bytes = random_bytes(),
                                     .fixed_bytes = random_below(1 << 30) };
        dt2_devices_add(d, &device, NULL);
        dt2_devices_add_budget(d, name, random_bytes(), random_bytes(), NULL);
        dt2_devices_charge(d, i, name, NULL);
        if (random_below(2))
            dt2_devices_charge(d, i, "cgroup", NULL);
        for (size_t j = random_below(3); j-- > 0;) {
            snprintf(name, sizeof name, "opencl:%zu.%zu", i, j);
            dt2_devices_add_alias(d, i, name, NULL);
            struct dt2_link link = { "cpu", (double)random_below(100000) / 1000, random_below(2) ? -1 : 13.22,
                                     peers[random_below(4)], (unsigned)random_below(7), (unsigned)random_below(17),
                                     random_below(2) ? -1 : 11.5, random_below(2) ? -1 : 7.25,
                                     random_below(2) ? NULL : "0000:00:01.0", random_below(2) ? -1 : 3.25 };
            dt2_devices_add_link(d, i, &link, NULL);
        }
    }
    dt2_devices_add_budget(d, "cgroup", random_bytes(), random_bytes(), NULL);
    for (size_t i = random_below(3); i-- > 0;)
        dt2_devices_add_unusable(d, &(struct dt2_unusable){ "0000:02:00.0", random_below(2) ? "m" : NULL, "r", "h" },
                                 NULL);
    uint64_t matrix[64];
    for (size_t i = 0; i < nodes * nodes; i++)
        matrix[i] = 10 + random_below(90);
    if (nodes && random_below(2))
        dt2_devices_set_distances(d, matrix, nodes, NULL);
    return d;
}

/* Through JSON and back gives the same snapshot, which its JSON then shows; and every key is there each time. */
static void test_round_trip(void)
{
    bool parsed = true, same = true, numbers = true;
    seed_random(20261125);
    for (int i = 0; i < 300; i++) {
        struct dt2_devices *before = random_snapshot(), *after = NULL;
        DT2_AUTO char *first = dt2_devices_json(before);
        struct dt2_error err;
        if (parse(first, &after, &err) < 0) {
            parsed = false;
            diag("%s\n%s", err.text, first);
        } else {
            DT2_AUTO char *second = dt2_devices_json(after);
            same &= strcmp(first, second) == 0;
            for (size_t j = 0; j < before->count; j++) {
                const struct dt2_device *a = &before->devices[j], *b = &after->devices[j];
                numbers &= a->total_bytes == b->total_bytes && a->free_bytes == b->free_bytes &&
                           a->numa_node == b->numa_node && a->package == b->package && a->max_alloc_bytes == b->max_alloc_bytes &&
                           a->fixed_bytes == b->fixed_bytes && a->link_count == b->link_count &&
                           (!a->link_count || a->links[0]->nominal_gbps == b->links[0]->nominal_gbps);
            }
        }
        dt2_devices_free(after);
        dt2_devices_free(before);
    }
    ok(parsed, "300 random snapshots are read back");
    ok(same, "and written again the same");
    ok(numbers, "with the same numbers");
}

static void test_null(void)
{
    struct dt2_devices *d;
    dt2_devices_new(&d, NULL);
    struct dt2_device device = { .name = "x:0",
                                 .driver = "x",
                                 .kind = "gpu",
                                 .numa_node = -1,
                                 .package = -1,
                                 .total_bytes = DT2_UNKNOWN,
                                 .free_bytes = DT2_UNKNOWN,
                                 .alignment_bytes = 64,
                                 .max_alloc_bytes = DT2_UNKNOWN };
    dt2_devices_add(d, &device, NULL);
    dt2_devices_add_link(d, 0, &(struct dt2_link){ "cpu", -1, 13.22, NULL, 0, 0, -1, -1, NULL, -1 }, NULL);
    DT2_AUTO char *text = dt2_devices_json(d);
    static const char *const keys[] = { "vendor",       "model",         "pci",        "uuid",
                                        "numa_node",    "total_bytes",   "free_bytes", "max_alloc_bytes",
                                        "nominal_gbps", "numa_distances", "peer",       "read_gbps",
                                        "delay_us",     "shared",        "speeds",     "fresh_gbps",
                                        "package" };
    for (size_t i = 0; i < DT2_COUNT(keys); i++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "\"%s\": null", keys[i]);
        ok(strstr(text, wanted), "unknown %s is null", keys[i]);
    }
    ok(strstr(text, "\"measured_gbps\": 13.22,\n"), "a speed has no tail of noise");
    ok(strstr(text, "\"distorch2\": \"" PACKAGE_VERSION "\""), "the version is there");
    dt2_devices_free(d);
}

/* What is kept of steps: one of a device and a network, as many as there may be, the oldest of which makes room. */
static void test_steps(void)
{
    static const char text[] = "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":9}],\"steps\":["
                               "{\"device\":\"cpu\",\"network\":\"a\",\"step_ms\":1.5,\"learnt_at\":7},"
                               "{\"device\":\"cpu\",\"network\":\"a\",\"step_ms\":2.5,\"learnt_at\":8},"
                               "{\"device\":\"cpu\",\"network\":\"b\",\"step_ms\":null,\"learnt_at\":9}]}";
    struct dt2_devices *d = NULL;
    is_int(dt2_devices_parse(text, strlen(text), &d, NULL), 0, "steps are read");
    is_u64(d->step_count, 1, "the last of a device and a network counts, and what nobody knows does not");
    ok(dt2_steps_find(d, "cpu", "a") && dt2_steps_find(d, "cpu", "a")->step_ms > 2, "it is found");
    ok(!dt2_steps_find(d, "cpu", "b") && !dt2_steps_find(d, "cuda:0", "a"), "nothing else is");
    for (int i = 0; i < DT2_STEPS_MOST; i++) {
        char network[16];
        snprintf(network, sizeof network, "n%d", i);
        dt2_steps_put(d, &(struct dt2_step){ "cpu", network, 1, 100 + i }, NULL);
    }
    is_u64(d->step_count, DT2_STEPS_MOST, "there are no more than may be");
    ok(!dt2_steps_find(d, "cpu", "a") && dt2_steps_find(d, "cpu", "n0"), "the oldest made room");
    dt2_devices_free(d);
}

int main(void)
{
    test_steps();
    test_saved_machine();
    test_by_hand();
    test_refused();
    test_round_trip();
    test_null();
    return done_testing();
}
