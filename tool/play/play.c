/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify soft`: plays a script on a software address space and prints the
 * callbacks of its notifiers.
 *
 * I1  Nothing runs before the whole script has been understood.
 *
 * Not here: the language (parse.c, syntax.c) and the run (run.c).
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "status.h"
#include "world.h"

static const char help_text[] =
	"Usage: mmunotify soft [OPTION...] SCRIPT\n"
	"       mmunotify soft [OPTION...] -e 'COMMAND; COMMAND...'\n"
	"\n"
	"Play a script on a software address space and print the callbacks of its notifiers.\n"
	"SCRIPT - is standard input.  mmunotify-soft(1) explains the language.\n"
	"\n"
	"  -e, --execute=COMMANDS  take the script from the command line\n"
	"  -n, --check             read the script, run nothing\n"
	"  -m, --maps-after-each   print the mappings of every task after each command\n"
	"      --json              one JSON object per line\n"
	"  -q, --quiet             print only what maps, pagemap, locks, stats and print say\n"
	"      --timeout=SECONDS   give up when nothing has moved for so long (default 60)\n"
	"      --commands          list the commands of the language\n"
	"  -h, --help              print this text\n"
	"\n"
	"Exit status: 0 if everything went as the script expects; 1 if not, or if a device\n"
	"was caught using memory it must not; 2 if the script or an option is not understood,\n"
	"nothing has run then; 3 if the script cannot be read, or memory ran out.\n";

#define MAX_SCRIPT (16u << 20)

static int read_all(int fd, char **text, size_t *length)
{
	size_t size = 0;
	ssize_t got;
	char *bigger;

	do {
		if (*length == size) {
			size = size ? size * 2 : 65536;
			bigger = size > MAX_SCRIPT ? NULL : realloc(*text, size);
			if (!bigger)
				return size > MAX_SCRIPT ? -EFBIG : -ENOMEM;
			*text = bigger;
		}
		got = read(fd, *text + *length, size - *length);
		if (got < 0 && errno != EINTR)
			return -errno;
		*length += got > 0 ? (size_t)got : 0;
	} while (got);
	return 0;
}

static int read_script(const char *name, char **text, size_t *length)
{
	bool standard = !strcmp(name, "-");
	int fd = standard ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
	int ret = fd < 0 ? -errno : read_all(fd, text, length);

	if (fd >= 0 && !standard)
		close(fd);
	if (ret)
		mmunotify_error("soft", "%s cannot be read: %s", name, strerror(-ret));
	return ret;
}

static void list_commands(void)
{
	for (const struct soft_syntax *syntax = soft_commands; syntax->name; syntax++)
		printf("%s%s%s\n", syntax->name, syntax->usage[0] ? " " : "", syntax->usage);
}

struct arguments {
	struct soft_options options;
	const char *commands;
	bool check;
	/* -1, or the status to exit with at once. */
	int status;
};

static bool parse_timeout(const char *text, unsigned int *timeout)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || end == text || *end || text[0] == '-' || !value || value > 86400)
		return false;
	*timeout = (unsigned int)value;
	return true;
}

static void parse_option(struct arguments *arguments, int option)
{
	switch (option) {
	case 'e':
		if (arguments->commands)
			arguments->status = mmunotify_usage_error(
				"soft",
				"--execute is given twice; separate commands with semicolons");
		arguments->commands = optarg;
		break;
	case 'n':
		arguments->check = true;
		break;
	case 'm':
		arguments->options.maps_after_each = true;
		break;
	case 'j':
		arguments->options.json = true;
		break;
	case 'q':
		arguments->options.quiet = true;
		break;
	case 't':
		if (!parse_timeout(optarg, &arguments->options.timeout))
			arguments->status = mmunotify_usage_error(
				"soft", "'%s' is no number of seconds from 1 to 86400", optarg);
		break;
	case 'l':
		list_commands();
		arguments->status = 0;
		break;
	case 'h':
		fputs(help_text, stdout);
		arguments->status = 0;
		break;
	default:
		arguments->status = SOFT_EXIT_SCRIPT;
	}
}

static void parse_arguments(struct arguments *arguments, int argc, char **argv)
{
	static const struct option options[] = {
		{ "execute", required_argument, NULL, 'e' },
		{ "check", no_argument, NULL, 'n' },
		{ "maps-after-each", no_argument, NULL, 'm' },
		{ "json", no_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "timeout", required_argument, NULL, 't' },
		{ "commands", no_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	optind = 0;
	while (arguments->status < 0 &&
	       (option = mmunotify_getopt("soft", argc, argv, "e:nmqh", options, NULL)) >= 0)
		parse_option(arguments, option);
	if (arguments->status >= 0)
		return;
	if (!arguments->commands && optind == argc)
		arguments->status = mmunotify_usage_error("soft", "a script is missing");
	else if (optind + !arguments->commands < argc)
		arguments->status = mmunotify_usage_error("soft", "'%s' is one argument too many",
							  argv[optind + !arguments->commands]);
}

static int play(const struct arguments *arguments, const char *name)
{
	struct soft_script script;
	size_t length = 0;
	char *text = NULL;
	int ret;

	if (arguments->commands) {
		name = "-e";
		text = strdup(arguments->commands);
		length = strlen(arguments->commands);
		ret = text ? 0 : -ENOMEM;
	} else {
		ret = read_script(name, &text, &length);
	}
	if (ret) {
		free(text);
		return SOFT_EXIT_ENVIRONMENT;
	}
	if (soft_script_parse(&script, name, text, length))
		ret = SOFT_EXIT_SCRIPT;
	else if (!arguments->check)
		ret = soft_run(&script, &arguments->options);
	soft_script_free(&script);
	return ret;
}

int mmunotify_cmd_soft(int argc, char **argv)
{
	struct arguments arguments = { .options.timeout = 60, .status = -1 };
	int ret;

	parse_arguments(&arguments, argc, argv);
	ret = arguments.status >= 0 ? arguments.status : play(&arguments, argv[optind]);
	/* 2 is a script that is not understood. */
	return mmunotify_flush_output("soft", ret, SOFT_EXIT_ENVIRONMENT);
}
