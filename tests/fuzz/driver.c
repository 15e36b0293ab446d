// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Runs a fuzz target where there is no libFuzzer: each seed once, then mutations of seeds. It sees no coverage, so it finds
 * less; sanitizers and checks are the same. It takes libFuzzer's options as far as it needs them: -runs=, -max_total_time=,
 * -seed=, -max_len=, -timeout=, -dict=, -artifact_prefix=, and files and folders of seeds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define MAX_SEEDS 4096
#define MAX_WORDS 512
#define MAX_WORD  64

/* The sanitizers' own: called before they end the process. */
void __sanitizer_set_death_callback(void (*callback)(void));

struct bytes {
	uint8_t *p;
	size_t n;
};

static struct bytes seeds[MAX_SEEDS], words[MAX_WORDS];
static size_t nseeds, nwords, max_len = 16384, in_len;
static long runs = -1, max_time = -1, timeout_s = 60;
static uint64_t rng = 1;
static const char *prefix = "";
static const uint8_t *in;

static size_t rnd(size_t n) /* 0 to n - 1 */
{
	/* splitmix64 */
	uint64_t z = rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return n ? (size_t)(z % n) : 0;
}

/* Keeps the input at hand when the end comes. */
static void keep(void)
{
	char name[512];
	int fd;

	if (!in)
		return;
	snprintf(name, sizeof(name), "%scrash-%d", prefix, (int)getpid());
	fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, in, in_len) != (ssize_t)in_len)
		fprintf(stderr, "cannot write %s: %s\n", name, strerror(errno));
	else
		fprintf(stderr, "input of %zu bytes written to %s\n", in_len, name);
	if (fd >= 0)
		close(fd);
	in = NULL;
}

static void on_signal(int sig)
{
	fprintf(stderr, "%s\n", sig == SIGALRM ? "takes too long" : "aborted");
	keep();
	_exit(77);
}

static void one(const uint8_t *data, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1); /* so that a byte too far is seen */

	if (!exact)
		abort();
	memcpy(exact, data, len);
	in = exact;
	in_len = len;
	alarm((unsigned int)timeout_s);
	LLVMFuzzerTestOneInput(exact, len);
	alarm(0);
	in = NULL;
	free(exact);
}

static int load(const char *path)
{
	struct bytes *b = &seeds[nseeds];
	struct stat st;
	FILE *f;

	if (nseeds == MAX_SEEDS || stat(path, &st) || !S_ISREG(st.st_mode))
		return 0;
	f = fopen(path, "re");
	b->p = malloc(max_len + 1);
	if (!f || !b->p) {
		fprintf(stderr, "%s: cannot be read\n", path);
		return -1;
	}
	b->n = fread(b->p, 1, max_len, f);
	fclose(f);
	nseeds++;
	return 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* A file, or those of a folder in the order of their names. */
static int add_seeds(const char *path)
{
	struct dirent **e;
	int n = scandir(path, &e, NULL, by_name), i, err = 0;
	char name[4096];

	if (n < 0)
		return errno == ENOTDIR ? load(path) : -1;
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/%s", path, e[i]->d_name);
		err |= load(name);
		free(e[i]);
	}
	free(e);
	return err;
}

/* Lines of "word", with \xNN, \\ and \" in them; # begins a comment. */
static void add_words(const char *path)
{
	char line[4 * MAX_WORD + 16], *s;
	uint8_t w[MAX_WORD];
	FILE *f = fopen(path, "re");

	while (f && nwords < MAX_WORDS && fgets(line, sizeof(line), f)) {
		size_t n = 0;

		s = strchr(line, '"');
		if (line[0] == '#' || !s)
			continue;
		for (s++; *s && *s != '"' && n < MAX_WORD; s++) {
			unsigned int x;

			if (s[0] == '\\' && s[1] == 'x' && sscanf(s + 2, "%2x", &x) == 1) {
				w[n++] = (uint8_t)x;
				s += 3;
			} else {
				s += *s == '\\';
				w[n++] = (uint8_t)*s;
			}
		}
		words[nwords].p = malloc(n + 1);
		if (!words[nwords].p)
			abort();
		memcpy(words[nwords].p, w, n);
		words[nwords++].n = n;
	}
	if (f)
		fclose(f);
}

/* Puts n bytes at `at`. Returns the new length. */
static size_t insert(uint8_t *buf, size_t len, size_t at, const uint8_t *p, size_t n)
{
	uint8_t *piece;

	if (len + n > max_len)
		return len;
	piece = malloc(n + 1); /* p may lie in buf */
	if (!piece)
		abort();
	memcpy(piece, p, n);
	memmove(buf + at + n, buf + at, len - at);
	memcpy(buf + at, piece, n);
	free(piece);
	return len + n;
}

static size_t mutate(uint8_t *buf, size_t len)
{
	static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
	size_t k, at, from, n;

	for (k = 1 + rnd(5); k; k--) {
		const struct bytes *w = &words[rnd(nwords)], *other = &seeds[rnd(nseeds)];

		at = rnd(len + 1);
		switch (rnd(8)) {
		case 0:
			if (at < len)
				buf[at] = (uint8_t)rnd(256);
			break;
		case 1:
			if (at < len)
				buf[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 2: /* a number's bytes at its edges */
			for (n = 1u << rnd(4); n && at < len; n--)
				buf[at++] = edges[rnd(sizeof(edges))];
			break;
		case 3:
			n = rnd(1 + (rnd(4) ? (len - at < 16 ? len - at : 16) : len - at));
			memmove(buf + at, buf + at + n, len - at - n);
			len -= n;
			break;
		case 4:
			len = rnd(8) ? len : at;
			break;
		case 5:
			from = rnd(len + 1);
			len = insert(buf, len, at, buf + from, rnd(1 + (len - from)));
			break;
		case 6: /* a piece of another seed */
			from = rnd(other->n + 1);
			len = insert(buf, len, at, other->p + from, rnd(1 + (other->n - from)));
			break;
		default:
			len = nwords ? insert(buf, len, at, w->p, w->n) : len;
		}
	}
	return len;
}

static int option(const char *a)
{
	const struct {
		const char *name;
		long *to;
	} number[] = {
		{ "-runs=", &runs },
		{ "-max_total_time=", &max_time },
		{ "-timeout=", &timeout_s },
	};
	size_t i;

	for (i = 0; i < sizeof(number) / sizeof(number[0]); i++)
		if (!strncmp(a, number[i].name, strlen(number[i].name)))
			*number[i].to = strtol(a + strlen(number[i].name), NULL, 10);
	if (!strncmp(a, "-seed=", 6))
		rng = strtoull(a + 6, NULL, 10);
	else if (!strncmp(a, "-max_len=", 9))
		max_len = strtoul(a + 9, NULL, 10);
	else if (!strncmp(a, "-dict=", 6))
		add_words(a + 6);
	else if (!strncmp(a, "-artifact_prefix=", 17))
		prefix = a + 17;
	else if (a[0] != '-')
		return add_seeds(a);
	return 0;
}

int main(int argc, char **argv)
{
	time_t begin = time(NULL);
	uint8_t *buf;
	long n = 0;
	size_t i;
	int k;

	__sanitizer_set_death_callback(keep);
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	for (k = 1; k < argc; k++)
		if (argv[k][0] == '-')
			option(argv[k]);
	for (k = 1; k < argc; k++) {
		if (argv[k][0] != '-' && option(argv[k])) {
			fprintf(stderr, "%s: no seeds there\n", argv[k]);
			return 1;
		}
	}
	buf = malloc(max_len + 1);
	if (!buf)
		return 1;
	if (!nseeds)
		seeds[nseeds++] = (struct bytes){ buf, 0 };
	one(buf, 0);
	for (i = 0; i < nseeds; i++, n++)
		one(seeds[i].p, seeds[i].n);
	for (; (runs < 0 || n < runs) && (max_time < 0 || time(NULL) - begin < max_time); n++) {
		const struct bytes *s = &seeds[rnd(nseeds)];

		if (s->n)
			memcpy(buf, s->p, s->n);
		one(buf, mutate(buf, s->n));
	}
	fprintf(stderr, "Done %ld runs in %ld second(s)\n", n, (long)(time(NULL) - begin));
	for (i = 0; i < nseeds; i++)
		if (seeds[i].p != buf)
			free(seeds[i].p);
	for (i = 0; i < nwords; i++)
		free(words[i].p);
	free(buf);
	return 0;
}
