/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The x86 guests: position independent, no stack, no memory of their own. Each time it is entered, a
 * guest writes one value to every address of the VMM's work list (%ebp or %rbp points to it) and says so
 * by an `out`. Two instructions a write: where KVM emulates the guest, instructions are what costs.
 *
 *   0(list) value   4(list) groups of 16   8(list) single writes   16(list) addresses
 */
	.section .rodata
	.globl guest32_code, guest32_bytes, guest64_code, guest64_bytes

	.code32
guest32_code:
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
guest32_bytes:
	.long	. - guest32_code

	.code64
guest64_code:
	cld
1:	movl	0(%rbp), %ebx
	leaq	16(%rbp), %rsi
	movl	4(%rbp), %ecx
	testl	%ecx, %ecx
	jz	3f
2:	.rept	16
	lodsq
	movl	%ebx, (%rax)
	.endr
	decl	%ecx
	jnz	2b
3:	movl	8(%rbp), %ecx
	testl	%ecx, %ecx
	jz	5f
4:	lodsq
	movl	%ebx, (%rax)
	decl	%ecx
	jnz	4b
5:	outb	%al, $0x10
	jmp	1b
	.balign	4
guest64_bytes:
	.long	. - guest64_code
	.section .note.GNU-stack, "", @progbits
