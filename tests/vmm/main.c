// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* dpvmm's options. See vmm.h for what it is. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm.h"

static const char usage_text[] =
	"usage: dpvmm --log MODE --pattern PATTERN [options]\n"
	"  --log ring:N | bitmap | manual | manual-init | none\n"
	"  --pattern rounds:P[:RATE] | sweep:M:RATE | uniform:M:RATE | tiers:M1:R1:M2:R2 | silent:P[:RATE] | idle\n"
	"      P, M pages; RATE writes a second over the whole set (0: full speed)\n"
	"  --cpu native           a 64-bit guest: a page is logged once each time it was re-armed (default)\n"
	"  --cpu emulated         a 32-bit guest: a software-only KVM emulates it and logs every write\n"
	"  --cyclic               tiers and uniform write their pages in turn, not at random\n"
	"  --mem BYTES            guest RAM (K, M, G, T; 256M)\n"
	"  --stride BYTES         distance of two pages of the pattern (4K)\n"
	"  --offset BYTES         the first page's address in RAM (0)\n"
	"  --seconds S            run time (5)\n"
	"  --sync-ms MS           harvest the log this often, 0: only at the end (200)\n"
	"  --lockstep             stop the vCPUs during a sync: \"written\" is then exact\n"
	"  --vcpus K              each has its own part of the pages (1)\n"
	"  --slots N              memory slots that RAM is split into (1)\n"
	"  --apart BYTES          one more slot, on base pages, to which the guest does not write\n"
	"  --churn-ms MS          remove the last slot and add it again under another id, this often\n"
	"  --log-after-ms MS, --log-off-after-ms MS   switch logging while the guest runs\n"
	"  --clear-delay-ms MS    manual: wait before the CLEAR of each 1 GiB\n"
	"  --batch-writes N       writes between two exits (4096; emulated 1024, with a ring 60)\n"
	"  --batch-us US          a paced guest wakes this often (1000)\n"
	"  --backing anon | thp | hugetlb:SIZE       SIZE: 2M, 16M, 1G, of those that the host has\n"
	"  --mmu radix | hash     POWER: the guest's (the host's)\n"
	"  --cold                 do not touch the pattern's pages beforehand\n"
	"  --same PERCENT         so many of the pages are written with what they hold (0; the pattern silent: 100)\n"
	"  --fill                 write to all of RAM beforehand: no page is zero\n"
	"  --seed N\n"
	"  --wait-file PATH       begin when this file exists; --wait-seconds S at most (30)\n"
	"Events go to stdout, a JSON object a line: ready, log, churn, sync, end.\n";

enum {
	O_LOG = 256,
	O_PATTERN,
	O_CPU,
	O_CYCLIC,
	O_COLD,
	O_FILL,
	O_MEM,
	O_STRIDE,
	O_OFFSET,
	O_SECONDS,
	O_SYNC,
	O_LOCKSTEP,
	O_VCPUS,
	O_SLOTS,
	O_APART,
	O_CHURN,
	O_LOG_AFTER,
	O_LOG_OFF,
	O_CLEAR_DELAY,
	O_BATCH,
	O_BATCH_WRITES,
	O_BACKING,
	O_MMU,
	O_SAME,
	O_SEED,
	O_WAIT,
	O_WAIT_S,
	O_HELP
};

static const struct option longopts[] = {
	{ "log", 1, NULL, O_LOG },
	{ "pattern", 1, NULL, O_PATTERN },
	{ "cpu", 1, NULL, O_CPU },
	{ "cyclic", 0, NULL, O_CYCLIC },
	{ "cold", 0, NULL, O_COLD },
	{ "fill", 0, NULL, O_FILL },
	{ "mem", 1, NULL, O_MEM },
	{ "stride", 1, NULL, O_STRIDE },
	{ "offset", 1, NULL, O_OFFSET },
	{ "seconds", 1, NULL, O_SECONDS },
	{ "sync-ms", 1, NULL, O_SYNC },
	{ "lockstep", 0, NULL, O_LOCKSTEP },
	{ "vcpus", 1, NULL, O_VCPUS },
	{ "slots", 1, NULL, O_SLOTS },
	{ "apart", 1, NULL, O_APART },
	{ "churn-ms", 1, NULL, O_CHURN },
	{ "log-after-ms", 1, NULL, O_LOG_AFTER },
	{ "log-off-after-ms", 1, NULL, O_LOG_OFF },
	{ "clear-delay-ms", 1, NULL, O_CLEAR_DELAY },
	{ "batch-us", 1, NULL, O_BATCH },
	{ "batch-writes", 1, NULL, O_BATCH_WRITES },
	{ "backing", 1, NULL, O_BACKING },
	{ "mmu", 1, NULL, O_MMU },
	{ "same", 1, NULL, O_SAME },
	{ "seed", 1, NULL, O_SEED },
	{ "wait-file", 1, NULL, O_WAIT },
	{ "wait-seconds", 1, NULL, O_WAIT_S },
	{ "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool parse_number(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	return !errno && end != text && !*end && text[0] != '-' && *out <= max;
}

static bool parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *u;
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (errno || end == text || text[0] == '-' || *out > 1ull << 50)
		return false;
	if (!*end)
		return true;
	u = strchr(units, *end);
	if (!u || end[1] || *out > 1ull << 20)
		return false;
	*out <<= 10 * (u - units + 1);
	return true;
}

static bool parse_log(struct options *o, const char *text)
{
	static const struct {
		const char *name;
		enum log_mode mode;
	} modes[] = { { "none", LOG_NONE },
		      { "bitmap", LOG_BITMAP },
		      { "manual", LOG_MANUAL },
		      { "manual-init", LOG_MANUAL_INIT } };
	uint64_t n;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (!strcmp(text, modes[i].name)) {
			o->log = modes[i].mode;
			return true;
		}
	if (strncmp(text, "ring:", 5) || !parse_number(text + 5, 65536, &n) || n < 256 || n & (n - 1))
		return false;
	o->log = LOG_RING;
	o->ring_entries = (uint32_t)n;
	return true;
}

static bool parse_cpu(struct options *o, const char *text)
{
	o->emulated = !strcmp(text, "emulated");
	return o->emulated || !strcmp(text, "native");
}

static bool parse_backing(struct options *o, const char *text)
{
	if (!strncmp(text, "hugetlb:", 8)) {
		o->backing = BACK_HUGETLB;
		return parse_size(text + 8, &o->huge_bytes) && o->huge_bytes > PAGE_BYTES &&
		       !(o->huge_bytes & (o->huge_bytes - 1));
	}
	o->backing = !strcmp(text, "thp") ? BACK_THP : BACK_ANON;
	return o->backing == BACK_THP || !strcmp(text, "anon");
}

static bool parse_mmu(struct options *o, const char *text)
{
	o->mmu = !strcmp(text, "hash") ? MMU_HASH : MMU_RADIX;
	return o->mmu == MMU_HASH || !strcmp(text, "radix");
}

static bool parse_u32(const char *text, uint64_t min, uint64_t max, uint32_t *out)
{
	uint64_t n;

	if (!parse_number(text, max, &n) || n < min)
		return false;
	*out = (uint32_t)n;
	return true;
}

static bool parse_ms(const char *text, int64_t *out)
{
	uint64_t n;

	if (!parse_number(text, 86400000, &n))
		return false;
	*out = (int64_t)n;
	return true;
}

static bool parse_seconds(const char *text, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && !*end && *out > 0 && *out <= 86400;
}

static bool parse_option(struct options *o, int c, const char *arg, bool *cyclic)
{
	switch (c) {
	case O_LOG:
		return parse_log(o, arg);
	case O_PATTERN:
		return !pattern__parse(&o->pattern, arg);
	case O_CPU:
		return parse_cpu(o, arg);
	case O_CYCLIC:
		return *cyclic = true;
	case O_COLD:
		return o->cold = true;
	case O_FILL:
		return o->fill = true;
	case O_MEM:
		return parse_size(arg, &o->mem);
	case O_STRIDE:
		return parse_size(arg, &o->stride);
	case O_OFFSET:
		return parse_size(arg, &o->offset);
	case O_SECONDS:
		return parse_seconds(arg, &o->seconds);
	case O_SYNC:
		return parse_u32(arg, 0, 3600000, &o->sync_ms);
	case O_LOCKSTEP:
		return o->lockstep = true;
	case O_VCPUS:
		return parse_u32(arg, 1, MAX_VCPUS, &o->nvcpus);
	case O_SLOTS:
		return parse_u32(arg, 1, MAX_SLOTS, &o->nslots);
	case O_APART:
		return parse_size(arg, &o->apart);
	case O_CHURN:
		return parse_u32(arg, 1, 3600000, &o->churn_ms);
	case O_LOG_AFTER:
		return parse_ms(arg, &o->log_after_ms);
	case O_LOG_OFF:
		return parse_ms(arg, &o->log_off_after_ms);
	case O_CLEAR_DELAY:
		return parse_u32(arg, 0, 10000, &o->clear_delay_ms);
	case O_BATCH:
		return parse_u32(arg, 100, 1000000, &o->batch_us);
	case O_BATCH_WRITES:
		return parse_u32(arg, 1, BATCH_MAX, &o->batch_writes);
	case O_BACKING:
		return parse_backing(o, arg);
	case O_MMU:
		return parse_mmu(o, arg);
	case O_SAME:
		return parse_u32(arg, 0, 100, &o->pattern.same);
	case O_SEED:
		return parse_number(arg, UINT64_MAX, &o->pattern.seed);
	case O_WAIT:
		o->wait_file = arg;
		return true;
	case O_WAIT_S:
		return parse_u32(arg, 1, 3600, &o->wait_seconds);
	default:
		return false;
	}
}

/* What only makes sense together. Returns the complaint, or NULL. */
static const char *check(struct options *o)
{
	uint64_t pages = pattern__pages(&o->pattern),
		 unit = o->backing == BACK_HUGETLB ? o->huge_bytes : (uint64_t)sysconf(_SC_PAGESIZE);

	if (!o->mem || o->mem % unit || o->mem > 4ull << 40)
		return "--mem: whole pages, at most 4T";
	if (o->stride < PAGE_BYTES || o->stride % PAGE_BYTES || o->offset % PAGE_BYTES)
		return "--stride and --offset: whole pages";
	if (pages && (o->offset >= o->mem || (pages - 1) > (o->mem - o->offset - PAGE_BYTES) / o->stride))
		return "the pattern does not fit into the guest's memory";
	if (o->nslots > o->mem / unit)
		return "more slots than pages";
	if (o->apart % (uint64_t)sysconf(_SC_PAGESIZE) || o->apart > 1ull << 30 ||
	    (o->apart && (o->nslots == MAX_SLOTS || o->churn_ms)))
		return "--apart: whole pages, at most 1G, beside fewer slots than there may be, which stay";
	return NULL;
}

static uint32_t default_batch(const struct options *o)
{
	if (!o->emulated)
		return BATCH_MAX;
	return o->log == LOG_RING ? BATCH_EMULATED_RING : BATCH_EMULATED;
}

int main(int argc, char **argv)
{
	static struct vmm v;
	pthread_rwlockattr_t attr;
	bool cyclic = false;
	const char *complaint;
	int c, err;

	v.opt = (struct options){ .mem = 256ull << 20,
				  .stride = PAGE_BYTES,
				  .seconds = 5,
				  .sync_ms = 200,
				  .nslots = 1,
				  .nvcpus = 1,
				  .batch_us = 1000,
				  .log_after_ms = -1,
				  .log_off_after_ms = -1,
				  .wait_seconds = 30 };
	while ((c = getopt_long(argc, argv, "h", longopts, NULL)) != -1) {
		if (c == 'h' || c == O_HELP) {
			fputs(usage_text, stdout);
			return 0;
		}
		if (c == '?' || !parse_option(&v.opt, c, optarg, &cyclic)) {
			if (c != '?')
				fprintf(stderr, "dpvmm: bad value '%s'; see --help\n", optarg);
			return 1;
		}
	}
	for (uint32_t s = 0; cyclic && s < v.opt.pattern.nsets; s++)
		v.opt.pattern.set[s].random = false;
	if (!v.opt.batch_writes)
		v.opt.batch_writes = default_batch(&v.opt);
	complaint = optind < argc ? "unexpected argument" : check(&v.opt);
	if (complaint) {
		fprintf(stderr, "dpvmm: %s\n", complaint);
		return 1;
	}
	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&v.gate, &attr);
	pthread_mutex_init(&v.log_lock, NULL);
	err = truth__init(&v.truth, pattern__pages(&v.opt.pattern));
	if (!err)
		err = vm_open(&v);
	if (!err)
		err = vmm_run(&v);
	vm_close(&v);
	truth__free(&v.truth);
	return err ? 1 : 0;
}
