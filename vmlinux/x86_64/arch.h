/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers at a system call on x86_64. Arguments survive in pt_regs until the call's exit. */
#ifndef DIRTYPROF_ARCH_H
#define DIRTYPROF_ARCH_H

#define DP_NR_IOCTL		   16
#define DP_SYSCALL_NR(regs)	   ((regs)->orig_ax)
#define DP_SYSCALL_ARG2(regs)	   ((regs)->si)
#define DP_SYSCALL_ARG3(regs)	   ((regs)->dx)
#define DP_SYSCALL_NR_CORE(regs)   BPF_CORE_READ(regs, orig_ax)
#define DP_SYSCALL_ARG2_CORE(regs) BPF_CORE_READ(regs, si)
#define DP_SYSCALL_ARG3_CORE(regs) BPF_CORE_READ(regs, dx)
/* Direction bits of an ioctl number differ on powerpc. */
#define DP_IOC_WRITE	1u
#define DP_IOC_READ	2u
#define DP_IOC_DIRSHIFT 30

struct pt_regs {
	unsigned long cx;
	unsigned long dx;
	unsigned long si;
	unsigned long di;
	unsigned long ax;
	unsigned long orig_ax;
} __attribute__((preserve_access_index));

#endif
