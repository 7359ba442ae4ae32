# SPDX-License-Identifier: BSD-3-Clause
"""A recipe for Spack 1: copy this folder to packages/distorch2 of a repository of yours (`spack repo create`)."""

from spack_repo.builtin.build_systems.autotools import AutotoolsPackage
from spack_repo.builtin.build_systems.python import PythonExtension

from spack.package import *


class Distorch2(AutotoolsPackage, PythonExtension):
    """Loads a ControlNet model with its tensors spread over the memories of unlike devices: NVIDIA GPUs, AMD GPUs,
    whatever speaks OpenCL, and host memory by NUMA node."""

    homepage = "https://example.org/distorch2"
    url = "https://example.org/distorch2/distorch2-0.1.0.tar.gz"

    license("BSD-3-Clause")

    # The sum is that of the tarball of `make dist`: spack checksum distorch2
    version("0.1.0")

    variant("cuda", default=True, description="The driver for CUDA; it binds the vendor's software when it is used")
    variant("hip", default=True, description="The driver for HIP; it binds the vendor's software when it is used")
    variant("opencl", default=True, description="The driver for OpenCL")
    variant("liburing", default=True, description="Reads by io_uring, where the kernel allows them")
    variant("cairo", default=False, description="Pictures as PNG and PDF, beside SVG")
    variant("mpi", default=False, description="libdistorch2-mpi and distorch2-mpi: files are read once a job")
    variant("python", default=False, description="The Python package")

    depends_on("c", type="build")
    depends_on("cxx", type="test")
    depends_on("pkgconfig", type="build")
    depends_on("hwloc@2.2:")
    depends_on("jansson@2.12:")
    depends_on("libyaml")
    depends_on("xxhash@0.8:")
    depends_on("openssl")
    depends_on("liburing", when="+liburing")
    depends_on("cairo@1.16:+pdf+png", when="+cairo")
    depends_on("mpi", when="+mpi")
    depends_on("opencl-c-headers", when="+opencl", type="build")
    depends_on("opencl", when="+opencl", type="run")
    depends_on("python@3.9:", when="+python", type=("build", "run"))

    extends("python", when="+python")

    def configure_args(self):
        drivers = [word for name in ("cuda", "hip", "opencl") for word in self.with_or_without(name)]
        others = [word for name in ("liburing", "cairo", "mpi") for word in self.with_or_without(name)]
        return [*drivers, *others, "--without-vendor-headers"]

    def check(self):
        make("check")

    def installcheck(self):
        make("installcheck")

    @run_after("install", when="+python")
    def install_python(self):
        install_tree("python/distorch2", join_path(python_platlib, "distorch2"))
