# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Unit tests: each tests/unit/test_*.c is a cmocka program linked with the real pure objects.

UNIT_SRC := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT_SRC:%.c=$(BUILD)/%)

$(BUILD)/tests/unit/%: tests/unit/%.c $(PURE_LIB)
	$(call msg,TEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests -MMD -MP -o $@ $< $(PURE_LIB) $(LDFLAGS) -lcmocka -ljson-c -lm

unit-bins: $(UNIT_BIN)

unit: $(UNIT_BIN)
	$(Q)set -e; for t in $(UNIT_BIN); do $$t; done

-include $(UNIT_BIN:%=%.d)

.PHONY: unit unit-bins

include tests/vmm.mk
