/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify(1): finds the command named on the command line and runs it.
 *
 * It knows the commands' names and summaries and nothing else of them: each
 * parses its own options and prints its own --help.  Tests: tests/system/trace_errors.py.
 */
#include <stdio.h>
#include <string.h>

#include <mmunotify/version.h>

#include "command.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary;
};

static const struct command commands[] = {
	{ "trace", mmunotify_cmd_trace,
	  "run a program and print each change of its address space" },
	{ "audit", mmunotify_cmd_audit,
	  "find registrations that outlive their memory in a program" },
	{ "run", mmunotify_cmd_run, "run a program with the adapters for UCX and libfabric" },
	{ "stat", mmunotify_cmd_stat, "show the counters of adapters in running processes" },
	{ "replay", mmunotify_cmd_replay, "print a recording made by trace -o" },
	{ "probe", mmunotify_cmd_probe, "list the event sources and whether they work here" },
	{ "demo", mmunotify_cmd_demo, "show stale registrations on the real kernel, and the cure" },
	{ "soft", mmunotify_cmd_soft, "play a script on a software address space" },
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
	fputs("Usage: mmunotify COMMAND [OPTION...]\n\nCommands:\n", out);
	for (size_t i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("  help     explain a command: mmunotify help COMMAND\n\n"
	      "      --help     print this text\n"
	      "      --version  print the version\n",
	      out);
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* getopt_long() puts argv[0] in front of what it complains of. */
static int run(const struct command *command, int argc, char **argv)
{
	static char name[32];

	snprintf(name, sizeof(name), "mmunotify %s", command->name);
	argv[0] = name;
	return mmunotify_flush_output(command->name, command->run(argc, argv),
				      MMUNOTIFY_EXIT_USAGE);
}

static int help(int argc, char **argv)
{
	const struct command *command;
	char *help_argv[3];

	if (argc < 2) {
		print_help(stdout);
		return mmunotify_flush_output(NULL, 0, MMUNOTIFY_EXIT_USAGE);
	}
	command = find_command(argv[1]);
	if (!command)
		return mmunotify_usage_error(NULL, "there is no command '%s'", argv[1]);
	help_argv[0] = argv[1];
	help_argv[1] = (char[]){ "--help" };
	help_argv[2] = NULL;
	return run(command, 2, help_argv);
}

int main(int argc, char **argv)
{
	const struct command *command;

	mmunotify_own_descriptors();
	if (argc < 2)
		return mmunotify_usage_error(NULL, "a command is missing");
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_help(stdout);
		return mmunotify_flush_output(NULL, 0, MMUNOTIFY_EXIT_USAGE);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("mmunotify %s\n", mmun_version());
		return mmunotify_flush_output(NULL, 0, MMUNOTIFY_EXIT_USAGE);
	}
	if (!strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	command = find_command(argv[1]);
	if (!command)
		return mmunotify_usage_error(NULL, "there is no %s '%s'",
					     argv[1][0] == '-' ? "option" : "command", argv[1]);
	return run(command, argc - 1, argv + 1);
}
