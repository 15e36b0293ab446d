/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the guest, its linker script and the harness (tests/lib/lab.py) agree on. */
#ifndef DPGUEST_LAYOUT_H
#define DPGUEST_LAYOUT_H

#define IMAGE_GPA     0x100000
#define STATE_GPA     0x400000	 /* page 0 of the pattern: counters, stack, and a pattern page itself */
#define WRITE_OFFSET  1024	 /* where in a page the pattern writes */
#define STATE_MAGIC   0x31475044 /* "DPG1" */
#define PM_TIMER_PORT 0x608
#define PM_TIMER_HZ   3579545
#define TICK_HZ	      1000

#endif
