/* SPDX-License-Identifier: BSD-3-Clause */
/* Structs of older and newer programs: what is read of options, and written to results. */
#include "base/sized.h"
#include "support/tap.h"
#include <distorch2.h>

/* One struct of three versions. */
struct first {
    size_t struct_size;
    uint64_t a;
    bool b;
};
struct known {
    size_t struct_size;
    uint64_t a;
    bool b;
    uint64_t c;
};
struct newer {
    size_t struct_size;
    uint64_t a;
    bool b;
    uint64_t c, d;
};
static const struct dt2_sized sized = DT2_SIZED(struct known, b, "the options'", "OPTIONS_INIT");

static void test_options(void)
{
    struct known into = { sizeof into, 1, false, 3 };
    struct dt2_error err = { 0 };
    is_int(dt2_options_read(&sized, NULL, &into, &err), 0, "no options are the defaults");
    is_u64(into.a + into.c, 4, "which stand");
    const struct first old = { sizeof old, 10, true };
    is_int(dt2_options_read(&sized, &old, &into, &err), 0, "options of an older program");
    ok(into.a == 10 && into.b, "are read as far as they go");
    is_u64(into.c, 3, "the rest stays at its default");
    is_u64(into.struct_size, sizeof into, "the copy is whole");
    const struct { size_t struct_size; uint64_t a; } cut = { sizeof cut, 10 };
    is_int(dt2_options_read(&sized, &cut, &into, &err), DT2_EUSAGE, "less than the first version had is refused");
    is_str(err.text, "the options' struct_size is 16; start from OPTIONS_INIT", "in words");
    struct newer new = { sizeof new, 20, false, 30, 0 };
    is_int(dt2_options_read(&sized, &new, &into, &err), 0, "options of a newer program that ask for nothing new");
    ok(into.a == 20 && into.c == 30, "are read");
    new.d = 1;
    is_int(dt2_options_read(&sized, &new, &into, &err), DT2_EUSAGE, "what nobody here knows is refused");
    ok(strstr(err.text, "does not know") && strstr(err.text, dt2_version()), "naming our version: %s", err.text);
    new.struct_size = SIZE_MAX;
    is_int(dt2_options_read(&sized, &new, &into, &err), DT2_EUSAGE, "and so is a size that was never set");
}

static void test_results(void)
{
    const struct known made = { 0, 1, true, 3 };
    struct {
        struct first first;
        uint64_t canary;
    } old = { { sizeof old.first, 0, false }, 99 };
    struct newer new = { sizeof new, 9, false, 9, 9 };
    is_int(dt2_result_check(&sized, &old, NULL), 0, "an older program has room for its part");
    dt2_result_write(&sized, &made, &old);
    ok(old.first.a == 1 && old.first.b && old.first.struct_size == sizeof old.first, "which is written");
    is_u64(old.canary, 99, "and no more");
    dt2_result_write(&sized, &made, &new);
    ok(new.a == 1 && new.b && new.c == 3 && new.d == 0, "what a newer one has beyond is 0");
    old.first.struct_size = 0;
    is_int(dt2_result_check(&sized, &old, NULL), DT2_EUSAGE, "a size that was not set is refused");
}

/* Each public function that takes such a struct says so when its size was not set. */
static void test_unset(void)
{
    struct dt2_context *context = NULL;
    struct dt2_devices *devices;
    struct dt2_plan *plan = NULL;
    struct dt2_catalog *catalog = NULL;
    struct dt2_error err = { 0 };
    const struct dt2_context_options context_options = { .struct_size = 8 };
    const struct dt2_catalog_options catalog_options = { .struct_size = 8 };
    const struct dt2_request request = { .struct_size = 8 };
    const struct dt2_block block = { .name = "a", .bytes = 1 };
    static const char machine[] = "{\"devices\":[{\"name\":\"cpu\",\"total_bytes\":1000000}]}";
    is_int(dt2_context_create(&context_options, &context, &err), DT2_EUSAGE, "a context's options");
    ok(strstr(err.text, "DT2_CONTEXT_OPTIONS_INIT"), "name their macro");
    is_int(dt2_catalog_open(&catalog_options, NULL, NULL, &catalog, &err), DT2_EUSAGE, "a catalogue's");
    ok(strstr(err.text, "DT2_CATALOG_OPTIONS_INIT"), "name their macro");
    dt2_devices_parse(machine, sizeof machine - 1, &devices, NULL);
    is_int(dt2_plan_make(devices, &block, 1, &request, &plan, &err), DT2_EUSAGE, "a request");
    ok(strstr(err.text, "DT2_REQUEST_INIT"), "names its macro");
    dt2_devices_free(devices);
}

int main(void)
{
    test_options();
    test_results();
    test_unset();
    return done_testing();
}
