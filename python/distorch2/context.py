# SPDX-License-Identifier: BSD-3-Clause
"""The context: the machine's drivers, and the models that are loaded through them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from ctypes import byref, c_void_p
from typing import Any, Callable, Optional, Union

from . import _native, _runtimes
from ._core import call, encode, failure, made, speed
from ._handle import Handle
from ._log import Log, log_callback
from ._native import lib
from ._watch import ProgressFunction, Watch
from .devices import Devices, DeviceSpeeds
from .errors import BusyError, CancelledError, DistorchError, UsageError
from .file import File, Path, opened, placed
from .model import Model
from .plan import NativeRequest, Plan, Request, SavedPlan, plan_made, requested
from .sizes import Size, in_bytes

_REFUSE = _native.ENUMS["DT2_UNLOAD_REFUSE"]


def _handles(context: int) -> list[int]:
    """The models loaded now, each with a reference that is ours."""
    room = lib.dt2_context_models(context, None, 0)
    while True:
        models = (c_void_p * max(room, 1))()
        count = lib.dt2_context_models(context, models, room)
        if count <= room:
            return [models[i] for i in range(count)]
        for i in range(room):
            lib.dt2_model_unref(models[i])
        room = count


def _unload_all(context: int) -> Optional[_native.error]:
    """Unloads what nobody borrows; the error of the last model that is borrowed."""
    refused = None
    for model in _handles(context):
        error = _native.error()
        if lib.dt2_model_unload(model, _REFUSE, byref(error)) < 0:
            refused = error
        lib.dt2_model_unref(model)
    return refused


def _end(callback: Any) -> Callable[[int], bool]:
    """Frees a context, whose log callback must live until then. With a model borrowed by an array that would never
    return, so it is not tried."""

    def end(pointer: int, _callback: Any = callback) -> bool:
        if _unload_all(pointer) is not None:
            return False
        lib.dt2_context_destroy(pointer)
        return True

    return end


_IO = ("auto", "buffered", "direct")


def _io_mode(io: str) -> int:
    if io not in _IO:
        raise UsageError(f"io is {io!r}: one of {', '.join(_IO)}")
    return _native.ENUMS[f"DT2_IO_{io.upper()}"]


def _runtimes_named(cuda: Optional[Path], hip: Optional[Path]) -> tuple[Optional[bytes], Optional[bytes]]:
    """The two options of a context: what the caller names, else what the environment does, else torch's. Those are
    only offered: where one cannot be used it would not help torch either."""
    if None not in (cuda, hip):
        return encode(cuda), encode(hip)
    of_torch = _runtimes.of_torch()
    options = []
    for named, variable, found in zip((cuda, hip), ("DISTORCH2_CUDART", "DISTORCH2_AMDHIP64"), of_torch):
        if named is None and found is not None and variable not in os.environ:
            named = f"?{found}"
        options.append(encode(named))
    return options[0], options[1]


class Context(Handle):
    """The machine's drivers, and the models loaded through them. Use it in ``with``, or :meth:`close` it.

    Any method may be called from several threads at once; calls release the GIL. A forked child cannot use it.
    """

    _what = "context"

    def __init__(
        self,
        backend_path: Optional[Union[str, Sequence[Path]]] = None,
        log: Log = None,
        cuda_runtime: Optional[Path] = None,
        hip_runtime: Optional[Path] = None,
    ) -> None:
        """``backend_path``: folders with driver modules, instead of $DISTORCH2_BACKEND_PATH and the library's own.
        ``log`` receives the library's log, from any thread: a ``logging.Logger``, or a callable that takes a level
        and a line. ``cuda_runtime`` and ``hip_runtime``: the files of the libcudart and libamdhip64 to use where the
        process holds none yet, instead of those that $DISTORCH2_CUDART and $DISTORCH2_AMDHIP64 name, else those that
        the installed torch will load when it is imported; "" for none.
        """
        if backend_path is not None and not isinstance(backend_path, str):
            backend_path = ":".join(os.fspath(folder) for folder in backend_path)
        callback = log_callback(log)
        size = ctypes.sizeof(_native.context_options)
        cuda, hip = _runtimes_named(cuda_runtime, hip_runtime)
        options = _native.context_options(size, callback, None, encode(backend_path), cuda, hip)
        super().__init__(made(lib.dt2_context_create, byref(options)), _end(callback))

    def close(self) -> None:
        """Unloads every model and driver. Raises :class:`BusyError`, changing nothing more, while one is borrowed: by a
        session that is open, or an array that is a view of one of its tensors; and within a call of this thread, such
        as the ``progress`` of a load. Loads of other threads are cancelled, and the last call in flight frees it all."""
        if not self.closed:
            self._check_process()
            self._use.refuse_within()
            refused = self._unload_all()
            if refused is not None:
                raise failure(refused, BusyError)
        super().close()

    def _unload_all(self) -> Optional[_native.error]:
        try:
            with self._call() as context:
                return _unload_all(context)
        except UsageError:  # another thread has closed it meanwhile
            return None

    def devices(self, free: bool = False, measure: bool = False, unusable: bool = False) -> Devices:
        """A snapshot of the devices. ``free``: free bytes also where only a context on the GPU can tell; ``measure``:
        the speed of copies; ``unusable``: what cannot be used, and why."""
        flags = (
            _native.ENUMS["DT2_DEVICES_FREE"] * free
            | _native.ENUMS["DT2_DEVICES_MEASURE"] * measure
            | _native.ENUMS["DT2_DEVICES_UNUSABLE"] * unusable
        )
        with self._call() as context:
            return Devices(made(lib.dt2_devices_list, context, flags))

    def measure(self, device: str) -> DeviceSpeeds:
        """How fast copies between host memory and a device are."""
        raw = _native.device_speeds()
        with self._call() as context:
            call(lib.dt2_device_measure, context, encode(device), byref(raw))
        return DeviceSpeeds(*map(speed, (raw.write_gbps, raw.write_pinned_gbps, raw.read_gbps, raw.read_pinned_gbps)))

    def plan(self, file: Union[File, Path], request: Optional[Request] = None, **options: Any) -> Plan:
        """The plan that :meth:`load` would apply now. Options of a :class:`Request` may be given as keywords."""
        wanted = requested(request, options)
        native = NativeRequest(wanted)
        with opened(file, wanted.dtype) as source:
            with self._call() as context, placed(source, wanted.place) as (pointer, blocks):
                with native.calling() as native_request:
                    return plan_made(pointer, lib.dt2_model_plan, context, blocks, native_request)

    def load(
        self,
        file: Union[File, Path],
        request: Optional[Request] = None,
        *,
        plan: Union[Plan, str, bytes, None] = None,
        name: Optional[str] = None,
        verify: bool = False,
        staging_bytes: Size = 0,
        threads: int = 0,
        queue_depth: int = 0,
        io: str = "auto",
        progress: Optional[ProgressFunction] = None,
        **options: Any,
    ) -> Model:
        """Loads a model as ``request``, or the request's options given as keywords, ask.

        Or exactly as a ``plan`` has it that was made before, also on another machine, also as its JSON: then no option stands
        beside it but ``dtype``, the plan's own unless given. What no longer agrees with the file or the devices is refused.

        Ctrl-C, an exception in ``progress``, and ``progress`` returning False cancel the load: all that it took is
        given back. ``verify`` reads every tensor back from its device and compares it with the file. ``name`` is how
        the model is registered, its path unless given; ``staging_bytes``, ``threads`` and ``queue_depth``, the reads under
        way at once, are 0 for the defaults. ``io``: "buffered" reads through the page cache, "direct" past it, and "auto"
        what is not in it where that is quicker.
        """
        if plan is not None and request is not None:
            raise UsageError("request and plan: the plan decides alone; make it anew as the request asks")
        saved = None if plan is None else SavedPlan(plan, options)
        wanted = requested(request, options) if saved is None else Request(dtype=saved.dtype, place=saved.place)
        native = NativeRequest(wanted)
        watch = Watch(progress, stop=lambda: self.closed)
        how = _native.load_options(
            ctypes.sizeof(_native.load_options),
            encode(name),
            verify,
            in_bytes(staging_bytes, "staging_bytes"),
            threads,
            watch.callback,
            watch.data,
            None,
            0,
            False,
            queue_depth,
            _io_mode(io),
        )
        try:
            with opened(file, wanted.dtype) as source:
                with placed(source, wanted.place) as (pointer, blocks):
                    if saved is None:
                        model = self._loaded(source.path, lib.dt2_model_load, pointer, blocks, byref(native.raw), byref(how))
                    else:
                        with saved.parsed(pointer, blocks) as exact:
                            model = self._loaded(source.path, lib.dt2_model_load_plan, pointer, blocks, exact, byref(how))
        except DistorchError:
            raised = watch.raised or native.raised
            if raised is None:
                raise
            raise raised from None
        if native.raised is not None:
            model.unload()
            raise native.raised
        return model

    def _loaded(self, path: str, load: Callable[..., int], *arguments: Any) -> Model:
        with self._call() as context:
            try:
                model = Model(made(load, context, *arguments), self)
            except CancelledError:
                if not self.closed:
                    raise
            if self.closed:
                raise UsageError(f"this context was closed while it loaded {path}")
            return model

    @property
    def models(self) -> list[Model]:
        """The models loaded now, in the order in which they were admitted."""
        with self._call() as context:
            return [Model(pointer, self) for pointer in _handles(context)]

    def __repr__(self) -> str:
        return "<Context, closed>" if self.closed else "<Context>"
