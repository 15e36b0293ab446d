/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The x86 guest: 32-bit, position independent, no stack, no memory of its own. Each time it is entered
 * it writes one value to every address of the VMM's work list (%ebp points to it) and says so by an
 * `out`. Two instructions a write: where KVM emulates the guest, instructions are what costs.
 *
 *   0(%ebp) value   4(%ebp) groups of 16   8(%ebp) single writes   16(%ebp) addresses
 */
	.section .rodata
	.globl guest_x86_code, guest_x86_bytes
	.code32
guest_x86_code:
	cld
1:	movl	0(%ebp), %ebx
	leal	16(%ebp), %esi
	movl	4(%ebp), %ecx
	jecxz	3f
2:	.rept	16
	lodsl
	movl	%ebx, (%eax)
	.endr
	decl	%ecx
	jnz	2b
3:	movl	8(%ebp), %ecx
	jecxz	5f
4:	lodsl
	movl	%ebx, (%eax)
	loop	4b
5:	outb	%al, $0x10
	jmp	1b
	.balign	4
guest_x86_bytes:
	.long	. - guest_x86_code
	.section .note.GNU-stack, "", @progbits
