/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The POWER guest, in real mode and little-endian: no stack, no memory of its own. Each time it is
 * entered it writes one value to every address of the VMM's work list (r31 points to it) and says so by a
 * hypercall that KVM hands on (H_PUT_TERM_CHAR). KVM reloads r3 to r12 from the answer, and r31 stays.
 *
 *   0(list) value   4(list) number of addresses   8(list) addresses
 */
	.section .rodata
	.globl guest_ppc64_code, guest_ppc64_bytes
	.balign	4
guest_ppc64_code:
1:	lwz	%r5, 0(%r31)
	lwz	%r6, 4(%r31)
	mr	%r7, %r31
	cmplwi	%r6, 0
	beq	3f
	mtctr	%r6
2:	ldu	%r8, 8(%r7)
	stw	%r5, 0(%r8)
	bdnz	2b
3:	li	%r3, 0x58
	sc	1
	b	1b
	.balign	4
guest_ppc64_bytes:
	.long	. - guest_ppc64_code
	.section .note.GNU-stack, "", @progbits
