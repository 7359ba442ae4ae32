/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A million of everything that can be nested or repeated in the text that this library reads: safetensors headers,
 * indexes, extra_model_paths.yaml, allocation strings. Read or refused, in time that is not its square. (GGUF and PyTorch
 * files have such tests of their own, and test-formats-memory has the memory.)
 */
#include "base/text.h"
#include "catalog/search.h"
#include "plan/grammar.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>
#include <inttypes.h>
#include <time.h>

#define SECONDS_MOST 300 /* a million squared would be hours */

static unsigned many = 1000000;

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* A whole text of `begin`, a million times `part`, in which '#' stands for its number, and `end`. */
static struct dt2_text repeated(const char *begin, const char *part, const char *end)
{
    struct dt2_text text = { 0 };
    dt2_text_add(&text, begin, strlen(begin));
    for (unsigned i = 0; i < many; i++)
        for (const char *at = part, *number; *at; at = number + (*number == '#')) {
            number = strchrnul(at, '#');
            dt2_text_add(&text, at, (size_t)(number - at));
            if (*number)
                dt2_text_addf(&text, "%u", i);
        }
    dt2_text_add(&text, end, strlen(end));
    if (text.failed)
        exit(1);
    return text;
}

/* Opens a model: it has `tensors` tensors, which are made blocks of too, or is refused with `reason`. */
static void expect(const char *what, const char *path, size_t tensors, const char *reason)
{
    struct dt2_file *file;
    struct dt2_blocks *blocks;
    struct dt2_error err = { 0 };
    double begin = seconds();
    int rc = dt2_file_open(path, &file, &err);
    if (reason)
        ok(rc == DT2_EFAILED && strstr(err.text, reason), "%s: refused, %s", what, reason);
    else
        ok(rc == 0 && dt2_file_tensor_count(file) == tensors, "%s: %zu tensors", what, tensors);
    if (rc < 0 && !(reason && strstr(err.text, reason)))
        diag("%s", err.text);
    if (rc == 0) {
        ok(dt2_blocks_make(file, &blocks, &err) == 0, "%s: blocks", what);
        dt2_blocks_free(blocks);
        dt2_file_free(file);
    }
    double took = seconds() - begin;
    ok(took < SECONDS_MOST, "%s: in %.2f s", what, took);
}

static void expect_header(const char *what, struct dt2_text header, uint64_t data_bytes, size_t tensors,
                          const char *reason)
{
    expect(what, scratch_safetensors("large", header.data, header.length, data_bytes), tensors, reason);
    dt2_text_clear(&header);
}

#define EMPTY "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}"
#define LAST "\"z\":" EMPTY "}"

static void test_safetensors(void)
{
    expect_header("tensors at one place", repeated("{", "\"#\":" EMPTY ",", LAST), 0, many + 1, NULL);
    expect_header("tensors of a network", repeated("{", "\"zero_convs.#.0.weight\":" EMPTY ",", LAST), 0, many + 1,
                  NULL);
    expect_header("one name", repeated("{", "\"a\":" EMPTY ",", LAST), 0, 0, "DuplicateName");
    expect_header("arrays in arrays", repeated("{\"a\":", "[", "]}"), 0, 0, "InvalidHeaderDeserialization");
    expect_header("arrays in a field", repeated("{\"a\":{\"more\":", "[", "]}"), 0, 0, "too deeply nested");
    expect_header("objects in a field", repeated("{\"a\":{\"more\":", "{\"a\":", "}}"), 0, 0, "too deeply nested");
    expect_header("dimensions", repeated("{\"a\":{\"shape\":[", "1,", "1]}}"), 0, 0, "RankTooLarge");
    expect_header("metadata", repeated("{\"__metadata__\":{", "\"#\":\"\",", "\"z\":\"\"}," LAST), 0, 1, NULL);
    expect_header("metadata of one key", repeated("{\"__metadata__\":{", "\"a\":\"\",", "\"z\":\"\"}," LAST), 0, 0,
                  "DuplicateName");
    expect_header("NULs in metadata", repeated("{\"__metadata__\":{\"a\":\"", "\\u0000", "\"}," LAST), 0, 1, NULL);
    expect_header("fields that nobody reads",
                  repeated("{\"a\":{", "\"k#\":[1,{}],", "\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}}"),
                  1, 1, NULL);
    expect_header("escapes of a name", repeated("{\"", "\\u00e9", "\":" EMPTY "}"), 0, 1, NULL);
    expect_header("spaces", repeated("{", " \n", LAST), 0, 1, NULL);
}

static void expect_index(const char *what, struct dt2_text index, size_t tensors, const char *reason)
{
    expect(what, scratch_file("large.index.json", index.data, index.length, 0), tensors, reason);
    dt2_text_clear(&index);
}

static void test_index(void)
{
    struct dt2_text header = repeated("{", "\"#\":" EMPTY ",", LAST);
    scratch_safetensors("s", header.data, header.length, 0);
    scratch_safetensors("t", "{" LAST, strlen("{" LAST), 0);
    dt2_text_clear(&header);
    expect_index("names of an index", repeated("{\"weight_map\":{", "\"#\":\"s\",", "\"z\":\"s\"}}"), many + 1, NULL);
    expect_index("one name in an index", repeated("{\"weight_map\":{", "\"z\":\"s\",", "\"z\":\"s\"}}"), 0, "twice");
    expect_index("files of an index", repeated("{\"weight_map\":{", "\"#\":\"f#\",", "\"z\":\"s\"}}"), 0, "f");
    expect_index("metadata of an index",
                 repeated("{\"metadata\":{", "\"#\":1,", "\"z\":1},\"weight_map\":{\"z\":\"t\"}}"), 1, NULL);
    expect_index("arrays in an index", repeated("{\"metadata\":", "[", "]}"), 0, "too deeply nested");
}

static void expect_folders(const char *what, struct dt2_text yaml, size_t folders)
{
    struct dt2_search search = { 0 };
    double begin = seconds();
    int rc = dt2_search_read(&search, "controlnet", "/y/x.yaml", yaml.data, yaml.length, NULL, NULL);
    double took = seconds() - begin;
    ok(rc == 0 && search.count == folders, "%s: %zu folders, expected %zu", what, search.count, folders);
    ok(took < SECONDS_MOST, "%s: in %.2f s", what, took);
    dt2_search_clear(&search);
    dt2_text_clear(&yaml);
}

static void test_yaml(void)
{
    const size_t most = many < 4096 ? many : 4096; /* folders that are searched */
    expect_folders("sections", repeated("", "a#: {controlnet: f#}\n", ""), most);
    expect_folders("folders of a section", repeated("a:\n  controlnet: |\n", "    f#\n", ""), most);
    expect_folders("one folder", repeated("a:\n  controlnet: |\n", "    f\n", ""), 1);
    expect_folders("lists in lists", repeated("z: {controlnet: f}\na: ", "[", ""), 1);
    expect_folders("entries of a section", repeated("a:\n  controlnet: f\n", "  k#: v\n", ""), 1);
    expect_folders("aliases", repeated("a: &a {controlnet: f}\nb: [", "*a,", "]\n"), 1);
}

static void expect_entries(const char *what, struct dt2_text string, int expected)
{
    struct dt2_allocations entries = { 0 };
    struct dt2_error err;
    double begin = seconds();
    int rc = dt2_allocations_parse(string.data, &entries, &err);
    double took = seconds() - begin;
    is_int(rc, expected, "%s: parsed or refused", what);
    ok(rc < 0 || entries.count == many + 1, "%s: all of them", what);
    ok(took < SECONDS_MOST, "%s: in %.2f s", what, took);
    dt2_allocations_clear(&entries);
    dt2_text_clear(&string);
}

/* A tenth of the others: amounts are exact decimals, which take a while. */
static void test_allocation(void)
{
    many /= 10;
    expect_entries("allocations", repeated("", "cuda:#,1gb;", "cpu,*"), 0);
    expect_entries("wildcards", repeated("", "cuda:#,*;", "cpu,*"), DT2_EUSAGE);
    expect_entries("digits", repeated("cpu,", "1", "gb"), DT2_EUSAGE);
    expect_entries("semicolons", repeated("", ";", "cpu,*"), DT2_EUSAGE);
}

int main(void)
{
    if (getenv("DT2_TEST_SLOW"))
        many = 30000;
    test_safetensors();
    test_index();
    test_yaml();
    test_allocation();
    return done_testing();
}
