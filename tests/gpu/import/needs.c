/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * To the linker what an installed torch is: a library that has its runtime beside itself, and needs a symbol of it, by
 * its version, that an older one lacks. Compiled for each vendor's.
 */
#include "gpu/runtime.h"
#include "vendor.h"
#include <stdbool.h>

int DT2_NEWEST(void);
int import_work(void *memory);

/* Works with its runtime: bytes go to memory of the device, which is some of its own, or the caller's. */
int import_work(void *memory)
{
    static const char bytes[256] = { 7 };
    char back[sizeof bytes] = { 0 };
    GPU(Stream_t) stream = NULL;
    void *own = NULL;
    bool good = DT2_NEWEST() == 42 && GPU(SetDevice)(0) == GPU(Success) &&
                GPU(Malloc)(&own, sizeof bytes) == GPU(Success) &&
                GPU(StreamCreateWithFlags)(&stream, GPU(StreamNonBlocking)) == GPU(Success);
    void *place = memory ? memory : own;
    good = good && GPU(MemcpyAsync)(place, bytes, sizeof bytes, GPU(MemcpyHostToDevice), stream) == GPU(Success) &&
           GPU(MemcpyAsync)(back, place, sizeof back, GPU(MemcpyDeviceToHost), stream) == GPU(Success) &&
           GPU(StreamSynchronize)(stream) == GPU(Success) && back[0] == 7;
    return good && GPU(StreamDestroy)(stream) == GPU(Success) && GPU(Free)(own) == GPU(Success) ? 0 : 1;
}
