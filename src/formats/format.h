/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Between the readers of formats and the file that they fill. A reader is one source file with one `struct dt2_format`,
 * and one line in the table of file.c.
 */
#ifndef DT2_FORMATS_FORMAT_H
#define DT2_FORMATS_FORMAT_H

#include "base/shown.h"
#include "formats/convert/convert.h"
#include "formats/file.h"
#include "formats/names.h"
#include "formats/source.h"
#include "formats/view.h"
#include <stdatomic.h>

/*
 * How much memory opening a file takes at most, whatever is in it: this many bytes for each byte of its headers, tables
 * and pickles. (Real ones take 2 to 4; the worst is a pickle of nothing but empty lists.) The time is n log n.
 */
#define DT2_MEMORY_FACTOR 200

/* The beginning of a file, from which its format is told. */
struct dt2_head {
    uint64_t file_bytes;
    size_t length; /* of `bytes` that are there */
    unsigned char bytes[512];
};

/* What a file is that often stands in the place of a model, and what to do; NULL: none of these. */
const char *dt2_head_mistaken(const struct dt2_head *head, const char **advice);

struct dt2_format {
    const char *name;
    /* Whether the content is of this format, well-formed or not. */
    bool (*probe)(const struct dt2_head *head);
    /* Fills `file`, whose first source is open. Errors name path, tensor and rule. What was added stays the file's. */
    int (*read)(struct dt2_file *file, struct dt2_error *err);
    bool in_parts; /* files of it may be one model together */
};

/* A tensor and where its bytes are. Neighbours of one first piece are one tensor of several names. */
struct dt2_entry {
    struct dt2_tensor tensor; /* file and offset: those of the first piece, set by the file */
    size_t first_piece;
    size_t piece_count;
    size_t home; /* set by the file, as the next: see dt2_file_home() */
    uint64_t home_offset;
    size_t leader; /* see dt2_file_leader() */
};

/* A tensor that is converted while it is read. */
struct dt2_converted {
    struct dt2_conversion how;
    size_t first_piece; /* of what the file has */
    size_t piece_count;
};

struct dt2_metadata {
    const char *key;
    const char *value;
};

/*
 * An open model. Readers fill the upper part: arrays of exact sizes, released with the file. Names, keys and values
 * point into `text`.
 */
struct dt2_file {
    struct dt2_source *sources;
    size_t source_count;
    struct dt2_entry *entries; /* in the order of their data */
    size_t entry_count;
    struct dt2_piece *pieces;
    size_t piece_count;
    uint64_t *shapes; /* all tensors' dimensions */
    struct dt2_view *views;
    size_t view_count;
    struct dt2_axis *axes; /* all views' axes */
    struct dt2_metadata *metadata;
    size_t metadata_count;
    char *text;
    struct dt2_file **parts; /* of a sharded model: its files as each was read; names and shapes point into them */
    size_t part_count;

    /*
     * What is stored otherwise than in a file (stored.c) stands on that file, to which all above belongs but entries, pieces,
     * shapes and text. Its pieces begin with that file's, its entries too; gangs come after these.
     */
    struct dt2_file *base;
    const char *stored_dtype; /* NULL: as the files have them */
    struct dt2_converted *converted;
    size_t converted_count;

    _Atomic unsigned references; /* of the program, and of files that stand on this one */
    const char *key;                 /* while it is read: the dict of tensors that the caller means; NULL: the only one */
    const struct dt2_opener *opener; /* while it is read: what opens its other files; NULL: open(2) */
    const struct dt2_format *format; /* the file does the rest */
    char *given;                     /* the model was given by this path; NULL: by that of its first source */
    bool is_folder;                  /* which is a folder's */
    char *note;                      /* what dt2_file_note() says */
    struct dt2_name *names;          /* sorted; dt2_file_index_names() */
    uint64_t total_bytes;
    char fingerprint[33];
};

/* Opens a file that must be of that format, or, with NULL, that its content tells. Errors: as dt2_file_open(). */
int dt2_file_open_as(const char *path, const struct dt2_format *format, const struct dt2_opener *opener, struct dt2_file **out,
                     struct dt2_error *err);
/* What follows from a table that is complete: where tensors lie, the sum of their bytes, the fingerprint. Errors: DT2_EFAILED. */
int dt2_file_finish(struct dt2_file *file, struct dt2_error *err);
/* Reads what is converted, as dt2_file_pread() does, or as dt2_file_pread_check(). */
int dt2_converted_read(const struct dt2_file *file, size_t index, const struct iovec *iov, int count, uint64_t offset,
                       bool check, struct dt2_error *err);
/* Whether the names are those of a network that is known: plan/recognise.c, above this room, knows. Entries and names are set. */
bool dt2_file_is_network(const struct dt2_file *file);
/* Opens a file that is one of a model's several, as dt2_file_open_as() with NULL. Errors: also for what no model is made of. */
int dt2_file_open_part(const char *path, const struct dt2_opener *opener, struct dt2_file **out, struct dt2_error *err);
/* Makes one model of the files at these paths, in this order. Errors: as dt2_file_open(). */
int dt2_file_open_parts(char *const *paths, size_t count, const struct dt2_opener *opener, struct dt2_file **out,
                        struct dt2_error *err);
/* Room for `tensors` tensors and `pieces` pieces, zeroed. Errors: DT2_ENOMEM. */
int dt2_file_reserve(struct dt2_file *file, size_t tensors, size_t pieces, struct dt2_error *err);
/*
 * To be called by every reader once the names are set. *twice: two neighbours of one name, whose indices ascend, or
 * NULL; what that means is the reader's to say. Errors: DT2_ENOMEM.
 */
int dt2_file_index_names(struct dt2_file *file, const struct dt2_name **twice, struct dt2_error *err);

#endif
