// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Plain loops that the bench compares with, each for a given time or number of times:
 *   loops getppid SECONDS        system calls a second
 *   loops send SECONDS           one-byte sends and receives over a unix socket pair, pairs a second
 *   loops run SECONDS            calls of KVM_RUN, of a vCPU that comes back before it enters its guest
 *   loops scan BYTES REPEATS     reads a bitmap of BYTES and counts its bits: median microseconds of a pass
 * One number on stdout. Rates are by the thread's own CPU time, so that other load on the machine weighs less.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define BATCH 1000

static double seconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int rate_getppid(double limit)
{
	double end = seconds(CLOCK_MONOTONIC) + limit, cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	uint64_t n = 0;
	int i;

	while (seconds(CLOCK_MONOTONIC) < end) {
		for (i = 0; i < BATCH; i++)
			syscall(SYS_getppid);
		n += BATCH;
	}
	printf("%.1f\n", (double)n / (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu));
	return 0;
}

static int rate_send(double limit)
{
	double end = seconds(CLOCK_MONOTONIC) + limit, cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	char c = 'x';
	uint64_t n = 0;
	int i, fd[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, fd)) {
		perror("loops: socketpair");
		return 1;
	}
	while (seconds(CLOCK_MONOTONIC) < end) {
		for (i = 0; i < BATCH; i++) {
			if (send(fd[0], &c, 1, 0) != 1 || recv(fd[1], &c, 1, 0) != 1) {
				perror("loops: send");
				return 1;
			}
		}
		n += BATCH;
	}
	printf("%.1f\n", (double)n / (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu));
	return 0;
}

static int rate_run(double limit)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), vm, vcpu, i;
	struct kvm_run *run = MAP_FAILED;
	double end, cpu;
	uint64_t n = 0;

	vm = kvm < 0 ? -1 : ioctl(kvm, KVM_CREATE_VM, 0);
	vcpu = vm < 0 ? -1 : ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu >= 0)
		run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
			   MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED) {
		perror("loops: a VM");
		return 1;
	}
	run->immediate_exit = 1;
	end = seconds(CLOCK_MONOTONIC) + limit;
	cpu = seconds(CLOCK_THREAD_CPUTIME_ID);
	while (seconds(CLOCK_MONOTONIC) < end) {
		for (i = 0; i < BATCH; i++)
			ioctl(vcpu, KVM_RUN, 0);
		n += BATCH;
	}
	printf("%.1f\n", (double)n / (seconds(CLOCK_THREAD_CPUTIME_ID) - cpu));
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int time_scan(size_t bytes, size_t repeats)
{
	uint64_t *bits = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double *took = calloc(repeats, sizeof(*took)), t;
	uint64_t sum = 0;
	size_t i, k;

	if (bits == MAP_FAILED || !took || bytes < 8 || !repeats) {
		fprintf(stderr, "loops: cannot make a bitmap of %zu bytes\n", bytes);
		return 1;
	}
	/* Written, so that it is memory of its own and not the zero page; then as sparse as a sparse writer leaves it. */
	memset(bits, 0xff, bytes);
	memset(bits, 0, bytes);
	for (i = 0; i < bytes / 8; i += 2048)
		bits[i] = 1;
	for (k = 0; k < repeats; k++) {
		t = seconds(CLOCK_MONOTONIC);
		for (i = 0; i < bytes / 8; i++)
			sum += (uint64_t)__builtin_popcountll(bits[i]);
		took[k] = seconds(CLOCK_MONOTONIC) - t;
	}
	qsort(took, repeats, sizeof(*took), by_value);
	if (sum != (bytes / 8 + 2047) / 2048 * repeats) {
		fprintf(stderr, "loops: counted wrongly\n");
		return 1;
	}
	printf("%.1f\n", took[repeats / 2] * 1e6);
	free(took);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "getppid"))
		return rate_getppid(atof(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "send"))
		return rate_send(atof(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "run"))
		return rate_run(atof(argv[2]));
	if (argc == 4 && !strcmp(argv[1], "scan"))
		return time_scan(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
	fprintf(stderr, "usage: loops getppid SECONDS | send SECONDS | run SECONDS | scan BYTES REPEATS\n");
	return 1;
}
