# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make bench: what dirtyprof costs a guest, its host and other processes. BENCH_SECONDS, BENCH_REPEATS, BENCH_ONLY: tests/bench/run.

LOOPS := $(BUILD)/tests/bench/loops

$(LOOPS): tests/bench/loops.c
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(LDFLAGS) -o $@ $<

bench:
	$(Q)scripts/install-deps bench
	+$(Q)$(MAKE) --no-print-directory all dpvmm $(LOOPS)
	$(Q)BUILD='$(BUILD)' tests/bench/run

.PHONY: bench
