# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make bench: what dirtyprof costs a guest, its host and other processes. BENCH_SECONDS, BENCH_REPEATS, BENCH_ONLY: tests/bench/run.

LOOPS := $(BUILD)/tests/bench/loops

$(LOOPS): tests/bench/loops.c
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE $(WARN) $(CFLAGS) $(LDFLAGS) -o $@ $<

HOOK := $(BUILD)/tests/bench/hook

$(HOOK): tests/bench/hook.c
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(WARN) $(PKG_CFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(PKG_LIBS)

# Nothing on dirtyprof's own hook, so that the bench can tell the two apart.
EMPTY := $(BUILD)/tests/bench/empty.bpf.o

$(EMPTY): tests/bench/empty.bpf.c
	$(call msg,BPF)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -c -o $@ $<

bench:
	$(Q)scripts/install-deps bench
	+$(Q)$(MAKE) --no-print-directory all dpvmm $(LOOPS) $(HOOK) $(EMPTY) $(MAKE_TRACE) >&2
	$(Q)BUILD='$(BUILD)' tests/bench/run

.PHONY: bench
