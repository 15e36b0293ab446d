// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/log.h"
#include "probe/bpf_util.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
} commands[] = {
	{ "list", dp_cmd_list },     { "features", dp_cmd_features }, { "predict", dp_cmd_predict },
	{ "record", dp_cmd_record }, { "report", dp_cmd_report },
};

void dp_usage(void)
{
	fputs("Usage: dirtyprof -p PID [options] [interval [count]]\n"
	      "       dirtyprof predict FILE | - | -p PID [options] [interval [count]]\n"
	      "       dirtyprof record -p PID -o FILE [options] [interval [count]]\n"
	      "       dirtyprof report FILE [options]\n"
	      "       dirtyprof report --html PAGE FILE... | --compare FILE FILE [options]\n"
	      "       dirtyprof list | features [--json] [--btf FILE]\n"
	      "\n"
	      "Profiles how fast a KVM guest dirties its memory and predicts its live migration:\n"
	      "will it converge, how long will it take, how long will the guest be down.\n"
	      "\n"
	      "  -p, --pid PID             the QEMU (or other VMM) to watch\n"
	      "      interval              time between lines (1s); 50ms to 1h\n"
	      "      count                 number of intervals; default: until Ctrl-C\n"
	      "\n"
	      "What to predict for:\n"
	      "  --bandwidth BW            the path, before a migration: 10G, 866.83M (bits/s),\n"
	      "                            128MiB/s (bytes/s); during one it is measured\n"
	      "  --switchover-bandwidth BW the path once the guest is stopped, if that differs\n"
	      "  --downtime-limit TIME     QEMU's downtime-limit (300ms)\n"
	      "  --fixed-downtime TIME     the part of the downtime that is not RAM\n"
	      "  --learned FILE            what past migrations took that is not RAM: read, and\n"
	      "                            added to when one ends; --no-learned: neither\n"
	      "  --throttle PCT            predict with the vCPUs throttled by PCT\n"
	      "  --no-cap                  predict: as if max-bandwidth were lifted\n"
	      "\n"
	      "dirtyprof predict prints total time and downtime for each of a list of bandwidths\n"
	      "(--bandwidth 1G,10G,25G) and downtime limits (--downtime-limit 100ms,300ms), from a\n"
	      "VM that it measures (for 15 s), or from a FILE: a trace, or what --json printed.\n"
	      "\n"
	      "What to measure with:\n"
	      "  --start[=QMP-SOCKET]      ask QEMU for dirty-rate calculations, which switch dirty\n"
	      "                            logging on; default socket: from its command line\n"
	      "  --window TIME             length of the first of them\n"
	      "  --qmp SOCKET              read migration facts from QMP (holds the socket)\n"
	      "  --source ring|mark|harvest where dirty pages are read; default: what the VM uses\n"
	      "  --compare[=RATE]          compare contents: what of the dirty pages really changed;\n"
	      "                            reads at most RATE of the VM's memory (64MiB/s). By itself\n"
	      "                            where KVM tells apart less than 4K pages\n"
	      "  --no-compare              never compare contents\n"
	      "  --no-peek                 do not look at KVM's bitmap between syncs\n"
	      "  --btf FILE                the kernel's types, where it has no BTF of its own\n"
	      "  --hook USE=HOW            take this hook (dirtyprof features lists them), not the\n"
	      "                            best that works; may be given again\n"
	      "\n"
	      "dirtyprof record keeps what it measures in a trace and prints nothing; report shows\n"
	      "a trace as the live tool would have shown it, also for another path or limit.\n"
	      "\n"
	      "  -o, --output FILE         record: the trace; --append adds to one\n"
	      "  --record FILE             keep a trace beside the output\n"
	      "  --from TIME, --to TIME    report: what was measured then, since it began\n"
	      "  --merge N                 report: N intervals to a line\n"
	      "  --html PAGE               report: one page of HTML with everything, about one trace or\n"
	      "                            up to 6 side by side\n"
	      "  --compare                 report: which differences of two traces exceed the noise\n"
	      "\n"
	      "Output:\n"
	      "  --json                    JSON Lines on stdout\n"
	      "  --heatmap                 a line an interval: where in RAM it was written\n"
	      "  --curve                   draw U(t): after the report, and on a terminal below the\n"
	      "                            lines as well\n"
	      "  --prometheus FILE.prom    textfile for node_exporter, rewritten every interval\n"
	      "  -v, --verbose             say more on stderr\n"
	      "  -h, --help    --version\n"
	      "\n"
	      "Exit status: 0 converges, or done; 2 would not converge; 1 error.\n",
	      stdout);
}

int main(int argc, char **argv)
{
	size_t i;

	dp_bpf_init();
	for (i = 0; argc > 1 && i < sizeof(commands) / sizeof(*commands); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	return dp_cmd_profile(argc, argv);
}
