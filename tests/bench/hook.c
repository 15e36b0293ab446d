// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Loads a BPF object, attaches its programs, says "attached" and holds them until a signal ends it. hook OBJECT */
#include <stdio.h>
#include <unistd.h>
#include <bpf/libbpf.h>

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	struct bpf_program *prog;

	if (argc != 2) {
		fprintf(stderr, "usage: hook OBJECT\n");
		return 1;
	}
	obj = bpf_object__open_file(argv[1], NULL);
	if (!obj || bpf_object__load(obj)) {
		perror("hook: load");
		return 1;
	}
	bpf_object__for_each_program(prog, obj)
	{
		if (!bpf_program__attach(prog)) {
			perror("hook: attach");
			return 1;
		}
	}
	puts("attached");
	fflush(stdout);
	alarm(600); /* never for ever, whatever becomes of the bench */
	pause();
	return 0;
}
