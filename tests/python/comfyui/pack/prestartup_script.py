# SPDX-License-Identifier: BSD-3-Clause
"""ComfyUI takes --lowvram and its like not together with --cpu: a test that has them asks for the processor here, before
anything looks."""

import os

from comfy.cli_args import args

if os.environ.get("DISTORCH2_TESTS_AS_GPU"):
    args.cpu = True
