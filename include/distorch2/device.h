/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices: every memory of the machine that can hold tensors, as a snapshot. */
#ifndef DISTORCH2_DEVICE_H
#define DISTORCH2_DEVICE_H

#include <distorch2/error.h>

DT2_BEGIN_DECLS

struct dt2_context;
struct dt2_devices; /* opaque: a snapshot, immutable once made */

/* A way between a device and another memory, with its speed in GB/s (10^9 bytes a second); < 0: unknown. */
struct dt2_link {
    const char *to; /* the other device's name; "cpu" is host memory */
    double nominal_gbps;
    double measured_gbps; /* of copies to the device: DT2_DEVICES_MEASURE */
    /*
     * Of a link to another device of the same driver, which DT2_DEVICES_MEASURE finds: "ok" when what is copied directly
     * arrives, "broken" when it does not though the runtime says so, "none" when neither reaches the other. NULL: unknown.
     */
    const char *peer;
    /* Of the slowest PCI link on the way, as its ends can be: generation (4 is 16 GT/s) and lanes; 0: unknown. */
    unsigned pcie_generation;
    unsigned pcie_lanes;
    double read_gbps; /* of copies from the device: DT2_DEVICES_MEASURE */
    double delay_us;  /* that a copy takes whatever its size: DT2_DEVICES_MEASURE; < 0: unknown */
    const char *shared; /* the PCI address of the bridge nearest the host through which it goes: links with one share its rate. NULL: unknown */
    double fresh_gbps; /* as measured_gbps, of copies to memory that was just taken, as loads make them; < 0: unknown */
};

/*
 * One memory. Text that is unknown is NULL, a number that is unknown DT2_UNKNOWN, a NUMA node or a package -1.
 *
 * Names: "cpu" is all host memory; "cpu:N" the host memory of the kernel's NUMA node N; "cuda:N",
 * "hip:N", "opencl:N" what that driver counts as its N-th. One GPU seen by two drivers, or under two
 * OpenCL platforms, is one device: the others of its names are `aliases`.
 *
 * A byte placed on the device is charged to each of `budgets`, of which the first has the device's own name.
 */
struct dt2_device {
    const char *name;
    const char *const *aliases;
    size_t alias_count;
    const char *driver; /* "host", "cuda", "hip", "opencl" */
    const char *kind;   /* "host", "cpu", "gpu", "accelerator" */
    const char *vendor;
    const char *model;
    const char *pci;  /* "DDDD:BB:DD.F", lower-case hexadecimal */
    const char *uuid; /* "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", or the vendor's own form */
    int numa_node;
    uint64_t total_bytes;
    uint64_t free_bytes;      /* now, with what models of the context hold taken off */
    /* Of a tensor on this device; at least 1. In host memory that is filled past the page cache tensors keep what their file gives
     * them, and lie at multiples of 8 at least, unless the request asks for an alignment. */
    uint64_t alignment_bytes;
    uint64_t max_alloc_bytes; /* the largest single allocation, so the largest tensor; DT2_UNKNOWN: no limit */
    uint64_t fixed_bytes;     /* what the driver takes once when the device is used at all (its context) */
    const char *const *budgets;
    size_t budget_count;
    const struct dt2_link *const *links;
    size_t link_count;
    const char *runtime; /* what of the vendor's the driver works with, for people: "libcudart 12.4 (PATH)" */
    double open_ms;      /* what opening it for the first time takes: DT2_DEVICES_MEASURE; < 0: unknown */
    double start_ms;     /* what starting its driver took, once in a process and for all of its devices; likewise */
    int package;         /* the processors that `numa_node` belongs to, as hwloc counts packages */
};

/* How fast the machine's own memory and disk were, in GB/s; < 0: unknown. What copies to devices reach is their links'. */
struct dt2_speeds {
    double memory_gbps;  /* from one place in host memory to another, by all threads that help */
    double fresh_gbps;   /* from the page cache into memory that nobody has touched */
    double touched_gbps; /* from the page cache into memory that is in use */
    double cold_gbps;    /* from the disk */
    int64_t measured_at; /* in seconds since 1970; below 0: unknown */
    double start_ms;     /* what making the first list took in a process, without starting drivers; < 0: unknown */
};

/* A limit that one or several devices share: a memory of its own, or a cgroup ("cgroup"). */
struct dt2_budget {
    const char *name;
    uint64_t total_bytes;
    uint64_t free_bytes;
};

/*
 * A GPU that hwloc sees and no driver claims; or, without an address, what is called "driver NAME": one that is broken, finds no
 * device, or cannot use all that its vendor has installed. Each text may be NULL in a snapshot that was parsed.
 */
struct dt2_unusable {
    const char *pci;
    const char *model;
    const char *reason; /* what is wrong */
    const char *help;   /* what would help */
};

/* What to ask of dt2_devices_list() beyond the plain list; or-ed together. */
enum dt2_devices_flag {
    DT2_DEVICES_FREE = 1,     /* free bytes also where only a context on the GPU can tell: creates one */
    DT2_DEVICES_MEASURE = 2,  /* measure copies to every device, memory and disk (opens each; takes seconds), and keep that for later.
                                 Before each DT2_LOG_INFO says "measuring NAME, I of N" */
    DT2_DEVICES_UNUSABLE = 4, /* look for what cannot be used, and why, and for the speed of PCI links */
};

/*
 * Lists the devices of this machine, in the order host, cuda, hip, opencl. `flags` are enum
 * dt2_devices_flag, or 0. No GPU is a normal machine: the list then holds "cpu" (with its NUMA nodes,
 * where there are several). Creates no context on a GPU unless a flag asks for it. A driver that is
 * absent is silence; one that is broken is one warning in the log. Models already loaded in the context
 * count as used memory. Free the snapshot with dt2_devices_free(); it may outlive the context.
 * The topology is hwloc's, so HWLOC_XMLFILE and HWLOC_SYNTHETIC replace the machine, and free bytes of
 * a replaced host are unknown.
 * Errors: DT2_EUSAGE for other flags; DT2_EFAILED when the topology cannot be read; DT2_ENOMEM.
 */
DT2_PUBLIC int dt2_devices_list(struct dt2_context *context, unsigned flags, struct dt2_devices **devices,
                                struct dt2_error *err);

/*
 * Reads a snapshot from the JSON that dt2_devices_json() wrote, or that somebody wrote in the same form:
 * the machine to plan for need not be the machine one is on. `text` holds `length` bytes, and need not end
 * with NUL. "devices" must be there, and of each its "name" and "total_bytes" (which may be null: unknown);
 * all else may be missing or null. Then: the driver is what the name says; the kind is "gpu", of cpu and
 * cpu:N "host"; alignment_bytes is 1, fixed_bytes 0; a device's budget is of its own name, total and free bytes; and
 * what else a number says is unknown. Keys that are not known are passed over.
 * Errors: DT2_EFAILED with the key and what was expected there, or with line and column when it is no JSON.
 */
DT2_PUBLIC int dt2_devices_parse(const char *text, size_t length, struct dt2_devices **devices,
                                 struct dt2_error *err);

/* The snapshot as a JSON document: "distorch2" (the version), "devices", "budgets", "unusable", "numa_distances",
 * "speeds". NULL without memory. Free with dt2_text_free(). */
DT2_PUBLIC char *dt2_devices_json(const struct dt2_devices *devices);

DT2_PUBLIC void dt2_devices_free(struct dt2_devices *devices);

DT2_PUBLIC size_t dt2_devices_count(const struct dt2_devices *devices);
/* The device at `index` < dt2_devices_count(), else NULL. */
DT2_PUBLIC const struct dt2_device *dt2_devices_get(const struct dt2_devices *devices, size_t index);

/*
 * Finds a device by its name, an alias, "rocm:N" (hip:N), "numa:N" (cpu:N), "pci:DDDD:BB:DD.F" or
 * "uuid:...". With HIP and without CUDA devices "cuda:N" is "hip:N". Case matters, except in addresses and UUIDs.
 * Errors: DT2_ENOENT; the text lists the devices that exist, the suggestion names the nearest. So too for an
 * address that several devices have.
 */
DT2_PUBLIC int dt2_devices_find(const struct dt2_devices *devices, const char *name, size_t *index,
                                struct dt2_error *err);

/* The index of the device where a model computes by default: the first GPU of cuda, hip, opencl, each by number, of those
 * with memory of their own; else of those that lie in the host's; else "cpu". (A snapshot that was parsed may have neither: then 0.) */
DT2_PUBLIC size_t dt2_devices_default(const struct dt2_devices *devices);

/* The budgets that devices name, and what each holds. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_devices_budget_count(const struct dt2_devices *devices);
DT2_PUBLIC const struct dt2_budget *dt2_devices_budget(const struct dt2_devices *devices, size_t index);

/* What cannot be used; none unless DT2_DEVICES_UNUSABLE was asked for. NULL for a wrong index. */
DT2_PUBLIC size_t dt2_devices_unusable_count(const struct dt2_devices *devices);
DT2_PUBLIC const struct dt2_unusable *dt2_devices_unusable(const struct dt2_devices *devices, size_t index);

/*
 * The matrix of distances between the host's NUMA nodes, row by row, *order x *order numbers, nodes in the
 * order in which "cpu:N" devices are listed (10 is local by convention). NULL and *order = 0 when unknown.
 */
DT2_PUBLIC const uint64_t *dt2_devices_distances(const struct dt2_devices *devices, size_t *order);

/* What DT2_DEVICES_MEASURE found of the machine, then or before; NULL: nothing did. */
DT2_PUBLIC const struct dt2_speeds *dt2_devices_speeds(const struct dt2_devices *devices);

/* What a device is in its own runtime. All of it belongs to the library, or to whoever gave it. */
struct dt2_native_device {
    size_t struct_size;
    const char *driver; /* whose terms these are, as of dt2_device; static storage */
    void *id;           /* OpenCL: the cl_device_id; else NULL */
    /* With `open`: of OpenCL the cl_context in which buffers of models and windows of sessions lie, of CUDA the device's
     * primary CUcontext; else NULL. */
    void *context;
    int ordinal; /* CUDA, HIP: by which the runtime counts it; "cpu:N": N; else -1 */
};
#define DT2_NATIVE_DEVICE_INIT { sizeof(struct dt2_native_device), NULL, NULL, NULL, -1 }

/*
 * Tells what a device is in its own runtime; `device` is its name in any spelling that dt2_devices_find() knows. With `open`
 * the device is opened, and stays open until the context is destroyed: so a queue can be made in its context before there is
 * a model or a session on it. Without, no context is made, and none is told.
 * Errors: DT2_ENOENT; DT2_EUSAGE for a struct_size that was not set; DT2_EFAILED from the driver, and from one that does not tell.
 */
DT2_PUBLIC int dt2_device_native(struct dt2_context *context, const char *device, bool open,
                                 struct dt2_native_device *native, struct dt2_error *err);

DT2_END_DECLS
#endif
