/* SPDX-License-Identifier: BSD-3-Clause */
/* Contexts and models from the inside. */
#ifndef DT2_MODEL_MODEL_H
#define DT2_MODEL_MODEL_H

#include "base/fork.h"
#include "base/log.h"
#include "base/sized.h"
#include "load/load.h"
#include "load/pins.h"
#include "load/sharing.h"
#include "load/storage.h"
#include "machine/machine.h"
#include "plan/blocks.h"
#include "plan/kept.h"
#include "plan/plan.h"
#include "share/ledger.h"
#include <distorch2/model.h>
#include <pthread.h>
#include <stdatomic.h>

enum dt2_model_state {
    DT2_MODEL_LOADING,   /* memory is allocated, bytes are arriving */
    DT2_MODEL_LOADED,
    DT2_MODEL_UNLOADING, /* somebody gives its memory back, or waits for borrowers to do so */
    DT2_MODEL_UNLOADED,
};

/* A file's table of tensors, kept without the file. */
struct dt2_table {
    struct dt2_tensor *tensors;
    size_t count;
    uint64_t *shapes;
    char *text; /* names and paths */
    struct dt2_name *names; /* sorted */
    struct dt2_home {
        size_t tensor;
        uint64_t offset;
    } *homes; /* see dt2_file_home() */
};
int dt2_table_copy(const struct dt2_file *file, struct dt2_table *table, struct dt2_error *err);
void dt2_table_clear(struct dt2_table *table);
int dt2_table_find(const struct dt2_table *table, const char *name, size_t *index, struct dt2_error *err);

struct dt2_model {
    _Atomic unsigned references;
    unsigned generation; /* of the process that loaded it */
    _Atomic unsigned sessions; /* that are open */
    struct dt2_context *context; /* until it is unloaded */
    char *name;
    char *path;
    struct dt2_table table;
    struct dt2_kept_blocks blocks;
    size_t *owners; /* of each tensor: its block; SIZE_MAX: it is in none */
    struct dt2_plan *plan;
    struct dt2_layout layout;
    struct dt2_storage storage;
    struct dt2_sharing *sharing; /* of its host shares with other processes; NULL: none is */
    char *not_shared;            /* why not, where it was asked for */
    struct dt2_pins pins; /* of the storage's memory, by sessions */
    struct dt2_lane_progress *lanes; /* by share */
    struct dt2_activity *activities; /* of its load, by share */
    bool cold; /* most of its file was not in the page cache when it was laid out, for which it is read, too */
    struct dt2_model_stats stats;
    struct dt2_device_stats *device_stats; /* that they point to */
    _Atomic uint64_t window_bytes; /* on the compute device, that its sessions have taken */
    struct dt2_file *file; /* that it was loaded from, while it is loaded: what is evicted may have no other place */
    _Atomic unsigned exports; /* DLPack structures: each borrows the model, and holds its slab by itself */

    pthread_mutex_t lives; /* held by who opens, parks or closes a session, and who moves slabs; taken before all other locks */
    struct dt2_session *first_session; /* open on it, linked by `next` */
    pthread_rwlock_t whereabouts; /* of slabs; written by who moves them, after the locks of all sessions */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    enum dt2_model_state state;
    size_t borrowers;
};

struct dt2_context {
    unsigned generation; /* of the process that made it */
    struct dt2_log log;
    struct dt2_machine *machine;
    pthread_mutex_t admission; /* one load at a time decides, ejects and allocates; taken before `lock` */
    pthread_mutex_t lock;      /* guards the registry, and what was kept */
    struct dt2_model **models; /* from LOADING to UNLOADING, in order; each holds a reference */
    size_t count;
    size_t capacity;
    _Atomic uint64_t pinned_bytes; /* of host memory, of all models */
    struct dt2_devices *kept;  /* what was measured and learnt of this machine before, once it was read */
    bool kept_read;
};

/* Keeps for later plans how long a pass of a network computes on a device, where what was measured is kept. */
void dt2_context_learn(struct dt2_context *context, const char *device, const char *network, uint64_t step_ns);

/* A model in state LOADING that owns nothing on devices yet, with one reference. */
int dt2_model_create(struct dt2_context *context, const struct dt2_file *file, const struct dt2_blocks *blocks,
                     const char *name, struct dt2_model **model, struct dt2_error *err);
extern const struct dt2_sized dt2_sized_native;
/* Keeps the model's blocks, once it has its table. */
int dt2_model_keep_blocks(struct dt2_model *model, const struct dt2_blocks *blocks, struct dt2_error *err);
/* One more borrow for who has one: granted also while somebody waits for borrowers, to unload the model. */
int dt2_model_borrow_again(struct dt2_model *model, struct dt2_error *err);
/*
 * The same while one looks where slabs lie, which do not move meanwhile. Short: who moves them waits. Each success is owed a leave.
 */
int dt2_model_visit(struct dt2_model *model, struct dt2_error *err);
void dt2_model_leave(struct dt2_model *model);
/* The name of what holds a slab, by its `at`: a device, or "file". */
const char *dt2_model_device_at(const struct dt2_model *model, size_t at);
/* Unloads a model whose context ends: waits for its borrowers, and says so in the log after a second. */
void dt2_model_unload_at_last(struct dt2_model *model, const struct dt2_log *log);
/* Gives the model's memory back and leaves the registry. The state must be UNLOADING; it becomes UNLOADED. */
void dt2_model_release(struct dt2_model *model);

int dt2_registry_add(struct dt2_context *context, struct dt2_model *model, struct dt2_error *err);

/*
 * The machine's devices with what this context's models hold taken off. Flags as dt2_devices_list(). Of drivers that are not
 * open yet, only those that are wanted are opened (NULL: all).
 */
int dt2_context_devices(struct dt2_context *context, unsigned flags, const struct dt2_wanted *wanted,
                        struct dt2_devices **devices, struct dt2_error *err);

/* Takes bytes off what a budget has free, and off its device's. */
void dt2_budget_take(struct dt2_devices *devices, size_t index, uint64_t bytes);

/* Whether a byte on the device is charged to the budget. */
bool dt2_charged_to(const struct dt2_devices *devices, const char *device, const char *budget);

/* What asks to be let in: blocks as a request has them, or as a plan has that was made before. */
struct dt2_applicant {
    const struct dt2_blocks *blocks;
    const struct dt2_request *request; /* NULL: the defaults */
    const struct dt2_plan *plan;       /* NULL: the request decides */
    const struct dt2_load_options *options;
    const struct dt2_file *file;       /* of a load */
    struct dt2_ledger *ledger; /* of a load; NULL: it is only planned */
    enum dt2_share_mode share;
    const struct dt2_sharing *sharing; /* of a load whose turn it is; NULL: nothing is shared */
};

/* Memory that the caller gave: whether it is named well, what budgets it adds to, and as the slabs of a device's store. */
int dt2_memory_check(const struct dt2_load_options *options, const struct dt2_devices *devices, struct dt2_error *err);
void dt2_memory_credit(const struct dt2_load_options *options, const struct dt2_devices *devices,
                       struct dt2_limit *credits, size_t count);
int dt2_memory_adopt(const struct dt2_load_options *options, const char *device, struct dt2_store *store,
                     struct dt2_layout_rules *rules, struct dt2_error *err);
/* Moves the tensors of an allocated model to the alignment that was asked for, where a device's own is less. */
int dt2_memory_align(struct dt2_model *model, struct dt2_error *err);

/* Whether the caller gave memory on a device. */
bool dt2_memory_given(const struct dt2_load_options *options, const char *device);

/*
 * Sharing host shares with other processes (load/sharing.h). What cannot be shared is loaded without, and that is noted, unless the
 * request says otherwise. First the way is opened; then, in its turn (DT2_SHARED_BUSY: somebody else's it is), the room is entered,
 * before the context's admission, and left when the model is filled, or not admitted.
 */
int dt2_model_share(struct dt2_model *model, const struct dt2_file *file, struct dt2_applicant *applicant, struct dt2_error *err);
int dt2_model_share_enter(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err);
void dt2_model_share_leave(struct dt2_model *model);
/* Waits a moment for who fills, which is told as progress. Errors: DT2_ECANCELLED. */
int dt2_model_share_wait(struct dt2_model *model, const struct dt2_applicant *applicant, unsigned moment, struct dt2_error *err);
#define DT2_MOMENT_MS 20
#define DT2_TICK_MOMENTS 5 /* from one report to the next */
/* What is there already, as memory that the load need not take: added to credits; and of one share of a plan. */
void dt2_sharing_credit(const struct dt2_applicant *applicant, const struct dt2_devices *devices, struct dt2_limit *credits,
                        size_t count);
uint64_t dt2_sharing_there(const struct dt2_applicant *applicant, const struct dt2_plan *plan, size_t share);
/* Joins the users of the segment, and says of each share where its blocks lie: rules[i].fixed, to be released. */
int dt2_model_share_fix(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_layout_rules *rules,
                        struct dt2_error *err);
/* Notes what is not shared; fails where it must be. */
int dt2_model_share_say(struct dt2_model *model, const struct dt2_applicant *applicant, struct dt2_error *err);
void dt2_model_share_count(struct dt2_model *model); /* in its statistics */

/* The drivers that a request needs. Without a compute device any may have the first GPU. Errors: DT2_ENOMEM. */
int dt2_request_wanted(const struct dt2_request *request, struct dt2_wanted *wanted, struct dt2_error *err);

/* What a load would do: the plan, and the models that go first, each with a reference. */
struct dt2_admission {
    struct dt2_plan *plan;
    struct dt2_model **eject;
    size_t eject_count;
    bool waits; /* others promised to take memory */
};
/*
 * Decides; the caller holds context->admission. Nothing is touched but what request->release frees. A load promises what it will
 * take of host memory (share/ledger.h). DT2_ADMISSION_AGAIN: it would fit but for what other processes promised and have not taken
 * yet; look again in a moment.
 */
#define DT2_ADMISSION_AGAIN 1
int dt2_admission_make(struct dt2_context *context, const struct dt2_applicant *applicant, struct dt2_admission *admission,
                       struct dt2_error *err);
/* Unloads the models of the admission, all or none of them. Errors: DT2_EBUSY when one was borrowed meanwhile. */
int dt2_admission_eject(struct dt2_admission *admission, struct dt2_error *err);
void dt2_admission_clear(struct dt2_admission *admission);

#endif
