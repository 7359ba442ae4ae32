/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine of a simulated machine: what the vendor faces (cudart.c, hip.c, cuda.c, nvml.c, opencl*.c) and the tests
 * see of it. One engine serves all faces of a process, so one GPU that two drivers show has one memory.
 *
 * The engine is harsher than the hardware: it runs everything late, gives addresses that the host cannot touch, and
 * writes down what a right program never does. README tells how a machine is described and what the report says.
 */
#ifndef DT2_TESTS_SIM_H
#define DT2_TESTS_SIM_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_DEVICES_MAX 16

enum sim_api { SIM_CUDA, SIM_HIP, SIM_OPENCL, SIM_API_COUNT };

/* CUDA's numbers, which HIP took over; each face asserts that they are its vendor's. */
enum sim_status {
    SIM_OK = 0,
    SIM_INVALID_VALUE = 1,
    SIM_NOMEM = 2,
    SIM_NOT_INITIALIZED = 3,
    SIM_UNAVAILABLE = 46,
    SIM_NO_DEVICE = 100,
    SIM_INVALID_DEVICE = 101,
    SIM_INVALID_CONTEXT = 201,
    SIM_PEER_UNSUPPORTED = 217,
    SIM_INVALID_HANDLE = 400,
    SIM_NOT_READY = 600,
    SIM_ILLEGAL_ADDRESS = 700,
    SIM_PEER_ENABLED = 704,
    SIM_PEER_NOT_ENABLED = 705,
    SIM_CONTEXT_DESTROYED = 709,
    SIM_HOST_REGISTERED = 712,
    SIM_HOST_NOT_REGISTERED = 713,
    SIM_LAUNCH_FAILURE = 719,
    SIM_NOT_SUPPORTED = 801,
    SIM_CAPTURE_UNSUPPORTED = 900,
    SIM_CAPTURE_INVALIDATED = 901,
    SIM_CAPTURE_UNMATCHED = 903,
    SIM_CAPTURE_UNJOINED = 904,
    SIM_CAPTURE_ISOLATION = 905,
    SIM_CAPTURE_IMPLICIT = 906,
    SIM_CAPTURED_EVENT = 907,
    SIM_CAPTURE_WRONG_THREAD = 908,
    SIM_UNKNOWN = 999,
};

struct sim_pci {
    unsigned domain, bus, device, function;
};

/* How an OpenCL device tells its PCI address. */
enum sim_identity { SIM_IDENTITY_KHR, SIM_IDENTITY_NV, SIM_IDENTITY_AMD, SIM_IDENTITY_NONE };

/* A device as the machine file describes it; fixed once the machine is read. */
struct sim_device {
    char id[32]; /* what the file and the report call it */
    unsigned number;
    char name[128], vendor[64];
    bool shown[SIM_API_COUNT]; /* by which faces */
    uint64_t memory_bytes, context_bytes, granule_bytes, others_bytes, others_grow_bytes, max_alloc_bytes;
    uint64_t pinnable_bytes; /* of the host, in this device's contexts; 0: any */
    struct sim_pci pci;
    bool has_pci;
    unsigned char uuid[16];
    bool has_uuid;
    bool integrated;          /* with the host's processor */
    bool no_nvml;             /* NVML does not support asking for its memory */
    uint64_t carveout_bytes;  /* that the kernel calls its own */
    uint64_t page_cache_bytes; /* of the host, which the runtime does not count as free */
    bool mig; /* a slice: by NVML it is named MIG-..., and shares its PCI address */
    int numa;
    double link_gbps; /* 0: not modelled */
    unsigned peers;   /* bit N: reaches device N */
    unsigned liars;   /* bit N: what comes from device N directly does not arrive */
    char platform[64];
    unsigned base_align_bits;
    enum sim_identity identity;
    uint64_t lost_at; /* the call on the device with which it is gone, 0: never */
    int lost_code;
};

struct sim_context; /* of a device, by one API */

/* -- calls */

/* One for each function of a face, in static storage; the engine's own record outlives a face that is unloaded. */
struct sim_function {
    const char *name;
    enum sim_api api;
    bool is_work; /* no call but the running of a command: counted apart */
    struct sim_record *record;
    _Atomic(struct sim_face *) face; /* the file that it stands in: of one library there may be several copies */
};

/* Counts a call. Gives 0, or the code with which the machine wants it to fail. */
int sim_enter(struct sim_function *function);
/* The last error of the calling thread: noted when it is one, and returned as it is. */
int sim_remember(enum sim_api api, int status);
int sim_last_error(enum sim_api api, bool clear);

/* -- devices, in the order in which a face shows them; visibility variables count */

unsigned sim_device_count(enum sim_api api);
const struct sim_device *sim_device_at(enum sim_api api, unsigned index);
/* All devices, whatever shows them. */
unsigned sim_machine_count(void);
const struct sim_device *sim_machine_device(unsigned number);
/* What others use grows at each look, where the file says so. */
void sim_free_bytes(const struct sim_device *device, uint64_t *free_bytes);
/* The same as a runtime tells it. */
void sim_runtime_free_bytes(const struct sim_device *device, uint64_t *free_bytes);

/* -- contexts and what is current on the calling thread */

struct sim_context *sim_primary(enum sim_api api, const struct sim_device *device);
const struct sim_device *sim_context_device(const struct sim_context *context);
bool sim_context_is(enum sim_api api, const void *what); /* whether it is a context at all */
bool sim_context_active(const struct sim_context *context);
int sim_context_make(struct sim_context *context); /* takes its memory, once; tells of an error that sticks */
int sim_context_retain(struct sim_context *context);
int sim_context_release(struct sim_context *context);
int sim_context_reset(struct sim_context *context); /* everything in it is gone, with errors that stuck */
int sim_context_wait(struct sim_context *context);  /* for all of its streams */

/* The context that a call of a runtime means: the current one, else that of the thread's device; made. */
int sim_here(enum sim_api api, struct sim_context **context);
struct sim_context *sim_current(enum sim_api api); /* NULL: none */
void sim_set_current(enum sim_api api, struct sim_context *context);
int sim_push_current(enum sim_api api, struct sim_context *context);
int sim_pop_current(enum sim_api api, struct sim_context **context);
/* By index; `make`: as cudaSetDevice since CUDA 12, which makes the context. */
int sim_set_device(enum sim_api api, int index, bool make);
int sim_get_device(enum sim_api api);

int sim_can_access_peer(enum sim_api api, int index, int peer, int *can);
int sim_enable_peer(struct sim_context *context, int peer);
int sim_disable_peer(struct sim_context *context, int peer);

/* -- memory */

int sim_malloc(struct sim_context *context, uint64_t bytes, void **address);
int sim_free(struct sim_context *context, void *address);
int sim_host_alloc(struct sim_context *context, uint64_t bytes, bool portable, void **address);
int sim_host_free(struct sim_context *context, void *address);
int sim_host_register(struct sim_context *context, void *address, uint64_t bytes, bool portable);
int sim_host_unregister(struct sim_context *context, void *address);

struct sim_pointer {
    const struct sim_device *device; /* whose memory it is, or in whose context it was pinned; NULL: ordinary memory */
    struct sim_context *context;
    bool is_device;
    bool is_registered;
    void *base;
    uint64_t bytes;
};
void sim_describe(enum sim_api api, const void *address, struct sim_pointer *pointer);

/* -- streams and events: numbers, not addresses. 0 and 1 are the default stream of the context. */

#define SIM_DEFAULT_STREAM ((uintptr_t)1)

int sim_stream_create(struct sim_context *context, bool blocking, uintptr_t *stream);
int sim_stream_destroy(struct sim_context *context, uintptr_t stream); /* its work goes on */
int sim_stream_wait(struct sim_context *context, uintptr_t stream);
int sim_stream_query(struct sim_context *context, uintptr_t stream);
struct sim_context *sim_stream_context(struct sim_context *context, uintptr_t stream); /* NULL: no such stream */

int sim_event_create(struct sim_context *context, uintptr_t *event);
int sim_event_destroy(struct sim_context *context, uintptr_t event);
int sim_event_record(struct sim_context *context, uintptr_t event, uintptr_t stream);
int sim_event_query(struct sim_context *context, uintptr_t event);
int sim_event_wait(struct sim_context *context, uintptr_t event);
int sim_stream_wait_event(struct sim_context *context, uintptr_t stream, uintptr_t event);

/* Graph capture, with CUDA's numbers for modes and states; `commands`: how many were captured. */
int sim_capture_begin(struct sim_context *context, uintptr_t stream, int mode);
int sim_capture_end(struct sim_context *context, uintptr_t stream, uint64_t *commands);
int sim_capture_state(struct sim_context *context, uintptr_t stream, int *state);
int sim_capture_exchange(enum sim_api api, int *mode); /* of the calling thread */

/* One command for a stream. */
struct sim_command {
    enum { SIM_NOTHING, SIM_COPY, SIM_FILL, SIM_KERNEL } kind;
    void *to;
    const void *from;
    uint64_t bytes;
    /* SIM_COPY: what the caller says of the two sides; by sim_peer the devices are named. */
    enum { SIM_ANY, SIM_H2H, SIM_H2D, SIM_D2H, SIM_D2D, SIM_PEER } direction;
    const struct sim_device *to_device, *from_device; /* SIM_PEER */
    unsigned char pattern[128];                       /* SIM_FILL */
    unsigned pattern_bytes;
    uint64_t sum;         /* SIM_KERNEL: of the bytes that it should find; it needs none of them to take time */
    uint64_t duration_ns; /* SIM_KERNEL */
    bool blocks; /* returns when it has run */
    bool staged; /* the source is read now, into the engine's own memory */
    /* OpenCL: pageable memory is read and written late as well; waits for other commands, and is an event itself. */
    bool late;
    unsigned wait_count;
    const uintptr_t *waits;
    uintptr_t completes;
};
int sim_run(struct sim_context *context, uintptr_t stream, const struct sim_command *command);

/* A sum of bytes, such as a kernel compares. */
uint64_t sim_sum(const void *memory, uint64_t bytes);

/* Blocks until no command that is queued reads or writes a range. */
void sim_wait_idle(const void *address, uint64_t bytes);

/* -- what a right program never does, and what it leaves behind: keys of the report */

enum sim_violation {
    SIM_HOST_TOUCH,
    SIM_USE_AFTER_FREE,
    SIM_OVERWRITTEN_SOURCE,
    SIM_WRONG_BYTES, /* a kernel found others than it should */
    SIM_UNORDERED, /* two commands on one memory, and nothing says which comes first */
    SIM_WRONG_DEVICE,
    SIM_OUT_OF_RANGE,
    SIM_BAD_HANDLE,
    SIM_PEER_ACCESS,
    SIM_CAPTURED, /* a stream got into another's graph */
    SIM_ABANDONED, /* in a context whose last holder let it go */
    SIM_AFTER_END, /* a call when the runtime had taken itself down */
    SIM_VIOLATION_COUNT,
};
void sim_violation(enum sim_violation what, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Objects of a face that the engine does not know (cl_mem, ...): counted, +1 and -1, under a name. */
void sim_count_object(const char *kind, int change);

/* The host waits by spinning, as some runtimes have it: counted. */
void sim_spin(void);

/* -- for tests that drive the machine from within */

/* The nth call of `function` ("*": of all) from now on fails with `code`; with `onwards` all later ones too. */
void sim_fail(const char *function, uint64_t nth, bool onwards, int code);
void sim_forgive(void);                   /* no call fails any more */
uint64_t sim_calls(const char *function); /* so far; "*": all */
/* A number of the report as it would be now: "unfreed_bytes", "calls.cudaMalloc", ...; 0 when it is not there. */
uint64_t sim_value(const char *key);

#endif
