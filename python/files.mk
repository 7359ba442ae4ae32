# SPDX-License-Identifier: BSD-3-Clause
# The Python package, which is installed by pip and not by make, and its tests. `make check` runs those that need Python alone;
# `make check-python` makes an environment with torch and diffusers, unless DISTORCH2_PYTHON_VENV names one, and runs the rest.
python_tests = \
	tests/python/test_dlpack.py \
	tests/python/test_native.py \
	tests/python/test_objects.py \
	tests/python/test_package.py \
	tests/python/test_process.py \
	tests/python/test_runtimes.py \
	tests/python/test_session.py \
	tests/python/test_simulated.py \
	tests/python/test_stored.py \
	tests/python/test_threads.py
python_torch_tests = \
	tests/python/torch/test_attach.py \
	tests/python/torch/test_arrays.py \
	tests/python/torch/test_diffusers.py \
	tests/python/torch/test_example.py \
	tests/python/torch/test_life.py \
	tests/python/torch/test_runtimes.py \
	tests/python/torch/test_trace.py \
	tests/python/torch/test_weights.py \
	tests/python/torch/test_wheel.py
python_comfyui_tests = \
	tests/python/comfyui/test_browser.py \
	tests/python/comfyui/test_families.py \
	tests/python/comfyui/test_figures.py \
	tests/python/comfyui/test_flags.py \
	tests/python/comfyui/test_install.py \
	tests/python/comfyui/test_node.py \
	tests/python/comfyui/test_others.py \
	tests/python/comfyui/test_people.py \
	tests/python/comfyui/test_server.py
TESTS += $(python_tests)
TEST_EXTENSIONS += .py
PY_LOG_DRIVER = $(tap_driver)
PY_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/support/python.sh
EXTRA_DIST += $(python_tests) $(python_torch_tests) $(python_comfyui_tests) \
	python/comfyui/__init__.py \
	python/comfyui/example_workflows/controlnet-with-virtual-vram.json \
	python/comfyui/example_workflows/devices-and-plans.json \
	python/comfyui/inputs.py \
	python/comfyui/loading.py \
	python/comfyui/locales/en/nodeDefs.json \
	python/comfyui/locales/zh/nodeDefs.json \
	python/comfyui/machine.py \
	python/comfyui/network.py \
	python/comfyui/nodes.py \
	python/comfyui/patches.py \
	python/comfyui/patcher.py \
	python/comfyui/picture.py \
	python/comfyui/pyproject.toml \
	python/comfyui/requirements.txt \
	python/comfyui/sleep.py \
	python/comfyui/t2i.py \
	python/comfyui/web/docs/ControlNetLoaderDisTorch2MultiGPU.md \
	python/comfyui/web/docs/DiffControlNetLoaderDisTorch2MultiGPU.md \
	python/comfyui/web/docs/DisTorch2ControlNetLoader.md \
	python/comfyui/web/docs/DisTorch2Devices.md \
	python/comfyui/web/docs/DisTorch2DiffControlNetLoader.md \
	python/comfyui/web/docs/DisTorch2Plan.md \
	tests/python/comfyui/browser.py \
	tests/python/comfyui/check.sh \
	tests/python/comfyui/checkout.py \
	tests/python/comfyui/families.py \
	tests/python/comfyui/made.py \
	tests/python/comfyui/pack/__init__.py \
	tests/python/comfyui/pack/prestartup_script.py \
	tests/python/comfyui/serving.py \
	tests/python/comfyui/workflows.py \
	python/MANIFEST.in \
	python/README.md \
	python/build_backend.py \
	python/build_native.py \
	python/distorch2/__init__.py \
	python/distorch2/_core.py \
	python/distorch2/_handle.py \
	python/distorch2/_log.py \
	python/distorch2/_enums.py \
	python/distorch2/_library.py \
	python/distorch2/_native.py \
	python/distorch2/_runtimes.py \
	python/distorch2/_structs.py \
	python/distorch2/_tool.py \
	python/distorch2/_watch.py \
	python/distorch2/catalog.py \
	python/distorch2/context.py \
	python/distorch2/devices.py \
	python/distorch2/errors.py \
	python/distorch2/file.py \
	python/distorch2/model.py \
	python/distorch2/plan.py \
	python/distorch2/py.typed \
	python/distorch2/session.py \
	python/distorch2/shared.py \
	python/distorch2/sizes.py \
	python/distorch2/tensor.py \
	python/distorch2/torch/__init__.py \
	python/distorch2/torch/attachment.py \
	python/distorch2/torch/buffers.py \
	python/distorch2/torch/devices.py \
	python/distorch2/torch/dtypes.py \
	python/distorch2/torch/ledger.py \
	python/distorch2/torch/owned.py \
	python/distorch2/torch/passes.py \
	python/distorch2/torch/places.py \
	python/distorch2/torch/ranges.py \
	python/distorch2/torch/record.py \
	python/distorch2/torch/relay.py \
	python/distorch2/torch/standin.py \
	python/distorch2/torch/weights.py \
	python/pyproject.toml \
	python/recipe/deps.sh \
	python/recipe/floor.c \
	python/recipe/start.c \
	python/recipe/statics.c \
	tests/python/torch/requirements.txt \
	tests/python/torch/support.py \
	tests/python/torch/venv.sh \
	tests/python/installed/check.py \
	tests/support/python.sh \
	tests/support/tap.py

# What the networks computed, and the memory that they took, is said at the end.
check-python: all
	@$(SHELL) $(srcdir)/tests/python/torch/venv.sh '$(PYTHON3)' python-venv
	@status=0; $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(python_tests) $(python_torch_tests)' || status=$$?; \
	sed -n 's/^# //p' tests/python/torch/test_diffusers.log tests/python/torch/test_example.log; exit $$status

# A wheel with all that it needs inside, of this source tree; and what holds for it. quick-wheel leaves out the package's tests.
wheel:
	@$(MKDIR_P) wheels
	$(PYTHON3) -m pip wheel --quiet --disable-pip-version-check --no-deps -w wheels '$(abs_top_srcdir)/python'
	@ls -l wheels
check_wheel = $(AM_TESTS_ENVIRONMENT) CC='$(CC)' $(PYTHON3) -B '$(srcdir)/tests/python/installed/check.py'
quick-wheel:
	@$(check_wheel) --quick
check-wheel: all tests/support/mkmodel
	@$(check_wheel)

# The nodes in each checkout of ComfyUI that DISTORCH2_COMFYUI names, with what it requires, installed once.
check-comfyui: all tests/support/mkmodel
	@$(SHELL) $(srcdir)/tests/python/comfyui/check.sh '$(MAKE)' '$(PYTHON3)' $(python_comfyui_tests)

bench-python: all
	@$(AM_TESTS_ENVIRONMENT) \
	run() { $(SHELL) $(top_srcdir)/tests/support/python.sh "$(srcdir)/tests/bench/python-$$1.py" | sed 's/^1..0 # SKIP/skipped:/'; }; \
	run overhead; run pass; OMP_WAIT_POLICY=passive; export OMP_WAIT_POLICY; run pass
EXTRA_DIST += tests/bench/python-overhead.py tests/bench/python-pass.py

clean-local: clean-python
clean-python:
	rm -rf python-venv python-venv.reason comfyui-venv-* comfyui-logs wheels
.PHONY: bench-python check-comfyui check-python check-wheel clean-python quick-wheel wheel
