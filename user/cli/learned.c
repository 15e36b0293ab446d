// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/learned.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/textfile.h"

#define NAME	 "dirtyprof-learned"
#define MAX_SIZE (1 << 20) /* of a file that was written here: some 10 KiB */

/* "7.2" of "7.2.22" */
static void release_of(const char *version, char *out, size_t size)
{
	size_t n = strcspn(version, ".");

	n += version[n] ? 1 + strcspn(version + n + 1, ".") : 0;
	if (n >= size)
		n = size - 1;
	memcpy(out, version, n);
	out[n] = '\0';
}

static struct json_object *get(struct json_object *o, const char *key, enum json_type type)
{
	struct json_object *v = NULL;

	return json_object_object_get_ex(o, key, &v) && json_object_is_type(v, type) ? v : NULL;
}

/* The whole file; *out NULL and 0 where there is none. */
static int read_file(const char *path, struct json_object **out)
{
	struct json_object *name;
	struct stat st;

	*out = NULL;
	if (stat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(st.st_mode) || st.st_size > MAX_SIZE)
		return -EBADMSG;
	*out = json_object_from_file(path);
	if (!*out)
		return -EBADMSG;
	name = get(*out, "file", json_type_string);
	if (name && !strcmp(json_object_get_string(name), NAME) && get(*out, "migrations", json_type_array))
		return 0;
	json_object_put(*out);
	*out = NULL;
	return -EBADMSG;
}

/* A figure of a migration; NAN where it has none. */
static double figure(struct json_object *m, const char *key, double max)
{
	struct json_object *v = NULL;
	double x;

	if (!json_object_object_get_ex(m, key, &v) ||
	    (!json_object_is_type(v, json_type_double) && !json_object_is_type(v, json_type_int)))
		return NAN;
	x = json_object_get_double(v);
	return x >= 0 && x <= max ? x : NAN;
}

static int ascending(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Of sorted values, between two of them by the share. */
static double quantile(const double *v, uint32_t n, double share)
{
	double at = share * (n - 1);
	uint32_t i = (uint32_t)at;

	return i + 1 < n ? v[i] + (at - i) * (v[i + 1] - v[i]) : v[n - 1];
}

static struct dp_est spread(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), ascending);
	return (struct dp_est){ quantile(v, n, 0.1), quantile(v, n, 0.5), quantile(v, n, 0.9) };
}

/*
 * Where a next value lies with 80 %, from n earlier ones: Student's t with n degrees of freedom. What is trusted without any
 * (DP_NOMINAL, a tenth beyond it on either side) counts as one more deviation, so that two values that happen to agree do not
 * make it certain.
 */
static struct dp_est next_one(double *v, uint32_t n)
{
	static const double t90[] = { 3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372 };
	const double normal90 = 1.2816;
	double mean = 0, ss = DP_NOMINAL / normal90 * DP_NOMINAL / normal90, half;
	uint32_t i;

	for (i = 0; i < n; i++)
		mean += v[i] / n;
	for (i = 0; i < n; i++)
		ss += (v[i] - mean) * (v[i] - mean);
	half = (n <= 10 ? t90[n - 1] : normal90) * sqrt(ss / n * (1 + 1.0 / n));
	return (struct dp_est){ fmax(mean / 2, mean - half), mean, mean + half };
}

enum alike { ANY, SAME_RELEASE, SAME_RELEASE_AND_MULTIFD };

static bool is_alike(struct json_object *m, enum alike how, const char *release, bool multifd)
{
	struct json_object *q = get(m, "qemu", json_type_string), *f = get(m, "multifd", json_type_boolean);

	if (how != ANY && (!q || strcmp(json_object_get_string(q), release) != 0))
		return false;
	return how != SAME_RELEASE_AND_MULTIFD || (f && !!json_object_get_boolean(f) == multifd);
}

static bool is_near(struct json_object *m, double bandwidth)
{
	double given = figure(m, "path_given_bps", 1e18);

	return bandwidth > 0 && given * DP_LEARNED_NEAR >= bandwidth && given <= bandwidth * DP_LEARNED_NEAR;
}

static uint32_t collect(struct json_object *all, enum alike how, const struct dp_learned_key *key,
			bool near_only, const char *name, double v[DP_LEARNED_KEPT])
{
	size_t n = json_object_array_length(all), i = n > DP_LEARNED_KEPT ? n - DP_LEARNED_KEPT : 0;
	char release[DP_NAME_LEN];
	uint32_t k = 0;

	release_of(key->qemu_version, release, sizeof(release));
	for (; i < n; i++) {
		struct json_object *m = json_object_array_get_idx(all, i);
		double x = figure(m, name, 1e18);

		if (is_alike(m, how, release, key->multifd) && !isnan(x) &&
		    (!near_only || is_near(m, key->bandwidth)))
			v[k++] = x;
	}
	return k;
}

#define ASTRAY 0.15 /* of the middle one: another path, or a migration that something else held back */

/* Leaves those that lie near the middle one, in order; returns how many. */
static uint32_t near_middle(double *v, uint32_t n)
{
	double middle;
	uint32_t i, kept = 0;

	if (n < 3)
		return n;
	qsort(v, n, sizeof(*v), ascending);
	middle = v[n / 2];
	for (i = 0; i < n; i++) {
		if (fabs(v[i] - middle) <= ASTRAY * middle)
			v[kept++] = v[i];
	}
	return kept;
}

/* What the path gave of what was given, of migrations with multifd alike, else of all. */
static void learn_path(struct json_object *all, const struct dp_learned_key *key, struct dp_learned *out)
{
	double got[DP_LEARNED_KEPT];
	size_t n = json_object_array_length(all), i;
	int alike;

	for (alike = 1; alike >= 0 && !out->npath; alike--) {
		for (i = n > DP_LEARNED_KEPT ? n - DP_LEARNED_KEPT : 0; i < n; i++) {
			struct json_object *m = json_object_array_get_idx(all, i),
					   *f = get(m, "multifd", json_type_boolean);
			double x = figure(m, "path_bps", 1e18) / figure(m, "path_given_bps", 1e18);

			if (!is_near(m, key->bandwidth) || !(x > 0.01 && x < 100) ||
			    (alike && (!f || !!json_object_get_boolean(f) != key->multifd)))
				continue;
			got[out->npath++] = x;
		}
	}
	out->npath = near_middle(got, out->npath);
	if (out->npath)
		out->got = next_one(got, out->npath);
}

int dp_learned_load(const char *path, const struct dp_learned_key *key, struct dp_learned *out)
{
	double v[DP_LEARNED_KEPT];
	struct json_object *o, *all;
	uint32_t n;
	int how, err;

	memset(out, 0, sizeof(*out));
	err = read_file(path, &o);
	if (err || !o)
		return err;
	all = get(o, "migrations", json_type_array);
	for (how = SAME_RELEASE_AND_MULTIFD; how >= ANY && !out->n; how--) {
		out->n = collect(all, (enum alike)how, key, false, "fixed_s", v);
		if (!out->n)
			continue;
		out->fixed = spread(v, out->n);
		n = collect(all, (enum alike)how, key, true, "queue_bytes", v);
		if (!n)
			n = collect(all, (enum alike)how, key, false, "queue_bytes", v);
		out->queue = n ? spread(v, n).mid : 0;
	}
	learn_path(all, key, out);
	json_object_put(o);
	return 0;
}

void dp_learned_apply(const struct dp_learned *l, bool fixed_given, struct dp_session_opts *o)
{
	o->got = l->got;
	o->got_from = l->npath;
	if (!l->n)
		return;
	o->queue = l->queue;
	o->learned = fixed_given ? 0 : l->n;
	if (fixed_given)
		return;
	o->fixed = fmax(1e-9, l->fixed.mid);
	o->fixed_lo = l->fixed.lo;
	o->fixed_hi = l->fixed.hi;
}

static struct json_object *empty_file(void)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "file", json_object_new_string(NAME));
	json_object_object_add(o, "version", json_object_new_int(1));
	json_object_object_add(o, "migrations", json_object_new_array());
	return o;
}

int dp_learned_add(const char *path, const struct dp_report *r)
{
	struct json_object *o, *all, *m;
	char release[DP_NAME_LEN];
	const char *text;
	int err;

	if (r->mig.outcome != DP_MIG_DONE || isnan(r->mig.fixed_seen))
		return 0;
	err = read_file(path, &o);
	if (err)
		return err;
	if (!o)
		o = empty_file();
	all = get(o, "migrations", json_type_array);
	if (json_object_array_length(all) >= DP_LEARNED_KEPT)
		json_object_array_del_idx(all, 0, json_object_array_length(all) - DP_LEARNED_KEPT + 1);
	m = json_object_new_object();
	release_of(r->vm.qemu_version, release, sizeof(release));
	json_object_object_add(m, "when", json_object_new_int64((int64_t)(r->wall_us / 1000000)));
	json_object_object_add(m, "qemu", json_object_new_string(release));
	json_object_object_add(m, "multifd", json_object_new_boolean(r->mig.multifd));
	json_object_object_add(m, "fixed_s", json_object_new_double(r->mig.fixed_seen));
	if (!isnan(r->mig.queue_seen))
		json_object_object_add(m, "queue_bytes", json_object_new_double(r->mig.queue_seen));
	if (!isnan(r->mig.path_seen)) {
		json_object_object_add(m, "path_given_bps", json_object_new_double(r->mig.path_given));
		json_object_object_add(m, "path_bps", json_object_new_double(r->mig.path_seen));
	}
	json_object_array_add(all, m);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY);
	err = text ? dp_textfile_write(path, text, strlen(text)) : -ENOMEM;
	json_object_put(o);
	return err;
}
