# SPDX-License-Identifier: BSD-3-Clause
# make check-oracle: our reader beside the libraries that the formats come from. It needs Python, and a network once.
EXTRA_DIST += \
	tests/oracle/cast-oracle.py \
	tests/oracle/composed.py \
	tests/oracle/diffusers-oracle.py \
	tests/oracle/dt2.py \
	tests/oracle/gguf-oracle.py \
	tests/oracle/oracle.sh \
	tests/oracle/pickle-oracle.py \
	tests/oracle/requirements.txt \
	tests/oracle/safetensors-oracle.py \
	tests/oracle/torch-oracle.py

check-oracle: libdistorch2.la
	@top_srcdir='$(abs_top_srcdir)' top_builddir='$(abs_top_builddir)' PYTHON3='$(PYTHON3)' \
	$(SHELL) $(top_srcdir)/tests/oracle/oracle.sh

clean-local: clean-oracle
clean-oracle:
	rm -rf oracle-venv oracle-venv.log
.PHONY: check-oracle clean-oracle
