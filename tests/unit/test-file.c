/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening, reading and watching a file, and what is no model. */
#include "formats/file.h"
#include "base/checked.h"
#include "support/scratch.h"
#include "support/tap.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

/* Three tensors of 4, 6 and 0 bytes; the data are the letters from 'a' on. */
static const char header[] = "{\"__metadata__\":{\"format\":\"pt\",\"author\":\"n\\u00f6body\"},"
                             "\"b.weight\":{\"dtype\":\"I16\",\"shape\":[3,1],\"data_offsets\":[4,10]},"
                             "\"b.bias\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
                             "\"empty\":{\"dtype\":\"BF16\",\"shape\":[0,7],\"data_offsets\":[10,10]}}";
#define DATA_AT (8 + sizeof header - 1)

static const char *write_model(const char *name)
{
    char bytes[DATA_AT + 10];
    memcpy(bytes, &(uint64_t){ sizeof header - 1 }, 8);
    memcpy(bytes + 8, header, sizeof header - 1);
    memcpy(bytes + DATA_AT, "abcdefghij", 10);
    return scratch_file(name, bytes, sizeof bytes, 0);
}

static struct dt2_file *open_model(const char *path)
{
    struct dt2_file *file = NULL;
    struct dt2_error err;
    if (dt2_file_open(path, &file, &err) < 0)
        diag("%s", err.text);
    return file;
}

static void test_table(void)
{
    const char *path = write_model("model");
    errno = 77;
    struct dt2_file *file = open_model(path);
    if (!ok(file, "a model opens"))
        return;
    is_int(errno, 77, "errno is left alone");
    is_str(dt2_file_path(file), path, "its path");
    is_str(dt2_file_format(file), "safetensors", "its format");
    is_u64(dt2_file_total_bytes(file), 10, "its bytes");
    is_u64(dt2_file_tensor_count(file), 3, "its tensors");
    const struct dt2_tensor *t = dt2_file_tensor(file, 1);
    is_str(t->name, "b.weight", "tensors stand in the order of their data");
    is_str(t->dtype, "I16", "dtype");
    is_u64(t->rank, 2, "rank");
    ok(t->shape[0] == 3 && t->shape[1] == 1, "shape, outermost first");
    is_u64(t->bytes, 6, "bytes");
    is_str(t->file, path, "file");
    is_u64(t->offset, DATA_AT + 4, "offset in the file");
    is_u64(dt2_file_tensor(file, 0)->rank, 0, "a scalar has rank 0");
    ok(!dt2_file_tensor(file, 3), "there is no fourth");
    size_t count;
    const struct dt2_piece *piece = dt2_file_pieces(file, 1, &count);
    ok(count == 1 && piece->file == 0 && piece->offset == t->offset && piece->bytes == 6, "it is one piece");

    const char *key, *value;
    is_u64(dt2_file_metadata_count(file), 2, "metadata");
    dt2_file_metadata(file, 1, &key, &value);
    is_str(key, "author", "a key");
    is_str(value,
           "n\xC3\xB6"
           "body",
           "a value");
    dt2_file_metadata(file, 2, &key, &value);
    ok(!key && !value, "no third pair");

    size_t index;
    struct dt2_error err;
    is_int(dt2_file_find(file, "empty", &index, &err), 0, "a tensor is found by name");
    is_u64(index, 2, "at its index");
    is_int(dt2_file_find(file, "b.wieght", &index, &err), DT2_ENOENT, "a misspelt one is not");
    ok(strstr(err.suggestion, "b.weight"), "the nearest is suggested: %s", err.suggestion);
    is_int(dt2_file_find(file, "b.weight ", &index, NULL), DT2_ENOENT, "nor one with more to it");
    dt2_file_free(file);
    dt2_file_free(NULL);
}

static void test_read(void)
{
    struct dt2_file *file = open_model(write_model("model"));
    struct dt2_error err;
    char bytes[16] = "................";
    is_int(dt2_file_read(file, 1, bytes, 6, &err), 0, "a tensor is read");
    ok(memcmp(bytes, "efghij..", 8) == 0, "its bytes and no more");
    is_int(dt2_file_read(file, 2, NULL, 0, &err), 0, "one without bytes is read too");
    is_int(dt2_file_read(file, 1, bytes, 5, &err), DT2_EUSAGE, "a wrong size is refused");
    ok(strstr(err.text, "6 bytes") && strstr(err.text, "5"), "with both numbers: %s", err.text);
    is_int(dt2_file_read(file, 3, bytes, 6, &err), DT2_EUSAGE, "a wrong index is refused");

    struct iovec iov[200]; /* more parts than one call of the kernel's is given; every third is empty */
    for (int i = 0; i < 200; i++)
        iov[i] = (struct iovec){ bytes, i % 3 ? i < 15 : 0 };
    for (int i = 0, n = 0; i < 15; i++)
        if (iov[i].iov_len)
            iov[i].iov_base = bytes + n++;
    memset(bytes, '.', sizeof bytes);
    is_int(dt2_file_pread(file, 0, iov, 200, DATA_AT, &err), 0, "many parts are filled");
    ok(memcmp(bytes, "abcdefghij......", 16) == 0, "in order");
    struct iovec many[150];
    char wide[150];
    for (int i = 0; i < 150; i++)
        many[i] = (struct iovec){ wide + i, 1 };
    is_int(dt2_file_pread(file, 0, many, 150, 0, &err), 0, "150 parts of a byte");
    ok(memcmp(wide + 8, header, 142) == 0, "are what the file has");
    is_int(dt2_file_pread(file, 0, iov, 0, 0, &err), 0, "no part at all is no error");
    is_int(dt2_file_pread(file, 1, iov, 1, 0, &err), DT2_EUSAGE, "there is no second file");
    is_int(dt2_file_pread(file, 0, &(struct iovec){ bytes, 11 }, 1, DATA_AT, &err), DT2_EFAILED,
           "nothing past the end");
    is_int(dt2_file_pread(file, 0, &(struct iovec){ bytes, 1 }, 1, UINT64_MAX, &err), DT2_EFAILED, "nor far past it");
    dt2_file_free(file);
}

static void expect_changed(struct dt2_file *file, const char *words, const char *what)
{
    struct dt2_error err;
    int rc = dt2_file_unchanged(file, &err);
    ok(rc == DT2_EFAILED && strstr(err.text, words), "%s: %s", what, rc ? err.text : "(not seen)");
    dt2_file_free(file);
}

static void test_changes(void)
{
    struct dt2_error err;
    char bytes[8];
    const char *path = write_model("changing");
    struct dt2_file *file = open_model(path);
    is_int(dt2_file_unchanged(file, &err), 0, "a file that nobody touched is unchanged");
    ok(truncate(path, DATA_AT + 7) == 0, "it is cut while it is open");
    is_int(dt2_file_read(file, 0, bytes, 4, &err), 0, "what is still there can be read");
    is_int(dt2_file_read(file, 1, bytes, 6, &err), DT2_EFAILED, "what is not is an error, not a signal");
    char now[32];
    snprintf(now, sizeof now, "has %zu bytes now", (size_t)DATA_AT + 7);
    ok(strstr(err.text, "shorter than it was") && strstr(err.text, now), "that says so: %s", err.text);
    expect_changed(file, "had", "a file that was cut");

    file = open_model(path = write_model("changing"));
    ok(rename(write_model("other"), path) == 0, "it is replaced");
    is_int(dt2_file_read(file, 1, bytes, 6, &err), 0, "the one that was opened can still be read");
    expect_changed(file, "replaced", "a file that was replaced");

    file = open_model(path = write_model("changing"));
    unlink(path);
    expect_changed(file, "gone", "a file that was removed");

    file = open_model(path = write_model("changing"));
    struct timespec times[2] = { { 0, UTIME_OMIT }, { 1000000000, 5 } };
    utimensat(AT_FDCWD, path, times, 0);
    expect_changed(file, "written", "a file that was written to");

    file = open_model(path = write_model("changing"));
    ok(truncate(path, DATA_AT + 11) == 0, "it grows");
    expect_changed(file, "had", "a file that grew");
}

static void test_fingerprint(void)
{
    struct dt2_file *a = open_model(write_model("one")), *b = open_model(write_model("two"));
    is_str(dt2_file_fingerprint(a), dt2_file_fingerprint(b), "the path is no part of the fingerprint");
    is_u64(strlen(dt2_file_fingerprint(a)), 32, "it has 32 digits");
    dt2_file_free(b);

    static const char *const changes[][2] = {
        { "b.bias", "b.bIas" }, { "I16", "U16" },
        { "[3,1]", "[1,3]" },   { "[0,7]", "[0,8]" },
        { "[3,1]", "[3]  " },   { "\"__metadata__\":{\"format\":\"pt\",\"author\":\"n\\u00f6body\"},", "" },
    };
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        char changed[sizeof header];
        const char *at = strstr(header, changes[i][0]);
        int n = snprintf(changed, sizeof changed, "%.*s%s%s", (int)(at - header), header, changes[i][1],
                         at + strlen(changes[i][0]));
        b = open_model(scratch_safetensors("changed", changed, (size_t)n, 10));
        ok(b && strcmp(dt2_file_fingerprint(a), dt2_file_fingerprint(b)) != 0, "'%s' for '%s' changes it",
           changes[i][1], changes[i][0]);
        dt2_file_free(b);
    }
    dt2_file_free(a);
}

static void expect_refusal(const char *path, int code, const char *words)
{
    struct dt2_error err;
    struct dt2_file *file = NULL;
    int rc = dt2_file_open(path, &file, &err);
    ok(rc == code && !file && strstr(err.text, words) && strstr(err.text, path), "refused (%d): %s", rc,
       rc ? err.text : path);
    dt2_file_free(file);
}

static void test_refusals(void)
{
    mkdir(scratch("folder"), 0700);
    expect_refusal(scratch("folder"), DT2_EFAILED, "no model in the folder");
    mkfifo(scratch("fifo"), 0600);
    alarm(20); /* a reader that waits for a writer ends here */
    expect_refusal(scratch("fifo"), DT2_EFAILED, "is a pipe");
    alarm(0);
    expect_refusal("/dev/null", DT2_EFAILED, "is a device");
    expect_refusal(scratch("absent"), DT2_ENOENT, "No such file");
    expect_refusal("", DT2_ENOENT, "No such file");
    write_model("model");
    char below[PATH_MAX];
    snprintf(below, sizeof below, "%s/below", scratch("model"));
    expect_refusal(below, DT2_ENOENT, "Not a directory");
    symlink("absent", scratch("dangling")) == 0 ? expect_refusal(scratch("dangling"), DT2_ENOENT, "a link that leads nowhere")
                                                : skip(1, "no symbolic links here");
    expect_refusal(scratch_file("nothing", "", 0, 0), DT2_EFAILED, "0 bytes");
    expect_refusal(scratch_file("small", "abc", 3, 0), DT2_EFAILED, "not a model file");
    static const char pointer[] = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 7\n";
    expect_refusal(scratch_file("pointer", pointer, sizeof pointer - 1, 0), DT2_EFAILED, "a Git LFS pointer");
    static const char page[] = "<!DOCTYPE html>\n<html><title>Log in</title></html>\n";
    expect_refusal(scratch_file("page", page, sizeof page - 1, 0), DT2_EFAILED, "a web page was saved");
    static const struct {
        const char *text, *says;
    } mistakes[] = {
        { "\n \t<!DOCTYPE HTML>\n<title>Sign in</title>", "a web page was saved" },
        { "\xEF\xBB\xBF<HTML>", "a web page was saved" },
        { "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", "a server's message in XML" },
        { "/annex/objects/SHA256E-s4--00.safetensors\n", "a git-annex pointer" },
        { "../../blobs/0123456789abcdef", "the text of a symbolic link" },
    };
    for (size_t i = 0; i < DT2_COUNT(mistakes); i++)
        expect_refusal(scratch_text("mistaken", mistakes[i].text), DT2_EFAILED, mistakes[i].says);
    static const char zeros[4096];
    expect_refusal(scratch_file("zeros", zeros, sizeof zeros, 0), DT2_EFAILED, "it begins with zeros: a download");
    expect_refusal(scratch_file("text", "<!ELEMENT model>\n<model>", 24, 0), DT2_EFAILED,
                   "3c 21 45 4c 45 4d 45 4e 54 20 6d 6f 64 65 6c 3e \"<!ELEMENT model>\"");
    expect_refusal(scratch_file("zip", "PK\3\4\0\0\0\0\0\0\0\0\0\0", 14, 100), DT2_EFAILED, "zip archive: it does not end");

    struct sockaddr_un address = { .sun_family = AF_UNIX };
    snprintf(address.sun_path, sizeof address.sun_path, "%.100s", scratch("socket"));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0)
        expect_refusal(address.sun_path, DT2_EFAILED, "is a socket");
    else
        skip(1, "no sockets here");
    close(fd);
}

static void test_permission(void)
{
    const char *path = write_model("secret");
    chmod(path, 0);
    uid_t self = geteuid();
    if (self == 0 && seteuid(65534) < 0) {
        skip(1, "root reads everything");
        return;
    }
    expect_refusal(path, DT2_EFAILED, "Permission denied");
    if (self == 0 && seteuid(0) < 0)
        exit(1);
}

/* Nothing is left open, neither after success nor after refusals, and no other program inherits anything. */
static void test_descriptors(void)
{
    int before = dup(0);
    close(before);
    struct dt2_file *file = open_model(write_model("model"));
    ok(fcntl(before, F_GETFD) & FD_CLOEXEC, "the descriptor is closed on exec");
    dt2_file_free(file);
    for (int i = 0; i < 3; i++)
        dt2_file_open(scratch("%s", i == 0 ? "folder" : i == 1 ? "page" : "fifo"), &file, NULL);
    int after = dup(0);
    close(after);
    is_int(after, before, "no descriptor is left open");
}

/* What the page cache has of a file, and that asking reads nothing. */
static void test_cached(void)
{
    struct dt2_file *file;
    struct dt2_error err;
    const uint64_t bytes = (uint64_t)8 << 20;
    const char *big = "{\"a\":{\"dtype\":\"U8\",\"shape\":[8388608],\"data_offsets\":[0,8388608]}}";
    const char *path = scratch_safetensors("cached", big, strlen(big), bytes);
    char *content = malloc(bytes);
    memset(content, 7, bytes);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || pwrite(fd, content, bytes, (off_t)(lseek(fd, 0, SEEK_END) - (off_t)bytes)) != (ssize_t)bytes ||
        dt2_file_open(path, &file, &err) < 0)
        exit(1);
    ok(dt2_file_cached(file) > 0.9, "what was just written is in the page cache: %.2f", dt2_file_cached(file));
    fsync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    double evicted = dt2_file_cached(file);
    if (evicted > 0.5) {
        skip(2, "nothing is evicted here: a file system in memory, or not enough rights to be told");
    } else {
        ok(dt2_file_cached(file) == evicted, "asking reads nothing: %.2f", evicted);
        dt2_file_read(file, 0, content, bytes, NULL);
        ok(dt2_file_cached(file) > 0.9, "reading does: %.2f", dt2_file_cached(file));
    }
    close(fd);
    free(content);
    dt2_file_free(file);
}

int main(void)
{
    test_table();
    test_read();
    test_changes();
    test_fingerprint();
    test_refusals();
    test_permission();
    test_descriptors();
    test_cached();
    return done_testing();
}
