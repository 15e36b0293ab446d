/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Registers at a system call on ppc64le: r0 = number, r3 (kept in orig_gpr3), r4, r5 = arguments. */
#ifndef DIRTYPROF_ARCH_H
#define DIRTYPROF_ARCH_H

#define DP_NR_IOCTL		   54
#define DP_SYSCALL_NR(regs)	   ((regs)->gpr[0])
#define DP_SYSCALL_ARG2(regs)	   ((regs)->gpr[4])
#define DP_SYSCALL_ARG3(regs)	   ((regs)->gpr[5])
#define DP_SYSCALL_NR_CORE(regs)   BPF_CORE_READ(regs, gpr[0])
#define DP_SYSCALL_ARG2_CORE(regs) BPF_CORE_READ(regs, gpr[4])
#define DP_SYSCALL_ARG3_CORE(regs) BPF_CORE_READ(regs, gpr[5])
/* include/uapi/asm/ioctl.h of powerpc: 13 size bits, 3 direction bits, and READ/WRITE swapped round. */
#define DP_IOC_WRITE	4u
#define DP_IOC_READ	2u
#define DP_IOC_DIRSHIFT 29

struct pt_regs {
	unsigned long gpr[32];
	unsigned long orig_gpr3;
} __attribute__((preserve_access_index));

#endif
