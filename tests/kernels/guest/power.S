/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Firmware for a QEMU pseries machine, big-endian and in real mode, which is a guest that dirties memory: it makes 64 MiB
 * non-zero, then writes one word to each of PAGES places 64K apart, every 20 ms. The state page says how far it is, in the
 * words that tests/guest/layout.h has for the x86 guest. QEMU loads the image to 0 and starts at 0x100.
 */
#define STATE	0x400000
#define MAGIC	0x31475044
#define RUNS	2
#define FILL	0x1000000	/* 16 MiB up */
#define FILLED	16384		/* pages of 4K */
#define PAGES	13		/* prime */
#define PERIOD	(512000 * 20)	/* of a time base of 512 MHz */

	.text
	.org	0x100
	lis	%r4, STATE >> 16
	lis	%r5, MAGIC >> 16
	ori	%r5, %r5, MAGIC & 0xffff
	stw	%r5, 0(%r4)
	li	%r6, 1
	stw	%r6, 4(%r4)

	lis	%r7, FILL >> 16
	lis	%r8, FILLED >> 16
	ori	%r8, %r8, FILLED & 0xffff
	mtctr	%r8
1:	stw	%r7, 2048(%r7)
	addi	%r7, %r7, 4096
	bdnz	1b

	li	%r6, RUNS
	stw	%r6, 4(%r4)
	lis	%r11, PERIOD >> 16
	ori	%r11, %r11, PERIOD & 0xffff
	mftb	%r10
	lis	%r12, 1			/* 64K */
2:	addi	%r6, %r6, 1
	lis	%r7, FILL >> 16
	li	%r8, PAGES
	mtctr	%r8
3:	stw	%r6, 0(%r7)
	add	%r7, %r7, %r12
	bdnz	3b
	add	%r10, %r10, %r11
4:	mftb	%r9
	cmpd	%r9, %r10
	blt	4b
	b	2b
