# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# make accuracy: predictions against real migrations; goes on where the raw file ends (hours). ACCURACY="--count 10" for less,
# ACCURACY="--guest PATTERN --ram MIB --link MBIT --limit MS" for a case of your own; tests/accuracy/run --help says more.
# DIRTYPROF_NEW_QEMU=/path: a second, newer QEMU; without it its part of the grid is left out, and said so.

ACCURACY_RAW ?= docs/accuracy.jsonl

accuracy: all guest dpvmm
	$(Q)BUILD='$(BUILD)' tests/accuracy/run --raw '$(ACCURACY_RAW)' --traces '$(BUILD)/accuracy-traces' $(ACCURACY)

# The same migrations with another model: predicts again from what was recorded.
accuracy-rescore: all
	$(Q)BUILD='$(BUILD)' tests/accuracy/rescore --raw '$(ACCURACY_RAW)' --traces '$(BUILD)/accuracy-traces' --out '$(ACCURACY_RAW)'

# A spread of 12 in under five minutes; fails where predictions are plainly broken.
accuracy-quick: all guest dpvmm
	$(Q)rm -f '$(BUILD)/accuracy-quick.jsonl'
	$(Q)BUILD='$(BUILD)' tests/accuracy/run --quick --bound --no-teach --seconds 270 --learned '$(BUILD)/accuracy-quick-learned.json' --raw '$(BUILD)/accuracy-quick.jsonl' $(ACCURACY)

# docs/accuracy.md and docs/accuracy.svg from what is there
accuracy-doc:
	$(Q)tests/accuracy/report.py '$(ACCURACY_RAW)' docs

.PHONY: accuracy accuracy-rescore accuracy-quick accuracy-doc
