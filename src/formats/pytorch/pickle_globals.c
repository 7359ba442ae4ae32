/* SPDX-License-Identifier: BSD-3-Clause */
#include "formats/pytorch/pickle_globals.h"
#include "base/checked.h"
#include <string.h>

static const struct dt2_global globals[] = {
    { "collections.OrderedDict", DT2_GLOBAL_ORDERED_DICT, NULL },
    { "torch.Size", DT2_GLOBAL_SIZE, NULL },
    { "torch._utils._rebuild_tensor", DT2_GLOBAL_REBUILD_TENSOR, NULL },
    { "torch._utils._rebuild_tensor_v2", DT2_GLOBAL_REBUILD_TENSOR_V2, NULL },
    { "torch._utils._rebuild_tensor_v3", DT2_GLOBAL_REBUILD_TENSOR_V3, NULL },
    { "torch._utils._rebuild_parameter", DT2_GLOBAL_REBUILD_PARAMETER, NULL },
    { "torch.nn.parameter.Parameter", DT2_GLOBAL_PARAMETER, NULL },

    { "torch.storage.UntypedStorage", DT2_GLOBAL_STORAGE, "U8" },
    { "torch.storage.TypedStorage", DT2_GLOBAL_STORAGE, "U8" },
    { "torch.BFloat16Storage", DT2_GLOBAL_STORAGE, "BF16" },
    { "torch.BoolStorage", DT2_GLOBAL_STORAGE, "BOOL" },
    { "torch.ByteStorage", DT2_GLOBAL_STORAGE, "U8" },
    { "torch.CharStorage", DT2_GLOBAL_STORAGE, "I8" },
    { "torch.ComplexFloatStorage", DT2_GLOBAL_STORAGE, "C64" },
    { "torch.DoubleStorage", DT2_GLOBAL_STORAGE, "F64" },
    { "torch.FloatStorage", DT2_GLOBAL_STORAGE, "F32" },
    { "torch.HalfStorage", DT2_GLOBAL_STORAGE, "F16" },
    { "torch.IntStorage", DT2_GLOBAL_STORAGE, "I32" },
    { "torch.LongStorage", DT2_GLOBAL_STORAGE, "I64" },
    { "torch.ShortStorage", DT2_GLOBAL_STORAGE, "I16" },
    { "torch.ComplexDoubleStorage", DT2_GLOBAL_UNLOADABLE, NULL },
    { "torch.QInt8Storage", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.QInt32Storage", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.QUInt8Storage", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.QUInt2x4Storage", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.QUInt4x2Storage", DT2_GLOBAL_QUANTISED, NULL },

    { "torch.bfloat16", DT2_GLOBAL_DTYPE, "BF16" },
    { "torch.bool", DT2_GLOBAL_DTYPE, "BOOL" },
    { "torch.complex64", DT2_GLOBAL_DTYPE, "C64" },
    { "torch.float16", DT2_GLOBAL_DTYPE, "F16" },
    { "torch.float32", DT2_GLOBAL_DTYPE, "F32" },
    { "torch.float64", DT2_GLOBAL_DTYPE, "F64" },
    { "torch.float8_e4m3fn", DT2_GLOBAL_DTYPE, "F8_E4M3" },
    { "torch.float8_e4m3fnuz", DT2_GLOBAL_DTYPE, "F8_E4M3FNUZ" },
    { "torch.float8_e5m2", DT2_GLOBAL_DTYPE, "F8_E5M2" },
    { "torch.float8_e5m2fnuz", DT2_GLOBAL_DTYPE, "F8_E5M2FNUZ" },
    { "torch.float8_e8m0fnu", DT2_GLOBAL_DTYPE, "F8_E8M0" },
    { "torch.int16", DT2_GLOBAL_DTYPE, "I16" },
    { "torch.int32", DT2_GLOBAL_DTYPE, "I32" },
    { "torch.int64", DT2_GLOBAL_DTYPE, "I64" },
    { "torch.int8", DT2_GLOBAL_DTYPE, "I8" },
    { "torch.uint16", DT2_GLOBAL_DTYPE, "U16" },
    { "torch.uint32", DT2_GLOBAL_DTYPE, "U32" },
    { "torch.uint64", DT2_GLOBAL_DTYPE, "U64" },
    { "torch.uint8", DT2_GLOBAL_DTYPE, "U8" },
    { "torch.complex128", DT2_GLOBAL_UNLOADABLE, NULL },
    { "torch.complex32", DT2_GLOBAL_UNLOADABLE, NULL },
    { "torch.float4_e2m1fn_x2", DT2_GLOBAL_UNLOADABLE, NULL },
    { "torch._utils._rebuild_qtensor", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.per_channel_affine", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.per_tensor_affine", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.qint32", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.qint8", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.quint2x4", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.quint4x2", DT2_GLOBAL_QUANTISED, NULL },
    { "torch.quint8", DT2_GLOBAL_QUANTISED, NULL },
};

const struct dt2_global *dt2_global_find(const char *module, const char *name)
{
    size_t length = strlen(module);
    for (size_t i = 0; i < DT2_COUNT(globals); i++)
        if (strncmp(globals[i].name, module, length) == 0 && globals[i].name[length] == '.' &&
            strcmp(globals[i].name + length + 1, name) == 0)
            return &globals[i];
    return NULL;
}
