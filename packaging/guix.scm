;;; SPDX-License-Identifier: BSD-3-Clause
;;; A recipe for Guix, of the tarball of `make dist` beside it: guix build -f packaging/guix.scm
(use-modules (guix packages)
             (guix gexp)
             (guix build-system gnu)
             ((guix licenses) #:prefix license:)
             (gnu packages digest)
             (gnu packages gtk)
             (gnu packages linux)
             (gnu packages mpi)
             (gnu packages opencl)
             (gnu packages pkg-config)
             (gnu packages python)
             (gnu packages tls)
             (gnu packages web))

(define distorch2
  (package
    (name "distorch2")
    (version "0.1.0")
    (source (local-file (string-append "../build/distorch2-" version ".tar.gz")))
    (build-system gnu-build-system)
    (arguments
     (list #:configure-flags #~(list "--without-vendor-headers")))
    (native-inputs (list opencl-headers pkg-config python-minimal-wrapper)) ;tests that lack a tool skip
    (inputs (list cairo `(,hwloc "lib") jansson liburing libyaml openssl xxhash))
    (propagated-inputs (list opencl-icd-loader)) ;found at run time, by its soname
    (home-page "https://example.org/distorch2")
    (synopsis "Load a model with its tensors spread over the memories of unlike devices")
    (description
     "distorch2 loads a ControlNet model with its tensors spread over several memories: GPUs of NVIDIA and AMD, whatever
speaks OpenCL, and host memory by NUMA node.  Which bytes go where is decided before anything is touched.")
    (license license:bsd-3)))

distorch2
