# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# make            build everything into build/        make V=1      show the commands
# make check      install what tests need, run them   make demo     see it work, on two small VMs
# make install    DESTDIR= PREFIX=                    make uninstall
# make lint       the static checks alone             make format   clang-format all C
# make bench      what dirtyprof costs                make clean
# make accuracy   predictions against real migrations   make accuracy-quick   a dozen of them
# make fuzz       every parser of what others wrote, FUZZ_S=300 seconds each
# make check-kernels   on Debian kernels of two architectures, under emulation (docs/kernels.md)
#
# Nothing here needs the network, git or the running kernel's BTF.

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
MAKEFLAGS += --no-builtin-rules

VERSION   := 0.1.0
BUILD     ?= build
PREFIX    ?= /usr/local
SBINDIR   ?= $(PREFIX)/sbin
MANDIR    ?= $(PREFIX)/share/man
DOCDIR    ?= $(PREFIX)/share/doc/dirtyprof
COMPDIR   ?= $(PREFIX)/share/bash-completion/completions
UNITDIR   ?= $(PREFIX)/lib/systemd/system

CC        ?= cc
ifeq ($(origin CC),default)
CC        := cc
endif
CLANG     ?= clang
# Ubuntu's bpftool in the PATH is a wrapper that works only for the running kernel's own version; the real one is elsewhere.
BPFTOOL   ?= $(firstword $(wildcard /usr/lib/linux-tools/*/bpftool \
	     $(foreach d,$(subst :, ,$(PATH)) /usr/sbin /sbin,$(d)/bpftool)) bpftool)
LLVM_STRIP?= llvm-strip
PKG_CONFIG?= pkg-config
INSTALL   ?= install

# The target architecture is the compiler's, so that CC=powerpc64le-linux-gnu-gcc cross-builds.
TRIPLET   := $(shell $(CC) -dumpmachine 2>/dev/null)
ifneq ($(filter powerpc64le-% ppc64le-%,$(TRIPLET)),)
BPF_ARCH  := powerpc
VMLINUX   := vmlinux/ppc64le
else
BPF_ARCH  := x86
VMLINUX   := vmlinux/x86_64
endif

PKGS      := libbpf json-c zlib
PKG_CFLAGS:= $(shell $(PKG_CONFIG) --cflags $(PKGS) 2>/dev/null)
PKG_LIBS  := $(shell $(PKG_CONFIG) --libs $(PKGS) 2>/dev/null || echo -lbpf -ljson-c -lz) -lelf -lm

CFLAGS    ?= -O2 -g
WARN      := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wno-unused-parameter
ALL_CFLAGS:= -std=gnu11 -D_GNU_SOURCE -DDIRTYPROF_VERSION='"$(VERSION)"' $(WARN) -Iinclude -I. -Iuser -I$(BUILD)/bpf -I$(BUILD)/report $(PKG_CFLAGS) $(CFLAGS)
BPF_CFLAGS:= -O2 -g -std=gnu11 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(BPF_ARCH) -Iinclude -I. -Ibpf -I$(VMLINUX) -Ivmlinux \
	     -Wall -Wextra -Wno-unused-parameter -Wno-unused-function -Wno-missing-declarations

ifeq ($(V),1)
Q :=
msg :=
else
Q := @
msg = @printf '  %-8s %s\n' $(1) $(patsubst $(BUILD)/%,%,$@)
endif

# The pure part has folders of its own and may not touch libbpf, files or the clock (tests/lint.sh looks).
PURE_DIRS := user/model user/report
LIVE_DIRS := user/probe user/vm user/qmp user/trace user/cli
PURE_SRC  := $(sort $(foreach d,$(PURE_DIRS),$(wildcard $(d)/*.c)))
LIVE_SRC  := $(sort $(foreach d,$(LIVE_DIRS),$(wildcard $(d)/*.c)))
PURE_OBJ  := $(PURE_SRC:%.c=$(BUILD)/%.o)
LIVE_OBJ  := $(LIVE_SRC:%.c=$(BUILD)/%.o)
BPF_SRC   := $(sort $(wildcard bpf/*.bpf.c))
SKEL      := $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.skel.h)

PURE_LIB  := $(BUILD)/libdirtyprof-pure.a
BIN       := $(BUILD)/dirtyprof

all: $(BIN)

$(BIN): $(LIVE_OBJ) $(PURE_LIB)
	$(call msg,LINK)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(LIVE_OBJ) $(PURE_LIB) $(PKG_LIBS)

$(PURE_LIB): $(PURE_OBJ)
	$(call msg,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/user/%.o: user/%.c | $(SKEL)
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The pure part does not wait for the BPF skeletons: it builds where there is no clang.
$(PURE_OBJ): $(BUILD)/%.o: %.c
	$(call msg,CC)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c
	$(call msg,BPF)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPF_CFLAGS) -MMD -MP -MT $@ -c -o $@ $<
	$(Q)$(LLVM_STRIP) -g $@

$(BUILD)/bpf/%.skel.h: $(BUILD)/bpf/%.bpf.o
	$(call msg,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst .,_,$*)_bpf > $@

# The style and the script of the HTML report as C strings. The page's policy names the script by its digest.
ASSETS := $(BUILD)/report/html_assets.h

$(ASSETS): user/report/html.css user/report/html.js
	$(call msg,ASSETS)
	$(Q)mkdir -p $(@D)
	$(Q){ for f in css js; do echo "static const char html_$$f[] ="; \
		sed 's/[\\"]/\\&/g; s/^/"/; s/$$/\\n"/' user/report/html.$$f; echo ';'; done; \
		echo "static const char html_js_sha256[] = \"$$(sha256sum user/report/html.js | cut -c 1-64 | tr a-f A-F | \
			basenc -d --base16 | base64 -w 0)\";"; } > $@

$(PURE_OBJ): | $(ASSETS)

-include $(LIVE_OBJ:.o=.d) $(PURE_OBJ:.o=.d) $(BPF_SRC:bpf/%.bpf.c=$(BUILD)/bpf/%.bpf.d)

include tests/tests.mk

# ---- tests; they build what they need, after what is missing was installed ----

check: deps-check
	+$(Q)$(MAKE) --no-print-directory check-installed

# The same without installing anything. TESTS="unit/test_units live/vmm" runs only these.
check-installed:
	+$(Q)BUILD='$(BUILD)' MAKE='$(MAKE)' tests/run $(TESTS)

deps-check:
	$(Q)scripts/install-deps check || echo 'make: going on; tests whose tools are missing are skipped' >&2

test-bins: all unit-bins fuzz-bins dpvmm guest $(FAKE_QMP) $(SYNTH)

lint: $(PURE_LIB)
	$(Q)BUILD='$(BUILD)' tests/lint.sh

C_FILES = $(shell find bpf include tests user vmlinux -name '*.[ch]')

format:
	$(Q)$(CLANG_FORMAT) -i $(C_FILES)

CLANG_FORMAT ?= $(firstword $(wildcard /usr/bin/clang-format-14) clang-format)

demo:
	+$(Q)BUILD='$(BUILD)' MAKE='$(MAKE)' scripts/demo

# ---- installation ----

# As they lie here, so that their links hold.
DOCS := README.md CONTRIBUTING.md LICENSE $(sort $(wildcard LICENSES/*.txt docs/*.md docs/*.json docs/*.yml docs/*.svg docs/*.py))
DEST_DOC  = $(DESTDIR)$(DOCDIR)
DEST_BIN  = $(DESTDIR)$(SBINDIR)/dirtyprof
DEST_MAN  = $(DESTDIR)$(MANDIR)/man8/dirtyprof.8
DEST_COMP = $(DESTDIR)$(COMPDIR)/dirtyprof
DEST_UNIT = $(DESTDIR)$(UNITDIR)/dirtyprof@.service

install: $(BIN)
	$(Q)$(INSTALL) -d '$(DESTDIR)$(SBINDIR)' '$(DESTDIR)$(MANDIR)/man8' '$(DESTDIR)$(COMPDIR)' '$(DESTDIR)$(UNITDIR)' \
		'$(DEST_DOC)/docs' '$(DEST_DOC)/LICENSES'
	$(Q)$(INSTALL) -m 755 $(BIN) '$(DEST_BIN)'
	$(Q)$(INSTALL) -m 644 man/dirtyprof.8 '$(DEST_MAN)'
	$(Q)$(INSTALL) -m 644 packaging/completion/dirtyprof.bash '$(DEST_COMP)'
	$(Q)for f in $(DOCS); do $(INSTALL) -m 644 "$$f" '$(DEST_DOC)'/"$$f" || exit 1; done
	$(Q)sed 's|@SBINDIR@|$(SBINDIR)|g' packaging/dirtyprof@.service > '$(DEST_UNIT)'
	$(Q)chmod 644 '$(DEST_UNIT)'

# Takes away the files that install puts there, and the folders that are only ours.
uninstall:
	$(Q)rm -f '$(DEST_BIN)' '$(DEST_MAN)' '$(DEST_COMP)' '$(DEST_UNIT)'
	$(Q)for f in $(DOCS); do rm -f '$(DEST_DOC)'/"$$f"; done
	$(Q)for d in docs LICENSES ''; do rmdir '$(DEST_DOC)/'$$d 2>/dev/null || true; done

clean:
	$(Q)rm -rf $(BUILD)

.PHONY: all clean check check-installed deps-check test-bins lint format demo install uninstall
