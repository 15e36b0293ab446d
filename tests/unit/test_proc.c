// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The view of a VMM process: thread names, and real processes (QEMU where there is KVM). */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "vm/proc_priv.h"

static void thread_names(void **state)
{
	static const struct {
		const char *comm;
		enum dp_thread_kind kind;
		int index;
	} c[] = {
		{ "CPU 0/KVM", DP_THREAD_VCPU, 0 },
		{ "CPU 255/KVM", DP_THREAD_VCPU, 255 },
		{ "CPU 0/TCG", DP_THREAD_OTHER, -1 },
		{ "CPU /KVM", DP_THREAD_OTHER, -1 },
		{ "CPU -1/KVM", DP_THREAD_OTHER, -1 },
		{ "CPU 0/KVMx", DP_THREAD_OTHER, -1 },
		{ "CPU 0/", DP_THREAD_OTHER, -1 },
		{ "CPU 99999999999/", DP_THREAD_OTHER, -1 },
		{ "live_migration", DP_THREAD_MIGRATION, -1 },
		{ "mig/src/main", DP_THREAD_MIGRATION, -1 },
		{ "mig/src/mainx", DP_THREAD_OTHER, -1 },
		{ "multifdsend_3", DP_THREAD_MULTIFD, 3 },
		{ "mig/src/send_12", DP_THREAD_MULTIFD, 12 },
		{ "get_dirtyrate", DP_THREAD_DIRTYRATE, -1 },
		{ "mig/dirtyrate", DP_THREAD_DIRTYRATE, -1 },
		{ "kvm-reaper", DP_THREAD_REAPER, -1 },
		{ "qemu-system-x86", DP_THREAD_OTHER, -1 },
		{ "", DP_THREAD_OTHER, -1 },
	};

	for (size_t i = 0; i < sizeof(c) / sizeof(*c); i++) {
		int index = -7;
		enum dp_thread_kind k = dp_thread_classify(c[i].comm, &index);

		if (k != c[i].kind || index != c[i].index)
			fail_msg("%s: %s %d", c[i].comm, dp_thread_kind_name(k), index);
	}
}

static void vcpu_links(void **state)
{
	assert_true(proc__is_vcpu("anon_inode:kvm-vcpu:0"));
	assert_true(proc__is_vcpu("anon_inode:kvm-vcpu"));
	assert_false(proc__is_vcpu("anon_inode:kvm-vcpu-stats:0"));
	assert_false(proc__is_vcpu("anon_inode:kvm-vm"));
}

/* A thread may call itself what it likes; its times come behind the name. */
static void own_threads(void **state)
{
	struct dp_proc p = { .pid = getpid() };
	struct dp_thread *t = NULL;
	struct rusage ru;
	size_t n, me;

	prctl(PR_SET_NAME, "a) R 1 2 (\n b");
	p.dirfd = open("/proc/self", O_RDONLY | O_DIRECTORY);
	do
		getrusage(RUSAGE_THREAD, &ru);
	while (ru.ru_utime.tv_sec * 1000000 + ru.ru_utime.tv_usec < 300000);
	assert_int_equal(dp_proc_threads(&p, &t, &n), 0);
	for (me = 0; me < n && t[me].tid != getpid(); me++)
		;
	assert_true(me < n);
	assert_string_equal(t[me].comm, "a) R 1 2 (? b");
	/* the split between user and system time is estimated at each look */
	assert_in_range(t[me].utime_ns / 1000000, 250, 800);
	assert_in_range((t[me].utime_ns + t[me].stime_ns) / 1000000,
			(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000 +
				(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1000 - 20,
			10000);
	free(t);
	close(p.dirfd);
	prctl(PR_SET_NAME, "test_proc");
}

static void *idle(void *arg)
{
	*(volatile pid_t *)arg = (pid_t)syscall(SYS_gettid);
	for (;;)
		pause();
	return NULL;
}

static void expect(pid_t pid, int err, const char *says)
{
	struct dp_proc p;

	int got = dp_proc_open(pid, &p);

	if (got != err)
		fail_msg("%d: %d, want %d: %s", pid, got, err, p.msg);
	if (!strstr(p.msg, says))
		fail_msg("%d: %s", pid, p.msg);
	assert_true(p.pidfd == -1 && p.dirfd == -1);
}

static void no_vm(void **state)
{
	volatile pid_t tid = 0;
	pthread_t thread;
	siginfo_t info;
	pid_t pid;

	expect(0, -EINVAL, "not a process id");
	expect(-1, -EINVAL, "not a process id");
	expect(4194304 + 7, -ESRCH, "no process");
	expect(getpid(), -ENXIO, "no KVM guest");
	assert_int_equal(pthread_create(&thread, NULL, idle, (void *)&tid), 0);
	while (!tid)
		usleep(1000);
	expect(tid, -ESRCH, "is a thread of process");
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	/* a zombie, then nothing */
	pid = fork();
	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	expect(pid, -ESRCH, "has exited");
	waitpid(pid, NULL, 0);
	expect(pid, -ESRCH, "no process");
	/* another user's process */
	if (!geteuid()) {
		int status;

		pid = fork();
		if (!pid) {
			struct dp_proc p;

			if (setgid(65534) || setuid(65534))
				_exit(9);
			_exit(dp_proc_open(1, &p) == -EPERM && strstr(p.msg, "permission") ? 0 : 1);
		}
		waitpid(pid, &status, 0);
		assert_int_equal(status, 0);
	}
}

struct seen {
	pid_t pid;
	int times, all;
};

static int see(void *ctx, const struct dp_proc *p)
{
	struct seen *s = ctx;

	s->all++;
	s->times += p->pid == s->pid && p->nvcpus == 2 && !strcmp(p->name, "dp,test");
	return 0;
}

static int stop_at_once(void *ctx, const struct dp_proc *p)
{
	(*(int *)ctx)++;
	return -ECANCELED;
}

static pid_t run_qemu(const char *accel)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* QEMU blocks SIGALRM */
		if (!freopen("/dev/null", "w", stderr))
			_exit(126);
		execlp("qemu-system-x86_64", "qemu-system-x86_64", "-name", "guest=dp,,test,debug-threads=on",
		       "-nodefaults", "-display", "none", "-m", "64", "-smp", "2", "-accel", accel, "-qmp",
		       "unix:/nonexistent/never,server=off,reconnect=1000", (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* Waits until QEMU has come as far as its vCPU threads. */
static int open_started(pid_t pid, struct dp_proc *p)
{
	int err = -1;

	for (int i = 0; i < 600; i++) {
		err = dp_proc_open(pid, p);
		if (!err && p->nvcpus == 2)
			return 0;
		if (!err)
			dp_proc_close(p);
		usleep(50000);
	}
	print_message("%s\n", p->msg);
	return err ? err : -EAGAIN;
}

static void need_qemu(void)
{
	if (!access("/dev/kvm", R_OK | W_OK) && !system("command -v qemu-system-x86_64 >/dev/null"))
		return;
	print_message("[  SKIP    ] no /dev/kvm or no qemu-system-x86_64\n");
	skip();
}

/* Looks at a QEMU of two vCPUs. The CPU time of the first. */
static uint64_t first_vcpu_ns(const struct dp_proc *p)
{
	struct dp_thread *threads;
	uint64_t first = 0;
	int seen = 0;
	size_t count;

	assert_int_equal(dp_proc_threads(p, &threads, &count), 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(!i || threads[i].tid > threads[i - 1].tid);
		if (threads[i].kind != DP_THREAD_VCPU)
			continue;
		seen |= 1 << threads[i].index;
		if (!threads[i].index)
			first = threads[i].utime_ns + threads[i].stime_ns;
	}
	assert_int_equal(seen, 3);
	free(threads);
	return first;
}

static void real_qemu(void **state)
{
	int calls = 0, again, n = 0;
	struct dp_thread *threads;
	struct dp_proc p, dead;
	struct seen s = { 0 };
	uint32_t hidden;
	size_t count;
	pid_t pid;
	FILE *f;

	need_qemu();
	pid = run_qemu("kvm");
	assert_int_equal(open_started(pid, &p), 0);
	assert_true(p.qemu && p.nvms == 1 && p.nvcpus == 2 && p.vm_fd > 2 && p.debug_threads);
	assert_string_equal(p.name, "dp,test");
	assert_string_equal(p.comm, "qemu-system-x86");
	assert_int_equal(p.blind, 0);
	assert_int_equal(p.nqmp, 0);
	/* its own word for its version */
	f = popen("qemu-system-x86_64 --version | sed -n '1s/.* version \\([0-9.]*\\).*/\\1/p' | tr -d '\\n'",
		  "r");
	char version[DP_NAME_LEN] = "";
	if (fgets(version, sizeof(version), f))
		n = pclose(f);
	assert_int_equal(n, 0);
	assert_string_equal(p.qemu_version, version);

	/* the firmware runs on the first vCPU; CPU time comes in ticks of 10 ms */
	for (n = 0; n < 600 && !first_vcpu_ns(&p); n++)
		usleep(50000);
	assert_true(n < 600);

	s.pid = pid;
	assert_int_equal(dp_proc_each_vm(see, &s, &hidden), 0);
	assert_true(s.times == 1 && s.all >= 1);
	assert_int_equal(dp_proc_each_vm(stop_at_once, &calls, NULL), -ECANCELED);
	assert_int_equal(calls, 1);

	/* the same without a pidfd, as on old kernels */
	dead = p;
	dead.pidfd = -1;
	for (again = 0; again < 2; again++) {
		struct dp_proc *w = again ? &dead : &p;

		assert_true(dp_proc_alive(w));
		assert_int_equal(dp_proc_wait(w, 60), 0);
	}
	kill(pid, SIGKILL);
	assert_int_equal(dp_proc_wait(&p, 30000), 1);
	assert_int_equal(dp_proc_wait(&dead, 30000), 1);
	assert_false(dp_proc_alive(&dead));
	waitpid(pid, NULL, 0);
	assert_false(dp_proc_alive(&p));
	assert_false(dp_proc_alive(&dead));
	assert_int_equal(dp_proc_threads(&p, &threads, &count), -ESRCH);
	dp_proc_close(&p);
	dp_proc_close(&p);
	dp_proc_close(NULL);
}

static void qemu_without_kvm(void **state)
{
	struct dp_proc p;
	int err = 0;
	pid_t pid;

	need_qemu();
	pid = run_qemu("tcg");
	for (int i = 0; i < 600; i++) { /* until it has become a QEMU */
		err = dp_proc_open(pid, &p);
		if (p.qemu)
			break;
		usleep(50000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(err, -ENXIO);
	if (!strstr(p.msg, "QEMU that does not use KVM"))
		fail_msg("%s", p.msg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(thread_names), cmocka_unit_test(vcpu_links),
		cmocka_unit_test(own_threads),	cmocka_unit_test(no_vm),
		cmocka_unit_test(real_qemu),	cmocka_unit_test(qemu_without_kvm),
	};

	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
