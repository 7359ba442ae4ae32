/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The face of libcudart, and of the part of libamdhip64 that has the same shape: compiled once for each, against the
 * driver's declarations and the vendor's own, so that a wrong signature does not compile.
 */
#ifdef SIM_FACE_HIP
#include "hip.h"
#else
#include "cudart.h"
#endif
#include "face.h"
#include <stdio.h>
#include <string.h>

/* -- errors */

#define SAME_NUMBER(status, vendor, text) _Static_assert((int)(vendor) == (int)(status), #vendor);
RUNTIME_ERRORS(SAME_NUMBER)

static const struct {
    int status;
    const char *name, *text;
} errors[] = {
#define ROW(status, vendor, text) { status, #vendor, text },
    RUNTIME_ERRORS(ROW)
};

const char *VENDOR(GetErrorName)(VENDOR(Error_t) error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].status == (int)error)
            return errors[i].name;
    return "unrecognized error code";
}

const char *VENDOR(GetErrorString)(VENDOR(Error_t) error)
{
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++)
        if (errors[i].status == (int)error)
            return errors[i].text;
    return "unrecognized error code";
}

VENDOR(Error_t) VENDOR(GetLastError)(void)
{
    return (VENDOR(Error_t))sim_last_error(API, true);
}

VENDOR(Error_t) VENDOR(PeekAtLastError)(void)
{
    return (VENDOR(Error_t))sim_last_error(API, false);
}

/* -- devices: nothing here makes a context, but those that say so */

VENDOR(Error_t) VENDOR(RuntimeGetVersion)(int *version)
{
    ENTER;
    *version = RUNTIME_VERSION;
    return leave(SIM_OK);
}

VENDOR(Error_t) VENDOR(DriverGetVersion)(int *version)
{
    ENTER;
    *version = RUNTIME_VERSION;
    return leave(SIM_OK);
}

VENDOR(Error_t) VENDOR(GetDeviceCount)(int *count)
{
    ENTER;
    *count = (int)sim_device_count(API);
    return leave(*count ? SIM_OK : SIM_NO_DEVICE);
}

VENDOR(Error_t) VENDOR(GetDevice)(int *index)
{
    ENTER;
    if (sim_device_count(API) == 0)
        return leave(SIM_NO_DEVICE);
    *index = sim_get_device(API);
    return leave(SIM_OK);
}

VENDOR(Error_t) VENDOR(SetDevice)(int index)
{
    ENTER;
    return leave(sim_set_device(API, index, SET_DEVICE_MAKES_CONTEXT));
}

#ifdef SIM_FACE_HIP
typedef hipDeviceAttribute_t attribute_type;
#else
typedef enum cudaDeviceAttr attribute_type;
#endif

VENDOR(Error_t) VENDOR(DeviceGetAttribute)(int *value, attribute_type attribute, int index)
{
    ENTER;
    const struct sim_device *device = sim_device_at(API, (unsigned)index);
    if (!device)
        return leave(SIM_INVALID_DEVICE);
    switch ((int)attribute) {
    case ATTRIBUTE(PciBusId):
        *value = (int)device->pci.bus;
        break;
    case ATTRIBUTE(PciDeviceId):
        *value = (int)device->pci.device;
        break;
    case PCI_DOMAIN:
        *value = (int)device->pci.domain;
        break;
    case ATTRIBUTE(UnifiedAddressing):
        *value = 1;
        break;
#ifdef NUMA_ATTRIBUTE
    case NUMA_ATTRIBUTE:
        *value = device->numa;
        break;
#endif
    case ATTRIBUTE(Integrated):
        *value = device->integrated;
        break;
    default: /* all that a card of memory alone does not have */
        *value = 0;
    }
    return leave(SIM_OK);
}

VENDOR(Error_t) VENDOR(DeviceGetPCIBusId)(char *text, int size, int index)
{
    ENTER;
    const struct sim_device *device = sim_device_at(API, (unsigned)index);
    if (!device || !text || size < 13)
        return leave(device ? SIM_INVALID_VALUE : SIM_INVALID_DEVICE);
    snprintf(text, (size_t)size, PCI_FORMAT, device->pci.domain, device->pci.bus, device->pci.device,
             device->pci.function);
    return leave(SIM_OK);
}

VENDOR(Error_t) VENDOR(DeviceSynchronize)(void)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_context_wait(context));
}

VENDOR(Error_t) VENDOR(DeviceReset)(void)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_context_reset(context));
}

VENDOR(Error_t) VENDOR(MemGetInfo)(size_t *free_bytes, size_t *total_bytes)
{
    ENTER_CONTEXT(context);
    uint64_t bytes;
    sim_runtime_free_bytes(sim_context_device(context), &bytes);
    *free_bytes = bytes;
    *total_bytes = sim_context_device(context)->memory_bytes;
    return leave(SIM_OK);
}

/* -- peers */

VENDOR(Error_t) VENDOR(DeviceCanAccessPeer)(int *can, int index, int peer)
{
    ENTER;
    return leave(sim_can_access_peer(API, index, peer, can));
}

VENDOR(Error_t) VENDOR(DeviceEnablePeerAccess)(int peer, unsigned flags)
{
    ENTER_CONTEXT(context);
    return leave(flags ? SIM_INVALID_VALUE : sim_enable_peer(context, peer));
}

VENDOR(Error_t) VENDOR(DeviceDisablePeerAccess)(int peer)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_disable_peer(context, peer));
}

/* -- memory */

VENDOR(Error_t) VENDOR(Malloc)(void **address, size_t bytes)
{
    ENTER_CONTEXT(context);
    if (bytes == 0)
        *address = NULL;
    return leave(bytes ? sim_malloc(context, bytes, address) : SIM_OK);
}

VENDOR(Error_t) VENDOR(Free)(void *address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(address ? sim_free(context, address) : cannot);
}

VENDOR(Error_t) HOST_ALLOC(void **address, size_t bytes, unsigned flags)
{
    ENTER_CONTEXT(context);
    return leave(sim_host_alloc(context, bytes, flags & HOST_PORTABLE, address));
}

#ifdef HOST_MALLOC
VENDOR(Error_t) HOST_MALLOC(void **address, size_t bytes)
{
    ENTER_CONTEXT(context);
    return leave(sim_host_alloc(context, bytes, false, address));
}
#endif

VENDOR(Error_t) HOST_FREE(void *address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(address ? sim_host_free(context, address) : cannot);
}

VENDOR(Error_t) VENDOR(HostRegister)(void *address, size_t bytes, unsigned flags)
{
    ENTER_CONTEXT(context);
    return leave(sim_host_register(context, address, bytes, flags & VENDOR(HostRegisterPortable)));
}

VENDOR(Error_t) VENDOR(HostUnregister)(void *address)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_host_unregister(context, address));
}

/* -- streams */

VENDOR(Error_t) VENDOR(StreamCreateWithFlags)(VENDOR(Stream_t) * stream, unsigned flags)
{
    ENTER_CONTEXT(context);
    uintptr_t id = 0;
    if (flags & ~(unsigned)VENDOR(StreamNonBlocking))
        return leave(SIM_INVALID_VALUE);
    int status = sim_stream_create(context, !(flags & VENDOR(StreamNonBlocking)), &id);
    if (status == SIM_OK)
        *stream = (VENDOR(Stream_t))id;
    return leave(status);
}

VENDOR(Error_t) VENDOR(StreamCreate)(VENDOR(Stream_t) * stream)
{
    ENTER_CONTEXT(context);
    uintptr_t id = 0;
    int status = sim_stream_create(context, true, &id);
    if (status == SIM_OK)
        *stream = (VENDOR(Stream_t))id;
    return leave(status);
}

VENDOR(Error_t) VENDOR(StreamDestroy)(VENDOR(Stream_t) stream)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_stream_destroy(context, (uintptr_t)stream));
}

VENDOR(Error_t) VENDOR(StreamSynchronize)(VENDOR(Stream_t) stream)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_stream_wait(context, (uintptr_t)stream));
}

VENDOR(Error_t) VENDOR(StreamQuery)(VENDOR(Stream_t) stream)
{
    ENTER_CONTEXT(context);
    return leave(sim_stream_query(context, (uintptr_t)stream));
}

VENDOR(Error_t) VENDOR(StreamWaitEvent)(VENDOR(Stream_t) stream, VENDOR(Event_t) event, unsigned flags)
{
    ENTER_CONTEXT(context);
    return leave(flags ? SIM_INVALID_VALUE : sim_stream_wait_event(context, (uintptr_t)stream, (uintptr_t)event));
}

/* -- graph capture: a graph is a number that is none */

VENDOR(Error_t) VENDOR(StreamBeginCapture)(VENDOR(Stream_t) stream, enum VENDOR(StreamCaptureMode) mode)
{
    ENTER_CONTEXT(context);
    return leave(sim_capture_begin(context, (uintptr_t)stream, (int)mode));
}

VENDOR(Error_t) VENDOR(StreamEndCapture)(VENDOR(Stream_t) stream, VENDOR(Graph_t) * graph)
{
    ENTER_CONTEXT(context);
    uint64_t commands = 0;
    int status = sim_capture_end(context, (uintptr_t)stream, &commands);
    *graph = status == SIM_OK ? (VENDOR(Graph_t))(uintptr_t)(1 + commands) : NULL;
    return leave(status);
}

VENDOR(Error_t) VENDOR(StreamIsCapturing)(VENDOR(Stream_t) stream, enum VENDOR(StreamCaptureStatus) * state)
{
    ENTER_CONTEXT(context);
    int found = 0, status = sim_capture_state(context, (uintptr_t)stream, &found);
    *state = (enum VENDOR(StreamCaptureStatus))found;
    return leave(status);
}

VENDOR(Error_t) VENDOR(ThreadExchangeStreamCaptureMode)(enum VENDOR(StreamCaptureMode) * mode)
{
    ENTER;
    int exchanged = (int)*mode, status = sim_capture_exchange(API, &exchanged);
    *mode = (enum VENDOR(StreamCaptureMode))exchanged;
    return leave(status);
}

/* -- events */

VENDOR(Error_t) VENDOR(EventCreateWithFlags)(VENDOR(Event_t) * event, unsigned flags)
{
    ENTER_CONTEXT(context);
    uintptr_t id = 0;
    (void)flags;
    int status = sim_event_create(context, &id);
    if (status == SIM_OK)
        *event = (VENDOR(Event_t))id;
    return leave(status);
}

VENDOR(Error_t) VENDOR(EventDestroy)(VENDOR(Event_t) event)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_event_destroy(context, (uintptr_t)event));
}

VENDOR(Error_t) VENDOR(EventRecord)(VENDOR(Event_t) event, VENDOR(Stream_t) stream)
{
    ENTER_CONTEXT(context);
    return leave(sim_event_record(context, (uintptr_t)event, (uintptr_t)stream));
}

VENDOR(Error_t) VENDOR(EventQuery)(VENDOR(Event_t) event)
{
    ENTER_CONTEXT(context);
    return leave(sim_event_query(context, (uintptr_t)event));
}

VENDOR(Error_t) VENDOR(EventSynchronize)(VENDOR(Event_t) event)
{
    ENTER_REGARDLESS(context);
    LEAVE_REGARDLESS(sim_event_wait(context, (uintptr_t)event));
}

/* -- copies */

/* In the current context only: whoever means another stream's device must have made it current. */
static int run(struct sim_context *context, VENDOR(Stream_t) stream, const struct sim_command *command)
{
    const struct sim_context *owner = sim_stream_context(context, (uintptr_t)stream);
    if (owner && owner != context)
        sim_violation(SIM_WRONG_DEVICE, "work is queued in a stream of %s while %s is current",
                      sim_context_device(owner)->id, sim_context_device(context)->id);
    return sim_run(context, (uintptr_t)stream, command);
}

static int copy(struct sim_context *context, void *to, const void *from, size_t bytes, int kind,
                VENDOR(Stream_t) stream, bool blocks)
{
    static const int directions[] = { SIM_H2H, SIM_H2D, SIM_D2H, SIM_D2D, SIM_ANY };
    if (kind < 0 || kind > VENDOR(MemcpyDefault))
        return SIM_INVALID_VALUE;
    struct sim_command command = { .kind = SIM_COPY, .to = to, .from = from, .bytes = bytes, .blocks = blocks };
    command.direction = directions[kind];
    return run(context, stream, &command);
}

VENDOR(Error_t)
VENDOR(MemcpyAsync)(void *to, const void *from, size_t bytes, enum VENDOR(MemcpyKind) kind, VENDOR(Stream_t) stream)
{
    ENTER_CONTEXT(context);
    return leave(copy(context, to, from, bytes, (int)kind, stream, false));
}

VENDOR(Error_t) VENDOR(Memcpy)(void *to, const void *from, size_t bytes, enum VENDOR(MemcpyKind) kind)
{
    ENTER_CONTEXT(context);
    return leave(copy(context, to, from, bytes, (int)kind, NULL, true));
}

VENDOR(Error_t)
VENDOR(MemcpyPeerAsync)(void *to, int to_index, const void *from, int from_index, size_t bytes, VENDOR(Stream_t) stream)
{
    ENTER_CONTEXT(context);
    struct sim_command command = { .kind = SIM_COPY, .to = to, .from = from, .bytes = bytes, .direction = SIM_PEER };
    command.to_device = sim_device_at(API, (unsigned)to_index);
    command.from_device = sim_device_at(API, (unsigned)from_index);
    if (!command.to_device || !command.from_device)
        return leave(SIM_INVALID_DEVICE);
    return leave(run(context, stream, &command));
}

static int fill(struct sim_context *context, void *to, int value, size_t bytes, VENDOR(Stream_t) stream, bool blocks)
{
    struct sim_command command = { .kind = SIM_FILL, .to = to, .bytes = bytes, .pattern_bytes = 1, .blocks = blocks };
    command.pattern[0] = (unsigned char)value;
    return run(context, stream, &command);
}

VENDOR(Error_t) VENDOR(MemsetAsync)(void *to, int value, size_t bytes, VENDOR(Stream_t) stream)
{
    ENTER_CONTEXT(context);
    return leave(fill(context, to, value, bytes, stream, false));
}

VENDOR(Error_t) VENDOR(Memset)(void *to, int value, size_t bytes)
{
    ENTER_CONTEXT(context);
    return leave(fill(context, to, value, bytes, NULL, true));
}

/* -- work */

VENDOR(Error_t)
VENDOR(SimLaunch)(VENDOR(Stream_t) stream, const void *weights, size_t bytes, uint64_t sum, uint64_t duration_ns)
{
    struct sim_context *context;
    int cannot = sim_here(API, &context);
    struct sim_command command = { .kind = SIM_KERNEL, .from = weights, .bytes = bytes, .sum = sum };
    command.duration_ns = duration_ns;
    return leave(cannot ? cannot : run(context, stream, &command));
}
