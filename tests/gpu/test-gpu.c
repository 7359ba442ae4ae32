/* SPDX-License-Identifier: BSD-3-Clause */
/* What the CUDA and HIP drivers do without a GPU: finding libraries, texts, the kernel's numbers, codes in words. */
#include "gpu.h"
#include "support/tap.h"
#include "sysfs.h"
#include <dlfcn.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[] = "/tmp/dt2-gpu-XXXXXX";
static char original[PATH_MAX]; /* the fake library that was built */

/* -- names */

static void test_names(void)
{
    static const struct {
        const char *path;
        bool is_copy;
    } cases[] = {
        { "/usr/lib/libamdhip64.so.5", true },
        { "/opt/rocm/lib/libamdhip64.so.6.2.60204", true },
        { "libamdhip64.so", true },
        { "../lib/libamdhip64.so", true },
        { "/venv/torch.libs/libamdhip64-0a1b2c3d.so.6", true },
        { "/usr/lib/libamdhip64_static.so", false },
        { "/usr/lib/libamdhip640.so.5", false },
        { "/usr/lib/libamdhip64.sox", false },
        { "/usr/lib/libamdhip64.a", false },
        { "/usr/lib/libamdhip64-x", false },
        { "/usr/libamdhip64.so/libother.so", false },
        { "libamdhip64", false },
        { "", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        ok(dt2_gpu_is_copy_of(cases[i].path, "libamdhip64") == cases[i].is_copy, "'%s' is %s copy", cases[i].path,
           cases[i].is_copy ? "a" : "no");
    ok(!dt2_gpu_is_copy_of("/usr/lib/libcudart.so.12", "libcuda"), "the runtime is not the driver");
}

/* -- finding a library: the scratch folder has copies, which are found by their paths */

static const char *in_scratch(const char *name)
{
    static char paths[8][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", scratch, name);
    return path;
}

static bool copy_to(const char *name)
{
    FILE *from = fopen(original, "rb"), *to = fopen(in_scratch(name), "wb");
    bool good = from && to;
    for (int c; good && (c = getc(from)) != EOF;)
        good = putc(c, to) != EOF;
    if (from)
        fclose(from);
    return to && fclose(to) == 0 && good;
}

static int refusals; /* how many libraries refuse_some() refuses */

static bool refuse_some(void *data, char *why, size_t size)
{
    (void)data;
    if (refusals <= 0)
        return true;
    snprintf(why, size, "refused with %d to go", refusals--);
    return false;
}

/* Looks for copies of a base name, and says what came of it in `text`. */
static void *find(const char *base, const char *const *paths, const char *symbol, bool *present, char text[400])
{
    static int (*version)(void);
    const struct dt2_gpu_symbol symbols[] = { { symbol, &version } };
    const struct dt2_gpu_search search = { .base = base, .sonames = paths, .symbols = symbols, .symbol_count = 1,
                                           .accept = refuse_some };
    version = NULL;
    void *library = dt2_gpu_find_library(&search, present, text, 400);
    ok(!library || (version && version() == 3), "a library that is found is bound");
    return library;
}

static void test_search(void)
{
    const char *const none[] = { "libnosuchlibrary.so.9", in_scratch("libnosuchlibrary.so"), NULL };
    const char *const two[] = { in_scratch("libfirst.so.2"), in_scratch("libfirst.so.1"), NULL };
    const char *const junk[] = { in_scratch("libjunk.so.2"), in_scratch("libjunk.so.1"), NULL };
    char text[400];
    bool present = true;
    ok(!find("libnosuchlibrary", none, "fake_version", &present, text) && !present, "there is none: %s", text);
    ok(strstr(text, "libnosuchlibrary.so.9, ") && strstr(text, scratch), "what was tried is told");

    if (!ok(copy_to("libfirst.so.1") && copy_to("libfirst.so.2"), "copies"))
        return;
    ok(!find("libfirst", two, "fake_nothing", &present, text) && present && strstr(text, "libfirst.so.2") &&
           strstr(text, "lacks fake_nothing"),
       "a symbol that is missing is named, of the first: %s", text);
    refusals = 2;
    ok(!find("libfirst", two, "fake_version", &present, text) && present &&
           strstr(text, "refused with 2 to go"),
       "when all are refused the first says why: %s", text);
    refusals = 1;
    void *library = find("libfirst", two, "fake_version", &present, text);
    ok(library && strcmp(text, two[1]) == 0, "the second will do where the first will not: %s", text);
    dt2_gpu_close_library(library);

    FILE *file = fopen(junk[0], "wb");
    ok(file && fputs("no library", file) >= 0 && fclose(file) == 0 && copy_to("libjunk.so.1"), "a file of junk");
    library = find("libjunk", junk, "fake_version", &present, text);
    ok(library && strcmp(text, junk[1]) == 0, "a file that cannot be loaded is passed over");
    dt2_gpu_close_library(library);
}

/* The copy that the process holds goes before all names, and is the only one then. */
static void test_held(void)
{
    static const char *const names[] = { "libheld.so", "libheld-0a1b2c3d.so.1.0", "libheld.so.7.1" };
    char newest[PATH_MAX], text[400];
    const char *const sonames[] = { newest, NULL };
    bool present;
    snprintf(newest, sizeof newest, "%s", in_scratch("libheld.so.9"));
    for (size_t i = 0; i < 3; i++) {
        ok(copy_to(names[i]) && copy_to("libheld.so.9"), "copies");
        void *held = dlopen(in_scratch(names[i]), RTLD_NOW | RTLD_LOCAL);
        refusals = (int)i > 0 ? (int)i : 0; /* those of the rounds before, which stay loaded */
        void *library = find("libheld", sonames, "fake_version", &present, text);
        ok(held && library == held && strcmp(text, in_scratch(names[i])) == 0, "%s is held, and used: %s", names[i],
           text);
        ok(!dlopen(sonames[0], RTLD_NOW | RTLD_NOLOAD), "no second one is loaded");
        dt2_gpu_close_library(library);
        refusals = 10;
        ok(!find("libheld", sonames, "fake_version", &present, text) && present,
           "when it is refused there is none: %s", text);
        ok(!dlopen(sonames[0], RTLD_NOW | RTLD_NOLOAD), "and no second one is loaded");
        refusals = 0;
    }
}

/* -- texts */

static void test_texts(void)
{
    static const struct {
        const char *vendors, *ours;
    } cases[] = {
        { "0000:65:00.0", "0000:65:00.0" },
        { "00000000:65:00.0", "0000:65:00.0" },
        { "0001:AF:1F.7", "0001:af:1f.7" },
        { "10000:e1:00.0", "10000:e1:00.0" },
        { "0000:65:00", "0000:65:00.0" },
        { "", "" },
        { "65", "" },
        { "0000:165:00.0", "" },
        { "0000:65:20.0", "" },
    };
    char pci[16], uuid[64];
    unsigned char bytes[16] = { 0 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        memset(pci, 'x', sizeof pci);
        dt2_gpu_pci_text(cases[i].vendors, pci);
        is_str(pci, cases[i].ours, "the address '%s'", cases[i].vendors);
    }
    dt2_gpu_uuid_text(bytes, uuid);
    is_str(uuid, "", "a UUID of zeros is none");
    for (unsigned i = 0; i < 16; i++)
        bytes[i] = (unsigned char)(i * 17);
    dt2_gpu_uuid_text(bytes, uuid);
    is_str(uuid, "00112233-4455-6677-8899-aabbccddeeff", "a UUID");
}

static void test_status(void)
{
    is_int(dt2_gpu_status(GPU(ErrorMemoryAllocation)), DT2_BACKEND_NOMEM, "no memory");
    is_int(dt2_gpu_status(GPU(ErrorLaunchFailure)), DT2_BACKEND_LOST, "a device that is lost");
    is_int(dt2_gpu_status(GPU(ErrorIllegalAddress)), DT2_BACKEND_LOST, "a context that is lost");
    is_int(dt2_gpu_status(GPU(ErrorNotSupported)), DT2_BACKEND_UNSUPPORTED, "what a device cannot do");
    is_int(dt2_gpu_status(GPU(ErrorInvalidValue)), DT2_BACKEND_FAILED, "any other failure");
    is_int(dt2_gpu_status(12345), DT2_BACKEND_FAILED, "a code that nobody knows");
}

/* -- the kernel's numbers */

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", in_scratch(folder), name);
    FILE *file = fopen(path, "w");
    return file && fputs(text, file) >= 0 && fclose(file) == 0;
}

static void test_sysfs(void)
{
    static const char folder[] = "bus/pci/devices/0000:03:00.0";
    static const struct {
        const char *total, *used;
        uint64_t runtimes, free_bytes;
    } cases[] = {
        { "17163091968\n", "16777216\n", 17163091968, 17146314752 },
        { "17163091968\n", "16777216\n", 16500000000, 17146314752 }, /* the runtime keeps some */
        { "536870912\n", "16777216\n", 118111600640, DT2_UNKNOWN },  /* a carve-out of half a gigabyte */
        { "0\n", "0\n", 137438953472, DT2_UNKNOWN },                 /* none at all */
        { "0\n", "0\n", 0, DT2_UNKNOWN },
        { "103079215104\n", "1073741824\n", 103079215104, 102005473280 }, /* one of 96 GiB, which is all that it has */
        { "100\n", "100\n", 100, 0 },
        { "100\n", "0\n", 100, 100 },
        { "100\n", "101\n", 100, DT2_UNKNOWN },
        { "100\n", "", 100, DT2_UNKNOWN },
        { "x\n", "1\n", 100, DT2_UNKNOWN },
        { "100", "1\n", 100, DT2_UNKNOWN },
        { "100 \n", "1\n", 100, DT2_UNKNOWN },
    };
    ok(mkdir(in_scratch("bus"), 0700) == 0 && mkdir(in_scratch("bus/pci"), 0700) == 0 &&
           mkdir(in_scratch("bus/pci/devices"), 0700) == 0 && mkdir(in_scratch(folder), 0700) == 0,
       "a folder as the kernel's");
    is_u64(dt2_sysfs_free_bytes(scratch, "0000:03:00.0", 100), DT2_UNKNOWN, "another driver than amdgpu");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ok(write_file(folder, "mem_info_vram_total", cases[i].total) &&
               write_file(folder, "mem_info_vram_used", cases[i].used),
           "files");
        is_u64(dt2_sysfs_free_bytes(scratch, "0000:03:00.0", cases[i].runtimes), cases[i].free_bytes, "free, case %zu", i);
    }
    is_u64(dt2_sysfs_free_bytes(scratch, "0000:04:00.0", 100), DT2_UNKNOWN, "another device");
    is_u64(dt2_sysfs_free_bytes("/nowhere", "0000:03:00.0", 100), DT2_UNKNOWN, "no kernel");
}

/* -- the table without a GPU */

static int count_failures(void *core, struct dt2_backend_error *err, int status, int64_t code, const char *name,
                          const char *format, ...)
{
    va_list args;
    (void)core, (void)code, (void)name;
    va_start(args, format);
    if (err) {
        err->status = status;
        vsnprintf(err->text, sizeof err->text, format, args);
    }
    va_end(args);
    return status;
}

static void say(void *core, int level, const char *format, ...)
{
    (void)core, (void)level, (void)format;
}

static void *allocate(void *core, size_t bytes)
{
    (void)core;
    return calloc(1, bytes);
}

static void give_back(void *core, void *memory)
{
    (void)core;
    free(memory);
}

/* The real runtime, or none: where there is no GPU the answer is that it is absent or has no device, in words. */
static void test_absent(void)
{
    const struct dt2_backend_services services = { .struct_size = sizeof services, .abi = DT2_BACKEND_ABI, .log = say,
                                                   .fail = count_failures, .alloc = allocate, .release = give_back };
    struct dt2_backend_error err = { 0 };
    const struct dt2_backend *backend = dt2_backend_entry(DT2_BACKEND_ABI);
    void *driver = NULL;
    ok(!dt2_backend_entry(DT2_BACKEND_ABI + 1), "another number of the contract is not served");
    int status = backend->open(&services, &driver, &err);
    if (status == DT2_BACKEND_OK) {
        skip(1, "there is a GPU here");
        backend->close(driver);
        return;
    }
    bool none = status == DT2_BACKEND_ABSENT || status == DT2_BACKEND_NO_DEVICE;
    ok(none && err.text[0] && !driver, "%s: %s", backend->name, err.text);
}

int main(void)
{
    const char *build = getenv("top_builddir");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tests/gpu/.libs/fake-library.so", build ? build : ".");
    if (!realpath(path, original) || !mkdtemp(scratch))
        return skip_all("the fake library is not built");
    test_names();
    test_search();
    test_held();
    test_texts();
    test_status();
    test_sysfs();
    test_absent();
    snprintf(path, sizeof path, "rm -r '%s'", scratch);
    return system(path) == 0 ? done_testing() : 1;
}
