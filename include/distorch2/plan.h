/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tier 2: which block goes where. Planning is a pure function of (devices, blocks, request): no I/O, no device
 * call, and the same answer every time. distorch2-allocation(7) has the grammar and the meaning of requests.
 */
#ifndef DISTORCH2_PLAN_H
#define DISTORCH2_PLAN_H

#include <distorch2/device.h>
#include <distorch2/file.h>

DT2_BEGIN_DECLS

/* -- Blocks ------------------------------------------------------------------------------------------- */

/*
 * A block: tensors that are placed together. `bytes` is their sum; `tensor_bytes` the size of each of the
 * `tensor_count`, since each is aligned by itself on a device. Without a list (tensor_count 0) the block is one
 * tensor of `bytes`. `tensors` are their indices in the file, and `tensor_names` their names there; both are NULL in
 * a list that belongs to no file. This struct never changes: programs pass arrays of it.
 */
struct dt2_block {
    const char *name;
    uint64_t bytes;
    const uint64_t *tensor_bytes;
    const size_t *tensors;
    size_t tensor_count;
    const char *const *tensor_names;
};

struct dt2_blocks; /* opaque: the blocks of one file in execution order, and what the file is */

/*
 * Groups a file's tensors into blocks (names that agree up to the last dot; what has no bytes goes with the
 * block before it), recognises the network from the names, and orders the blocks as the network uses them; the
 * file's own order where the network is not recognised (by name, numbers as numbers, where the file is sorted by text). What a recognised network does not read (a base model beside it,
 * an optimizer's state, a second copy) is in no block. The blocks stay valid after the file is freed.
 * Errors: DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_blocks_make(const struct dt2_file *file, struct dt2_blocks **blocks, struct dt2_error *err);
/* The same of all tensors: what the network does not read stands behind its blocks. */
DT2_PUBLIC int dt2_blocks_make_all(const struct dt2_file *file, struct dt2_blocks **blocks, struct dt2_error *err);

/*
 * Blocks of the caller's own making: of each of the `count` in `list`, in execution order, `name`, `tensors` and
 * `tensor_count` are looked at; what bytes they have the file knows. Tensors that no block lists are not loaded. A tensor
 * that is another name of one before it goes only with that one.
 * Errors: DT2_EUSAGE for a block without name or tensors, a wrong index, a tensor that is listed twice.
 */
DT2_PUBLIC int dt2_blocks_from(const struct dt2_file *file, const struct dt2_block *list, size_t count,
                               struct dt2_blocks **blocks, struct dt2_error *err);
/*
 * The same blocks, but those whose tensors the patterns of `place` (as in a request) send to different devices are cut into
 * one for each; a part that a pattern for tensors picks is called after its first tensor.
 * Errors: DT2_EUSAGE for a bad string, with a caret, and for blocks of another file.
 */
DT2_PUBLIC int dt2_blocks_cut(const struct dt2_blocks *blocks, const struct dt2_file *file, const char *place,
                              struct dt2_blocks **cut, struct dt2_error *err);
DT2_PUBLIC void dt2_blocks_free(struct dt2_blocks *blocks);
DT2_PUBLIC size_t dt2_blocks_count(const struct dt2_blocks *blocks);
/* The blocks as an array, in execution order, as dt2_plan_make() takes it. */
DT2_PUBLIC const struct dt2_block *dt2_blocks_array(const struct dt2_blocks *blocks);
/* How many tensors of the file are in no block; *bytes, which may be NULL, is how many bytes they have. */
DT2_PUBLIC size_t dt2_blocks_left_out(const struct dt2_blocks *blocks, uint64_t *bytes);
/* "sd1", "sd2", "sdxl", ...; NULL when unknown. */
DT2_PUBLIC const char *dt2_blocks_family(const struct dt2_blocks *blocks);
/* "cldm", ...; NULL when unknown: the blocks are then in file order. */
DT2_PUBLIC const char *dt2_blocks_variant(const struct dt2_blocks *blocks);
/* Whether the network takes further weights from the base model (a Control-LoRA, a model of differences). */
DT2_PUBLIC bool dt2_blocks_needs_base(const struct dt2_blocks *blocks);

/* What else names and shapes tell of a network. */
struct dt2_traits {
    bool needs_base;        /* as dt2_blocks_needs_base() */
    bool differences;       /* its weights are to be added to those of the base model */
    bool inpaint;           /* a mask is among the channels of its hint */
    uint64_t hint_channels; /* as the network takes them: of pixels, of a latent, of a latent's patches; 0: unknown */
    uint64_t union_types;   /* how many kinds of hints a union model takes; 0: it is none */
};
/* Valid as long as the blocks are. */
DT2_PUBLIC const struct dt2_traits *dt2_blocks_traits(const struct dt2_blocks *blocks);

/* -- Requests ----------------------------------------------------------------------------------------- */

/*
 * A size for one budget. `name` is a device's, in any spelling that dt2_devices_find() knows, or the budget's
 * own ("cgroup").
 */
struct dt2_limit {
    const char *name;
    uint64_t bytes;
};

/*
 * Asks the program around us to free memory: the budget `device` ("cuda:0", "cpu", "cgroup") is short by
 * `bytes`. Returns the number of bytes that it expects to have freed; unless that is 0, free memory is then
 * looked at once more, and it is called again for another budget that is short, and for the same one as long as
 * that is short by less each time. Called by dt2_model_load() alone, on its thread, before anything is
 * ejected or allocated. It may unload models of the context, and must not load or plan in it: no other load is
 * let in meanwhile.
 */
typedef uint64_t dt2_release_fn(void *data, const char *device, uint64_t bytes);

/* What a request asks for beside its numbers. */
enum dt2_request_flag {
    /* What does not fit is not refused where a request near to it does: that is taken, and the plan's warnings tell what was changed. */
    DT2_REQUEST_FIT = 1,
    /*
     * The placement is chosen: within the budgets the one with the least predicted stall a pass, then the least load time, then
     * the fewest runs. Where virtual VRAM is asked for, at least that leaves the compute device. Without a donor_device all
     * devices are donors, the quickest first. With an allocation string it is DT2_EUSAGE.
     */
    DT2_REQUEST_AUTO = 2,
};

/* Whether what a load puts into host memory lies there once for all processes of the user that load the same file. */
enum dt2_share_mode {
    DT2_SHARE_NONE, /* no: memory of its own */
    DT2_SHARE_NODE, /* where that can be; else it is loaded as ever, and a warning of the plan says why */
    DT2_SHARE_ONLY, /* where it cannot be the load fails with DT2_EFAILED */
};

/*
 * Asks the program around us how many bytes the budget `device` has free, as it knows it: with what its own allocator
 * keeps and would give up, or without what it needs for itself. `free_bytes` is what driver or kernel say, DT2_UNKNOWN
 * where they do not. Returns the bytes to plan with; DT2_UNKNOWN: those that were told. What is above `free_bytes` is
 * planned with, and a load that takes of it asks dt2_release_fn for it first; it is refused with DT2_ENOFIT while driver or
 * kernel do not have it. Called on the thread of the call that plans or loads, perhaps several times in it, with the same
 * restrictions as dt2_release_fn; it is to be quick, and to answer the same as long as nothing was freed.
 */
typedef uint64_t dt2_available_fn(void *data, const char *device, uint64_t free_bytes);

/*
 * What is wanted. With the model itself, the first five after struct_size are the inputs of ComfyUI's node. Start
 * from DT2_REQUEST_INIT, which sets its defaults. All that it points to is the caller's, and must live during the
 * call. Devices may be named in any spelling that dt2_devices_find() knows.
 */
struct dt2_request {
    size_t struct_size;
    const char *compute_device;          /* NULL: the first GPU, else "cpu" */
    uint64_t virtual_vram_bytes; /* to keep off the compute device; at most 128 GiB. DT2_UNKNOWN: the node's 4 GiB, not asked for */
    const char *donor_device;            /* device names separated by ','; NULL: "cpu" */
    const char *expert_mode_allocations; /* NULL or blank: virtual VRAM alone decides */
    bool eject_models;                   /* unload what has bytes on the compute device first: dt2_model_load() */
    bool pack;                           /* fill gaps in quotas with blocks of the share that absorbs */
    const struct dt2_limit *reserves;    /* bytes to leave free; others keep their defaults */
    size_t reserve_count;
    const struct dt2_limit *budgets; /* bytes that this load may use outright, whatever is free */
    size_t budget_count;
    dt2_release_fn *release; /* may be NULL */
    void *release_data;
    /* Bytes that will be free by then, of budgets by their own names: of what will be ejected. For dt2_plan_make();
     * dt2_model_load() and dt2_model_plan() know that themselves. */
    const struct dt2_limit *credits;
    size_t credit_count;
    /*
     * "PATTERN=DEVICE;...": blocks that go to a device whatever else the request says, counted in its quota and budgets. A
     * pattern ("*": any text, "?": any character) is one for names of blocks or of their tensors; the first that matches
     * counts, and one that matches nothing is a warning. Tensors of one block that would go to different devices are
     * DT2_EUSAGE: dt2_blocks_cut() takes them apart. NULL or blank: none.
     */
    const char *place;
    /*
     * Of each tensor, on its device and in windows: its first byte lies at a multiple of alignment_bytes (a power of two, at most
     * 65536; less than the device's own is that; in windows from the window's beginning on), and padding_bytes behind it belong
     * to no other tensor and may be read; what they hold is not said. Both are charged. 0: none.
     */
    uint64_t alignment_bytes;
    uint64_t padding_bytes;
    /* Blocks are used where they lie: no window on the compute device, and no sessions. */
    bool resident;
    dt2_available_fn *available; /* may be NULL: what drivers and kernel say */
    void *available_data;
    uint64_t flags; /* of enum dt2_request_flag, or-ed together */
    /*
     * Host shares that other processes of the user have loaded of this file, as it is now, in this dtype and in these blocks, are
     * used where they lie, and what is missing there is filled for all: memory and reading are paid once. What is shared can only be read:
     * writing to it ends the program with SIGSEGV. It is there until its last user unloads it or ends. It is charged to who fills it.
     * Within one PID namespace, and one job of a scheduler unless the environment's DISTORCH2_SHARE_SCOPE is "user".
     */
    enum dt2_share_mode share;
    uint64_t window_bytes; /* of the window for streaming; at least the largest block that streams. 0: twice that */
    uint64_t step_ns;      /* that a pass computes, for predictions; DT2_UNKNOWN: as sessions learnt it, or estimated */
};
#define DT2_REQUEST_INIT                                                                                              \
    {                                                                                                                 \
        sizeof(struct dt2_request), NULL, DT2_UNKNOWN, NULL, NULL, true, false, NULL, 0, NULL, 0, NULL, NULL,         \
            NULL, 0, NULL, 0, 0, false, NULL, NULL, 0, DT2_SHARE_NONE, 0, DT2_UNKNOWN                                 \
    }

/* -- Plans -------------------------------------------------------------------------------------------- */

struct dt2_plan; /* opaque, immutable */

/* What one device gets. Names and lists belong to the plan. */
struct dt2_share {
    const char *device;   /* as it is listed; "cpu" on several NUMA nodes is one share for each node */
    uint64_t quota_bytes; /* what it was to get at most; DT2_UNKNOWN for a wildcard */
    uint64_t bytes;       /* of the tensors placed here */
    uint64_t cost_bytes;  /* what that takes: alignment, fixed cost, the compute device's streaming window */
    bool absorbs;         /* takes what the other shares leave, perhaps above its quota */
    const size_t *blocks; /* indices, ascending: execution order */
    size_t block_count;
    /*
     * Into how many runs of consecutive blocks it falls: 0 when it is empty, else 1, or more where blocks were
     * packed, and in virtual VRAM, where small blocks from all over the model stay on the compute device.
     */
    size_t runs;
    /* Predicted: seconds from the beginning of a load to its last byte here, of a file that is in the page cache, and of one
     * that is not. Below 0: nobody has said. */
    double load_seconds;
    double load_cold_seconds;
    double stream_gbps; /* predicted: at which its blocks come to the compute device. Below 0: they do not, or nobody has said */
    uint64_t reserve_bytes; /* that stay free in the budget of the device's own name */
};

/*
 * What a plan will cost, as far as it can be known beforehand; dt2_devices_list() with DT2_DEVICES_MEASURE has it known better.
 * Passes are gone through block by block with the rules by which sessions fetch, each block computing for as large a part of
 * step_ns as it is of the model.
 */
struct dt2_prediction {
    double load_seconds;      /* of a file that is in the page cache */
    double load_cold_seconds; /* of one that is not */
    uint64_t streamed_bytes;  /* a pass */
    double transfer_seconds;  /* a pass: the time in which they are on their way */
    double compute_seconds;   /* a pass */
    double stall_seconds;     /* a pass: that computing waits for them */
    bool compute_estimated;   /* nobody said what a pass computes */
    bool assumed;             /* speeds that were neither measured nor told by the machine play a part */
    bool whole;               /* passes were gone through; else, for models of very many blocks, it is what cannot hide */
    double start_seconds;     /* before load_seconds, once in a process: devices are found, and drivers start. 0: nobody has measured it */
    int64_t learnt_at;        /* seconds since 1970: sessions measured then what a pass computes. 0: it was said, or estimated */
};

/*
 * Makes a plan for `blocks`, an array of `count` in execution order, on `devices`. `request` may be NULL: the
 * defaults. The plan keeps copies of the names it needs; `devices`, `blocks` and `request` may be freed before
 * it. Free it with dt2_plan_free(). eject_models and release play no part here.
 * Errors: DT2_EUSAGE for a bad allocation string, with a caret under the offending character, a value out of
 * range, a block whose tensors do not sum to its bytes, or a struct_size below that of the first version; DT2_ENOENT for a device that does not exist (in a
 * string with the caret too); DT2_ENOFIT naming every budget that is short and by how many bytes, or the tensor that is above its
 * device's largest allocation; the suggestion is the request nearest to it that was planned and fits: the next amount of virtual
 * VRAM in steps of 0.01 GiB, or the string that moves the fewest bytes; or that nothing on this machine fits.
 */
DT2_PUBLIC int dt2_plan_make(const struct dt2_devices *devices, const struct dt2_block *blocks, size_t count,
                             const struct dt2_request *request, struct dt2_plan **plan, struct dt2_error *err);
DT2_PUBLIC void dt2_plan_free(struct dt2_plan *plan);

/*
 * Whether the plan can be one for `file`: the tensors of its blocks are there, with their names and bytes; or, of blocks
 * that list no tensors, their bytes are the file's. Errors: DT2_EUSAGE naming file and block.
 */
DT2_PUBLIC int dt2_plan_check(const struct dt2_plan *plan, const struct dt2_file *file, struct dt2_error *err);

/* Shares in the order of the request, devices without bytes included. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_plan_share_count(const struct dt2_plan *plan);
DT2_PUBLIC const struct dt2_share *dt2_plan_share(const struct dt2_plan *plan, size_t index);
/* The name under which the device that computes is listed; it need not have a share. */
DT2_PUBLIC const char *dt2_plan_compute_device(const struct dt2_plan *plan);
/* Bytes of the window on the compute device through which blocks on donors will stream; 0: nothing streams. */
DT2_PUBLIC uint64_t dt2_plan_window_bytes(const struct dt2_plan *plan);
/* What was predicted when it was made; valid as long as the plan. NULL: nothing was. */
DT2_PUBLIC const struct dt2_prediction *dt2_plan_prediction(const struct dt2_plan *plan);
/* The index of the share that holds block `block`; SIZE_MAX for a wrong index. */
DT2_PUBLIC size_t dt2_plan_block_share(const struct dt2_plan *plan, size_t block);
/*
 * What the plan has to say, a sentence each: shares that stay short, numbers that were assumed, what was asked for and
 * is not used. NULL for a wrong index.
 */
DT2_PUBLIC size_t dt2_plan_warning_count(const struct dt2_plan *plan);
DT2_PUBLIC const char *dt2_plan_warning(const struct dt2_plan *plan, size_t index);

/*
 * The plan as a JSON document: "model", "request", "fitted", "compute_device", "window_bytes", "shares",
 * "devices", "prediction", "warnings".
 * `file` supplies "model" and may be NULL (then null). NULL without memory, and for a file that
 * dt2_plan_check() refuses. Free with dt2_text_free().
 */
DT2_PUBLIC char *dt2_plan_json(const struct dt2_plan *plan, const struct dt2_file *file);

/*
 * Reads a plan from the JSON that dt2_plan_json() wrote of a file, for dt2_model_load_plan(): the same shares of the same blocks, and
 * what of its request counts then. `text` holds `length` bytes, and need not end with NUL. Devices are looked at when it is loaded:
 * then all must be those for which it was made, by address, UUID, model and size.
 * Errors: DT2_EFAILED with the key and what was expected there, or with line and column when it is no JSON; DT2_EUSAGE for another
 * file or other blocks, naming all in which they differ; DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_plan_parse(const char *text, size_t length, const struct dt2_file *file, const struct dt2_blocks *blocks,
                              struct dt2_plan **plan, struct dt2_error *err);

DT2_END_DECLS
#endif
