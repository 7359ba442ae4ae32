/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A session from the inside.
 *
 *   layout of the network    units.c     which blocks stream, as units, and how each lies in the window
 *   what comes next, where   src/ahead   the order in which units are expected, and places in the window
 *   how it gets there        route.c     from each share's device to the compute device
 *   who fetches it           prefetch.c  the thread; prefetch_place.c gives places, prefetch_make.c makes and gives back
 *                                        window, staging, routes and thread as one
 *   who may touch it when    acquire.c   acquire and release; passes.c counts; session.c opens, parks and closes
 */
#ifndef DT2_STREAM_STREAM_H
#define DT2_STREAM_STREAM_H

#include "ahead/ahead.h"
#include "base/warnings.h"
#include "load/pins.h"
#include "load/staging.h"
#include "load/storage.h"
#include "stream/gather.h"
#include <distorch2/session.h>
#include <pthread.h>
#include <stdatomic.h>

/* -- units ---------------------------------------------------------------------------------------------- */

/* Bytes that lie together on their donor and in the window: one transfer. */
struct dt2_stretch {
    uint32_t slab;      /* of the share */
    uint64_t source;    /* offset in the slab */
    uint64_t target;    /* offset in the unit */
    uint64_t bytes;
};

enum dt2_unit_state {
    DT2_UNIT_ABSENT,
    DT2_UNIT_COMING, /* it has a place in the window, and copies are being queued */
    DT2_UNIT_HERE,   /* all copies are queued; `arrival` says when they are done */
};

/* A block that streams or may come to, or several small ones, one after the other, that stream as one. */
struct dt2_unit {
    size_t block; /* the first */
    uint64_t payload; /* bytes of its blocks */
    unsigned blocks;
    unsigned visited; /* blocks that were acquired since the network came to it */
    uint32_t share;
    struct dt2_slab *movable; /* of the compute device's share: where it lies while it is used in place, or was evicted from; else NULL */
    uint64_t bytes; /* in the window, a multiple of the alignment */
    size_t first_stretch;
    size_t stretch_count;

    enum dt2_unit_state state;
    uint64_t offset;    /* in the window */
    dt2_handle arrival; /* on the queue of copies; 0: the host has waited for it, or wrote the bytes itself */
    bool there;         /* the arrival is known to be over */
    dt2_handle reader;  /* on the caller's stream: the last one that read it; 0: none */
    uint64_t turn;      /* of that reader: each comes after all with a lower one, since streams follow one another */
    size_t holders;
    size_t waiters;
    size_t owed; /* of the holders, those that were let go while the stream captured a graph */
    bool wanted; /* fetched ahead, and not acquired since; or not for all its blocks */
    bool asked;  /* somebody waits for it, and it is in the list of those asked for */
    unsigned failures;
};

/* Where a unit's bytes lie, for dt2_storage_at(). They move only while the session's lock is held and nothing is under way. */
static inline uint32_t dt2_unit_at(const struct dt2_unit *unit)
{
    return unit->movable ? unit->movable->at : unit->share;
}
/* Whether a unit comes through the window. From any thread; it stays so while the unit is held, or the session's lock. */
static inline bool dt2_unit_streams(const struct dt2_unit *unit)
{
    return !unit->movable || !dt2_slab_is_home(unit->movable);
}

/* What of a network streams or may come to, and how it lies in the window. The last four change when slabs move. */
struct dt2_units {
    struct dt2_unit *units;
    size_t count;
    struct dt2_stretch *stretches;
    size_t stretch_count;
    size_t *first;      /* of each block, and one more: where its list of units begins in `lists` */
    size_t *lists;      /* a block whose tensors are names of another block's needs that one too */
    size_t *of_tensor;  /* the unit that holds a tensor's bytes; DT2_NOWHERE: it never streams */
    uint64_t *offsets;  /* of each tensor in its unit */
    size_t streaming;   /* units that stream */
    size_t blocks;      /* of these */
    uint64_t largest;   /* of these */
    uint64_t pass_bytes;
};
struct dt2_model;
/* Errors: DT2_ENOMEM; DT2_ENOFIT for a unit above `most`, the largest allocation of the compute device. */
int dt2_units_make(const struct dt2_model *model, uint64_t alignment, uint64_t most, struct dt2_units *units,
                   struct dt2_error *err);
void dt2_units_clear(struct dt2_units *units);
/* Looks again at which units stream. */
void dt2_units_count(struct dt2_units *units);

/* -- routes --------------------------------------------------------------------------------------------- */

enum dt2_route_kind {
    DT2_ROUTE_NONE,   /* nothing streams from here */
    DT2_ROUTE_DIRECT, /* the compute device copies from the share's address */
    DT2_ROUTE_PEER,   /* the compute device copies from the donor */
    DT2_ROUTE_READ,   /* the donor copies to the window's address */
    DT2_ROUTE_GATHER, /* the host copies from the share's address to staging, the compute device from there */
    DT2_ROUTE_RELAY,  /* the donor copies to staging, the compute device from there */
    DT2_ROUTE_FILE,   /* the host reads the model's file, to staging or to the window */
};

/* What one slab of a donor has, beyond its buffer, while a session runs. */
struct dt2_source {
    const char *address; /* where the host may read it; NULL: nowhere */
    bool mapped;         /* by this session */
};

/* The way from one place where slabs lie, by their `at`. */
struct dt2_route {
    enum dt2_route_kind kind;
    const struct dt2_opened *donor; /* NULL: the file */
    dt2_handle queue;           /* the donor's; 0 when it copies nothing */
    size_t slots_pinned;        /* of the staging slots, for the donor too */
    size_t window_pinned;       /* of the window's slabs, for the donor, where the host computes */
};

/* A piece on its way: between the first leg of its route and the second. */
struct dt2_flight {
    size_t unit;
    struct dt2_route *route;
    struct dt2_slot *slot; /* NULL: there is no second leg */
    dt2_handle event;      /* of the first leg; 0: it is done */
    uint64_t offset;       /* in the window */
    uint64_t bytes;
    bool last; /* of its unit */
};

/* -- the prefetch --------------------------------------------------------------------------------------- */

#define DT2_FLIGHTS_MOST 4

/* All that a session has on devices, and the thread that fetches. It exists unless the session is parked. */
struct dt2_prefetch {
    struct dt2_store window; /* its device is the compute device */
    struct dt2_backend_native *natives; /* of the window's slabs */
    struct dt2_staging staging; /* the queue of copies, with slots when some route needs them */
    struct dt2_route *routes; /* by `at` of slabs: of shares, refuge and file */
    struct dt2_source **sources; /* by share and slab: of slabs from which bytes come */
    struct dt2_gatherers gatherers;
    uint64_t charged_bytes; /* that the model counts for this window */
    bool outgrown; /* the window is too small or too large for what streams now, and empty */
    bool running;
    bool stop;
    bool ended;  /* the thread has left since the program is ending */
    bool shaken; /* copies failed after they had been queued: the thread is to begin anew */
    bool halted; /* fetching ahead failed: only what is asked for is fetched, until the next acquire */
    pthread_t thread;

    /* the thread's own */
    size_t current; /* the unit whose pieces are being sent; DT2_NOWHERE: none */
    struct dt2_part *parts; /* of its place, in the order in which they can be written */
    size_t part_count;
    size_t part;   /* the one whose pieces are being sent */
    uint64_t at;   /* in the unit: what comes next of that part */
    size_t waited; /* parts whose readers the queue of copies waits for */
    uint64_t followed; /* the queue of copies waits for all readers up to this turn */
    struct dt2_flight flights[DT2_FLIGHTS_MOST]; /* the oldest first */
    size_t flight_count;
    size_t *landing; /* units whose arrival the host waits for, the oldest first */
    size_t landing_count;
};

/* Of the host's memory: as long as the session, also while it is parked. */
struct dt2_session_pins {
    struct dt2_pinning **of; /* by share; NULL: it gains nothing by it */
    uint64_t budget;
    uint64_t budget_of_all; /* what may be pinned of all models together */
    pthread_t thread; /* that pins while passes run, as long as there is something to pin */
    bool running;
    atomic_bool stop;
};

struct dt2_session {
    struct dt2_session *next; /* that is open on the model; under its `lives` */
    struct dt2_model *model; /* borrowed, and referenced */
    struct dt2_session_options options;
    struct dt2_opened *compute;
    size_t own; /* dt2_plan_own_share() */
    struct dt2_units units;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* for the thread */
    pthread_cond_t changed; /* for those who wait for a unit */
    struct dt2_order order;
    struct dt2_window places;
    size_t latest; /* unit that was acquired */
    size_t reached; /* unit where the network is; DT2_NOWHERE: not begun */
    size_t entered; /* the block for which it came there */
    _Atomic unsigned *held; /* how often each block is */
    size_t *asked; /* units, in the order in which somebody began to wait */
    size_t asked_count;
    bool parked;
    struct dt2_prefetch prefetch;
    struct dt2_stream *streams; /* of the caller; the last used first */
    size_t stream_count;
    size_t stream_capacity;
    uint64_t turns; /* readers that were recorded */
    size_t owed;    /* of all units */
    struct dt2_error failure; /* the last one of a unit */
    struct dt2_session_stats total;
    struct dt2_session_stats begin; /* `total` when this pass began */
    struct dt2_session_stats last;
    uint64_t turned_ns;    /* when this pass began; 0: the first */
    uint64_t least_ns;     /* that a pass took without what it waited */
    unsigned timed;        /* passes that say so */
    uint64_t staging_bytes;
    struct dt2_session_pins pins;
    struct dt2_warnings warnings; /* under the lock */
};

/* A queue of the caller's. */
struct dt2_stream {
    void *native;
    dt2_handle queue;
};

/* Has later plans know what a pass computes, where this session saw enough of them. */
void dt2_session_teach(const struct dt2_session *session);
/* What was counted between two moments. */
struct dt2_session_stats dt2_session_since(const struct dt2_session_stats *now, const struct dt2_session_stats *begin);

/*
 * One more hold on a tensor of a block that is held, which is no step of the network; *held is the session then, and stays as
 * it was for a tensor that is used where it lies. Errors: DT2_EUSAGE when the block is not held.
 */
int dt2_session_hold(struct dt2_session *session, size_t tensor, struct dt2_session **held, struct dt2_error *err);
void dt2_session_let_go(struct dt2_session *session, size_t tensor);

/* A warning of the session's: from any thread, without the lock. Errors: DT2_ENOMEM. */
int dt2_session_say(struct dt2_session *session, struct dt2_error *err, const char *format, ...) DT2_PRINTF(3, 4);

/* The network has come to a unit for a block: what was expected in between is not any more. The lock is held. */
void dt2_session_reach(struct dt2_session *session, size_t index, size_t block);

/* Lets go again what could not be released, or held off, while a stream captured. The lock is held. */
void dt2_session_pay(struct dt2_session *session);

/*
 * Window and transport (staging, routes, thread) are made, and given back, by who holds the model's `lives`; the session's lock is
 * not held, but where it is said. Clearing is fine on what is not there.
 */

/* Says how large the window is to be, for what streams now. The lock is held, and there is none. Errors: DT2_EUSAGE, DT2_ENOFIT. */
int dt2_prefetch_fit(struct dt2_session *session, struct dt2_error *err);
/* Takes the window if there is none, and the transport; begins to fetch. On failure nothing of the transport stays. */
int dt2_prefetch_make(struct dt2_session *session, struct dt2_error *err);
/* Ends the transport after all that is on its way; units that are in the window stay there, and go on to be held. */
void dt2_prefetch_freeze(struct dt2_session *session);
/*
 * While it is frozen, after slabs moved, with the lock held: looks again at what streams, and what window that wants. Then, without
 * it, has all go on; on failure the session is parked. What is held in the window keeps it as it is.
 */
int dt2_prefetch_look_again(struct dt2_session *session, struct dt2_error *err);
int dt2_prefetch_thaw(struct dt2_session *session, struct dt2_error *err);
/* Whether the window stays as it is since something in it is held. The lock is held. */
bool dt2_prefetch_keeps_window(const struct dt2_session *session);
/* The window's bytes if units up to `largest` bytes streamed. The lock is held. */
uint64_t dt2_prefetch_window_after(const struct dt2_session *session, uint64_t largest, bool evicted);
/* Waits for copies and readers, and gives all back. */
void dt2_prefetch_clear(struct dt2_session *session);

/* Has a unit fetched before all that is fetched ahead. The lock is held. */
void dt2_prefetch_ask(struct dt2_session *session, size_t index);
/* What is fetched for later is looked at afresh. The lock is held. */
void dt2_prefetch_rewind(struct dt2_session *session);
/* Takes a unit out of the window after its last reader has run. The lock is held, and nobody holds the unit. */
void dt2_prefetch_drop(struct dt2_session *session, size_t index);
/* Wakes the thread if there is something for it to do: a wake costs more than an acquire. The lock is held. */
void dt2_prefetch_wake(struct dt2_session *session);

/* -- pinning.c: without the session's lock */

/* Pins the shares that gain by it as the options say: now, or from now on. What cannot be pinned is a warning. */
int dt2_session_pin(struct dt2_session *session, struct dt2_error *err);
/* Nothing more is pinned; what is stays. */
void dt2_session_pin_stop(struct dt2_session *session);
/* Gives all of it back. */
void dt2_session_unpin(struct dt2_session *session);
uint64_t dt2_session_pinned(const struct dt2_session *session);
/* The window for donors' copies to it, where the host computes. */
int dt2_session_pin_window(struct dt2_session *session, struct dt2_error *err);
void dt2_session_unpin_window(struct dt2_session *session, struct dt2_route *route);

/* The routes of a session's shares to its window. Errors: of drivers. */
int dt2_routes_make(struct dt2_session *session, struct dt2_error *err);
void dt2_routes_clear(struct dt2_session *session);
/* Whether some share goes through staging memory. */
bool dt2_routes_stage(const struct dt2_session *session);
/* Whether drivers of other makers than the compute device's use the slots. */
bool dt2_routes_share_slots(const struct dt2_session *session);
/* Pins the staging slots for those drivers; one that cannot is worth a warning. Errors: DT2_ENOMEM. */
int dt2_routes_pin_slots(struct dt2_session *session, struct dt2_error *err);

/*
 * Sends the first leg of a piece, or of its beginning, and fills `flight` (route, slot, event, offset, bytes).
 * Returns 1 when there is nothing more to do for the piece, 0 when a second leg or a wait is owed. Called by the thread.
 */
int dt2_route_begin(struct dt2_session *session, const struct dt2_unit *unit, const struct dt2_stretch *piece,
                    struct dt2_flight *flight, struct dt2_error *err);
/* Waits for the first leg and sends the second. `lost`: only waits, and returns the slot. */
int dt2_route_finish(struct dt2_session *session, struct dt2_flight *flight, bool lost, struct dt2_error *err);

/* The queue of the caller's stream; 0: the session has none. */
static inline dt2_handle dt2_session_queue(const struct dt2_session *session)
{
    return session->stream_count ? session->streams[0].queue : 0;
}

#endif
