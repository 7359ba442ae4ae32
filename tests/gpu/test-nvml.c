/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * That our declarations of NVML are NVIDIA's own. The compiler compares them, where configure found the real
 * header: each function is declared by both, and the assertions of nvml_decl.h look at the real types.
 */
#include "support/tap.h"

#ifdef REAL_NVML
#include <nvml.h>

#include "nvml_decl.h"

int main(void)
{
    is_int(NVML_ERROR_GPU_IS_LOST, 15, "the real header was read: ours does not know this code");
    is_int(NVML_SUCCESS, 0, "success");
    is_int(NVML_ERROR_NOT_FOUND, 6, "not found");
    is_int(NVML_ERROR_UNKNOWN, 999, "unknown");
    is_u64(sizeof(nvmlMemory_t), 24, "the memory of a device");
    is_u64(offsetof(nvmlMemory_t, free), 8, "what is free of it");
    is_u64(sizeof(struct dt2_nvml) > sizeof(pthread_mutex_t), 1, "every function that is looked up is declared alike");
    return done_testing();
}
#else
int main(void)
{
    return skip_all("there is no nvml.h to compare with (configure --with-nvml=DIR)");
}
#endif
