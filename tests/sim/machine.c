/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine file: lines "key = value", a section "[gpu ID]" for each device. README explains every key. */
#include "engine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where we are in the file, for messages. */
struct place {
    const char *path;
    unsigned line;
};

/* A machine that is described wrongly proves nothing: better no test at all. */
__attribute__((noreturn, format(printf, 2, 3))) static void wrong(const struct place *at, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "simulator: %s:%u: ", at->path, at->line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(99);
}

static void set_text(const struct place *at, char *out, size_t size, const char *value)
{
    if (strlen(value) >= size)
        wrong(at, "'%s' is longer than %zu characters", value, size - 1);
    strcpy(out, value);
}

static uint64_t number(const struct place *at, const char *value)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 0);
    if (errno || end == value || *end || *value == '-')
        wrong(at, "'%s' is no number", value);
    return n;
}

static uint64_t size_bytes(const struct place *at, const char *value)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = { { "", 0 }, { "B", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
    char *end;
    errno = 0;
    double amount = strtod(value, &end);
    if (errno || end == value || amount < 0)
        wrong(at, "'%s' is no size", value);
    while (*end == ' ')
        end++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(end, units[i].unit) == 0)
            return (uint64_t)(amount * (double)(1ull << units[i].shift));
    wrong(at, "'%s': a size is a number and B, KiB, MiB or GiB", value);
}

static bool yes(const struct place *at, const char *value)
{
    if (strcmp(value, "yes") && strcmp(value, "no"))
        wrong(at, "'%s' is neither yes nor no", value);
    return *value == 'y';
}

/* Calls `each` with every word of a list that is separated by commas or blanks. */
static void words(const struct place *at, const char *value, void *data,
                  void (*each)(const struct place *at, const char *word, void *data))
{
    char copy[512], *state = NULL;
    set_text(at, copy, sizeof copy, value);
    for (char *word = strtok_r(copy, ", \t", &state); word; word = strtok_r(NULL, ", \t", &state))
        each(at, word, data);
}

static void set_pci(const struct place *at, const char *value, struct sim_device *device)
{
    struct sim_pci *pci = &device->pci;
    int used = 0;
    if (sscanf(value, "%x:%x:%x.%x%n", &pci->domain, &pci->bus, &pci->device, &pci->function, &used) != 4 ||
        value[used])
        wrong(at, "'%s' is no PCI address such as 0000:01:00.0", value);
    device->has_pci = true;
}

/* 32 hexadecimal digits; or 16, which AMD's drivers give as text: then the digits themselves are the bytes. */
static void set_uuid(const struct place *at, const char *value, struct sim_device *device)
{
    char digits[33];
    size_t count = 0;
    for (const char *c = value; *c; c++) {
        if (*c == '-')
            continue;
        if (count == 32 || !strchr("0123456789abcdef", *c))
            wrong(at, "'%s' is no UUID of 32 lower-case hexadecimal digits, nor 16 digits of AMD's", value);
        digits[count++] = *c;
    }
    digits[count] = '\0';
    if (count != 16 && count != 32)
        wrong(at, "'%s' has %zu digits, not 32 or 16", value, count);
    for (size_t i = 0; i < 16; i++) {
        unsigned byte = (unsigned char)digits[i];
        if (count == 32)
            sscanf(digits + 2 * i, "%2x", &byte);
        device->uuid[i] = (unsigned char)byte;
    }
    device->has_uuid = true;
}

static void show_by(const struct place *at, const char *word, void *data)
{
    static const char *const names[SIM_API_COUNT] = { "cuda", "hip", "opencl" };
    struct sim_device *device = data;
    for (int api = 0; api < SIM_API_COUNT; api++)
        if (strcmp(word, names[api]) == 0) {
            device->shown[api] = true;
            return;
        }
    wrong(at, "'%s' is no driver: cuda, hip or opencl", word);
}

static void set_identity(const struct place *at, const char *value, struct sim_device *device)
{
    static const char *const names[] = { "khr", "nv", "amd", "none" };
    for (int i = 0; i <= SIM_IDENTITY_NONE; i++)
        if (strcmp(value, names[i]) == 0) {
            device->identity = i;
            return;
        }
    wrong(at, "'%s' is no way to tell an address: khr, nv, amd or none", value);
}

/* Names of devices may come before the devices that they name: they are looked up at the end. */
struct names {
    struct place at;
    char names[256];
};

struct reader {
    struct sim_machine *machine;
    struct sim_device *device; /* whose section it is, NULL: before the first */
    struct names peers[SIM_DEVICES_MAX], liars[SIM_DEVICES_MAX];
    unsigned *set; /* of devices, that names are added to */
};

static void set_names(const struct place *at, const char *value, struct names *names)
{
    names->at = *at;
    set_text(at, names->names, sizeof names->names, value);
}

/* "N [CODE]": gone from the Nth call on the device on. */
static void set_lost(const struct place *at, const char *value, struct sim_device *device)
{
    unsigned long long call;
    if (sscanf(value, "%llu %d", &call, &device->lost_code) < 1 || call == 0)
        wrong(at, "'%s' is not 'N' or 'N CODE', the call from which on the device is gone", value);
    device->lost_at = call;
}

static int code_of(const struct place *at, const char *word)
{
    static const struct {
        const char *word;
        int code;
    } words[] = { { "invalid", SIM_INVALID_VALUE },
                  { "nomem", SIM_NOMEM },
                  { "illegal", SIM_ILLEGAL_ADDRESS },
                  { "lost", SIM_LAUNCH_FAILURE },
                  { "unknown", SIM_UNKNOWN } };
    char *end;
    long code = strtol(word, &end, 0);
    if (*word && !*end && code)
        return (int)code;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(word, words[i].word) == 0)
            return words[i].code;
    wrong(at, "'%s' is no code: a number that is not 0, or invalid, nomem, illegal, lost, unknown", word);
}

/* "FUNCTION N CODE" or "FUNCTION N+ CODE". */
static void add_failure(const struct place *at, const char *value, struct sim_machine *machine)
{
    struct sim_failure failure = { .onwards = false };
    char count[32], code[32], *end;
    if (machine->failure_count == SIM_FAILURES_MAX)
        wrong(at, "more than %d failures", SIM_FAILURES_MAX);
    if (sscanf(value, " %63s %31s %31s", failure.function, count, code) != 3)
        wrong(at, "'%s' is not 'FUNCTION N CODE'", value);
    failure.nth = strtoull(count, &end, 10);
    failure.onwards = *end == '+';
    if (failure.nth == 0 || end[failure.onwards])
        wrong(at, "'%s' is no number of a call", count);
    failure.code = code_of(at, code);
    machine->failures[machine->failure_count++] = failure;
}

static void set_device(const struct place *at, struct reader *reader, const char *key, const char *value)
{
    struct sim_device *device = reader->device;
    const struct {
        const char *key;
        uint64_t *bytes;
    } sizes[] = { { "memory", &device->memory_bytes },           { "context", &device->context_bytes },
                  { "granule", &device->granule_bytes },         { "others", &device->others_bytes },
                  { "others_grow", &device->others_grow_bytes }, { "max_alloc", &device->max_alloc_bytes },
                  { "pinnable", &device->pinnable_bytes },
                  { "carveout", &device->carveout_bytes },       { "page_cache", &device->page_cache_bytes } };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (strcmp(key, sizes[i].key) == 0) {
            *sizes[i].bytes = size_bytes(at, value);
            return;
        }
    if (strcmp(key, "name") == 0)
        set_text(at, device->name, sizeof device->name, value);
    else if (strcmp(key, "vendor") == 0)
        set_text(at, device->vendor, sizeof device->vendor, value);
    else if (strcmp(key, "platform") == 0)
        set_text(at, device->platform, sizeof device->platform, value);
    else if (strcmp(key, "drivers") == 0)
        words(at, value, device, show_by);
    else if (strcmp(key, "pci") == 0)
        set_pci(at, value, device);
    else if (strcmp(key, "uuid") == 0)
        set_uuid(at, value, device);
    else if (strcmp(key, "mig") == 0)
        device->mig = yes(at, value);
    else if (strcmp(key, "integrated") == 0)
        device->integrated = yes(at, value);
    else if (strcmp(key, "nvml") == 0)
        device->no_nvml = !yes(at, value);
    else if (strcmp(key, "numa") == 0)
        device->numa = (int)number(at, value);
    else if (strcmp(key, "link_gbps") == 0)
        device->link_gbps = strtod(value, NULL);
    else if (strcmp(key, "peers") == 0)
        set_names(at, value, &reader->peers[device->number]);
    else if (strcmp(key, "peers_lie") == 0)
        set_names(at, value, &reader->liars[device->number]);
    else if (strcmp(key, "base_align_bits") == 0)
        device->base_align_bits = (unsigned)number(at, value);
    else if (strcmp(key, "identity") == 0)
        set_identity(at, value, device);
    else if (strcmp(key, "lost") == 0)
        set_lost(at, value, device);
    else
        wrong(at, "a device has no '%s'", key);
}

static void set_machine(const struct place *at, struct sim_machine *machine, const char *key, const char *value)
{
    if (strcmp(key, "seed") == 0)
        machine->seed = number(at, value);
    else if (strcmp(key, "delay_us") == 0)
        machine->delay_us = (unsigned)number(at, value);
    else if (strcmp(key, "query_us") == 0)
        machine->query_us = (unsigned)number(at, value);
    else if (strcmp(key, "checksum") == 0)
        machine->checksum = yes(at, value);
    else if (strcmp(key, "visibility") == 0)
        machine->respect_visibility = yes(at, value);
    else if (strcmp(key, "fail") == 0)
        add_failure(at, value, machine);
    else
        wrong(at, "a machine has no '%s'", key);
}

static void begin_device(const struct place *at, struct reader *reader, const char *id)
{
    struct sim_machine *machine = reader->machine;
    for (unsigned i = 0; i < machine->count; i++)
        if (strcmp(machine->devices[i].id, id) == 0)
            wrong(at, "a second device '%s'", id);
    if (machine->count == SIM_DEVICES_MAX)
        wrong(at, "more than %d devices", SIM_DEVICES_MAX);
    struct sim_device *device = &machine->devices[machine->count];
    device->number = machine->count++;
    set_text(at, device->id, sizeof device->id, id);
    set_text(at, device->name, sizeof device->name, id);
    strcpy(device->vendor, "Simulated");
    device->granule_bytes = 1;
    device->base_align_bits = 1024;
    device->carveout_bytes = UINT64_MAX;
    device->lost_code = SIM_LAUNCH_FAILURE;
    reader->device = device;
}

static void read_line(const struct place *at, struct reader *reader, char *line)
{
    char id[32], *comment = strchr(line, '#');
    int used = 0;
    if (comment)
        *comment = '\0';
    char *key = line + strspn(line, " \t\r\n");
    for (size_t length = strlen(key); length && strchr(" \t\r\n", key[length - 1]);)
        key[--length] = '\0';
    if (!*key)
        return;
    if (sscanf(key, "[gpu %31[a-z0-9_]]%n", id, &used) == 1 && used && !key[used]) {
        begin_device(at, reader, id);
        return;
    }
    char *equals = strchr(key, '=');
    if (!equals)
        wrong(at, "'%s' is neither 'key = value' nor '[gpu ID]'", key);
    const char *value = equals + 1 + strspn(equals + 1, " \t");
    while (equals > key && strchr(" \t", equals[-1]))
        equals--;
    *equals = '\0';
    if (reader->device)
        set_device(at, reader, key, value);
    else
        set_machine(at, reader->machine, key, value);
}

static void add_name(const struct place *at, const char *word, void *data)
{
    const struct reader *reader = data;
    for (unsigned i = 0; i < reader->machine->count; i++)
        if (strcmp(reader->machine->devices[i].id, word) == 0) {
            *reader->set |= 1u << i;
            return;
        }
    wrong(at, "no device '%s' to be a peer", word);
}

static void look_up_names(struct reader *reader, const struct names *names, unsigned *set)
{
    reader->set = set;
    words(&names->at, names->names, reader, add_name);
}

/* What only the whole file tells, and what follows from the rest. */
static void finish(struct reader *reader, const struct place *at)
{
    struct sim_machine *machine = reader->machine;
    for (unsigned i = 0; i < machine->count; i++) {
        struct sim_device *device = &machine->devices[i];
        look_up_names(reader, &reader->peers[i], &device->peers);
        look_up_names(reader, &reader->liars[i], &device->liars);
        if (!device->memory_bytes || !device->granule_bytes)
            wrong(at, "device '%s' has no memory", device->id);
        if (!device->shown[SIM_CUDA] && !device->shown[SIM_HIP] && !device->shown[SIM_OPENCL])
            wrong(at, "device '%s' is shown by no driver", device->id);
        if (!device->max_alloc_bytes)
            device->max_alloc_bytes = device->memory_bytes;
        if (!device->platform[0])
            snprintf(device->platform, sizeof device->platform, "%.40s OpenCL", device->vendor);
    }
}

static void read_environment(struct sim_machine *machine)
{
    const char *seed = getenv("DISTORCH2_SIM_SEED"), *fail = getenv("DISTORCH2_SIM_FAIL");
    struct place at = { "DISTORCH2_SIM_SEED", 1 };
    if (seed)
        machine->seed = number(&at, seed);
    at.path = "DISTORCH2_SIM_FAIL";
    char copy[1024], *state = NULL;
    set_text(&at, copy, sizeof copy, fail ? fail : "");
    for (char *one = strtok_r(copy, ";", &state); one; one = strtok_r(NULL, ";", &state))
        add_failure(&at, one, machine);
}

void sim_machine_read(const char *path, struct sim_machine *machine)
{
    *machine = (struct sim_machine){ .seed = 1, .delay_us = 100, .checksum = true, .respect_visibility = true };
    struct reader reader = { .machine = machine };
    struct place at = { path, 0 };
    if (path) {
        char line[1024];
        FILE *file = fopen(path, "re");
        if (!file)
            wrong(&at, "cannot be opened: %s", strerror(errno));
        for (at.line = 1; fgets(line, sizeof line, file); at.line++)
            read_line(&at, &reader, line);
        fclose(file);
        finish(&reader, &at);
        set_text(&at, machine->path, sizeof machine->path, path);
    }
    read_environment(machine);
}
