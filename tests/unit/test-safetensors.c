/* SPDX-License-Identifier: BSD-3-Clause */
/* safetensors: what is accepted, what is refused and by which rule, and that what is accepted is read right. */
#include "base/checked.h"
#include "support/layout.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <distorch2.h>

/* Opens `path`; returns the error's text, or NULL when it was accepted. */
static const char *refusal(const char *path)
{
    static struct dt2_error err;
    struct dt2_file *file;
    int rc = dt2_file_open(path, &file, &err);
    if (rc < 0)
        return err.text;
    dt2_file_free(file);
    return NULL;
}

/* Every file that the reference's behaviour was recorded for. */
static void test_verdicts(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", data_path("safetensors/verdicts.tsv"));
    FILE *stream = fopen(path, "re");
    if (!ok(stream, "the verdicts are there"))
        return;
    char line[256];
    while (fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        char *verdict = strchr(line, '\t'), *rule = verdict ? strchr(verdict + 1, '\t') : NULL;
        if (!rule || strncmp(line, "file", 4) == 0)
            continue;
        *verdict++ = *rule++ = '\0';
        snprintf(path, sizeof path, "safetensors/%s", line);
        const char *text = refusal(data_path(path));
        bool duplicate = text && strstr(text, "DuplicateName"); /* ours comes before the reference's rules */
        if (strcmp(verdict, "accept") == 0)
            ok(!text, "%s is accepted", line);
        else if (strcmp(verdict, "reject") == 0)
            ok(text && (duplicate || strstr(text, rule)), "%s is refused: %s", line, text ? text : "(it was not)");
        else
            ok(!text || strstr(text, line), "%s is either accepted or refused with its name", line);
    }
    fclose(stream);
}

#define A(rest) "{\"a\":{" rest "}}"
#define F32(shape, begin, end) "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" #begin "," #end "]}"

static void test_rules(void)
{
    static const struct {
        const char *header;
        uint64_t data_bytes;
        const char *rule; /* NULL: accepted */
    } cases[] = {
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, NULL },
        { A("\"data_offsets\":[0,8],\"shape\":[2],\"dtype\":\"F32\""), 8, NULL },
        { " \n{ \"a\" : { \"dtype\" : \"F32\" , \"shape\" : [ 2 ] , \"data_offsets\" : [ 0 , 8 ] } } \n\t\r ", 8,
          NULL },
        { A("\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]"), 4, NULL },
        { A("\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]"), 0, NULL },
        { A("\"dtype\":\"F32\",\"shape\":[0,9223372036854775807],\"data_offsets\":[0,0]"), 0, NULL },
        { A("\"dtype\":\"F32\",\"shape\":[0,9223372036854775808],\"data_offsets\":[0,0]"), 0, "ValidationOverflow" },
        { A("\"dtype\":\"F32\",\"shape\":[18446744073709551615,2,0],\"data_offsets\":[0,0]"), 0, "ValidationOverflow" },
        { A("\"dtype\":\"U8\",\"shape\":[2305843009213693952],\"data_offsets\":[0,2305843009213693952]"), 8,
          "ValidationOverflow" },
        { A("\"dtype\":\"U8\",\"shape\":[1152921504606846976],\"data_offsets\":[0,1152921504606846976]"), 8,
          "MetadataIncompleteBuffer" },
        { A("\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,8]"), 8,
          "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,2]"), 2, NULL },
        { A("\"dtype\":\"F4\",\"shape\":[4],\"data_offsets\":[0,4]"), 4, "TensorInvalidInfo" },
        { A("\"dtype\":\"F6_E2M3\",\"shape\":[4],\"data_offsets\":[0,3]"), 3, NULL },
        { A("\"dtype\":\"F6_E3M2\",\"shape\":[2,2],\"data_offsets\":[0,3]"), 3, NULL },
        { A("\"dtype\":\"F6_E3M2\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, "MisalignedSlice" },
        { A("\"dtype\":\"F8_E4M3FNUZ\",\"shape\":[3],\"data_offsets\":[0,3]"), 3, NULL },
        { A("\"dtype\":\"C64\",\"shape\":[3],\"data_offsets\":[0,24]"), 24, NULL },
        { A("\"dtype\":\"f32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\\u0000\",\"shape\":[2],\"data_offsets\":[0,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 8,
          "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2],\"data_offsets\":[0,8]"), 8,
          "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"data_offsets\":[0,8]"), 8,
          "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":null,\"data_offsets\":[0,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":{}"), 8, "InvalidHeaderDeserialization" },
        { A("\"shape\":[2],\"data_offsets\":[0,8]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":{\"dtype\":[1.5e3,null,true]}"), 8, NULL },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"x\":[1,]"), 8, "InvalidHeaderDeserialization" },
        { A("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[8,4]"), 8, "InvalidOffset" },
        { A("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, "InvalidOffset" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 9, "MetadataIncompleteBuffer" },
        { A("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 7, "MetadataIncompleteBuffer" },
        { A("\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]"), 8, "TensorInvalidInfo" },
        { "{\"b\":" F32("1", 4, 8) ",\"a\":" F32("1", 0, 4) "}", 8, NULL },
        { "{\"b\":" F32("1", 4, 8) ",\"a\":" F32("2", 0, 8) "}", 8, "InvalidOffset" },
        { "{\"b\":" F32("0", 4, 4) ",\"a\":" F32("1", 0, 4) ",\"c\":" F32("1", 4, 8) "}", 8, NULL },
        { "{\"a\":" F32("1", 4, 8) ",\"\\u0061\":" F32("1", 0, 4) "}", 8, "DuplicateName" },
        { "{\"a\":" F32("9", 4, 8) ",\"a\":" F32("1", 7, 4) "}", 8, "DuplicateName" },
        { "{\"a\\u0000\":" F32("9", 4, 8) "}", 8, "NUL" },
        { "{\"__metadata__\":{\"\":\"\",\"k\":\"v\"}}", 0, NULL },
        { "{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}", 0, "DuplicateName" },
        { "{\"__metadata__\":{\"k\":null}}", 0, "InvalidHeaderDeserialization" },
        { "{\"__metadata__\":\"k\"}", 0, "InvalidHeaderDeserialization" },
        { "{\"__metadata__\":null,\"__metadata__\":null}", 0, "InvalidHeaderDeserialization" },
        { "{\"__metadata__ \":" F32("1", 0, 4) "}", 4, NULL },
        { "{}", 1, "MetadataIncompleteBuffer" },
        { "{}x", 0, "InvalidHeaderDeserialization" },
        { "{}{}", 0, "InvalidHeaderDeserialization" },
        { "{", 0, "InvalidHeaderDeserialization" },
        { "{\"a\":1}", 0, "InvalidHeaderDeserialization" },
        { "{\"a\xC0\xAF\":1}", 0, "InvalidHeader:" },
        { "{\"a\xED\xA0\x80\":1}", 0, "InvalidHeader:" },
    };
    for (size_t i = 0; i < DT2_COUNT(cases); i++) {
        const char *header = cases[i].header;
        const char *text = refusal(scratch_safetensors("rules", header, strlen(header), cases[i].data_bytes));
        if (cases[i].rule)
            ok(text && strstr(text, cases[i].rule), "case %zu, %s: %s", i, cases[i].rule, text ? text : "(accepted)");
        else
            ok(!text, "case %zu, accepted: %s", i, text ? text : header);
    }
}

/* A shape of `rank` ones. */
static const char *refusal_of_rank(size_t rank)
{
    char header[1024] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[1";
    for (size_t i = 1; i < rank; i++)
        strcat(header, ",1");
    strcat(header, "],\"data_offsets\":[0,1]}}");
    return refusal(scratch_safetensors("rank", header, strlen(header), 1));
}

static void test_limits(void)
{
    ok(!refusal_of_rank(64), "64 dimensions are accepted");
    const char *text = refusal_of_rank(65);
    ok(text && strstr(text, "RankTooLarge"), "65 are refused");

    static const struct {
        uint64_t length, file_bytes;
        const char *rule;
    } lengths[] = {
        { 100000001, 8 + 2, "HeaderTooLarge" },
        { UINT64_MAX, 8 + 2, "HeaderTooLarge" },
        { UINT64_MAX, 8, "HeaderTooLarge" },
        { 100000000, 8 + 2, "InvalidHeaderLength" },
        { 3, 8 + 2, "InvalidHeaderLength" },
        { 0, 8, "InvalidHeaderDeserialization" },
        { 0, 5, "HeaderTooSmall" },
        { 0, 0, "HeaderTooSmall" },
    };
    for (size_t i = 0; i < DT2_COUNT(lengths); i++) {
        char bytes[10] = "........{}";
        memcpy(bytes, &lengths[i].length, 8);
        text = refusal(scratch_file("length", bytes, lengths[i].file_bytes, 0));
        ok(text && strstr(text, lengths[i].rule), "a length of %" PRIu64 " in %" PRIu64 " bytes: %s", lengths[i].length,
           lengths[i].file_bytes, text ? text : "(accepted)");
    }
}

/* Tensors in a random order of the header, laid out one after the other: all comes back as it was written. */
static void test_random_files(void)
{
    static const char *const dtypes[] = { "F16", "BF16", "F32", "U8", "I64", "F64", "BOOL" };
    seed_random(4711);
    unsigned wrong = 0;
    for (int round = 0; round < 100; round++) {
        struct layout layout = { 0 };
        char names[20][64], shapes[20][64];
        size_t count = random_below(20);
        for (size_t i = 0; i < count; i++) {
            snprintf(names[i], sizeof names[i], "%s%zu.w\xC3\xA9", random_below(2) ? "block." : "", i);
            snprintf(shapes[i], sizeof shapes[i], "%" PRIu64 ",%" PRIu64, random_below(9), random_below(9));
            layout_add(&layout, names[i], dtypes[random_below(DT2_COUNT(dtypes))], random_below(5) ? shapes[i] : "");
        }
        size_t size;
        char *header = layout_header(&layout, &size);
        struct dt2_file *file;
        struct dt2_error err;
        if (dt2_file_open(scratch_file("random", header, size, layout.bytes), &file, &err) < 0) {
            wrong++;
            diag("%s", err.text);
        } else {
            wrong += dt2_file_tensor_count(file) != count || dt2_file_total_bytes(file) != layout.bytes;
            for (size_t i = 0; i < count; i++) {
                size_t index = count;
                int rc = dt2_file_find(file, names[i], &index, NULL);
                const struct dt2_tensor *tensor = dt2_file_tensor(file, index);
                wrong += rc < 0 || !tensor || tensor->bytes != layout.tensors[i].bytes ||
                         strcmp(tensor->dtype, layout.tensors[i].dtype) != 0 ||
                         tensor->rank != (*layout.tensors[i].shape ? 2 : 0);
            }
            dt2_file_free(file);
        }
        free(header);
        free(layout.tensors);
    }
    is_u64(wrong, 0, "random files are read as they were written");
}

/* Whatever a byte of a header is changed to: a refusal in words, or a table that covers the data exactly. */
static void test_mutations(void)
{
    static const char header[] = "{\"__metadata__\":{\"format\":\"pt\"},\"b.bias\":" F32(
        "2", 0, 8) ",\"b.weight\":" F32("2,1", 8, 16) ",\"c\":" F32("", 16, 20) "}  ";
    seed_random(815);
    unsigned wrong = 0, accepted = 0;
    for (int round = 0; round < 3000; round++) {
        char mutant[sizeof header];
        memcpy(mutant, header, sizeof header);
        for (uint64_t i = 0; i <= random_below(3); i++)
            mutant[random_below(sizeof header - 1)] =
                random_below(2) ? header[random_below(sizeof header - 1)] : (char)random_u64();
        struct dt2_file *file;
        struct dt2_error err = { 0 };
        int rc = dt2_file_open(scratch_safetensors("mutant", mutant, sizeof header - 1, 20), &file, &err);
        if (rc < 0) {
            wrong += rc != DT2_EFAILED || !strstr(err.text, "mutant: ");
            continue;
        }
        uint64_t next = 8 + sizeof header - 1;
        for (size_t i = 0; i < dt2_file_tensor_count(file); i++) {
            wrong += dt2_file_tensor(file, i)->offset != next;
            next += dt2_file_tensor(file, i)->bytes;
        }
        wrong += next != 8 + sizeof header - 1 + 20;
        accepted++;
        dt2_file_free(file);
    }
    is_u64(wrong, 0, "mutants are refused in words or cover their data");
    ok(accepted > 0 && accepted < 3000, "some of them were accepted (%u)", accepted);
}

static void test_hostile_names(void)
{
    struct dt2_error err;
    struct dt2_file *file;
    static const char evil[] = "{\"\\u001b[31m\\n\":1}";
    dt2_file_open(scratch_safetensors("evil", evil, sizeof evil - 1, 0), &file, &err);
    ok(strstr(err.text, "\\x1b[31m\\x0a") && !strchr(err.text, '\x1b') && !strchr(err.text, '\n'),
       "control characters of a name are shown, not sent: %s", err.text);

    char *header = calloc(1, 100000);
    strcpy(header, "{\"");
    for (int i = 0; i < 30000; i++)
        memcpy(header + 2 + 2 * i, "\xC3\xA9", 2);
    strcat(header, "\":1}");
    dt2_file_open(scratch_safetensors("long", header, strlen(header), 0), &file, &err);
    ok(strstr(err.text, "\xC3\xA9..."), "a name of 60,000 bytes is cut at a character");
    free(header);
}

int main(void)
{
    test_verdicts();
    test_rules();
    test_limits();
    test_random_files();
    test_mutations();
    test_hostile_names();
    return done_testing();
}
