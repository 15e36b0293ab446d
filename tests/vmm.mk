# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Ground truth: the small test VMM, and the boot-sector guests for QEMU.

ifeq ($(BPF_ARCH),x86)
VMM_ARCH  := arch_x86.c guest_x86.S
else
VMM_ARCH  := arch_ppc64.c guest_ppc64.S
endif
VMM_SRC   := main.c pattern.c vm.c log.c run.c $(VMM_ARCH)
VMM_OBJ   := $(patsubst %,$(BUILD)/tests/vmm/%.o,$(basename $(VMM_SRC)))
DPVMM     := $(BUILD)/tests/dpvmm

$(BUILD)/tests/vmm/%.o: tests/vmm/%.c
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -D__SANE_USERSPACE_TYPES__ $(WARN) $(CFLAGS) -pthread -MMD -MP -c -o $@ $<

$(BUILD)/tests/vmm/%.o: tests/vmm/%.S
	$(call msg,AS)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -c -o $@ $<

$(DPVMM): $(VMM_OBJ)
	$(call msg,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $(VMM_OBJ)

dpvmm: $(DPVMM)

-include $(VMM_OBJ:.o=.d)

.PHONY: dpvmm

# The guest is 32-bit and free-standing; ld is called directly because a 32-bit libgcc need not be there.
GUEST     := $(BUILD)/tests/dpguest.elf
GUEST_OBJ := $(BUILD)/tests/guest/entry.o $(BUILD)/tests/guest/guest.o
GUEST_FLAGS := -m32 -march=i386 -O2 -std=gnu11 $(WARN) -ffreestanding -fno-pic -fno-stack-protector -fcf-protection=none \
	       -fno-asynchronous-unwind-tables -mgeneral-regs-only

$(GUEST_OBJ): $(BUILD)/tests/guest/%.o: $(wildcard tests/guest/*)
	$(call msg,GUEST)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_FLAGS) -c -o $@ $(firstword $(filter %/$*.c %/$*.S,$^))

$(GUEST): $(GUEST_OBJ) tests/guest/guest.lds
	$(call msg,LINK)
	$(Q)$(LD) -m elf_i386 --build-id=none -z noexecstack -T tests/guest/guest.lds -o $@ $(GUEST_OBJ)

guest: $(if $(filter x86,$(BPF_ARCH)),$(GUEST))

.PHONY: guest
