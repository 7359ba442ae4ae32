/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/pytorch/zip.h"
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "formats/format.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_BYTES 30
#define CENTRAL_BYTES 46
#define END_BYTES 22
#define END64_BYTES 56
#define LOCATOR_BYTES 20
#define EXTRA_USUAL                                                                                                    \
    96 /* bytes of a local header's extra field: PyTorch's align the data to 64                                        \
        */
#define DIRECTORY_MOST ((uint64_t)1 << 30)

enum flag {
    FLAG_ENCRYPTED = 1,
    FLAG_DESCRIPTOR = 1 << 3, /* the local header may have 0 for checksum and sizes */
    FLAG_PATCH = 1 << 5,
    FLAG_STRONGLY_ENCRYPTED = 1 << 6,
    FLAG_MASKED = 1 << 13,
};

/* What a header says of an entry's size and place; the central one's may be in
 * its zip64 field. */
struct sizes {
    uint64_t bytes, stored_bytes, header;
};

struct reader {
    struct dt2_zip *zip;
    const struct dt2_source *source;
    struct dt2_error *err;
    uint64_t directory, directory_bytes, count;
};

static uint16_t u16(const unsigned char *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t u32(const unsigned char *bytes)
{
    return u16(bytes) | (uint32_t)u16(bytes + 2) << 16;
}

static uint64_t u64(const unsigned char *bytes)
{
    return u32(bytes) | (uint64_t)u32(bytes + 4) << 32;
}

static int DT2_PRINTF(2, 3) refuse(struct reader *reader, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: zip archive: ", reader->source->path);
}

static int DT2_PRINTF(3, 4)
    refuse_entry(struct reader *reader, const struct dt2_zip_entry *entry, const char *format, ...)
{
    char shown[DT2_SHOWN];
    va_list args;
    va_start(args, format);
    dt2_failv(reader->err, DT2_EFAILED, format, args);
    va_end(args);
    return dt2_fail_prefix(reader->err, DT2_EFAILED, "%s: zip archive: entry '%s': ", reader->source->path,
                           dt2_shown(entry->name, entry->name_length, shown));
}

/* -- the records at the end -- */

/* The zip64 record lies before its locator, which lies before the end record,
 * and has what does not fit there. */
static int read_end64(struct reader *reader, const unsigned char *end, const unsigned char *locator)
{
    unsigned char bytes[END64_BYTES];
    uint64_t locator_at = reader->source->size - END_BYTES - LOCATOR_BYTES, at = u64(locator + 8), ends;
    if (u32(locator + 4) != 0 || u32(locator + 16) != 1)
        return refuse(reader, "it is spread over several disks");
    if (at > locator_at || locator_at - at < END64_BYTES)
        return refuse(reader, "its zip64 record would be at byte %" PRIu64 " of %" PRIu64, at, reader->source->size);
    int rc = dt2_source_pread(reader->source, bytes, sizeof bytes, at, reader->err);
    if (rc < 0)
        return rc;
    if (memcmp(bytes, "PK\6\6", 4) != 0 || dt2_add_overflows(at + 12, u64(bytes + 4), &ends) || ends != locator_at)
        return refuse(reader, "there is no zip64 record at byte %" PRIu64 ", or not all of one", at);
    if (u32(bytes + 16) != 0 || u32(bytes + 20) != 0 || u64(bytes + 24) != u64(bytes + 32))
        return refuse(reader, "it is spread over several disks");
    reader->count = u64(bytes + 32);
    reader->directory_bytes = u64(bytes + 40);
    reader->directory = u64(bytes + 48);
    bool agree = (u16(end + 10) == 0xFFFF || u16(end + 10) == reader->count) &&
                 (u32(end + 12) == 0xFFFFFFFF || u32(end + 12) == reader->directory_bytes) &&
                 (u32(end + 16) == 0xFFFFFFFF || u32(end + 16) == reader->directory);
    if (!agree)
        return refuse(reader, "its end record and its zip64 record differ");
    if (reader->directory > at || reader->directory_bytes != at - reader->directory)
        return refuse(reader, "its directory of %" PRIu64 " bytes at byte %" PRIu64 " does not end at byte %" PRIu64,
                      reader->directory_bytes, reader->directory, at);
    return 0;
}

static int read_end(struct reader *reader)
{
    unsigned char bytes[LOCATOR_BYTES + END_BYTES] = { 0 }, *end = bytes + LOCATOR_BYTES;
    uint64_t size = reader->source->size, got = dt2_min(size, sizeof bytes);
    int rc = dt2_source_pread(reader->source, bytes + sizeof bytes - got, got, size - got, reader->err);
    if (rc < 0)
        return rc;
    if (got < END_BYTES || memcmp(end, "PK\5\6", 4) != 0 || u16(end + 20) != 0)
        return refuse(reader, "it does not end with its end record; the file is "
                              "cut short, or has something behind it");
    if (got == sizeof bytes && memcmp(bytes, "PK\6\7", 4) == 0)
        return read_end64(reader, end, bytes);
    if (u16(end + 4) != 0 || u16(end + 6) != 0 || u16(end + 8) != u16(end + 10))
        return refuse(reader, "it is spread over several disks");
    reader->count = u16(end + 10);
    reader->directory_bytes = u32(end + 12);
    reader->directory = u32(end + 16);
    if (reader->directory + reader->directory_bytes != size - END_BYTES)
        return refuse(reader, "its directory of %" PRIu64 " bytes at byte %" PRIu64 " does not end at byte %" PRIu64,
                      reader->directory_bytes, reader->directory, size - END_BYTES);
    return 0;
}

/* -- the directory -- */

/* Takes the numbers that are 0xFFFFFFFF from the zip64 field among the extra
 * ones. False: it is not there, or lies. */
static bool widen(struct sizes *sizes, const unsigned char *extra, size_t length)
{
    uint64_t *wide[3];
    size_t wanted = 0;
    bool done = false;
    if (sizes->bytes == 0xFFFFFFFF)
        wide[wanted++] = &sizes->bytes;
    if (sizes->stored_bytes == 0xFFFFFFFF)
        wide[wanted++] = &sizes->stored_bytes;
    if (sizes->header == 0xFFFFFFFF)
        wide[wanted++] = &sizes->header;
    for (size_t field; length >= 4; extra += field, length -= field) {
        field = (size_t)4 + u16(extra + 2);
        if (field > length)
            return false;
        if (u16(extra) != 1)
            continue;
        if (done || field < 4 + 8 * wanted)
            return false;
        for (size_t i = 0; i < wanted; i++)
            *wide[i] = u64(extra + 4 + 8 * i);
        done = true;
    }
    return wanted == 0 || done;
}

/* Names lead into the archive and nowhere else. */
static const char *problem_of_name(const char *name, size_t length)
{
    if (length == 0)
        return "it has no name";
    if (memchr(name, '\0', length))
        return "its name holds the character NUL";
    if (name[0] == '/' || memchr(name, '\\', length))
        return "its name is no relative path with /";
    for (size_t i = 0, begin = 0; i <= length; i++)
        if (i == length || name[i] == '/') {
            if (i - begin == 2 && memcmp(name + begin, "..", 2) == 0)
                return "its name leads out of the archive";
            begin = i + 1;
        }
    return NULL;
}

/* The entry of a central header; *size: the header's own. */
static int parse_central(struct reader *reader, const unsigned char *bytes, uint64_t left, struct dt2_zip_entry *entry,
                         uint64_t *size)
{
    if (left < CENTRAL_BYTES || memcmp(bytes, "PK\1\2", 4) != 0)
        return refuse(reader, "its directory is broken %" PRIu64 " bytes before its end", left);
    size_t extra = u16(bytes + 30);
    *entry = (struct dt2_zip_entry){ .name = (const char *)bytes + CENTRAL_BYTES,
                                     .name_length = u16(bytes + 28),
                                     .flags = u16(bytes + 8),
                                     .crc = u32(bytes + 16) };
    *size = CENTRAL_BYTES + entry->name_length + extra + u16(bytes + 32);
    if (*size > left)
        return refuse(reader, "its directory is broken %" PRIu64 " bytes before its end", left);
    const char *problem = problem_of_name(entry->name, entry->name_length);
    if (problem)
        return refuse_entry(reader, entry, "%s", problem);
    if (entry->flags & (FLAG_ENCRYPTED | FLAG_STRONGLY_ENCRYPTED | FLAG_MASKED))
        return refuse_entry(reader, entry, "it is encrypted");
    if (u16(bytes + 10) != 0 || entry->flags & FLAG_PATCH)
        return refuse_entry(reader, entry, "it is compressed (method %u%s); PyTorch's are stored as they are",
                            u16(bytes + 10), u16(bytes + 10) == 8 ? ", deflate" : "");
    struct sizes sizes = { u32(bytes + 24), u32(bytes + 20), u32(bytes + 42) };
    if (!widen(&sizes, bytes + CENTRAL_BYTES + entry->name_length, extra))
        return refuse_entry(reader, entry, "its zip64 field is missing, or wrong");
    if (sizes.bytes != sizes.stored_bytes || u16(bytes + 34) != 0)
        return refuse_entry(reader, entry, "%" PRIu64 " bytes are stored as %" PRIu64 ", or on another disk",
                            sizes.bytes, sizes.stored_bytes);
    entry->bytes = sizes.bytes;
    entry->header = sizes.header;
    return 0;
}

static int read_directory(struct reader *reader)
{
    struct dt2_zip *zip = reader->zip;
    uint64_t size = reader->directory_bytes, used = 0;
    if (size > DIRECTORY_MOST)
        return refuse(reader, "a directory of %" PRIu64 " bytes; %" PRIu64 " can be read", size, DIRECTORY_MOST);
    if (reader->count > size / CENTRAL_BYTES)
        return refuse(reader, "%" PRIu64 " entries in a directory of %" PRIu64 " bytes", reader->count, size);
    zip->directory = dt2_alloc(size, 1);
    zip->entries = dt2_alloc(reader->count, sizeof *zip->entries);
    if (!zip->directory || !zip->entries)
        return dt2_fail_nomem(reader->err);
    int rc = dt2_source_pread(reader->source, zip->directory, size, reader->directory, reader->err);
    const unsigned char *at = (const unsigned char *)zip->directory, *end = at + size;
    for (; rc == 0 && zip->count < reader->count; zip->count++, at += used) {
        rc = parse_central(reader, at, (uint64_t)(end - at), &zip->entries[zip->count], &used);
        if (rc < 0)
            return rc;
    }
    if (rc == 0 && at != end)
        rc = refuse(reader, "its directory has %td bytes behind its %zu entries", end - at, zip->count);
    return rc;
}

static int by_place(const void *a, const void *b)
{
    const struct dt2_zip_entry *x = a, *y = b;
    return (x->header > y->header) - (x->header < y->header);
}

static int index_names(struct reader *reader)
{
    struct dt2_zip *zip = reader->zip;
    zip->names = dt2_alloc(zip->count, sizeof *zip->names);
    if (!zip->names)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < zip->count; i++)
        zip->names[i] = dt2_name_make(zip->entries[i].name, zip->entries[i].name_length, i);
    dt2_names_sort(zip->names, zip->count);
    const struct dt2_name *twice = dt2_names_twice(zip->names, zip->count);
    return twice ? refuse_entry(reader, &zip->entries[twice->index], "its name is there twice") : 0;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* PyTorch's reader looks names up without regard to case: which of two it finds
 * is not for a file to leave open. */
static int check_cases(struct reader *reader)
{
    struct dt2_zip *zip = reader->zip;
    DT2_AUTO char *folded = dt2_alloc(reader->directory_bytes, 1);
    DT2_AUTO struct dt2_name *names = dt2_alloc(zip->count, sizeof *names);
    if (!folded || !names)
        return dt2_fail_nomem(reader->err);
    for (size_t i = 0; i < reader->directory_bytes; i++)
        folded[i] = lower(zip->directory[i]);
    for (size_t i = 0; i < zip->count; i++)
        names[i] = dt2_name_make(folded + (zip->entries[i].name - zip->directory), zip->entries[i].name_length, i);
    dt2_names_sort(names, zip->count);
    const struct dt2_name *twice = dt2_names_twice(names, zip->count);
    return twice ? refuse_entry(reader, &zip->entries[twice->index], "another name differs from it in case only") : 0;
}

/* -- the local headers -- */

/* Whether the local header, `bytes`, says what the central one does; its extra
 * fields are at `extra`. */
static int check_local(struct reader *reader, const struct dt2_zip_entry *entry, const unsigned char *bytes,
                       const unsigned char *extra)
{
    struct sizes sizes = { u32(bytes + 22), u32(bytes + 18), 0 };
    if (!widen(&sizes, extra, u16(bytes + 28)))
        return refuse_entry(reader, entry, "the zip64 field of its local header is missing, or wrong");
    bool later = entry->flags & FLAG_DESCRIPTOR && sizes.bytes == 0 && sizes.stored_bytes == 0;
    const char *differs = NULL;
    if (u16(bytes + 6) != entry->flags)
        differs = "flags";
    else if (u16(bytes + 8) != 0)
        differs = "compression";
    else if (!later && (sizes.bytes != entry->bytes || sizes.stored_bytes != entry->bytes))
        differs = "size";
    else if (!(later && u32(bytes + 14) == 0) && u32(bytes + 14) != entry->crc)
        differs = "checksum";
    return differs ? refuse_entry(reader, entry, "its %s in the local header is not that of the directory", differs)
                   : 0;
}

/* Reads an entry's local header, which must end with its data before `limit`;
 * `buffer` holds the largest. */
static int read_local(struct reader *reader, struct dt2_zip_entry *entry, uint64_t limit, unsigned char *buffer)
{
    uint64_t room = dt2_sub_floor(limit, entry->header);
    uint64_t wanted = LOCAL_BYTES + (uint64_t)entry->name_length;
    if (room < wanted || room - wanted < entry->bytes)
        return refuse_entry(reader, entry,
                            "%" PRIu64 " bytes from byte %" PRIu64 " on do not end before byte %" PRIu64
                            ", where something else begins",
                            entry->bytes, entry->header, limit);
    uint64_t got = dt2_min(wanted + EXTRA_USUAL, room);
    int rc = dt2_source_pread(reader->source, buffer, got, entry->header, reader->err);
    if (rc < 0)
        return rc;
    if (memcmp(buffer, "PK\3\4", 4) != 0)
        return refuse_entry(reader, entry, "there is no local header at byte %" PRIu64, entry->header);
    if (u16(buffer + 26) != entry->name_length || memcmp(buffer + LOCAL_BYTES, entry->name, entry->name_length) != 0)
        return refuse_entry(reader, entry, "its name in the local header is not that of the directory");
    uint64_t extra = u16(buffer + 28);
    if (room - wanted - entry->bytes < extra)
        return refuse_entry(reader, entry, "its bytes would reach over byte %" PRIu64 ", where something else begins",
                            limit);
    if (wanted + extra > got)
        rc = dt2_source_pread(reader->source, buffer + got, wanted + extra - got, entry->header + got, reader->err);
    entry->data = entry->header + wanted + extra;
    return rc < 0 ? rc : check_local(reader, entry, buffer, buffer + wanted);
}

static int read_locals(struct reader *reader)
{
    struct dt2_zip *zip = reader->zip;
    DT2_AUTO unsigned char *buffer = dt2_alloc(LOCAL_BYTES + 2 * 0xFFFF + EXTRA_USUAL, 1);
    if (!buffer)
        return dt2_fail_nomem(reader->err);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < zip->count; i++) {
        uint64_t limit = i + 1 < zip->count ? zip->entries[i + 1].header : reader->directory;
        rc = read_local(reader, &zip->entries[i], limit, buffer);
    }
    return rc;
}

int dt2_zip_read(struct dt2_zip *zip, const struct dt2_source *source, struct dt2_error *err)
{
    struct reader reader = { .zip = zip, .source = source, .err = err };
    int rc = read_end(&reader);
    if (rc == 0)
        rc = read_directory(&reader);
    if (rc == 0) {
        qsort(zip->entries, zip->count, sizeof *zip->entries, by_place);
        rc = index_names(&reader);
    }
    if (rc == 0)
        rc = check_cases(&reader);
    if (rc == 0)
        rc = read_locals(&reader);
    return rc;
}

const struct dt2_zip_entry *dt2_zip_find_any_case(const struct dt2_zip *zip, const char *name, size_t length)
{
    for (size_t i = 0; i < zip->count; i++) {
        const struct dt2_zip_entry *entry = &zip->entries[i];
        size_t same = 0;
        while (entry->name_length == length && same < length && lower(entry->name[same]) == lower(name[same]))
            same++;
        if (entry->name_length == length && same == length)
            return entry;
    }
    return NULL;
}

const struct dt2_zip_entry *dt2_zip_first(const struct dt2_zip *zip)
{
    const struct dt2_zip_entry *first = zip->entries;
    for (size_t i = 1; i < zip->count; i++)
        if (zip->entries[i].name < first->name)
            first = &zip->entries[i];
    return first;
}

void dt2_zip_clear(struct dt2_zip *zip)
{
    dt2_release(zip->entries);
    dt2_release(zip->names);
    dt2_release(zip->directory);
    *zip = (struct dt2_zip){ 0 };
}

const struct dt2_zip_entry *dt2_zip_find(const struct dt2_zip *zip, const char *name, size_t length)
{
    const struct dt2_name *found = dt2_names_find(zip->names, zip->count, name, length);
    return found ? &zip->entries[found->index] : NULL;
}
