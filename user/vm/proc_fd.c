// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a process's descriptors and its binary say. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm/proc_priv.h"

#define EXE_CHUNK (256u << 10)
#define EXE_MAX	  (256ull << 20) /* QEMU's binaries are 10 to 100 MB */

int proc__read(int dirfd, const char *path, size_t max, char **out, size_t *len)
{
	size_t size = 4096, n = 0;
	char *buf = NULL, *more;
	int fd, err = 0;

	fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (;;) {
		ssize_t r;

		more = realloc(buf, size + 1);
		if (!more) {
			err = -ENOMEM;
			break;
		}
		buf = more;
		r = read(fd, buf + n, size - n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			err = -errno;
		if (r <= 0)
			break;
		n += (size_t)r;
		if (n >= max)
			break;
		if (n == size)
			size = size * 2 < max ? size * 2 : max;
	}
	close(fd);
	if (err) {
		free(buf);
		return err;
	}
	buf[n] = '\0';
	*out = buf;
	*len = n;
	return 0;
}

int proc__opendir(int dirfd, const char *path, DIR **out)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	*out = fdopendir(fd);
	if (*out)
		return 0;
	err = -errno;
	close(fd);
	return err;
}

static bool starts(const char *s, const char *prefix)
{
	return !strncmp(s, prefix, strlen(prefix));
}

/* kvm-vcpu-stats, which newer QEMUs (10.0 does) keep open too, is another thing. */
bool proc__is_vcpu(const char *link)
{
	return !strcmp(link, "anon_inode:kvm-vcpu") || starts(link, "anon_inode:kvm-vcpu:");
}

/* Devices that write guest memory on their own show by what QEMU has open for them. */
static uint32_t blind_fd(const char *link)
{
	if (starts(link, "/dev/vhost-"))
		return DP_BLIND_VHOST_KERNEL;
	if (starts(link, "/dev/vfio/") || starts(link, "anon_inode:[vfio") ||
	    starts(link, "anon_inode:kvm-vfio"))
		return DP_BLIND_VFIO;
	return 0;
}

int proc__scan_fds(struct dp_proc *p, bool stop_at_vm)
{
	struct dirent *e;
	DIR *d;
	bool denied = false;
	int err;

	err = proc__opendir(p->dirfd, "fd", &d);
	if (err)
		return err;
	p->nvms = p->nvcpus = 0;
	p->vm_fd = -1;
	while ((e = readdir(d))) {
		char link[256];
		ssize_t n;

		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		n = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
		if (n < 0) {
			/* closed meanwhile; or without CAP_SYS_PTRACE the folder can be read, but no link in it */
			denied = denied || errno == EACCES || errno == EPERM;
			continue;
		}
		link[n] = '\0';
		if (!strcmp(link, "anon_inode:kvm-vm")) {
			int fd = atoi(e->d_name);

			p->vm_fd = p->nvms++ && p->vm_fd < fd ? p->vm_fd : fd;
			if (stop_at_vm)
				break;
		} else if (proc__is_vcpu(link)) {
			p->nvcpus++;
		}
		p->blind |= blind_fd(link);
	}
	closedir(d);
	return denied && !p->nvms ? -EPERM : 0;
}

int proc__unix_path(const struct dp_proc *p, int fd, struct dp_qmp_addr *out)
{
	unsigned long long want, inode;
	char name[32], link[64], line[512];
	int err = -ENOENT, nfd, at;
	ssize_t n;
	FILE *f;

	snprintf(name, sizeof(name), "fd/%d", fd);
	n = readlinkat(p->dirfd, name, link, sizeof(link) - 1);
	if (n < 0)
		return -ENOENT;
	link[n] = '\0';
	if (sscanf(link, "socket:[%llu]", &want) != 1)
		return -ENOENT;
	nfd = openat(p->dirfd, "net/unix", O_RDONLY | O_CLOEXEC);
	if (nfd < 0)
		return -ENOENT;
	f = fdopen(nfd, "r");
	if (!f) {
		close(nfd);
		return -ENOENT;
	}
	/* Num RefCount Protocol Flags Type St Inode Path */
	while (err && fgets(line, sizeof(line), f)) {
		at = -1;
		if (sscanf(line, "%*s %*s %*s %*s %*s %*s %llu %n", &inode, &at) != 1 || inode != want ||
		    at < 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		if (!line[at])
			break;
		out->family = line[at] == '@' ? DP_QMP_ABSTRACT : DP_QMP_UNIX;
		snprintf(out->path, sizeof(out->path), "%s", line + at + (line[at] == '@'));
		err = 0;
	}
	fclose(f);
	return err;
}

/* "7.2.22" and what else may stand in a version: digits, points, "-rc1" is left out. */
static void copy_version(struct dp_proc *p, const char *s)
{
	size_t n = 0;

	while (n + 1 < sizeof(p->qemu_version) && (isdigit((unsigned char)s[n]) || s[n] == '.'))
		n++;
	if (!n || !isdigit((unsigned char)s[0]))
		return;
	memcpy(p->qemu_version, s, n);
	p->qemu_version[n] = '\0';
}

void proc__find_version(struct dp_proc *p)
{
	static const char mark[] = "QEMU emulator version ";
	const size_t keep = sizeof(mark) + DP_NAME_LEN; /* so that a chunk's edge cuts nothing */
	uint64_t off = 0;
	size_t have = 0;
	char *buf, *at;
	int fd;

	p->qemu_version[0] = '\0';
	/* by the link, not by its path: the file may have been replaced, or lie in another root */
	fd = openat(p->dirfd, "exe", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	buf = malloc(keep + EXE_CHUNK + 1);
	while (buf && off < EXE_MAX) {
		ssize_t r = pread(fd, buf + have, EXE_CHUNK, (off_t)off);

		if (r <= 0)
			break;
		off += (uint64_t)r;
		have += (size_t)r;
		buf[have] = '\0';
		at = memmem(buf, have, mark, sizeof(mark) - 1);
		if (at && (size_t)(buf + have - at) >= keep) {
			copy_version(p, at + sizeof(mark) - 1);
			break;
		}
		if (have > keep) {
			memmove(buf, buf + have - keep, keep);
			have = keep;
		}
	}
	free(buf);
	close(fd);
}
