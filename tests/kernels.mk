# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make check-kernels: dirtyprof on Debian's kernels under emulation (tests/kernels). KERNELS="--only x86-6" runs some of it.
# Fetches kernels and QEMU into ~/.cache/dirtyprof (DIRTYPROF_KERNELS changes it) and installs nothing but its own tools.

check-kernels:
	$(Q)scripts/install-deps kernels || echo 'make: going on; what cannot be run is skipped' >&2
	+$(Q)$(MAKE) --no-print-directory all dpvmm guest >&2
	$(Q)BUILD='$(BUILD)' tests/kernels/run $(KERNELS)

# docs/kernels.md from the results of the last run
kernels-doc:
	$(Q)BUILD='$(BUILD)' tests/kernels/run --write-doc

# By hand, some minutes: make itself on ppc64le, in a Debian whose programs an emulator runs (docs/power.md)
check-native-ppc64le:
	$(Q)BUILD='$(BUILD)' tests/kernels/native.py

.PHONY: check-kernels kernels-doc check-native-ppc64le
