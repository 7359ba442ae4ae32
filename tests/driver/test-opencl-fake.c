/* SPDX-License-Identifier: BSD-3-Clause */
/* The OpenCL driver, through the real loader, on the platforms of fake-icd.c. */
#include "base/alloc.h"
#include "base/text.h"
#include "base/checked.h"
#include "subject.h"
#include "support/scratch.h"
#include <dlfcn.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

static char warnings[16][256];
static size_t warning_count;

static void keep_warning(void *data, enum dt2_log_level level, const char *line)
{
    (void)data;
    if (level <= DT2_LOG_WARNING && warning_count < 16)
        snprintf(warnings[warning_count++], sizeof *warnings, "%s", line);
}

/* A folder with one .icd file that names the fake, or none. */
static void make_vendors(const char *folder, const char *library)
{
    char *path = dt2_printf("%s/fake.icd", folder);
    remove(path);
    FILE *file = library ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%s\n", library);
        fclose(file);
    }
    dt2_release(path);
    setenv("OCL_ICD_VENDORS", folder, 1);
    unsetenv("OCL_ICD_FILENAMES");
}

static const struct expected {
    const char *model, *platform, *kind, *pci, *uuid;
    bool native, shares_host;
    uint64_t alignment, max_alloc, free_bytes;
} devices[] = {
    { "NVIDIA GeForce RTX 4090", "NVIDIA CUDA", "gpu", "10001:65:02.0", "01234567-89ab-cdef-fedc-ba9876543210", true,
      false, 512, 2ull << 30, DT2_UNKNOWN },
    { "NVIDIA GeForce RTX 3060", "NVIDIA CUDA", "gpu", "0000:65:03.7", "", true, false, 512, 2ull << 30, DT2_UNKNOWN },
    { "NVIDIA Unnamed", "NVIDIA CUDA", "gpu", "", "", true, false, 512, 2ull << 30, DT2_UNKNOWN },
    { "AMD Radeon RX 7900 XTX", "AMD APP", "gpu", "0000:c3:00.1", "", true, false, 256, 8ull << 30, 1024000 },
    { "gfx1036", "AMD APP", "gpu", "", "", true, true, 1, 8ull << 30, DT2_UNKNOWN },
    { NULL, "twin", "accelerator", "0002:c3:1f.7", "", false, false, 1, 8ull << 30, DT2_UNKNOWN },
    { NULL, "twin #2", "accelerator", "0002:c3:1f.7", "", false, false, 1, 8ull << 30, DT2_UNKNOWN },
};
enum { DEVICES = sizeof devices / sizeof *devices };

static bool find(struct subject *s, const struct expected *e)
{
    for (s->index = 0; s->index < s->device_count; s->index++) {
        s->info = (struct dt2_backend_device_info){ .struct_size = sizeof s->info };
        if (CALL(s, device_info, s->index, &s->info) == 0 && strcmp(s->info.platform, e->platform) == 0 &&
            (!e->model || strcmp(s->info.model, e->model) == 0))
            return true;
    }
    return false;
}

static void test_identity(struct subject *s)
{
    for (size_t i = 0; i < DEVICES; i++) {
        const struct expected *e = &devices[i];
        uint64_t free_bytes = 0;
        if (!ok(find(s, e), "%s: %s", e->platform, e->model ? e->model : "its device"))
            continue;
        const struct dt2_backend_device_info *info = &s->info;
        is_str(info->kind, e->kind, "its kind");
        is_str(info->pci, e->pci, "its place on the bus");
        is_str(info->uuid, e->uuid, "its UUID");
        is_int(info->native_platform, e->native, "whether the platform is its maker's");
        is_int(info->flags, e->shares_host ? DT2_DEVICE_SHARES_HOST : 0, "whether it shares the host's memory");
        is_u64(info->alignment_bytes, e->alignment, "its alignment");
        is_u64(info->max_alloc_bytes, e->max_alloc, "its largest buffer");
        is_u64(info->total_bytes, 8ull << 30, "its memory");
        ok(CALL(s, device_free_bytes, s->index, false, &free_bytes) == 0 && free_bytes == e->free_bytes,
           "its free memory");
    }
    size_t length = find(s, &devices[DEVICES - 1]) ? strlen(s->info.model) : 0;
    ok(length > 252 && length < 256 && dt2_utf8_valid(s->info.model, length),
       "a long name is cut at a whole character");
    is_str(s->info.model + length - 3, "\xE2\x82\xAC", "which is the one before");
}

static void test_warnings(void)
{
    size_t old = 0, broken = 0;
    for (size_t i = 0; i < warning_count; i++) {
        diag("%s", warnings[i]);
        old += strstr(warnings[i], "OpenCL 1.1 fake") != NULL;
        broken += strstr(warnings[i], "'Broken'") && strstr(warnings[i], "CL_OUT_OF_HOST_MEMORY");
    }
    is_u64(old, 1, "a device of OpenCL 1.1 is left out with a warning");
    is_u64(broken, 1, "a platform that fails is left out with a warning");
    is_u64(warning_count, 2, "and nothing else is said");
}

/* AMD's driver tells a PCI address without its domain, which the kernel then tells where it can be one only. */
static void test_domains(struct subject *s)
{
    static const struct {
        const char *what, *entries[3], *vendors[3], *pci;
    } cases[] = {
        { "another domain", { "10000:c3:00.1" }, { "0x1002\n" }, "10000:c3:00.1" },
        { "two domains", { "0001:c3:00.1", "0002:c3:00.1" }, { "0x1002\n", "0x1002\n" }, "" },
        { "two, one of another maker's", { "0001:c3:00.1", "0002:c3:00.1" }, { "0x10de\n", "0x1002\n" }, "0002:c3:00.1" },
        { "another function, and another bus", { "0001:c3:00.0", "0002:c4:00.1" }, { "0x1002\n", "0x1002\n" }, "0000:c3:00.1" },
        { "no device", { NULL }, { NULL }, "0000:c3:00.1" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        char name[64];
        const char *root = scratch_begin();
        for (size_t j = 0; cases[i].entries[j]; j++) {
            snprintf(name, sizeof name, "bus/pci/devices/%s/vendor", cases[i].entries[j]);
            scratch_text(name, cases[i].vendors[j]);
        }
        setenv("DISTORCH2_SYSFS", root, 1);
        find(s, &devices[3]);
        is_str(s->info.pci, cases[i].pci, "%s: where AMD's card is", cases[i].what);
    }
    setenv("DISTORCH2_SYSFS", "/nowhere", 1);
    find(s, &devices[3]);
    is_str(s->info.pci, "0000:c3:00.1", "without a /sys the first domain is assumed");
}

/* A device that tells what is free takes no more, though its runtime would. */
static void test_free(struct subject *s)
{
    dt2_handle buffer = UNTOUCHED;
    find(s, &devices[3]);
    if (!good(s, CALL(s, device_open, s->index, NULL, &s->device), "AMD's card opens"))
        return;
    refused(s, DT2_BACKEND_NOMEM, CALL(s, buffer_alloc, s->device, 2000000, &buffer), "a buffer larger than what is free");
    ok(strstr(s->err.text, "2000000") && strstr(s->err.text, "1024000 are free"), "with both numbers: %s", s->err.text);
    if (good(s, CALL(s, buffer_alloc, s->device, 1024000, &buffer), "one as large as that"))
        good(s, CALL(s, buffer_free, buffer), "freed");
    good(s, CALL(s, device_close, s->device), "closed");
}

static void is_vendor(struct subject *s, const char *name, int code)
{
    is_str(s->err.vendor_name, name, "the vendor's name of it");
    is_int(s->err.vendor_code, code, "and its code");
}

static void test_failures(struct subject *s, const long *live)
{
    dt2_handle buffer = UNTOUCHED, event, later;
    static char bytes[1024];
    bool done = false;
    find(s, &devices[DEVICES - 1]);
    refused(s, DT2_BACKEND_NOMEM, CALL(s, device_open, s->index, NULL, &buffer), "a context without resources");
    is_vendor(s, "CL_OUT_OF_RESOURCES", -5);
    find(s, &devices[4]);
    refused(s, DT2_BACKEND_LOST, CALL(s, device_open, s->index, NULL, &buffer), "a device that is gone");
    is_vendor(s, "CL_DEVICE_NOT_AVAILABLE", -2);
    is_int(*live, 0, "nothing of it is left in the runtime");

    find(s, &devices[0]);
    if (!good(s, CALL(s, device_open, s->index, NULL, &s->device), "a device opens") ||
        !good(s, CALL(s, queue_create, s->device, &s->queue), "with a queue"))
        return;
    long before = *live;
    refused(s, DT2_BACKEND_NOMEM, CALL(s, buffer_alloc, s->device, (64 << 20) + 1, &buffer),
            "a buffer that is only promised");
    is_vendor(s, "CL_MEM_OBJECT_ALLOCATION_FAILURE", -4);
    is_u64(buffer, UNTOUCHED, "no handle is written");
    is_int(*live, before, "nothing of it is left in the runtime");
    refused(s, DT2_BACKEND_UNSUPPORTED, CALL(s, buffer_wrap, s->device, bytes, 64, &buffer), "wrapping on a GPU");

    if (!good(s, CALL(s, buffer_alloc, s->device, sizeof bytes, &buffer), "a small buffer"))
        return;
    good(s, CALL(s, copy_h2d, s->queue, buffer, 0, bytes, 666), "a copy that will fail is queued");
    good(s, CALL(s, copy_h2d, s->queue, buffer, 0, bytes, 100), "one that would not, after it");
    good(s, CALL(s, event_record, s->queue, &event), "an event");
    refused(s, DT2_BACKEND_FAILED, CALL(s, event_query, event, &done), "whether it is done");
    refused(s, DT2_BACKEND_FAILED, CALL(s, event_wait, event), "to be waited for");
    ok(!done, "and it never says done");
    refused(s, DT2_BACKEND_FAILED, CALL(s, queue_wait, s->queue), "the queue tells it too");
    good(s, CALL(s, copy_h2d, s->queue, buffer, 0, bytes, 100), "and then goes on");
    good(s, CALL(s, event_record, s->queue, &later), "with an event");
    good(s, CALL(s, event_wait, later), "that is fine");
    good(s, CALL(s, queue_wait_event, s->queue, event), "waiting for the failed event");
    refused(s, DT2_BACKEND_FAILED, CALL(s, queue_wait, s->queue), "the work after it");
    good(s, CALL(s, event_free, event), "freed");
    good(s, CALL(s, event_free, later), "freed");
    good(s, CALL(s, buffer_free, buffer), "freed");
    good(s, CALL(s, queue_destroy, s->queue), "destroyed");
    good(s, CALL(s, device_close, s->device), "closed");
    is_int(*live, 0, "the runtime has all back");
}

/* Whether a driver finds no device, and says so in these words. */
static bool finds_nothing(const struct dt2_modules *modules, const char *name, const char *words)
{
    for (size_t i = 0; i < modules->missing_count; i++)
        if (strcmp(modules->missing[i].name, name) == 0)
            return modules->missing[i].status == DT2_BACKEND_NO_DEVICE && strstr(modules->missing[i].reason, words);
    return false;
}

/* In a process of its own, since the loader looks for drivers once: an OpenCL that is not there is silence in the log. */
static void test_absence(const char *path, const char *folder, const char *library, const char *words)
{
    int result = -1;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        struct dt2_log log = { keep_warning, NULL };
        const struct dt2_module_options options = { .path = path };
        struct dt2_modules modules;
        make_vendors(folder, library);
        bool absent = dt2_modules_open(&options, &log, &modules, NULL) == 0 &&
                      finds_nothing(&modules, "opencl", "no OpenCL platform: ") &&
                      finds_nothing(&modules, "opencl", words) && warning_count == 0;
        _exit(absent ? 0 : 1);
    }
    ok(child > 0 && waitpid(child, &result, 0) == child && result == 0, "%s: absent, in silence",
       library ? library : "no .icd file");
}

/* A driver that works tells of the others that are installed beside it. */
static void test_unusable(const struct dt2_driver *driver)
{
    static const char *const wanted[] = { "left-over.icd names libnosuchdriver.so, which cannot be loaded: ", "cannot list its devices" };
    char text[512];
    size_t found[DT2_COUNT(wanted)] = { 0 };
    for (uint32_t i = 0; dt2_driver_unusable(driver, i, text, sizeof text); i++) {
        diag("%s", text);
        for (size_t j = 0; j < DT2_COUNT(wanted); j++)
            found[j] += strstr(text, wanted[j]) != NULL;
        ok(!strstr(text, "fake.icd"), "what works is none of them");
    }
    for (size_t j = 0; j < DT2_COUNT(wanted); j++)
        is_u64(found[j], 1, "said once: %s", wanted[j]);
}

static void test_driver(const char *path, const char *folder, const char *library)
{
    struct dt2_log log = { keep_warning, NULL };
    const struct dt2_module_options options = { .path = path };
    struct dt2_modules modules;
    void *fake = dlopen(library, RTLD_NOW);
    const long *live = fake ? dlsym(fake, "fake_icd_live") : NULL;
    make_vendors(folder, library);
    char *left_over = dt2_printf("%s/left-over.icd", folder);
    FILE *file = fopen(left_over, "w");
    ok(file && fputs("libnosuchdriver.so\n", file) >= 0 && fclose(file) == 0, "a driver that was removed has left its file");
    if (!ok(live && dt2_modules_open(&options, &log, &modules, NULL) == 0 && modules.count > 0, "the driver opens"))
        return;
    const struct dt2_driver *driver = &modules.drivers[modules.count - 1]; /* after those of GPUs that are really there */
    struct subject s = { .backend = driver->backend,
                         .driver = driver->self,
                         .services = modules.services,
                         .device_count = driver->device_count,
                         .name = "opencl" };
    is_u64(s.device_count, DEVICES, "each device that can be used is one");
    test_identity(&s);
    test_warnings();
    test_unusable(driver);
    test_domains(&s);
    test_free(&s);
    test_failures(&s, live);
    is_u64(dt2_services_live(s.services), 0, "no handle is left");
    ok(!disturbed_errno, "errno comes back from each entry");
    dt2_modules_close(&modules);
    remove(left_over);
    dt2_release(left_over);
}

int main(void)
{
    const char *build = getenv("top_builddir");
    setenv("DISTORCH2_SYSFS", "/nowhere", 1); /* what this machine has does not matter */
    char scratch[] = "/tmp/dt2-icd-XXXXXX", library[PATH_MAX], path[PATH_MAX];
    char *relative = dt2_printf("%s/tests/driver/.libs/fake-icd.so", build ? build : ".");
    char *modules = dt2_printf("%s/.libs", build ? build : ".");
    if (!realpath(relative, library) || !realpath(modules, path) || !mkdtemp(scratch))
        return skip_all("the fake OpenCL platforms are not built");
    test_absence(path, scratch, NULL, "no file NAME.icd");
    test_absence(path, scratch, "/nowhere/libnosuchdriver.so", "fake.icd names /nowhere/libnosuchdriver.so, which cannot be loaded: ");
    test_absence(path, scratch, "/proc/self/status", "which cannot be loaded: ");
    test_absence(path, scratch, "libm.so.6", "names libm.so.6, which is no OpenCL driver");
    test_absence(path, scratch, "no\001name", "does not begin with the name of a library");
    test_absence(path, "/nowhere/at-all", NULL, "the folder /nowhere/at-all, whose files name the drivers, cannot be read: No such");
    test_driver(path, scratch, library);
    make_vendors(scratch, NULL);
    rmdir(scratch);
    dt2_release(relative);
    dt2_release(modules);
    return done_testing();
}
