/* SPDX-License-Identifier: BSD-3-Clause */
/* The file of a room: read, written, and its users' doors. All of its functions change errno. */
#ifndef DT2_SHARE_ROOM_H
#define DT2_SHARE_ROOM_H

#include "share/records.h"
#include <distorch2/error.h>
#include <sys/types.h>

#define DT2_ROOM_PREFIX "segment-1-" /* of the files' names; the version of what stands in them */
void dt2_room_name(const unsigned char identity[DT2_IDENTITY_BYTES], char name[64]);

/* Reads all of it. DT2_ROOM_EMPTY: it is new. Errors: DT2_EFAILED: it is none of ours; DT2_ENOMEM. `bytes` is to be released. */
#define DT2_ROOM_EMPTY 1
int dt2_room_read(int fd, void **bytes, struct dt2_records *records, struct dt2_error *err);
int dt2_room_write_head(int fd, const struct dt2_room_head *head, struct dt2_error *err);
/* Writes a record to the first place that is free. Errors: DT2_EFAILED: there is no room for it. */
int dt2_room_add(int fd, const struct dt2_records *records, const struct dt2_user *user, size_t *place, struct dt2_error *err);
/* Strikes a record at a place. Needs no memory. */
void dt2_room_erase(int fd, size_t stride, size_t place);
/* Strikes a record, also in what was read. */
void dt2_room_strike(int fd, const struct dt2_records *records, size_t place);

/* Whether anybody is recorded that uses the segment, as far as one can tell. */
bool dt2_room_has_users(const struct dt2_records *records);
/* The processes that use it, each once; returns how many there are, and writes `capacity` of them at most. */
size_t dt2_room_processes(const struct dt2_records *records, pid_t *pids, size_t capacity);

/* How a user's segment is reached. */
enum dt2_door {
    DT2_DOOR_OPEN,
    DT2_DOOR_DEAD,   /* the user is no more: its process ended, or has closed the segment */
    DT2_DOOR_CLOSED, /* it lives, and does not let us in */
    DT2_DOOR_FAILED, /* something of ours: no descriptor is left, say; errno */
};
/* *fd is only written when it is open. */
enum dt2_door dt2_room_open_user(const struct dt2_user *user, const unsigned char identity[DT2_IDENTITY_BYTES], int *fd);

/* How far who fills the segment is, and which process that is; 0: nobody, or unknown. */
pid_t dt2_room_peek(int folder, const char *name, const unsigned char identity[DT2_IDENTITY_BYTES], uint64_t *done_bytes);

#endif
