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

static double median(double *v, uint32_t n)
{
	qsort(v, n, sizeof(*v), ascending);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

enum alike { ANY, SAME_RELEASE, SAME_RELEASE_AND_MULTIFD };

static bool is_alike(struct json_object *m, enum alike how, const char *release, bool multifd)
{
	struct json_object *q = get(m, "qemu", json_type_string), *f = get(m, "multifd", json_type_boolean);

	if (how != ANY && (!q || strcmp(json_object_get_string(q), release) != 0))
		return false;
	return how != SAME_RELEASE_AND_MULTIFD || (f && !!json_object_get_boolean(f) == multifd);
}

static void figures(struct json_object *all, enum alike how, const char *release, bool multifd,
		    struct dp_learned *out)
{
	double fixed[DP_LEARNED_KEPT], queue[DP_LEARNED_KEPT], x;
	size_t n = json_object_array_length(all), i = n > DP_LEARNED_KEPT ? n - DP_LEARNED_KEPT : 0;
	uint32_t nqueue = 0;

	memset(out, 0, sizeof(*out));
	for (; i < n; i++) {
		struct json_object *m = json_object_array_get_idx(all, i);

		if (!is_alike(m, how, release, multifd))
			continue;
		x = figure(m, "fixed_s", 1e3);
		if (!isnan(x))
			fixed[out->n++] = x;
		x = figure(m, "queue_bytes", 1e12);
		if (!isnan(x))
			queue[nqueue++] = x;
	}
	if (out->n)
		out->fixed = median(fixed, out->n);
	if (out->n && nqueue)
		out->queue = median(queue, nqueue);
}

int dp_learned_load(const char *path, const char *qemu_version, bool multifd, struct dp_learned *out)
{
	struct json_object *o;
	char release[DP_NAME_LEN];
	int how, err;

	memset(out, 0, sizeof(*out));
	err = read_file(path, &o);
	if (err || !o)
		return err;
	release_of(qemu_version, release, sizeof(release));
	for (how = SAME_RELEASE_AND_MULTIFD; how >= ANY && !out->n; how--)
		figures(get(o, "migrations", json_type_array), (enum alike)how, release, multifd, out);
	json_object_put(o);
	return 0;
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
	json_object_array_add(all, m);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY);
	err = text ? dp_textfile_write(path, text, strlen(text)) : -ENOMEM;
	json_object_put(o);
	return err;
}
