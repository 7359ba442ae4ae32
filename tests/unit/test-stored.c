/* SPDX-License-Identifier: BSD-3-Clause */
/* Models stored otherwise than in their files: other dtypes, and tensors that lie side by side. */
#include "base/checked.h"
#include "formats/convert/convert.h"
#include "formats/file.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

static struct dt2_context *context;

static struct dt2_file *open_layout(void)
{
    static const char *const rows[][3] = {
        { "a.norm.weight", "F32", "1037" },  { "a.norm.bias", "F32", "3" },       { "a.to_q.weight", "F32", "320,64" },
        { "a.to_k.weight", "F32", "64,64" }, { "a.to_v.weight", "F32", "16,64" }, { "b.half.weight", "F16", "77,5" },
        { "b.bfloat.weight", "BF16", "9,9" }, { "b.double.weight", "F64", "111" }, { "b.ids", "I64", "7" },
        { "b.eight.weight", "F8_E4M3", "33" }, { "b.flag", "BOOL", "5" },         { "b.scalar", "F32", "" },
        { "b.none", "F32", "0,4" },          { "c.big.weight", "F32", "2400,1031" },
    };
    struct layout layout = { 0 };
    for (size_t i = 0; i < DT2_COUNT(rows); i++)
        layout_add(&layout, (char *)(uintptr_t)rows[i][0], rows[i][1], rows[i][2]); /* which it does not change */
    size_t size;
    struct dt2_error err;
    char *header = layout_header(&layout, &size);
    header = realloc(header, size + layout.bytes);
    for (size_t i = size; i < size + layout.bytes; i++)
        header[i] = (char)random_u64();
    const char *path = scratch_file("model.safetensors", header, size + layout.bytes, 0);
    struct dt2_file *file;
    if (dt2_file_open(path, &file, &err) < 0)
        layout_die("%s", err.text);
    free(header);
    free(layout.tensors);
    return file;
}

static struct dt2_file *store(const struct dt2_file *file, const char *dtype)
{
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_file *stored = NULL;
    struct dt2_error err = { 0 };
    how.dtype = dtype;
    is_int(dt2_file_stored(file, &how, &stored, &err), 0, "stored as %s%s", dtype ? dtype : "it is", err.text);
    return stored;
}

static char *read_tensor(const struct dt2_file *file, size_t index)
{
    uint64_t bytes = dt2_file_tensor(file, index)->bytes;
    char *read = malloc(bytes + 1);
    struct dt2_error err = { 0 };
    if (dt2_file_read(file, index, read, bytes, &err) < 0)
        diag("%s", err.text);
    return read;
}

/* What the tensor of the file becomes, by the conversion itself. */
static char *converted(const struct dt2_file *file, size_t index, const char *dtype, uint64_t *bytes)
{
    const struct dt2_tensor *tensor = dt2_file_tensor(file, index);
    struct dt2_conversion how;
    char *read = read_tensor(file, index);
    *bytes = tensor->bytes;
    if (strcmp(tensor->dtype, dtype) == 0 || !dt2_conversion_find(tensor->dtype, dtype, &how))
        return read;
    size_t blocks = tensor->bytes / how.block_bytes;
    *bytes = blocks * how.block_elements * how.element_bytes;
    char *to = malloc(*bytes + 1);
    dt2_convert(&how, read, to, blocks);
    free(read);
    return to;
}

/* Any part of a tensor, as chunks of a load are. */
static bool reads_parts(const struct dt2_file *stored, size_t index, const char *wanted)
{
    size_t count;
    const struct dt2_piece *piece = dt2_file_pieces(stored, index, &count);
    for (int round = 0; round < 20 && count == 1 && piece->bytes > 0; round++) {
        uint64_t from = random_below(piece->bytes), size = 1 + random_below(dt2_min(piece->bytes - from, 70000));
        char *got = malloc(size);
        struct iovec iov[2] = { { got, size / 3 }, { got + size / 3, size - size / 3 } };
        bool check = round % 5 == 4;
        int rc = (check ? dt2_file_pread_check : dt2_file_pread)(stored, piece->file, iov, 2, piece->offset + from, NULL);
        bool same = rc == 0 && memcmp(got, wanted + from, size) == 0;
        free(got);
        if (!same)
            return false;
    }
    return true;
}

static void check_stored(const struct dt2_file *file, const struct dt2_file *stored, const char *dtype)
{
    uint64_t total = 0;
    size_t right = 0, count = dt2_file_tensor_count(file);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        char *wanted = converted(file, i, dtype, &bytes), *got = read_tensor(stored, i);
        const struct dt2_tensor *tensor = dt2_file_tensor(stored, i);
        bool good = tensor->bytes == bytes && memcmp(got, wanted, bytes) == 0 && reads_parts(stored, i, wanted) &&
                    strcmp(tensor->name, dt2_file_tensor(file, i)->name) == 0;
        if (!good)
            diag("%s: %s, %" PRIu64 " bytes, wanted %" PRIu64, tensor->name, tensor->dtype, tensor->bytes, bytes);
        right += good;
        total += dt2_file_own_bytes(stored, i);
        free(wanted);
        free(got);
    }
    is_u64(right, count, "every tensor is read as it is stored, and in parts");
    is_u64(dt2_file_total_bytes(stored), total, "which all bytes are");
}

/* Loads it on the processor with every byte verified, and compares. */
static void check_loaded(const struct dt2_file *stored, const char *name)
{
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_load_options options = DT2_LOAD_OPTIONS_INIT;
    struct dt2_blocks *blocks = NULL;
    struct dt2_model *model = NULL;
    struct dt2_error err = { 0 };
    request.compute_device = "cpu";
    options.verify = true;
    if (dt2_blocks_make(stored, &blocks, &err) == 0)
        is_int(dt2_model_load(context, stored, blocks, &request, &options, &model, &err), 0, "%s is loaded%s", name, err.text);
    bool same = model;
    for (size_t i = 0; model && i < dt2_file_tensor_count(stored); i++) {
        uint64_t bytes = dt2_file_tensor(stored, i)->bytes;
        char *there = malloc(bytes + 1), *wanted = read_tensor(stored, i);
        if (dt2_model_read(model, i, there, bytes, &err) < 0 || memcmp(there, wanted, bytes) != 0)
            diag("%s %s", dt2_file_tensor(stored, i)->name, err.text), same = false;
        free(there);
        free(wanted);
    }
    ok(same, "as it is stored");
    if (model) {
        is_u64(dt2_model_statistics(model)->bytes, dt2_file_total_bytes(stored), "so many bytes were loaded");
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    dt2_blocks_free(blocks);
}

static void test_dtypes(void)
{
    static const char *const dtypes[] = { "F16", "bf16", "F32" };
    static const char *const spelt[] = { "F16", "BF16", "F32" };
    struct dt2_file *file = open_layout();
    struct dt2_file *stored[DT2_COUNT(dtypes)];
    is_str(dt2_file_dtype(file), "keep", "a file is as it is");
    for (size_t i = 0; i < DT2_COUNT(dtypes); i++) {
        stored[i] = store(file, dtypes[i]);
        check_stored(file, stored[i], spelt[i]);
        is_str(dt2_file_dtype(stored[i]), spelt[i], "the dtype is known");
        ok(strcmp(dt2_file_fingerprint(file), dt2_file_fingerprint(stored[i])) != 0, "it is another table");
    }
    ok(strcmp(dt2_file_fingerprint(stored[0]), dt2_file_fingerprint(stored[1])) != 0, "each its own");
    struct dt2_file *kept = store(file, "keep");
    is_u64(dt2_file_total_bytes(kept), dt2_file_total_bytes(file), "kept is kept");
    dt2_file_free(kept);
    dt2_file_free(file); /* what is stored stands on it, and stays */
    is_int(dt2_file_unchanged(stored[0], NULL), 0, "the file is the same");
    check_loaded(stored[0], "F16");
    check_loaded(stored[2], "F32");
    for (size_t i = 0; i < DT2_COUNT(dtypes); i++)
        dt2_file_free(stored[i]);
}

static const char *by_name(void *data, const struct dt2_tensor *tensor)
{
    (*(int *)data)++;
    return strncmp(tensor->name, "a.norm", 6) == 0 ? "keep" : strncmp(tensor->name, "a.", 2) == 0 ? "bf16" : NULL;
}

static const char *of(const struct dt2_file *file, const char *name)
{
    size_t index;
    return dt2_file_find(file, name, &index, NULL) == 0 ? dt2_file_tensor(file, index)->dtype : "none";
}

static void test_by_tensor(void)
{
    int calls = 0;
    struct dt2_file *file = open_layout(), *stored = NULL;
    struct dt2_storing how = DT2_STORING_INIT;
    how.dtype = "F16";
    how.dtype_of = by_name;
    how.dtype_data = &calls;
    is_int(dt2_file_stored(file, &how, &stored, NULL), 0, "a dtype for each tensor");
    is_int(calls, (int)dt2_file_tensor_count(file), "the function is asked for each");
    is_str(of(stored, "a.norm.weight"), "F32", "one is kept");
    is_str(of(stored, "a.to_q.weight"), "BF16", "one is what it says");
    is_str(of(stored, "c.big.weight"), "F16", "one what all are");
    is_str(of(stored, "b.ids"), "I64", "integers stay");
    is_str(dt2_file_dtype(stored), "mixed", "together they are mixed");
    dt2_file_free(stored);
    dt2_file_free(file);
}

static void test_gangs(void)
{
    static const size_t qkv[] = { 4, 2, 3 }, odd[] = { 0, 13 };
    const struct dt2_gang gangs[] = { { "a.to_qkv.weight", qkv, 3 }, { NULL, odd, 2 } };
    struct dt2_file *file = open_layout(), *stored = NULL;
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_error err = { 0 };
    struct dt2_blocks *blocks = NULL;
    struct dt2_request request = DT2_REQUEST_INIT;
    struct dt2_model *model = NULL;
    struct dt2_native native = DT2_NATIVE_INIT;
    how.dtype = "f16";
    how.gangs = gangs;
    how.gang_count = 2;
    is_int(dt2_file_stored(file, &how, &stored, &err), 0, "gangs%s", err.text);
    if (!stored)
        return;
    size_t count = dt2_file_tensor_count(file);
    is_u64(dt2_file_tensor_count(stored), count + 2, "are tensors more");
    const struct dt2_tensor *gang = dt2_file_tensor(stored, count);
    ok(gang->rank == 2 && gang->shape[0] == 400 && gang->shape[1] == 64 && gang->bytes == 400 * 64 * 2, "of the rows of all");
    gang = dt2_file_tensor(stored, count + 1);
    is_str(gang->name, "a.norm.weight+c.big.weight", "called after its members");
    ok(gang->rank == 1 && gang->shape[0] == 1037 + 2400 * 1031, "of all elements where the rows differ");
    char *all = read_tensor(stored, count), *first = read_tensor(stored, 4), *second = read_tensor(stored, 2);
    ok(memcmp(all, first, 16 * 64 * 2) == 0 && memcmp(all + 16 * 64 * 2, second, 320 * 64 * 2) == 0, "it reads as its members do");
    free(all);
    free(first);
    free(second);
    uint64_t bytes = 0;
    for (size_t i = 0; i < count + 2; i++)
        bytes += dt2_file_own_bytes(stored, i);
    struct dt2_file *plain = store(file, "F16");
    is_u64(bytes, dt2_file_total_bytes(plain), "the bytes count once");
    dt2_file_free(plain);
    is_int(dt2_blocks_make(stored, &blocks, &err), 0, "blocks of it");
    request.compute_device = "cpu";
    is_int(dt2_model_load(context, stored, blocks, &request, NULL, &model, &err), 0, "a model%s", err.text);
    if (model) {
        const char *at[4];
        for (size_t i = 0; i < 4; i++) {
            dt2_model_native(model, i < 3 ? qkv[i] : count, &native, NULL);
            at[i] = (const char *)native.handle + native.offset;
        }
        ok(at[0] == at[3] && at[1] == at[0] + 16 * 64 * 2 && at[2] == at[1] + 320 * 64 * 2, "whose members lie side by side");
        ok(dt2_model_tensor_block(model, qkv[0]) == dt2_model_tensor_block(model, count) &&
               dt2_model_tensor_block(model, qkv[2]) == dt2_model_tensor_block(model, count),
           "in one block");
        is_str(dt2_blocks_array(blocks)[dt2_model_tensor_block(model, count)].name, "a.to_v", "called after the first");
        dt2_model_unload(model, DT2_UNLOAD_WAIT, NULL);
        dt2_model_unref(model);
    }
    dt2_blocks_free(blocks);
    check_loaded(stored, "a model with gangs");
    dt2_file_free(stored);
    dt2_file_free(file);
}

static void test_refused(void)
{
    static const size_t one[] = { 2 }, twice[] = { 2, 2 }, wrong[] = { 2, 99 }, mixed[] = { 2, 5 }, good[] = { 2, 3 };
    const struct dt2_gang again[] = { { "x", good, 2 }, { "y", good, 2 } };
    const struct {
        struct dt2_storing how;
        const char *text;
    } cases[] = {
        { { .dtype = "f12" }, "no dtype 'f12'" },
        { { .dtype = "F64" }, "no dtype 'F64'" },
        { { .gangs = &(struct dt2_gang){ "g", one, 1 }, .gang_count = 1 }, "2 or more" },
        { { .gangs = &(struct dt2_gang){ "g", twice, 2 }, .gang_count = 1 }, "listed twice" },
        { { .gangs = &(struct dt2_gang){ "g", wrong, 2 }, .gang_count = 1 }, "no index 99" },
        { { .gangs = &(struct dt2_gang){ "g", mixed, 2 }, .gang_count = 1 }, "another dtype" },
        { { .gangs = again, .gang_count = 2 }, "is in a gang already" },
        { { .gangs = &(struct dt2_gang){ "b.ids", good, 2 }, .gang_count = 1 }, "the name of another" },
    };
    struct dt2_file *file = open_layout(), *stored = NULL;
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        struct dt2_storing how = cases[i].how;
        struct dt2_error err = { 0 };
        how.struct_size = sizeof how;
        is_int(dt2_file_stored(file, &how, &stored, &err), DT2_EUSAGE, "refused: %s", cases[i].text);
        ok(strstr(err.text, cases[i].text) && !stored, "in words: %s", err.text);
    }
    struct dt2_file *kept = store(file, NULL);
    is_int(dt2_file_stored(kept, NULL, &stored, NULL), DT2_EUSAGE, "what is stored is not stored again");
    dt2_file_free(kept);
    dt2_file_free(file);
}

/* Tensors of the same bytes stay one, and one that reads them as another dtype gets its own. */
static void test_sharing(void)
{
    struct dt2_file *file = NULL, *stored;
    struct dt2_error err;
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/pytorch/torch-zip.pth", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    if (dt2_file_open(path, &file, &err) < 0)
        layout_die("%s", err.text);
    stored = store(file, "BF16");
    size_t all = 0, same = 0;
    dt2_file_find(stored, "view.all", &all, NULL);
    dt2_file_find(stored, "view.same", &same, NULL);
    is_u64(dt2_file_home(stored, same, NULL), dt2_file_home(stored, all, NULL), "two names of one tensor stay so");
    check_stored(file, stored, "BF16");
    check_loaded(stored, "a PyTorch file");
    dt2_file_free(stored);
    dt2_file_free(file);
}

/* Quantised blocks become numbers; what cannot is named. */
static void test_quantised(void)
{
    struct dt2_file *file = NULL, *stored = NULL;
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_error err = { 0 };
    char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/gguf/types.gguf", getenv("top_srcdir") ? getenv("top_srcdir") : ".");
    if (dt2_file_open(path, &file, &err) < 0)
        layout_die("%s", err.text);
    how.dtype = "F16";
    is_int(dt2_file_stored(file, &how, &stored, &err), DT2_EUSAGE, "a type that nobody here can convert");
    ok(strstr(err.text, "cannot be converted to F16"), "is named: %s", err.text);
    dt2_file_free(file);
}

int main(void)
{
    struct dt2_error err;
    seed_random(129);
    if (dt2_context_create(NULL, &context, &err) < 0)
        layout_die("%s", err.text);
    test_dtypes();
    test_by_tensor();
    test_gangs();
    test_refused();
    test_sharing();
    test_quantised();
    dt2_context_destroy(context);
    return done_testing();
}
