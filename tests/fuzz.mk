# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Fuzz targets, under the address and undefined-behaviour sanitizers. `make check` gives each a few seconds (tests/unit/fuzz.sh).
#
#   make fuzz                   the long run: FUZZ_S=300 seconds a target, FUZZ_J=1 at a time, FUZZ="qmp opts" only these
#   make fuzz FUZZ_ENGINE=own   with tests/fuzz/driver.c and $(CC), as where clang has no libFuzzer

FUZZ_S    ?= 300
FUZZ_J    ?= 1
FUZZ_DIR  := $(BUILD)/fuzz$(FUZZ_ENGINE:%=-%)
FUZZ_ALL  := qmp opts predict trace replay
FUZZ      ?= $(FUZZ_ALL)
FUZZ_BIN  := $(FUZZ_ALL:%=$(FUZZ_DIR)/fuzz_%)
FUZZ_SAN  := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_FLAGS = $(filter-out $(CFLAGS),$(ALL_CFLAGS)) -O1 -g -Wno-format-zero-length -Itests $(FUZZ_SAN)

# Which engine: two files that say how to compile and how to link. Tried once, not at each make.
$(FUZZ_DIR)/engine: tests/fuzz/engine
	$(Q)mkdir -p $(@D)
	$(Q)FUZZ_ENGINE='$(FUZZ_ENGINE)' CC='$(CC)' CLANG='$(CLANG)' tests/fuzz/engine $(@D) >$@

$(FUZZ_DIR)/%.o: %.c $(FUZZ_DIR)/engine | $(SKEL) $(ASSETS)
	$(call msg,FUZZ)
	$(Q)mkdir -p $(@D)
	$(Q)$$(cat $(FUZZ_DIR)/engine.cc) $(FUZZ_FLAGS) -MMD -MP -c -o $@ $<

fuzz_wrap  = $(foreach f,$(1),-Wl,--wrap=$(f))
fuzz_obj   = $(1:%.c=$(FUZZ_DIR)/%.o)

# The command line names hooks, whose tables are in the probes; those come as they are, from the tool itself.
FUZZ_OPTS_SRC := $(wildcard user/cli/opts*.c) user/cli/units.c user/cli/log.c user/probe/hook.c user/qmp/addr.c
FUZZ_OPTS_REST = $(filter-out $(FUZZ_OPTS_SRC:%.c=$(BUILD)/%.o) $(BUILD)/user/cli/% $(BUILD)/user/qmp/%,$(LIVE_OBJ)) $(PURE_LIB)

$(FUZZ_DIR)/fuzz_qmp: $(call fuzz_obj,tests/fuzz/fuzz_qmp.c $(wildcard user/qmp/*.c) user/cli/log.c)
$(FUZZ_DIR)/fuzz_qmp: FUZZ_LINK = $(call fuzz_wrap,recv send poll clock_gettime)
$(FUZZ_DIR)/fuzz_opts: $(call fuzz_obj,tests/fuzz/fuzz_opts.c $(FUZZ_OPTS_SRC)) $(FUZZ_OPTS_REST)
$(FUZZ_DIR)/fuzz_opts: FUZZ_LINK = $(call fuzz_wrap,dp_log dp_bpf_use_btf)
$(FUZZ_DIR)/fuzz_predict: $(call fuzz_obj,tests/fuzz/fuzz_predict.c $(PURE_SRC))

FUZZ_PLAY_SRC := tests/fuzz/play.c user/cli/replay.c $(wildcard user/trace/*.c) $(PURE_SRC)
FUZZ_PLAY_REST = $(filter-out $(FUZZ_PLAY_SRC:%.c=$(BUILD)/%.o) $(BUILD)/user/cli/main.o,$(LIVE_OBJ))

$(FUZZ_DIR)/fuzz_trace: $(call fuzz_obj,tests/fuzz/fuzz_trace.c $(FUZZ_PLAY_SRC)) $(FUZZ_PLAY_REST)
$(FUZZ_DIR)/fuzz_replay: $(call fuzz_obj,tests/fuzz/fuzz_replay.c $(FUZZ_PLAY_SRC)) $(FUZZ_PLAY_REST)
$(FUZZ_DIR)/fuzz_trace $(FUZZ_DIR)/fuzz_replay: FUZZ_LINK = $(call fuzz_wrap,dp_log)

$(FUZZ_BIN): $(FUZZ_DIR)/tests/fuzz/driver.o
	$(call msg,FUZZ)
	$(Q)$$(cat $(FUZZ_DIR)/engine.ld) $(FUZZ_SAN) -o $@ $(filter-out %/driver.o,$^) $(FUZZ_LINK) $(LDFLAGS) $(PKG_LIBS)

fuzz-bins: $(FUZZ_BIN) $(MAKE_TRACE)

fuzz:
	$(Q)scripts/install-deps check || echo 'make: going on; what cannot be built stops here' >&2
	+$(Q)$(MAKE) --no-print-directory fuzz-bins >&2
	$(Q)FUZZ_DIR='$(FUZZ_DIR)' MAKE_TRACE='$(MAKE_TRACE)' FUZZ_S='$(FUZZ_S)' FUZZ_J='$(FUZZ_J)' tests/fuzz/run $(FUZZ)

-include $(wildcard $(FUZZ_DIR)/*/*/*.d)

.PHONY: fuzz fuzz-bins
