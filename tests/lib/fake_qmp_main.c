// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * fake_qmp MODE SOCKET [MAJOR MINOR]: serves until killed, or for two minutes. Says "ready" once it
 * listens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fake_qmp.h"

int main(int argc, char **argv)
{
	struct fake_qmp *f;
	int fd;

	if (argc != 3 && argc != 5) {
		fprintf(stderr, "usage: fake_qmp MODE SOCKET [MAJOR MINOR]\n");
		return 2;
	}
	f = fake_qmp_new(argc == 5 ? (unsigned int)atoi(argv[3]) : 7,
			 argc == 5 ? (unsigned int)atoi(argv[4]) : 2);
	fd = fake_qmp_listen(argv[2]);
	if (!f || fd < 0) {
		perror("fake_qmp");
		return 1;
	}
	alarm(120);
	puts("ready");
	fflush(stdout);
	fake_qmp_serve(fd, argv[1], f, 1);
	return 0;
}
