/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any text as the index of a sharded model: in a folder with two good files, "a" and "b", and a third, "c", which is
 * what follows the first NUL of the input.
 */
#include "fuzz/model.h"
#include <fcntl.h>

extern const struct dt2_format dt2_format_index;

static char folder[128], index_path[160];

static void write_file(const char *name, const void *data, size_t size)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, data, size) == (ssize_t)size && close(fd) == 0);
}

static void write_shard(const char *name)
{
    char bytes[128];
    int length = snprintf(bytes + 8, sizeof bytes - 8,
                          "{\"%s.w\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}!", name);
    memcpy(bytes, &(uint64_t){ (uint64_t)length - 1 }, 8);
    write_file(name, bytes, (size_t)length + 8);
}

static void remove_folder(void)
{
    for (const char *name = "a\0b\0c\0index\0"; *name; name += strlen(name) + 1) {
        char path[160];
        snprintf(path, sizeof path, "%s/%s", folder, name);
        unlink(path);
    }
    rmdir(folder);
}

static void make_folder(void)
{
    const char *where = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/dt2-fuzz-index-XXXXXX", where);
    must(mkdtemp(folder));
    snprintf(index_path, sizeof index_path, "%s/index", folder);
    write_shard("a");
    write_shard("b");
    atexit(remove_folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!folder[0])
        make_folder();
    const uint8_t *nul = memchr(data, '\0', size);
    size_t length = nul ? (size_t)(nul - data) : size;
    write_file("index", data, length);
    write_file("c", nul ? nul + 1 : data, nul ? size - length - 1 : 0);
    struct dt2_file *file;
    struct dt2_error err;
    int rc = dt2_file_open_as(index_path, &dt2_format_index, NULL, &file, &err);
    if (rc < 0) {
        must(rc == DT2_EFAILED && strstr(err.text, folder));
        return 0;
    }
    for (size_t i = 0; i < dt2_file_tensor_count(file); i++) /* nothing leads out of the folder */
        must(strncmp(dt2_file_tensor(file, i)->file, folder, strlen(folder)) == 0 &&
             !strchr(dt2_file_tensor(file, i)->file + strlen(folder) + 1, '/'));
    check_and_free(file, NULL, 0);
    return 0;
}
