// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <json-c/json.h>

#include "lib/fake_qmp.h"

#define LIFE_SECONDS 120

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

struct fake_qmp *fake_qmp_new(unsigned int major, unsigned int minor)
{
	struct fake_qmp *f;

	f = mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f == MAP_FAILED)
		return NULL;
	f->major = major;
	f->minor = minor;
	f->running = true;
	f->window_scale_pct = 100;
	f->min_rate_gap_ns = UINT64_MAX;
	return f;
}

void fake_qmp_free(struct fake_qmp *f)
{
	munmap(f, sizeof(*f));
}

int fake_qmp_listen(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || strlen(path) >= sizeof(sa.sun_path))
		return -1;
	strcpy(sa.sun_path, path);
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) || listen(fd, 1)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool is(const char *mode, const char *name)
{
	return !strcmp(mode, name);
}

/* false: the client has gone. */
static bool put_n(int fd, const char *mode, const char *s, size_t len)
{
	size_t step = is(mode, "trickle") ? 1 : len, off = 0;

	while (off < len) {
		ssize_t r = send(fd, s + off, step < len - off ? step : len - off, MSG_NOSIGNAL);

		if (r <= 0)
			return false;
		off += (size_t)r;
	}
	return true;
}

static bool put(int fd, const char *mode, struct json_object *o)
{
	int flags = is(mode, "pretty") ? JSON_C_TO_STRING_PRETTY : JSON_C_TO_STRING_SPACED;
	const char *s = json_object_to_json_string_ext(o, flags);
	bool ok = put_n(fd, mode, s, strlen(s)) && put_n(fd, mode, "\r\n", 2);

	json_object_put(o);
	return ok;
}

static bool put_text(int fd, const char *mode, const char *s)
{
	return put_n(fd, mode, s, strlen(s));
}

static bool put_event(int fd, const char *mode)
{
	return put_text(fd, mode,
			"{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RTC_CHANGE\", "
			"\"data\": {\"offset\": -7}}\r\n");
}

/* The misbehaviours that need no command. True: that was all there is to say to this client. */
static bool misgreet(int fd, const char *mode, unsigned int *seed)
{
	char big[4096];

	if (is(mode, "close"))
		return true;
	if (is(mode, "half")) {
		put_text(fd, mode, "{\"QMP\": {\"version\": {\"qe");
	} else if (is(mode, "greet2")) {
		put_text(fd, mode, "[{\"QMP\": {}}]\r\n");
	} else if (is(mode, "rubbish")) {
		for (size_t i = 0; i < sizeof(big); i++)
			big[i] = (char)rand_r(seed);
		put_n(fd, mode, big, sizeof(big));
	} else if (is(mode, "nul")) {
		static const char nul[] = "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7, \"minor\": 2}, "
					  "\"package\": \"a\0b\"}}}\r\n";

		put_n(fd, mode, nul, sizeof(nul) - 1);
	} else if (is(mode, "long")) {
		memset(big, 'a', sizeof(big));
		put_text(fd, mode, "{\"QMP\": \"");
		for (int i = 0; i < 2560 && put_n(fd, mode, big, sizeof(big)); i++)
			;
	} else if (is(mode, "nest")) {
		memset(big, '[', sizeof(big));
		put_text(fd, mode, "{\"QMP\": ");
		for (int i = 0; i < 25 && put_n(fd, mode, big, sizeof(big)); i++)
			;
	} else if (!is(mode, "silent")) {
		return false;
	}
	/* until the client has had enough */
	while (recv(fd, big, sizeof(big), 0) > 0)
		;
	return true;
}

static struct json_object *migrate(struct fake_qmp *f)
{
	char text[512];

	if (!f->migrate[0])
		return json_object_new_object();
	snprintf(
		text, sizeof(text),
		"{\"status\": \"%s\", \"total-time\": 1574, \"setup-time\": 7, \"expected-downtime\": 300, \"ram\": "
		"{\"total\": 537796608, \"remaining\": 4096, \"transferred\": 82000000, \"normal\": 20000, "
		"\"duplicate\": 111298, \"page-size\": 4096, \"dirty-sync-count\": 3, \"dirty-pages-rate\": 25344, "
		"\"mbps\": 866.83}}",
		f->migrate);
	return json_tokener_parse(text);
}

static struct json_object *params(void)
{
	return json_tokener_parse(
		"{\"max-bandwidth\": 134217728, \"downtime-limit\": 300, \"multifd-channels\": 2, "
		"\"avail-switchover-bandwidth\": 0}");
}

static struct json_object *caps(void)
{
	return json_tokener_parse(
		"[{\"capability\": \"xbzrle\", \"state\": false}, {\"capability\": \"multifd\", "
		"\"state\": true}, {\"capability\": \"auto-converge\", \"state\": true}, "
		"{\"capability\": \"x-new-thing\", \"state\": true}]");
}

static struct json_object *dirty_rate(struct fake_qmp *f)
{
	uint64_t now = now_ns();
	const char *status = f->forgetful		   ? "unstarted"
			     : now < f->measuring_until_ns ? "measuring"
							   : "measured";
	char text[256];

	if (f->last_rate_ns && now - f->last_rate_ns < f->min_rate_gap_ns)
		f->min_rate_gap_ns = now - f->last_rate_ns;
	f->last_rate_ns = now;
	f->rate_queries++;
	snprintf(text, sizeof(text),
		 "{\"status\": \"%s\", \"start-time\": 5, \"calc-time\": 1, \"mode\": \"dirty-bitmap\", "
		 "\"sample-pages\": 0%s}",
		 status, is(status, "measured") ? ", \"dirty-rate\": 99" : "");
	return json_tokener_parse(text);
}

/* NULL: refused. */
static struct json_object *calc(struct fake_qmp *f, struct json_object *args)
{
	struct json_object *v;
	uint64_t ms = 0;

	f->calcs_while_migrating += is(f->migrate, "active");
	f->calcs_while_paused += !f->running;
	if (f->refuse || now_ns() < f->measuring_until_ns) {
		f->refusals++;
		return NULL;
	}
	f->calcs++;
	f->last_milli = json_object_object_get_ex(args, "calc-time-unit", &v) &&
			is(json_object_get_string(v), "millisecond");
	if (json_object_object_get_ex(args, "calc-time", &v))
		ms = f->last_calc_time = json_object_get_uint64(v);
	if (json_object_object_get_ex(args, "mode", &v))
		snprintf(f->last_mode, sizeof(f->last_mode), "%s", json_object_get_string(v));
	if (!f->last_milli)
		ms *= 1000;
	f->measuring_until_ns = now_ns() + ms * f->window_scale_pct / 100 * 1000000;
	f->last_rate_ns = 0;
	return json_object_new_object();
}

static struct json_object *version(struct fake_qmp *f)
{
	char text[128];

	snprintf(text, sizeof(text),
		 "{\"qemu\": {\"micro\": 3, \"minor\": %u, \"major\": %u}, \"package\": \"fake\"}", f->minor,
		 f->major);
	return json_tokener_parse(text);
}

static struct json_object *error(const char *class, const char *desc)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "class", json_object_new_string(class));
	json_object_object_add(o, "desc", json_object_new_string(desc));
	return o;
}

/* The honest answer to a command. */
static struct json_object *answer(struct fake_qmp *f, const char *cmd, struct json_object *args)
{
	struct json_object *o = json_object_new_object(), *ret = NULL;

	if (is(cmd, "qmp_capabilities"))
		ret = json_object_new_object();
	else if (is(cmd, "query-version"))
		ret = version(f);
	else if (is(cmd, "query-status"))
		ret = json_tokener_parse(
			f->running ? "{\"running\": true, \"singlestep\": false, \"status\": \"running\"}"
				   : "{\"running\": false, \"status\": \"paused\"}");
	else if (is(cmd, "query-migrate"))
		ret = migrate(f);
	else if (is(cmd, "query-migrate-parameters"))
		ret = params();
	else if (is(cmd, "query-migrate-capabilities"))
		ret = caps();
	else if (is(cmd, "query-dirty-rate"))
		ret = dirty_rate(f);
	else if (is(cmd, "calc-dirty-rate"))
		ret = calc(f, args);
	if (ret)
		json_object_object_add(o, "return", ret);
	else if (is(cmd, "calc-dirty-rate"))
		json_object_object_add(o, "error", error("GenericError", "no\nway"));
	else
		json_object_object_add(o, "error", error("CommandNotFound", "unknown command"));
	return o;
}

static struct json_object *misanswer(const char *mode, const char *cmd, unsigned int *seed)
{
	static const char *const types[] = {
		"{\"return\": []}",
		"{\"return\": 7}",
		"{\"return\": null}",
		"{\"return\": \"x\"}",
		"{\"error\": 5}",
		"{\"return\": {\"status\": [], \"running\": 1, \"ram\": [], \"qemu\": 1, \"max-bandwidth\": \"1\"}}",
		"{\"return\": {\"status\": \"active\", \"running\": {}, \"ram\": {\"remaining\": \"1\"}}}",
		"{\"return\": [1, {\"capability\": 1}]}",
		"{\"error\": {\"class\": {}, \"desc\": []}}",
	};
	static const char *const numbers[] = {
		"{\"return\": {\"status\": \"active\", \"ram\": {\"remaining\": -1}}}",
		"{\"return\": {\"status\": \"active\", \"ram\": {\"transferred\": 9223372036854775808}}}",
		"{\"return\": {\"status\": \"active\", \"ram\": {\"total\": 1e300}}}",
		"{\"return\": {\"status\": \"measured\", \"calc-time\": 4294967296}}",
		"{\"return\": {\"max-bandwidth\": -5, \"multifd-channels\": 99999999999}}",
		"{\"return\": {\"status\": \"active\", \"ram\": {\"normal\": 99999999999999999999999}}}",
	};
	unsigned int r = (unsigned int)rand_r(seed);

	if (is(mode, "types"))
		return json_tokener_parse(types[r % (sizeof(types) / sizeof(*types))]);
	if (is(mode, "numbers"))
		return json_tokener_parse(numbers[r % (sizeof(numbers) / sizeof(*numbers))]);
	if (is(mode, "badutf8"))
		return json_tokener_parse("{\"error\": {\"class\": \"\xff\xfe\", \"desc\": \"\xc3(\x80\"}}");
	if (is(mode, "error")) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "error", error("GenericError", cmd));
		return o;
	}
	return NULL;
}

/* One command. False: close. */
static bool serve_one(int fd, const char *mode, struct fake_qmp *f, struct json_object *req,
		      unsigned int *seed)
{
	struct json_object *v, *args = NULL, *o = NULL;
	const char *cmd = "";

	f->commands++;
	if (json_object_object_get_ex(req, "execute", &v))
		cmd = json_object_get_string(v);
	json_object_object_get_ex(req, "arguments", &args);
	if (is(mode, "closecmd"))
		return false;
	if (is(mode, "mute") || f->stuck)
		return true;
	while (is(mode, "flood"))
		if (!put_event(fd, mode))
			return false;
	if (is(mode, "events"))
		for (int i = 0; i < 1000; i++)
			if (!put_event(fd, mode))
				return false;
	if (!is(cmd, "qmp_capabilities"))
		o = misanswer(mode, cmd, seed);
	if (!o)
		o = answer(f, cmd, args);
	if (!is(mode, "noid") && json_object_object_get_ex(req, "id", &v))
		json_object_object_add(o, "id", json_object_get(v));
	return put(fd, mode, o);
}

static void serve_client(int fd, const char *mode, struct fake_qmp *f, unsigned int *seed)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *greeting, *qmp;
	char buf[4096];
	ssize_t n;

	if (misgreet(fd, mode, seed))
		goto out;
	greeting = json_object_new_object();
	qmp = json_object_new_object();
	json_object_object_add(qmp, "version", version(f));
	json_object_object_add(qmp, "capabilities", json_object_new_array());
	json_object_object_add(greeting, "QMP", qmp);
	if (!put(fd, mode, greeting))
		goto out;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		size_t pos = 0;

		while (pos < (size_t)n) {
			struct json_object *req =
				json_tokener_parse_ex(tok, buf + pos, (int)((size_t)n - pos));
			bool ok;

			if (!req)
				break;
			pos += json_tokener_get_parse_end(tok);
			ok = serve_one(fd, mode, f, req, seed);
			json_object_put(req);
			if (!ok)
				goto out;
		}
	}
out:
	json_tokener_free(tok);
}

void fake_qmp_serve(int listen_fd, const char *mode, struct fake_qmp *f, unsigned int seed)
{
	for (;;) {
		int fd = accept(listen_fd, NULL, NULL);

		if (fd < 0)
			return;
		serve_client(fd, mode, f, &seed);
		close(fd);
	}
}

pid_t fake_qmp_fork(const char *path, const char *mode, struct fake_qmp *f, unsigned int seed)
{
	int fd = fake_qmp_listen(path);
	pid_t pid;

	if (fd < 0)
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(LIFE_SECONDS);
		fake_qmp_serve(fd, mode, f, seed);
		_exit(0);
	}
	close(fd);
	return pid;
}

void fake_qmp_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
