/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine from the inside. One lock guards everything that moves; whoever waits for a change waits for `changed`.
 *
 *     machine.c  reads the machine file
 *     engine.c   start, calls, failures on demand, what is current
 *     context.c  contexts, peers
 *     memory.c   device memory, pinned and registered memory
 *     stream.c   streams and their threads, events
 *     capture.c  graph capture
 *     command.c  copies and kernels: what is refused, what is staged, what is checked
 *     order.c    which command comes before which
 *     sysfs.c    the files in which amdgpu tells what memory is in use
 *     report.c   violations, the report
 */
#ifndef DT2_TESTS_SIM_ENGINE_H
#define DT2_TESTS_SIM_ENGINE_H

#include "sim.h"
#include <pthread.h>

/* -- machine.c */

struct sim_failure {
    char function[64]; /* "*": any */
    uint64_t nth;      /* 1: the next */
    bool onwards;
    int code;
};

enum { SIM_FAILURES_MAX = 16 };

struct sim_machine {
    char path[512];
    struct sim_device devices[SIM_DEVICES_MAX];
    unsigned count;
    uint64_t seed;
    unsigned delay_us; /* most of the delays are below it, some at ten times of it */
    unsigned query_us; /* that asking for an event takes */
    bool checksum;
    bool respect_visibility;
    struct sim_failure failures[SIM_FAILURES_MAX];
    unsigned failure_count;
};

/* Reads the file (NULL: a machine without devices), then what the environment adds. Says what is wrong, and exits
 * with 99. */
void sim_machine_read(const char *path, struct sim_machine *machine);

/* -- engine.c */

enum sim_memory_kind { SIM_PAGEABLE, SIM_PINNED, SIM_REGISTERED, SIM_MEMORY_KIND_COUNT };
enum sim_copy_kind { SIM_COUNT_H2D, SIM_COUNT_D2H, SIM_COUNT_D2D, SIM_COUNT_PEER, SIM_COUNT_H2H, SIM_COPY_KIND_COUNT };

/* How far everything has come that comes before something: of each stream, by the slot that it has. */
enum { SIM_SLOTS = 64 };
struct sim_clock {
    uint64_t times[SIM_SLOTS];
};

/* How often a function was called. */
struct sim_record {
    struct sim_record *next;
    uint64_t calls;
    char name[64];
};

/* A file of a face that was called. */
struct sim_face {
    struct sim_face *next;
    uint64_t calls;
    char path[];
};

/* A driver's view of a device. */
struct sim_context {
    enum sim_api api;
    const struct sim_device *device;
    bool made;
    bool by_runtime;           /* the runtime made it, and holds it until a reset */
    unsigned retained;         /* by cuDevicePrimaryCtxRetain, or a cl_context each */
    unsigned peers;            /* bit N: access to device N is enabled */
    int sticky;                /* the error that every call gives until a reset */
    struct sim_stream *legacy; /* the default stream, once it was used */
};

/* What moves of a device. */
struct sim_state {
    uint64_t used_bytes, peak_bytes; /* by allocations and contexts */
    uint64_t others_bytes;
    uint64_t contexts_made;
    uint64_t calls;
    bool lost;
    uint64_t link_free_ns; /* when the link has carried all that it was given */
};

struct sim_engine {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sim_machine machine;
    struct sim_state states[SIM_DEVICES_MAX];
    struct sim_context contexts[SIM_API_COUNT][SIM_DEVICES_MAX];
    unsigned shown[SIM_API_COUNT][SIM_DEVICES_MAX]; /* number of the device at an index */
    unsigned shown_count[SIM_API_COUNT];
    struct sim_record *records;
    struct sim_face *faces;
    uint64_t calls, injected;
    struct sim_allocation *allocations, *freed;
    struct sim_region *regions;
    struct sim_chunk *chunks;
    struct sim_stream *streams; /* all that have a thread, destroyed ones too */
    struct sim_event *events;
    struct sim_capture *captures; /* those that have ended, too */
    uintptr_t next_id;
    uint64_t next_sequence, next_stream;
    uint64_t copies[SIM_COPY_KIND_COUNT][SIM_MEMORY_KIND_COUNT];
    uint64_t kernels; /* that have read bytes */
    uint64_t lies;    /* of copies between devices */
    bool ended;       /* the process is: a runtime's static objects are gone */
    uint64_t spins;   /* waits of OpenCL's for what was not done */
    uint64_t violations[SIM_VIOLATION_COUNT];
    const char *sysfs; /* the folder for amdgpu's files, NULL: none */
};
extern struct sim_engine sim;

/* The engine starts with the first one who takes the lock. */
void sim_lock(void);
void sim_unlock(void);
static inline void sim_unlock_at_end(const int *locked)
{
    (void)locked;
    sim_unlock();
}
#define SIM_LOCKED                                                                                                     \
    sim_lock();                                                                                                        \
    int sim_locked __attribute__((cleanup(sim_unlock_at_end), unused)) = 1

uint64_t sim_now_ns(void);
uint64_t sim_random(uint64_t *state);
/* The same as sim_enter, under the lock. */
int sim_turn(struct sim_function *function);

/* -- context.c; all under the lock */

/* Whether anything can be done in a context: the error that sticks, or that of a device that is gone. Counts a call. */
int sim_context_check(struct sim_context *context);
int sim_context_ensure(struct sim_context *context);
/* An error of work that ran: sticks to the context; codes that stick by nature do the same wherever they come from. */
void sim_context_stick(struct sim_context *context, int status);
bool sim_sticks(int status);
/* The error that a device which is gone gives, or 0. */
int sim_lost(const struct sim_device *device);
struct sim_state *sim_state(const struct sim_device *device);
/* Takes bytes of a device's memory; SIM_NOMEM when there are not so many. */
int sim_take_bytes(const struct sim_device *device, uint64_t bytes);
void sim_give_bytes(const struct sim_device *device, uint64_t bytes);
/* Brings what the kernel tells of a device up to date. */
void sim_show_bytes(const struct sim_device *device);

/* -- memory.c; all under the lock */

struct sim_allocation {
    struct sim_allocation *next;
    struct sim_context *context;
    char *address; /* what the program has; reserved without access */
    char *shadow;  /* where the bytes are */
    uint64_t bytes, charged_bytes;
};

/* Host memory that a driver pinned. */
struct sim_region {
    struct sim_region *next;
    struct sim_context *context;
    char *address;
    uint64_t bytes;
    enum sim_memory_kind kind;
    bool portable;
};

/* A range of addresses that device memory is given out of; addresses are never given out twice. */
struct sim_chunk {
    struct sim_chunk *next;
    const struct sim_device *device;
    char *base;
    uint64_t bytes, used;
};

bool sim_is_device_address(const void *address);
/* The allocation that holds a range as a whole; NULL with the violation noted. */
struct sim_allocation *sim_find_range(const void *address, uint64_t bytes, const char *what);
struct sim_allocation *sim_find_allocation(const void *address);
/* The pinned memory that holds a range as a whole, as a context sees it; NULL: pageable. */
struct sim_region *sim_find_region(const struct sim_context *context, const void *address, uint64_t bytes);
void sim_free_all(struct sim_context *context);
/* Once at the start. */
void sim_watch_faults(void);

/* -- stream.c; all under the lock */

struct sim_wait {
    struct sim_event *event;
    uint64_t generation;
};

/* A command in a stream. */
struct sim_op {
    struct sim_op *next;
    uint64_t sequence;
    struct sim_command command;
    void *staged; /* our own copy of a pageable source */
    enum sim_memory_kind host_kind;
    bool has_host; /* one side is the host's */
    bool checked;
    uint64_t checksum; /* of the source, when it was queued */
    bool running;      /* its memory is in use right now */
    struct sim_event *completes;
    uint64_t generation;
    int status;
    unsigned wait_count;
    struct sim_wait waits[];
};

struct sim_stream {
    struct sim_stream *next;
    uintptr_t id; /* 0 once it was destroyed */
    struct sim_context *context;
    bool blocking; /* the default stream waits for it, and it for the default stream */
    bool closing;
    bool detached;
    unsigned waiters; /* for its work: it stays until they have seen it */
    struct sim_op *head, *tail;
    struct sim_capture *capture; /* that takes what is queued; NULL: it runs */
    pthread_t thread;
    uint64_t random;
    unsigned slot;
    struct sim_clock clock; /* of the command that was queued last */
};

struct sim_event {
    struct sim_event *next;
    uintptr_t id; /* 0 once it was destroyed */
    struct sim_context *context;
    unsigned references;          /* of commands, and of its handle */
    uint64_t recorded, completed; /* generations */
    int status;                   /* of the last completed one */
    struct sim_clock clock;       /* of the last recorded one */
    struct sim_capture *capture;  /* in which it was recorded last; NULL: in none */
};

/* The stream behind a number, as a call in `context` means it; NULL. */
struct sim_stream *sim_find_stream(struct sim_context *context, uintptr_t id);
struct sim_event *sim_find_event(uintptr_t id);
struct sim_op *sim_op_new(struct sim_context *context, const struct sim_command *command);
void sim_op_drop(struct sim_op *op);
/* Puts a command at the end of its stream. */
void sim_queue(struct sim_stream *stream, struct sim_op *op);
/* Waits until a stream has run all that was queued up to a sequence number. */
void sim_drain(struct sim_stream *stream, uint64_t sequence);
/* Whether commands are pending that read or write a range; `writes`: only those that write. */
bool sim_pending(const void *address, uint64_t bytes, bool writes);
/* Waits until no command is touching a range at this moment. */
void sim_wait_untouched(const void *address, uint64_t bytes);
/* A command of another stream that is in the way of one whose time has come: that was queued before it, or is running,
 * and writes what it reads or writes, or reads what it writes. NULL where events and waits have put them in order. */
const struct sim_op *sim_conflict(const struct sim_stream *stream, const struct sim_op *op);
void sim_close_streams(struct sim_context *context);

/* -- capture.c; all under the lock */

struct sim_capture {
    struct sim_capture *next;
    struct sim_context *context;
    struct sim_stream *origin; /* NULL: it has ended */
    pthread_t owner;
    int mode;
    bool invalid;
    uint64_t commands;
};

/* A call that may disturb captures: whether the thread may make it. If not, they are invalid from now on. */
int sim_capture_forbids(const struct sim_context *context);
/* A command for a stream: whether a capture takes it. */
int sim_capture_take(struct sim_stream *stream, bool *taken);
/* The same for a stream's wait for an event, which may make the stream part of a capture. */
int sim_capture_wait(struct sim_stream *stream, const struct sim_event *event, bool *taken);
/* What would wait for a stream, or an event: not for one that has only been captured. */
int sim_capture_stream_use(struct sim_stream *stream);
int sim_capture_event_use(struct sim_event *event);

/* -- command.c */

/* Does the work of a command whose time has come; under the lock, which it lets go while bytes move. */
int sim_execute(struct sim_stream *stream, struct sim_op *op);
/* How many bytes of a command cross which device's link; NULL: none. */
const struct sim_device *sim_link_of(const struct sim_stream *stream, const struct sim_op *op);
const struct sim_device *sim_device_of(const void *address);

/* -- order.c; all under the lock */

/* Gives a stream that is new its slot. */
void sim_order_join(struct sim_stream *stream);
/* A command is put at the end of its stream: notes what it is not in order with. */
void sim_order_queued(struct sim_stream *stream, const struct sim_op *op);
/* The host has seen that all of this is over. */
void sim_order_known(const struct sim_clock *clock);
/* What was done to a range has no consequences any more. */
void sim_order_forget(const void *address, uint64_t bytes);

/* -- sysfs.c */

void sim_sysfs_write(const struct sim_device *device, uint64_t used_bytes);

/* -- report.c */

/* Reports are of the process in which the engine started. */
void sim_report_begin(void);
/* From the handler of a fault: the host touched device memory. */
void sim_report_touch(const void *address);
/* A violation whose lock is held. */
void sim_note(enum sim_violation what, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
