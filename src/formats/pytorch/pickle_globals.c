/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table follows those of the readers that people know, and says for each row which one has it:
 * torch/_weights_only_unpickler.py of PyTorch 2.15 (_get_allowed_globals()), ComfyUI's comfy/utils.py and
 * comfy/checkpoint_pickle.py. What is beside these is written by Python or NumPy into the same files: builtin classes,
 * and the new names of NumPy 2. make check-oracle compares it with the list of the torch that is installed.
 */
#include "formats/pytorch/pickle_globals.h"
#include "base/checked.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FROM_TORCH "torch"
#define FROM_COMFYUI "ComfyUI"
#define FROM_PYTHON "Python"
#define FROM_NUMPY "NumPy"
#define QUANTISED "quantised tensors of PyTorch cannot be loaded"

/* Sorted by name. */
static const struct dt2_global globals[] = {
    { "_codecs.encode", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "builtins.bool", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.bytearray", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "builtins.bytes", DT2_GLOBAL_DATA, NULL, NULL, FROM_PYTHON },
    { "builtins.complex", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "builtins.dict", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.float", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.frozenset", DT2_GLOBAL_DATA, NULL, NULL, FROM_PYTHON },
    { "builtins.int", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.list", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.object", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.set", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "builtins.str", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "builtins.tuple", DT2_GLOBAL_NAME, NULL, NULL, FROM_PYTHON },
    { "collections.Counter", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "collections.OrderedDict", DT2_GLOBAL_ORDERED_DICT, NULL, NULL, FROM_TORCH },
    { "collections.defaultdict", DT2_GLOBAL_DEFAULT_DICT, NULL, NULL, FROM_PYTHON },
    { "numpy._core.multiarray._reconstruct", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy._core.multiarray.scalar", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy._core.numeric._frombuffer", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.core.multiarray._reconstruct", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.core.multiarray.scalar", DT2_GLOBAL_DATA, NULL, NULL, FROM_COMFYUI },
    { "numpy.core.numeric._frombuffer", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtype", DT2_GLOBAL_DATA, NULL, NULL, FROM_COMFYUI },
    { "numpy.dtypes.BoolDType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Float16DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Float32DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Float64DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_COMFYUI },
    { "numpy.dtypes.Int16DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Int32DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Int64DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.Int8DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.UInt16DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.UInt32DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.UInt64DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.dtypes.UInt8DType", DT2_GLOBAL_DATA, NULL, NULL, FROM_NUMPY },
    { "numpy.ndarray", DT2_GLOBAL_NAME, NULL, NULL, FROM_NUMPY },
    { "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint", DT2_GLOBAL_NAME, NULL, NULL, FROM_COMFYUI },
    { "torch.BFloat16Storage", DT2_GLOBAL_STORAGE, "BF16", NULL, FROM_TORCH },
    { "torch.BoolStorage", DT2_GLOBAL_STORAGE, "BOOL", NULL, FROM_TORCH },
    { "torch.ByteStorage", DT2_GLOBAL_STORAGE, "U8", NULL, FROM_TORCH },
    { "torch.CharStorage", DT2_GLOBAL_STORAGE, "I8", NULL, FROM_TORCH },
    { "torch.ComplexDoubleStorage", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.ComplexFloatStorage", DT2_GLOBAL_STORAGE, "C64", NULL, FROM_TORCH },
    { "torch.DoubleStorage", DT2_GLOBAL_STORAGE, "F64", NULL, FROM_TORCH },
    { "torch.FloatStorage", DT2_GLOBAL_STORAGE, "F32", NULL, FROM_TORCH },
    { "torch.HalfStorage", DT2_GLOBAL_STORAGE, "F16", NULL, FROM_TORCH },
    { "torch.IntStorage", DT2_GLOBAL_STORAGE, "I32", NULL, FROM_TORCH },
    { "torch.LongStorage", DT2_GLOBAL_STORAGE, "I64", NULL, FROM_TORCH },
    { "torch.QInt32Storage", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.QInt8Storage", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.QUInt2x4Storage", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.QUInt4x2Storage", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.QUInt8Storage", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.ShortStorage", DT2_GLOBAL_STORAGE, "I16", NULL, FROM_TORCH },
    { "torch.Size", DT2_GLOBAL_SIZE, NULL, NULL, FROM_TORCH },
    { "torch.Tensor", DT2_GLOBAL_TENSOR_CLASS, NULL, NULL, FROM_TORCH },
    { "torch._tensor._rebuild_from_type_v2", DT2_GLOBAL_REBUILD_FROM_TYPE, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_device_tensor_from_cpu_tensor", DT2_GLOBAL_REFUSED, NULL,
      "tensors of devices that are saved as others cannot be loaded", FROM_TORCH },
    { "torch._utils._rebuild_device_tensor_from_numpy", DT2_GLOBAL_REFUSED, NULL,
      "tensors of devices that are saved as arrays cannot be loaded", FROM_TORCH },
    { "torch._utils._rebuild_meta_tensor_no_storage", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_parameter", DT2_GLOBAL_REBUILD_PARAMETER, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_parameter_with_state", DT2_GLOBAL_REBUILD_PARAMETER_WITH_STATE, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_qtensor", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch._utils._rebuild_sparse_tensor", DT2_GLOBAL_REFUSED, NULL, "sparse tensors cannot be loaded", FROM_TORCH },
    { "torch._utils._rebuild_tensor", DT2_GLOBAL_REBUILD_TENSOR, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_tensor_v2", DT2_GLOBAL_REBUILD_TENSOR_V2, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_tensor_v3", DT2_GLOBAL_REBUILD_TENSOR_V3, NULL, NULL, FROM_TORCH },
    { "torch._utils._rebuild_wrapper_subclass", DT2_GLOBAL_REFUSED, NULL,
      "tensors whose bytes are in other tensors cannot be loaded", FROM_TORCH },
    { "torch.bcomplex32", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bfloat16", DT2_GLOBAL_DTYPE, "BF16", NULL, FROM_TORCH },
    { "torch.bits16", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bits1x8", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bits2x4", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bits4x2", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bits8", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.bool", DT2_GLOBAL_DTYPE, "BOOL", NULL, FROM_TORCH },
    { "torch.complex128", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.complex32", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.complex64", DT2_GLOBAL_DTYPE, "C64", NULL, FROM_TORCH },
    { "torch.device", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "torch.float16", DT2_GLOBAL_DTYPE, "F16", NULL, FROM_TORCH },
    { "torch.float32", DT2_GLOBAL_DTYPE, "F32", NULL, FROM_TORCH },
    { "torch.float4_e2m1fn_x2", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.float64", DT2_GLOBAL_DTYPE, "F64", NULL, FROM_TORCH },
    { "torch.float8_e4m3fn", DT2_GLOBAL_DTYPE, "F8_E4M3", NULL, FROM_TORCH },
    { "torch.float8_e4m3fnuz", DT2_GLOBAL_DTYPE, "F8_E4M3FNUZ", NULL, FROM_TORCH },
    { "torch.float8_e5m2", DT2_GLOBAL_DTYPE, "F8_E5M2", NULL, FROM_TORCH },
    { "torch.float8_e5m2fnuz", DT2_GLOBAL_DTYPE, "F8_E5M2FNUZ", NULL, FROM_TORCH },
    { "torch.float8_e8m0fnu", DT2_GLOBAL_DTYPE, "F8_E8M0", NULL, FROM_TORCH },
    { "torch.int1", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int16", DT2_GLOBAL_DTYPE, "I16", NULL, FROM_TORCH },
    { "torch.int2", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int3", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int32", DT2_GLOBAL_DTYPE, "I32", NULL, FROM_TORCH },
    { "torch.int4", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int5", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int6", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int64", DT2_GLOBAL_DTYPE, "I64", NULL, FROM_TORCH },
    { "torch.int7", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.int8", DT2_GLOBAL_DTYPE, "I8", NULL, FROM_TORCH },
    { "torch.nn.parameter.Parameter", DT2_GLOBAL_PARAMETER, NULL, NULL, FROM_TORCH },
    { "torch.per_channel_affine", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.per_channel_affine_float_qparams", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.per_channel_symmetric", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.per_tensor_affine", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.per_tensor_symmetric", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.qint32", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.qint8", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.quint2x4", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.quint4x2", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.quint8", DT2_GLOBAL_REFUSED, NULL, QUANTISED, FROM_TORCH },
    { "torch.serialization._get_layout", DT2_GLOBAL_DATA, NULL, NULL, FROM_TORCH },
    { "torch.storage.TypedStorage", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.storage.UntypedStorage", DT2_GLOBAL_STORAGE, "U8", NULL, FROM_TORCH },
    { "torch.uint1", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint16", DT2_GLOBAL_DTYPE, "U16", NULL, FROM_TORCH },
    { "torch.uint2", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint3", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint32", DT2_GLOBAL_DTYPE, "U32", NULL, FROM_TORCH },
    { "torch.uint4", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint5", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint6", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint64", DT2_GLOBAL_DTYPE, "U64", NULL, FROM_TORCH },
    { "torch.uint7", DT2_GLOBAL_UNLOADABLE, NULL, NULL, FROM_TORCH },
    { "torch.uint8", DT2_GLOBAL_DTYPE, "U8", NULL, FROM_TORCH },
};

/* Classes that there are one of for each dtype: of these the name is enough. */
static const struct dt2_global sparse = { "a class of sparse tensors", DT2_GLOBAL_REFUSED, NULL,
                                          "sparse tensors cannot be loaded", FROM_TORCH };
static const struct dt2_global old = { "a class of tensors of one dtype", DT2_GLOBAL_REFUSED, NULL,
                                       "tensors as the first versions of PyTorch wrote them cannot be loaded",
                                       FROM_TORCH };

static int compare(const void *key, const void *row)
{
    return strcmp(key, ((const struct dt2_global *)row)->name);
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

const struct dt2_global *dt2_global_find(const char *module, const char *name)
{
    char whole[512];
    bool cuda = strcmp(module, "torch.cuda") == 0;
    if (strcmp(module, "__builtin__") == 0) /* as Python 2 calls it, which protocol 2 speaks */
        module = "builtins";
    else if (cuda && ends_with(name, "Storage")) /* where it was does not matter */
        module = "torch";
    int length = snprintf(whole, sizeof whole, "%s.%s", module, name);
    if (length < 0 || (size_t)length >= sizeof whole)
        return NULL;
    const struct dt2_global *found = bsearch(whole, globals, DT2_COUNT(globals), sizeof *globals, compare);
    if (found || !ends_with(name, "Tensor"))
        return found;
    if (strcmp(module, "torch.sparse") == 0 || strcmp(module, "torch.cuda.sparse") == 0)
        return &sparse;
    return cuda || strcmp(module, "torch") == 0 ? &old : NULL;
}

/* What a program would be run with. */
bool dt2_global_runs_code(const char *module, const char *name)
{
    static const char *const modules[] = { "asyncio",  "code",       "commands",   "ctypes", "importlib", "marshal",
                                           "nt",       "os",         "pickle",     "posix",  "pty",       "runpy",
                                           "shutil",   "socket",     "subprocess", "sys",    "timeit",    "torch.hub",
                                           "torch.jit", "webbrowser", "_pickle",    "cPickle" };
    static const char *const functions[] = { "__import__", "breakpoint", "compile", "delattr", "eval",    "exec",
                                             "execfile",   "getattr",    "globals", "input",   "locals",  "map",
                                             "open",       "setattr",    "apply",   "vars",    "reduce",  "file" };
    bool builtin = strcmp(module, "builtins") == 0 || strcmp(module, "__builtin__") == 0;
    for (size_t i = 0; builtin && i < DT2_COUNT(functions); i++)
        if (strcmp(name, functions[i]) == 0)
            return true;
    if (strcmp(module, "torch.storage") == 0 && strcmp(name, "_load_from_bytes") == 0) /* a whole file in the file */
        return true;
    for (size_t i = 0; i < DT2_COUNT(modules); i++) {
        size_t length = strlen(modules[i]);
        if (strncmp(module, modules[i], length) == 0 && (module[length] == '\0' || module[length] == '.'))
            return true;
    }
    return false;
}
