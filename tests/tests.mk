# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Unit tests: each tests/unit/test_*.c is a cmocka program linked with the real pure objects.

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)

$(BUILD)/tests/unit/%: tests/unit/%.c $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(PURE_LIB) $(LDFLAGS) -lcmocka -ljson-c -lm

# Those that need the live objects around the QEMU process (no BPF in them).
QEMU_SRC := $(wildcard user/qmp/*.c user/vm/proc*.c user/vm/backing.c user/vm/busy.c user/cli/log.c user/cli/units.c)
QEMU_OBJ := $(QEMU_SRC:%.c=$(BUILD)/%.o)
QEMU_UNIT := $(filter-out %test_qmp_fuzz,$(filter $(addprefix $(BUILD)/tests/unit/test_,units qmp% proc% backing busy),$(UNIT_BIN)))
QEMU_HDR := $(wildcard user/qmp/*.h user/vm/*.h user/cli/*.h include/dirtyprof/*.h tests/lib/*.h tests/unit/qmp_*.h)
FAKE_QMP := $(BUILD)/tests/lib/fake_qmp

$(QEMU_UNIT): $(BUILD)/tests/unit/%: tests/unit/%.c tests/lib/fake_qmp.c $(QEMU_OBJ) $(QEMU_HDR)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(filter %.c %.o,$^) $(LDFLAGS) -lcmocka -ljson-c -lm

# The same sources under the sanitizers.
$(BUILD)/tests/unit/test_qmp_fuzz: tests/unit/test_qmp_fuzz.c $(QEMU_SRC) $(QEMU_HDR)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all -Itests -o $@ $(filter %.c,$^) \
		$(LDFLAGS) -lcmocka -ljson-c -lm

# What reads files of our own JSON, with the model behind it, likewise.
$(BUILD)/tests/unit/test_table_input: tests/unit/test_table_input.c $(PURE_SRC) \
	$(wildcard include/dirtyprof/*.h user/report/*.h user/model/*.h tests/unit/*.h) | $(ASSETS)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -fsanitize=address,undefined -fno-sanitize-recover=all -Itests -o $@ $(filter %.c,$^) \
		$(LDFLAGS) -lcmocka -ljson-c -lm

# What reads a process's memory.
CONTENT_OBJ := $(BUILD)/user/vm/content.o

$(BUILD)/tests/unit/test_content: tests/unit/test_content.c $(CONTENT_OBJ) $(PURE_LIB) user/vm/content.h
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $< $(CONTENT_OBJ) $(PURE_LIB) $(LDFLAGS) -lcmocka -lm

# What judges the tracking granule; the test says how large the host's pages are.
GRANULE_OBJ := $(BUILD)/user/probe/watch_granule.o

$(BUILD)/tests/unit/test_granule: tests/unit/test_granule.c $(GRANULE_OBJ) $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(GRANULE_OBJ) $(PURE_LIB) $(LDFLAGS) -Wl,--wrap=sysconf -lcmocka -lm

# What past migrations taught.
LEARNED_OBJ := $(BUILD)/user/cli/learned.o $(BUILD)/user/cli/textfile.o

$(BUILD)/tests/unit/test_learned: tests/unit/test_learned.c $(LEARNED_OBJ)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(LEARNED_OBJ) $(LDFLAGS) -lcmocka -ljson-c -lm

# Where zero pages are.
ZERO_OBJ := $(BUILD)/user/vm/zero.o

$(BUILD)/tests/unit/test_zero: tests/unit/test_zero.c $(ZERO_OBJ)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(ZERO_OBJ) $(LDFLAGS) -lcmocka -lm

# What is read of a trace.
TRACE_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/trace/*.c))

TRACE_UNIT := $(filter %test_hostile_trace %test_hostile_records %test_hostile_windows %test_trace_windows,$(UNIT_BIN))

$(TRACE_UNIT): $(BUILD)/tests/unit/%: tests/unit/%.c $(TRACE_OBJ) $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(TRACE_OBJ) $(PURE_LIB) $(LDFLAGS) -lcmocka -ljson-c -lz -lm

# Makes traces of VMs that there never were.
MAKE_TRACE := $(BUILD)/tests/lib/make_trace

$(MAKE_TRACE): tests/lib/make_trace.c $(TRACE_OBJ) $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -o $@ $< $(TRACE_OBJ) $(PURE_LIB) $(LDFLAGS) -lz -lm

# A QMP server that misbehaves as told, for tests of the whole tool.
$(FAKE_QMP): tests/lib/fake_qmp_main.c tests/lib/fake_qmp.c tests/lib/fake_qmp.h
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -o $@ $(filter %.c,$^) $(LDFLAGS) -ljson-c

# Traces of guests that nobody ran.
SYNTH := $(BUILD)/tests/lib/synth
SYNTH_OBJ := $(patsubst %.c,$(BUILD)/%.o,$(wildcard user/trace/*.c))

$(SYNTH): tests/lib/synth.c tests/lib/synth_kinds.c tests/lib/synth_kinds.h $(SYNTH_OBJ) $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $(filter-out %.h,$^) $(LDFLAGS) -ljson-c -lz -lm

unit-bins: $(UNIT_BIN)

unit: $(UNIT_BIN)
	$(Q)set -e; for t in $(UNIT_BIN); do $$t; done

-include $(UNIT_BIN:%=%.d)

.PHONY: unit unit-bins

include tests/fuzz.mk
include tests/vmm.mk
include tests/bench.mk
include tests/kernels.mk
include tests/accuracy.mk
