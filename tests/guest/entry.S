/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The QEMU guest's start, tables and the few instructions that C cannot say. Multiboot, so that QEMU
 * loads it with -kernel and hands it its command line. It never writes to its own image: the only
 * memory it dirties besides the pattern is the state page, which is the pattern's page 0.
 */
#include "layout.h"

	.code32
	.section .multiboot, "a"
	.align	4
	.long	0x1badb002, 0, -0x1badb002

	.text
	.globl _start, sleep_tick, write_run, irq_timer
_start:
	cli
	lgdt	gdt_ptr
	ljmp	$0x08, $1f
1:	movw	$0x10, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	lidt	idt_ptr
	movl	$(STATE_GPA + 4096), %esp
	pushl	%ebx
	call	guest_main
halt:	cli
	hlt
	jmp	halt

/*
 * void sleep_tick(void): until the next timer interrupt. The handler does not return by iret, which
 * KVM's emulator does not know in protected mode: it drops the frame and goes on here.
 */
sleep_tick:
	sti
	hlt
	jmp	sleep_tick
irq_timer:
	addl	$12, %esp
	movb	$0x20, %al
	outb	%al, $0x20
	ret

/*
 * void write_run(uint32_t addr, uint32_t stride, uint32_t count, uint32_t value): writes value to count
 * addresses. Two instructions a write: under emulation, instructions are what costs.
 */
write_run:
	pushl	%ebx
	pushl	%edi
	movl	12(%esp), %edi
	movl	16(%esp), %edx
	movl	20(%esp), %ecx
	movl	24(%esp), %eax
	movl	%ecx, %ebx
	shrl	$4, %ebx
	jz	3f
2:	.rept	16
	movl	%eax, (%edi)
	addl	%edx, %edi
	.endr
	decl	%ebx
	jnz	2b
3:	andl	$15, %ecx
	jz	5f
4:	movl	%eax, (%edi)
	addl	%edx, %edi
	decl	%ecx
	jnz	4b
5:	popl	%edi
	popl	%ebx
	ret

	.section .rodata
	.align	8
gdt:	.quad	0
	.quad	0x00cf9b000000ffff	/* accessed already: nobody writes to the table */
	.quad	0x00cf93000000ffff
gdt_ptr:
	.word	. - gdt - 1
	.long	gdt
	.align	8
idt:	.fill	0x20, 8, 0
	.word	irq_timer_low, 0x08, 0x8e00, irq_timer_high
idt_end:
idt_ptr:
	.word	idt_end - idt - 1
	.long	idt
	.section .note.GNU-stack, "", @progbits
