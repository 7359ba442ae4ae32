/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that holds a CUDA or a HIP runtime already, as PyTorch does, under a path, a file name and a soname that
 * nobody would look for: the drivers use that one, and the process ends up with one runtime of each kind.
 */
#include "mixed/simulated.h"
#include "mixed/source.h"

/* Copies a library, with another soname of the same length in it. */
static void copy_library(const char *from, const char *to, const char *soname, const char *other)
{
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    static char bytes[8 << 20];
    size_t size = in ? fread(bytes, 1, sizeof bytes, in) : 0, length = strlen(soname) + 1, changed = 0;
    for (size_t i = 0; i + length <= size; i++)
        if (memcmp(bytes + i, soname, length) == 0) {
            memcpy(bytes + i, other, length);
            changed++;
        }
    if (!out || !changed || size == sizeof bytes || fwrite(bytes, 1, size, out) != size || fclose(out)) {
        diag("%s cannot be copied", from);
        exit(1);
    }
    fclose(in);
}

/* How many files of a base name the process has mapped; the path of one of them. */
static unsigned mapped(const char *base, char *path)
{
    unsigned count = 0;
    char line[PATH_MAX + 128];
    FILE *maps = fopen("/proc/self/maps", "re");
    *path = '\0';
    while (maps && fgets(line, sizeof line, maps)) {
        char *file = strchr(line, '/'), *name = file ? strrchr(file, '/') + 1 : NULL;
        if (!name || strncmp(name, base, strlen(base)) != 0)
            continue;
        file[strcspn(file, "\n")] = '\0';
        count += strcmp(path, file) != 0; /* what is mapped of a file lies together */
        strcpy(path, file);
    }
    if (maps)
        fclose(maps);
    return count;
}

static bool one_runtime(const char *base, const char *ours)
{
    char path[PATH_MAX];
    unsigned count = mapped(base, path);
    diag("%s: %u, %s", base, count, path);
    return count == 1 && strcmp(path, ours) == 0;
}

/* A load over everything; 0 when it is right. */
static int load_everywhere(void)
{
    struct source source;
    struct dt2_context *context;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    source_make(&source, "model.safetensors", 24, 100000);
    request.expert_mode_allocations = "cuda:0,25%;cuda:1,20%;hip:0,20%;opencl:0,10%;cpu,*";
    options.verify = true;
    int rc = dt2_context_create(NULL, &context, &err);
    if (rc == 0)
        rc = dt2_model_load(context, source.file, source.blocks, &request, &options, &model, &err);
    if (rc)
        diag("%s", err.text);
    else if (!source_is(&source, model))
        rc = 1;
    dt2_model_unref(model);
    dt2_context_destroy(context);
    source_free(&source);
    return rc;
}

static int live(const char *cuda, const char *hip)
{
    void *held[] = { dlopen(cuda, RTLD_NOW | RTLD_LOCAL), dlopen(hip, RTLD_NOW | RTLD_LOCAL) };
    if (!held[0] || !held[1]) {
        diag("%s", dlerror());
        return 1;
    }
    if (load_everywhere())
        return 1;
    return one_runtime("libcudart", cuda) && one_runtime("libamdhip64", hip) ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3)
        return live(argv[1], argv[2]);
    if (!can_simulate())
        return skip_all("not all of the CUDA, HIP and OpenCL drivers were built");
    const char *build = getenv("top_builddir");
    char from[PATH_MAX], cuda[PATH_MAX], hip[PATH_MAX];
    snprintf(cuda, sizeof cuda, "%s", scratch("libcudart-0a1b2c3d.so.12.9.79"));
    snprintf(from, sizeof from, "%s/tests/sim/lib/.libs/libcudart.so.13", build ? build : ".");
    copy_library(from, cuda, "libcudart.so.13", "libcudart.so.12");
    snprintf(hip, sizeof hip, "%s", scratch("libamdhip64.so"));
    snprintf(from, sizeof from, "%s/tests/sim/lib/.libs/libamdhip64.so.5", build ? build : ".");
    copy_library(from, hip, "libamdhip64.so.5", "libamdhip64.so.6");
    ok(on_machine(data_path("machines/small.sim"), cuda, hip) == 0,
       "a process that holds a CUDA and a HIP runtime has no second one after a load");
    return done_testing();
}
