# SPDX-License-Identifier: BSD-3-Clause
libdistorch2_core_la_SOURCES += \
	src/formats/safetensors/safetensors.c

check_PROGRAMS += tests/unit/test-safetensors
TESTS += tests/unit/test-safetensors
tests_unit_test_safetensors_SOURCES = tests/unit/test-safetensors.c tests/support/layout.h tests/support/scratch.h
tests_unit_test_safetensors_LDADD = $(TEST_LIBS)
EXTRA_DIST += \
	tests/data/safetensors/array.safetensors \
	tests/data/safetensors/array_info.safetensors \
	tests/data/safetensors/bad_utf8.safetensors \
	tests/data/safetensors/deep.safetensors \
	tests/data/safetensors/dup_diff.safetensors \
	tests/data/safetensors/dup_diff2.safetensors \
	tests/data/safetensors/dup_meta.safetensors \
	tests/data/safetensors/dup_metakey.safetensors \
	tests/data/safetensors/dup_same.safetensors \
	tests/data/safetensors/empty_name.safetensors \
	tests/data/safetensors/empty_obj.safetensors \
	tests/data/safetensors/f4_odd.safetensors \
	tests/data/safetensors/float_shape.safetensors \
	tests/data/safetensors/hdr_len_0.safetensors \
	tests/data/safetensors/hdr_len_100M.safetensors \
	tests/data/safetensors/hdr_len_big.safetensors \
	tests/data/safetensors/hole.safetensors \
	tests/data/safetensors/lead_ws.safetensors \
	tests/data/safetensors/lone_surr.safetensors \
	tests/data/safetensors/meta_arr.safetensors \
	tests/data/safetensors/meta_nonstr.safetensors \
	tests/data/safetensors/meta_null.safetensors \
	tests/data/safetensors/misalign.safetensors \
	tests/data/safetensors/neg.safetensors \
	tests/data/safetensors/no_shape.safetensors \
	tests/data/safetensors/nul_name.safetensors \
	tests/data/safetensors/null.safetensors \
	tests/data/safetensors/ok.safetensors \
	tests/data/safetensors/one_off.safetensors \
	tests/data/safetensors/ovf.safetensors \
	tests/data/safetensors/ovf_bits.safetensors \
	tests/data/safetensors/rank300.safetensors \
	tests/data/safetensors/size_mismatch.safetensors \
	tests/data/safetensors/trail_nul.safetensors \
	tests/data/safetensors/trailing.safetensors \
	tests/data/safetensors/trunc.safetensors \
	tests/data/safetensors/unk_dtype.safetensors \
	tests/data/safetensors/unk_field.safetensors \
	tests/data/safetensors/verdicts.tsv \
	tests/data/safetensors/zero_first_ovf.safetensors \
	tests/data/safetensors/zero_hole.safetensors \
	tests/data/safetensors/zero_last_ovf.safetensors \
	tests/fuzz/fuzz-safetensors.c \
	tests/fuzz/safetensors.dict \
	tests/fuzz/seeds/safetensors/bad_utf8.safetensors \
	tests/fuzz/seeds/safetensors/cldm.safetensors \
	tests/fuzz/seeds/safetensors/deep.safetensors \
	tests/fuzz/seeds/safetensors/dup_same.safetensors \
	tests/fuzz/seeds/safetensors/escapes.safetensors \
	tests/fuzz/seeds/safetensors/f4_odd.safetensors \
	tests/fuzz/seeds/safetensors/float_shape.safetensors \
	tests/fuzz/seeds/safetensors/hole.safetensors \
	tests/fuzz/seeds/safetensors/lead_ws.safetensors \
	tests/fuzz/seeds/safetensors/lone_surr.safetensors \
	tests/fuzz/seeds/safetensors/meta_null.safetensors \
	tests/fuzz/seeds/safetensors/misalign.safetensors \
	tests/fuzz/seeds/safetensors/nul_name.safetensors \
	tests/fuzz/seeds/safetensors/ok.safetensors \
	tests/fuzz/seeds/safetensors/unk_field.safetensors \
	tests/fuzz/seeds/safetensors/zero_first_ovf.safetensors
