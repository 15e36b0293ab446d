// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "cli/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int dp_textfile_write(const char *path, const char *data, size_t len)
{
	char tmp[PATH_MAX];
	int fd, err;

	/* The collector reads *.prom only, so this name is invisible to it; the pid keeps two writers apart. */
	if (snprintf(tmp, sizeof(tmp), "%s.%d.tmp", path, (int)getpid()) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	err = write_all(fd, data, len);
	/* node_exporter runs as another user, whatever the umask here. */
	if (!err && fchmod(fd, 0644))
		err = -errno;
	if (close(fd) && !err)
		err = -errno;
	if (!err && rename(tmp, path))
		err = -errno;
	if (err)
		unlink(tmp);
	return err;
}

int dp_stdout_write(const char *data, size_t len)
{
	if (fwrite(data, 1, len, stdout) == len && !fflush(stdout))
		return 0;
	return errno ? -errno : -EIO;
}
