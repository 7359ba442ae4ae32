# SPDX-License-Identifier: BSD-3-Clause
"""distorch2: load a ControlNet with its tensors spread over the memories of unlike devices, and run it.

    import distorch2

    with distorch2.Context() as context:
        with context.load("control.safetensors", compute_device="cpu",
                          expert_mode_allocations="cpu,30%;opencl:0,*") as model:
            weight = model.tensor("mid_block.resnets.0.conv1.weight")
            print(weight.device, weight.shape)

The package is ctypes over libdistorch2.so.0, which DISTORCH2_LIBRARY may name; it has no compiled part. Errors are
exceptions (:class:`DistorchError`). ``distorch2.torch`` runs PyTorch modules on such a model.
"""

TYPE_CHECKING = False  # typing's own takes a while to import, and type checkers know this one too
if TYPE_CHECKING:
    from types import ModuleType

    from .catalog import Catalog, Entry
    from .context import Context
    from .devices import Budget, Device, Devices, DeviceSpeeds, Link, Speeds, Unusable
    from .errors import (
        BusyError,
        CancelledError,
        DistorchError,
        ErrorCode,
        ExportError,
        FailedError,
        ForkError,
        FullError,
        GoneError,
        NoFitError,
        NoMemoryError,
        NotFoundError,
        ParkedError,
        UsageError,
    )
    from .file import Block, File, FileSpeeds, TensorInfo, Traits
    from .model import DeviceProgress, DeviceStatistics, Model, Progress, Statistics
    from .plan import Plan, Prediction, Request, Share, make_plan
    from .session import Held, Session, SessionInfo, SessionStatistics, Span
    from .shared import SharedMemory, shared_models
    from .sizes import format_size, parse_gib, parse_size
    from .tensor import DLDeviceType, Native, Tensor

__version__ = "0.1.0"

# Which module has a name. An import of the package reads none of them, nor the library: the first use of a name does.
_FROM = {
    "catalog": "Catalog Entry",
    "context": "Context",
    "devices": "Budget Device DeviceSpeeds Devices Link Speeds Unusable",
    "errors": "BusyError CancelledError DistorchError ErrorCode ExportError FailedError ForkError FullError GoneError "
    "NoFitError NoMemoryError NotFoundError ParkedError UsageError",
    "file": "Block File FileSpeeds TensorInfo Traits",
    "model": "DeviceProgress DeviceStatistics Model Progress Statistics",
    "plan": "Plan Prediction Request Share make_plan",
    "session": "Held Session SessionInfo SessionStatistics Span",
    "shared": "SharedMemory shared_models",
    "sizes": "format_size parse_gib parse_size",
    "tensor": "DLDeviceType Native Tensor",
}
_MODULES = {name: module for module, names in _FROM.items() for name in names.split()}


def __getattr__(name: str) -> "ModuleType":
    """Names are imported when somebody first asks for them; so is ``distorch2.torch``, which alone needs PyTorch."""
    from importlib import import_module

    if name == "torch" or name in _FROM:
        return import_module("." + name, __name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: "ModuleType" = getattr(import_module("." + _MODULES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__})


def library_version() -> str:
    """The version of the library that was found."""
    from ._native import lib

    return str(lib.dt2_version().decode())


__all__ = [
    "Block",
    "Budget",
    "BusyError",
    "CancelledError",
    "Catalog",
    "Context",
    "DLDeviceType",
    "Device",
    "DeviceProgress",
    "DeviceSpeeds",
    "DeviceStatistics",
    "Devices",
    "DistorchError",
    "Entry",
    "ErrorCode",
    "ExportError",
    "FailedError",
    "File",
    "FileSpeeds",
    "ForkError",
    "FullError",
    "GoneError",
    "Held",
    "Link",
    "Model",
    "Native",
    "NoFitError",
    "NoMemoryError",
    "NotFoundError",
    "ParkedError",
    "Plan",
    "Prediction",
    "Progress",
    "Request",
    "Session",
    "SessionInfo",
    "SessionStatistics",
    "Share",
    "SharedMemory",
    "Span",
    "Speeds",
    "Statistics",
    "Tensor",
    "TensorInfo",
    "Traits",
    "Unusable",
    "UsageError",
    "format_size",
    "library_version",
    "make_plan",
    "parse_gib",
    "parse_size",
    "shared_models",
]
