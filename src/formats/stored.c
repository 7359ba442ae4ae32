/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A model as it will be stored: a table that stands on that of an open file. A tensor of another dtype is one piece that is
 * converted while it is read; a gang is one tensor more, whose pieces are those of its members, one after the other.
 */
#include "base/alloc.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/sized.h"
#include "formats/dtype.h"
#include "formats/format.h"
#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const struct dt2_sized sized_storing =
    DT2_SIZED(struct dt2_storing, gang_count, "how a file is stored, the struct's", "DT2_STORING_INIT");

/* -- reading --------------------------------------------------------------------------------------------------------- */

#define WINDOW_BYTES ((uint64_t)128 * 1024) /* of the file, read and converted while they are near */
#define BLOCK_MOST 1024                     /* bytes of the largest block, converted */

struct conversion_read {
    const struct dt2_file *file;
    const struct dt2_converted *converted;
    char *window;
    bool check;
    struct dt2_error *err;
};

/* What the file has, from byte `offset` of the tensor on. */
static int read_pieces(const struct conversion_read *read, char *to, uint64_t bytes, uint64_t offset)
{
    const struct dt2_piece *piece = read->file->pieces + read->converted->first_piece;
    for (; bytes > 0; piece++) {
        uint64_t skipped = dt2_min(offset, piece->bytes), part = dt2_min(piece->bytes - skipped, bytes);
        struct iovec iov = { to, part };
        int rc = part ? (read->check ? dt2_file_pread_check : dt2_file_pread)(read->file, piece->file, &iov, 1,
                                                                             piece->offset + skipped, read->err)
                      : 0;
        if (rc < 0)
            return rc;
        offset -= skipped;
        to += part;
        bytes -= part;
    }
    return 0;
}

/* Whole blocks from `block` on. */
static int read_blocks(const struct conversion_read *read, char *to, uint64_t blocks, uint64_t block)
{
    const struct dt2_conversion *how = &read->converted->how;
    uint64_t most = WINDOW_BYTES / how->block_bytes, out = (uint64_t)how->block_elements * how->element_bytes;
    for (uint64_t done = 0, some; done < blocks; done += some) {
        some = dt2_min(blocks - done, most);
        int rc = read_pieces(read, read->window, some * how->block_bytes, (block + done) * how->block_bytes);
        if (rc < 0)
            return rc;
        (read->check ? dt2_convert_check : dt2_convert)(how, read->window, to + done * out, some);
    }
    return 0;
}

/* The bytes [begin, end) of what one block becomes. */
static int read_part(const struct conversion_read *read, char *to, uint64_t block, uint64_t begin, uint64_t end)
{
    char bytes[BLOCK_MOST];
    int rc = read_blocks(read, bytes, 1, block);
    if (rc == 0)
        memcpy(to, bytes + begin, end - begin);
    return rc;
}

/* A request may begin and end inside of blocks. */
static int read_bytes(const struct conversion_read *read, char *to, uint64_t size, uint64_t offset)
{
    uint64_t out = (uint64_t)read->converted->how.block_elements * read->converted->how.element_bytes;
    uint64_t block = offset / out, skipped = offset % out;
    int rc = 0;
    if (skipped > 0) {
        uint64_t end = dt2_min(out, skipped + size);
        rc = read_part(read, to, block++, skipped, end);
        to += end - skipped;
        size -= end - skipped;
    }
    uint64_t whole = size / out, rest = size % out;
    if (rc == 0)
        rc = read_blocks(read, to, whole, block);
    if (rc == 0 && rest > 0)
        rc = read_part(read, to + whole * out, block + whole, 0, rest);
    return rc;
}

int dt2_converted_read(const struct dt2_file *file, size_t index, const struct iovec *iov, int count, uint64_t offset,
                       bool check, struct dt2_error *err)
{
    if (index >= file->converted_count)
        return dt2_fail(err, DT2_EUSAGE, "%s: no converted tensor %zu among its %zu", dt2_file_path(file), index,
                        file->converted_count);
    DT2_AUTO char *window = dt2_alloc(WINDOW_BYTES, 1);
    if (!window)
        return dt2_fail_nomem(err);
    const struct conversion_read read = { file, &file->converted[index], window, check, err };
    for (int i = 0; i < count; offset += iov[i++].iov_len) {
        int rc = read_bytes(&read, iov[i].iov_base, iov[i].iov_len, offset);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* -- making: dtypes --------------------------------------------------------------------------------------------------- */

static int fail_dtype(const char *dtype, const char *tensor, struct dt2_error *err)
{
    char shown[DT2_SHOWN], name[DT2_SHOWN];
    dt2_shown(dtype, strlen(dtype), shown);
    if (tensor)
        dt2_fail(err, DT2_EUSAGE, "tensor '%s': no dtype '%s' to store it in", dt2_shown(tensor, strlen(tensor), name), shown);
    else
        dt2_fail(err, DT2_EUSAGE, "no dtype '%s' to store tensors in", shown);
    dt2_suggest(err, "those that can be had: keep, F16, BF16, F32");
    return DT2_EUSAGE;
}

/* What is wished of one tensor; *target NULL: it stays. */
static int wish_of(const struct dt2_storing *how, const struct dt2_tensor *tensor, const char **target, struct dt2_error *err)
{
    const char *own = how->dtype_of ? how->dtype_of(how->dtype_data, tensor) : NULL;
    const char *wish = own ? own : how->dtype;
    *target = NULL;
    if (!wish || strcasecmp(wish, "keep") == 0)
        return 0;
    *target = dt2_conversion_target(wish);
    return *target ? 0 : fail_dtype(wish, own ? tensor->name : NULL, err);
}

/* Makes one tensor that is its own home the one that is stored. */
static int store_entry(struct dt2_file *file, size_t index, const struct dt2_storing *how, struct dt2_error *err)
{
    struct dt2_entry *entry = &file->entries[index];
    struct dt2_tensor *tensor = &entry->tensor;
    struct dt2_converted *converted = &file->converted[file->converted_count];
    const char *target;
    char shown[DT2_SHOWN];
    int rc = wish_of(how, tensor, &target, err);
    if (rc < 0 || !target || strcmp(target, tensor->dtype) == 0 || tensor->bytes == 0)
        return rc;
    dt2_shown(tensor->name, strlen(tensor->name), shown);
    if (!dt2_conversion_find(tensor->dtype, target, &converted->how)) {
        if (dt2_dtype_find(tensor->dtype, strlen(tensor->dtype)))
            return 0;
        dt2_fail(err, DT2_EUSAGE, "%s: tensor '%s' is of %s, which cannot be converted to %s here", dt2_file_path(file), shown,
                 tensor->dtype, target);
        dt2_suggest(err, "store it as it is: keep");
        return DT2_EUSAGE;
    }
    uint64_t blocks = tensor->bytes / converted->how.block_bytes;
    uint64_t block_bytes = (uint64_t)converted->how.block_elements * converted->how.element_bytes;
    if (tensor->bytes % converted->how.block_bytes != 0 || dt2_mul_overflows(blocks, block_bytes, &tensor->bytes))
        return dt2_fail(err, DT2_EUSAGE, "%s: tensor '%s' of %s cannot be %s: it has %" PRIu64 " bytes", dt2_file_path(file),
                        shown, tensor->dtype, target, tensor->bytes);
    converted->first_piece = entry->first_piece;
    converted->piece_count = entry->piece_count;
    entry->first_piece = file->piece_count;
    entry->piece_count = 1;
    file->pieces[file->piece_count++] =
        (struct dt2_piece){ 0, tensor->bytes, DT2_CONVERTED | (uint32_t)file->converted_count++ };
    tensor->dtype = target;
    return 0;
}

/* Another name of a tensor goes with it; the same bytes read as another dtype are a tensor of its own when those are converted. */
static void follow_home(struct dt2_file *file, size_t index)
{
    struct dt2_entry *entry = &file->entries[index];
    const struct dt2_entry *home = &file->entries[entry->home], *before = &file->base->entries[entry->home];
    if (entry->home == index || home->first_piece == before->first_piece)
        return;
    if (strcmp(entry->tensor.dtype, before->tensor.dtype) != 0) {
        entry->home = index;
        return;
    }
    entry->tensor.dtype = home->tensor.dtype;
    entry->tensor.bytes = home->tensor.bytes;
    entry->first_piece = home->first_piece;
    entry->piece_count = home->piece_count;
}

static int store_dtypes(struct dt2_file *file, const struct dt2_storing *how, struct dt2_error *err)
{
    size_t count = file->base->entry_count;
    for (size_t i = 0; i < count; i++) {
        int rc = file->entries[i].home == i ? store_entry(file, i, how, err) : 0;
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < count; i++)
        follow_home(file, i);
    return 0;
}

/* -- making: gangs ------------------------------------------------------------------------------------------------------ */

static int fail_member(const struct dt2_file *file, size_t gang, size_t tensor, const char *why, struct dt2_error *err)
{
    char shown[DT2_SHOWN];
    const char *name = file->entries[tensor].tensor.name;
    return dt2_fail(err, DT2_EUSAGE, "%s: gang %zu: tensor '%s' %s", dt2_file_path(file), gang,
                    dt2_shown(name, strlen(name), shown), why);
}

/* Whether the tensors go together, each in one gang at most; those of a good one are at home in it from now on. */
static int check_gang(struct dt2_file *file, const struct dt2_gang *gang, size_t number, struct dt2_error *err)
{
    size_t tensors = file->base->entry_count;
    if (gang->count < 2 || !gang->tensors)
        return dt2_fail(err, DT2_EUSAGE, "gang %zu has %zu tensors; 2 or more make one", number, gang->tensors ? gang->count : 0);
    for (size_t i = 0; i < gang->count; i++) {
        size_t tensor = gang->tensors[i];
        if (tensor >= tensors)
            return dt2_fail(err, DT2_EUSAGE, "gang %zu: %s has %zu tensors; there is no index %zu", number,
                            dt2_file_path(file), tensors, tensor);
        const struct dt2_entry *entry = &file->entries[tensor];
        if (entry->home >= tensors)
            return fail_member(file, number, tensor, "is in a gang already", err);
        if (entry->home != tensor)
            return fail_member(file, number, tensor, "is another name of one before it, which can be in a gang itself", err);
        if (strcmp(entry->tensor.dtype, file->entries[gang->tensors[0]].tensor.dtype) != 0)
            return fail_member(file, number, tensor, "is stored in another dtype than the first", err);
        for (size_t j = 0; j < i; j++)
            if (gang->tensors[j] == tensor)
                return fail_member(file, number, tensor, "is listed twice", err);
    }
    for (size_t i = 0; i < gang->count; i++)
        file->entries[gang->tensors[i]].home = tensors + number;
    return 0;
}

/* The dimensions of all members: their rows one after the other; where rows differ, all elements in a row. */
static int shape_gang(const struct dt2_file *file, const struct dt2_gang *gang, size_t number, uint64_t *shape, size_t *rank,
                      struct dt2_error *err)
{
    const struct dt2_tensor *first = &file->entries[gang->tensors[0]].tensor;
    uint64_t rows = 0, elements = 0;
    bool alike = first->rank > 0;
    for (size_t i = 0; i < gang->count; i++) {
        const struct dt2_tensor *tensor = &file->entries[gang->tensors[i]].tensor;
        uint64_t product = 1;
        alike = alike && tensor->rank == first->rank;
        for (size_t j = 0; j < tensor->rank; j++) {
            if (dt2_mul_overflows(product, tensor->shape[j], &product))
                return fail_member(file, number, gang->tensors[i], "has more than 2^64 elements", err);
            alike = alike && (j == 0 || tensor->shape[j] == first->shape[j]);
        }
        if (dt2_add_overflows(elements, product, &elements) ||
            (alike && dt2_add_overflows(rows, tensor->shape[0], &rows)))
            return fail_member(file, number, gang->tensors[i], "makes more than 2^64 elements with those before it", err);
    }
    *rank = alike ? first->rank : 1;
    if (alike && first->rank > 1)
        memcpy(shape + 1, first->shape + 1, (first->rank - 1) * sizeof *shape);
    shape[0] = alike ? rows : elements;
    return 0;
}

/* The name that a gang has, at `to`; returns its end. */
static char *name_gang(const struct dt2_file *file, const struct dt2_gang *gang, char *to)
{
    if (gang->name)
        return stpcpy(to, gang->name);
    for (size_t i = 0; i < gang->count; i++) {
        to = stpcpy(to, i ? "+" : "");
        to = stpcpy(to, file->entries[gang->tensors[i]].tensor.name);
    }
    return to;
}

/* Adds the tensor of a gang, whose name and shape are there, behind all others. */
static void add_gang(struct dt2_file *file, const struct dt2_gang *gang, const char *name, const uint64_t *shape, size_t rank)
{
    size_t home = file->entry_count;
    struct dt2_entry *made = &file->entries[home];
    *made = (struct dt2_entry){ .tensor = { .name = name, .shape = shape, .rank = rank,
                                            .dtype = file->entries[gang->tensors[0]].tensor.dtype },
                                .first_piece = file->piece_count,
                                .home = home,
                                .leader = gang->tensors[0] };
    for (size_t i = 0; i < gang->count; i++) {
        struct dt2_entry *member = &file->entries[gang->tensors[i]];
        member->home_offset = made->tensor.bytes;
        member->leader = gang->tensors[0];
        memcpy(file->pieces + file->piece_count, file->pieces + member->first_piece,
               member->piece_count * sizeof *file->pieces);
        file->piece_count += member->piece_count;
        made->piece_count += member->piece_count;
        made->tensor.bytes += member->tensor.bytes; /* no more than the file's sum, which is checked at the end */
    }
    file->entry_count++;
}

static int add_gangs(struct dt2_file *file, const struct dt2_storing *how, struct dt2_error *err)
{
    size_t characters = 0, dimensions = 0;
    for (size_t i = 0; i < how->gang_count; i++) {
        int rc = check_gang(file, &how->gangs[i], i, err);
        if (rc < 0)
            return rc;
        dimensions += dt2_max(file->entries[how->gangs[i].tensors[0]].tensor.rank, 1);
        characters += how->gangs[i].name ? strlen(how->gangs[i].name) : 0;
        for (size_t j = 0; j < how->gangs[i].count; j++)
            characters += strlen(file->entries[how->gangs[i].tensors[j]].tensor.name) + 1;
    }
    file->text = dt2_alloc(characters + how->gang_count, 1);
    file->shapes = dt2_alloc(dimensions, sizeof *file->shapes);
    if (!file->text || !file->shapes)
        return dt2_fail_nomem(err);
    char *name = file->text;
    uint64_t *shape = file->shapes;
    for (size_t i = 0; i < how->gang_count; i++) {
        size_t rank = 0;
        char *end = name_gang(file, &how->gangs[i], name);
        int rc = shape_gang(file, &how->gangs[i], i, shape, &rank, err);
        if (rc < 0)
            return rc;
        add_gang(file, &how->gangs[i], name, shape, rank);
        name = end + 1;
        shape += rank;
    }
    for (size_t i = 0; i < file->base->entry_count; i++) { /* other names of members go where these went */
        const struct dt2_entry *home = &file->entries[file->entries[i].home];
        if (home->home != file->entries[i].home && file->entries[i].home < file->base->entry_count) {
            file->entries[i].home_offset = home->home_offset;
            file->entries[i].home = home->home;
        }
    }
    return 0;
}

/* -- making: the table ---------------------------------------------------------------------------------------------------- */

/* A copy of the table, with room for what may be added to it. */
static int copy_table(struct dt2_file *file, const struct dt2_file *base, const struct dt2_storing *how, struct dt2_error *err)
{
    size_t pieces = base->piece_count + base->entry_count; /* each converted one is one more */
    for (size_t i = 0; i < how->gang_count; i++)
        for (size_t j = 0; how->gangs[i].tensors && j < how->gangs[i].count; j++)
            if (how->gangs[i].tensors[j] < base->entry_count)
                pieces += base->entries[how->gangs[i].tensors[j]].piece_count;
    file->entries = dt2_alloc(base->entry_count + how->gang_count, sizeof *file->entries);
    file->pieces = dt2_alloc(pieces, sizeof *file->pieces);
    file->converted = dt2_alloc(base->entry_count, sizeof *file->converted);
    if (!file->entries || !file->pieces || !file->converted)
        return dt2_fail_nomem(err);
    memcpy(file->entries, base->entries, base->entry_count * sizeof *file->entries);
    memcpy(file->pieces, base->pieces, base->piece_count * sizeof *file->pieces);
    file->entry_count = base->entry_count;
    file->piece_count = base->piece_count;
    return 0;
}

static int make(struct dt2_file *file, const struct dt2_storing *how, struct dt2_error *err)
{
    int rc = copy_table(file, file->base, how, err);
    if (rc == 0)
        rc = store_dtypes(file, how, err);
    if (rc == 0)
        rc = add_gangs(file, how, err);
    const struct dt2_name *twice = NULL;
    if (rc == 0)
        rc = dt2_file_index_names(file, &twice, err);
    if (rc == 0 && twice)
        return fail_member(file, how->gang_count, twice->index, "has the name of another; call the gang otherwise", err);
    return rc < 0 ? rc : dt2_file_finish(file, err);
}

int dt2_file_stored(const struct dt2_file *given, const struct dt2_storing *storing, struct dt2_file **stored,
                    struct dt2_error *err)
{
    DT2_KEEP_ERRNO;
    struct dt2_storing how = DT2_STORING_INIT;
    struct dt2_file *base = (struct dt2_file *)(uintptr_t)given; /* of which nothing changes but how many stand on it */
    int rc = dt2_options_read(&sized_storing, storing, &how, err);
    if (rc < 0)
        return rc;
    if (how.dtype && strcasecmp(how.dtype, "keep") != 0 && !dt2_conversion_target(how.dtype))
        return fail_dtype(how.dtype, NULL, err); /* also where no tensor asks for it */
    if (base->base)
        return dt2_fail(err, DT2_EUSAGE, "%s: this is a file as it is stored; store the file that was opened",
                        dt2_file_path(base));
    struct dt2_file *file = dt2_alloc(1, sizeof *file);
    if (!file)
        return dt2_fail_nomem(err);
    *file = (struct dt2_file){ .sources = base->sources, .source_count = base->source_count, .views = base->views,
                               .view_count = base->view_count, .axes = base->axes, .metadata = base->metadata,
                               .metadata_count = base->metadata_count, .base = base, .format = base->format,
                               .given = base->given, .is_folder = base->is_folder, .note = base->note };
    atomic_init(&file->references, 1);
    atomic_fetch_add(&base->references, 1);
    if (how.dtype)
        file->stored_dtype = dt2_conversion_target(how.dtype);
    if (how.dtype_of)
        file->stored_dtype = "mixed";
    rc = make(file, &how, err);
    if (rc < 0)
        dt2_file_free(file);
    else
        *stored = file;
    return rc;
}

const struct dt2_file *dt2_file_written(const struct dt2_file *file)
{
    return file->base ? file->base : file;
}

const char *dt2_file_dtype(const struct dt2_file *file)
{
    return file->stored_dtype ? file->stored_dtype : "keep";
}
