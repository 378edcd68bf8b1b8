/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System call instructions and what is done about each: of a file, of this process, of
 * the programs that a command runs.  Those say it themselves (trace/preload/report.c), in a file
 * in memory; here it is read and printed.
 * Tests: tests/system/trace_errors.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "command.h"
#include "launch.h"
#include "sites.h"
#include "report.h"

enum state { REDIRECTED, OTHER, LEFT, NR_STATES };

static const char *const states[] = {
	[REDIRECTED] = "redirected",
	[OTHER] = "other",
	[LEFT] = "left",
};

struct site {
	enum state state;
	int nr;
	unsigned long offset;
	/* NULL: none. */
	char *function, *why;
};

struct object {
	char *path;
	struct site *sites;
	size_t nr_sites;
	unsigned int counts[NR_STATES];
};

struct program {
	long pid;
	/* At its end, and not only as it was when it started. */
	bool at_end, complete;
	int error;
	char *path, *reason, *remedy;
	struct object *objects;
	size_t nr_objects;
};

static void *need(void *memory)
{
	if (memory)
		return memory;
	mmunotify_error("probe", "there is not enough memory");
	exit(MMUNOTIFY_EXIT_TOOL);
}

/* Room for one element more, zeroed. */
static void *grow(void *array, size_t *count, size_t size)
{
	if (!(*count & (*count - 1)))
		array = need(realloc(array, (*count ? 2 * *count : 1) * size));
	memset((char *)array + *count * size, 0, size);
	(*count)++;
	return array;
}

static char *copy(const char *text)
{
	return text && *text ? need(strdup(text)) : NULL;
}

static struct object *add_object(struct program *program, const char *path)
{
	struct object *object;

	program->objects = grow(program->objects, &program->nr_objects, sizeof(*object));
	object = &program->objects[program->nr_objects - 1];
	object->path = need(strdup(path));
	return object;
}

static void add_site(struct object *object, const struct site *site)
{
	object->sites = grow(object->sites, &object->nr_sites, sizeof(*site));
	object->sites[object->nr_sites - 1] = *site;
	object->counts[site->state]++;
}

static void clear_program(struct program *program)
{
	for (size_t i = 0; i < program->nr_objects; i++) {
		struct object *object = &program->objects[i];

		for (size_t j = 0; j < object->nr_sites; j++) {
			free(object->sites[j].function);
			free(object->sites[j].why);
		}
		free(object->sites);
		free(object->path);
	}
	free(program->objects);
	free(program->path);
	free(program->reason);
	free(program->remedy);
}

static unsigned int count_left(const struct program *program)
{
	unsigned int left = 0;

	for (size_t i = 0; i < program->nr_objects; i++)
		left += program->objects[i].counts[LEFT];
	return left;
}

/* Text. */

static void print_site(const struct site *site, const char *indent)
{
	printf("%s%-12s ", indent, states[site->state]);
	if (site->nr < 0)
		printf("%-8s ", "register");
	else
		printf("%-8d ", site->nr);
	printf("%s+0x%lx%s%s\n", site->function ? site->function : "", site->offset,
	       site->why ? ": " : "", site->why ? site->why : "");
}

static void print_object(const struct object *object, bool verbose)
{
	printf("  %s: %u redirected, %u other, %u left\n", object->path, object->counts[REDIRECTED],
	       object->counts[OTHER], object->counts[LEFT]);
	for (size_t i = 0; i < object->nr_sites; i++)
		if (verbose || object->sites[i].state == LEFT)
			print_site(&object->sites[i], "    ");
}

static void print_program(const struct program *program, bool verbose)
{
	printf("%s (process %ld%s):\n", program->path ? program->path : "?", program->pid,
	       program->at_end ? "" : ", as it was at its start, for its end was not seen");
	if (program->error)
		printf("  nothing is redirected: %s\n", strerror(program->error));
	if (program->reason)
		printf("  why: %s\n  do:  %s\n", program->reason,
		       program->remedy ? program->remedy : "");
	for (size_t i = 0; i < program->nr_objects; i++)
		print_object(&program->objects[i], verbose);
}

/* JSON. */

static struct json_object *site_object(const struct site *site)
{
	struct json_object *object = json_object_new_object();

	json_add_text(object, "state", states[site->state]);
	if (site->nr < 0)
		json_object_object_add(object, "number", NULL);
	else
		json_add_number(object, "number", (uint64_t)site->nr);
	json_add_text(object, "function", site->function);
	json_add_number(object, "offset", site->offset);
	json_add_text(object, "why", site->why);
	return object;
}

static struct json_object *object_object(const struct object *object, bool verbose)
{
	struct json_object *out = json_object_new_object(), *sites = json_object_new_array();

	json_add_text(out, "path", object->path);
	for (int i = 0; i < NR_STATES; i++)
		json_add_number(out, states[i], object->counts[i]);
	for (size_t i = 0; i < object->nr_sites; i++)
		if (verbose || object->sites[i].state == LEFT)
			json_object_array_add(sites, site_object(&object->sites[i]));
	json_object_object_add(out, "sites", sites);
	return out;
}

static struct json_object *program_object(const struct program *program, bool verbose)
{
	struct json_object *out = json_object_new_object(), *objects = json_object_new_array();

	json_add_text(out, "path", program->path);
	json_add_number(out, "pid", (uint64_t)program->pid);
	json_object_object_add(out, "at_end", json_object_new_boolean(program->at_end));
	json_add_number(out, "error", (uint64_t)program->error);
	json_add_text(out, "reason", program->reason);
	json_add_text(out, "remedy", program->remedy);
	for (size_t i = 0; i < program->nr_objects; i++)
		json_object_array_add(objects, object_object(&program->objects[i], verbose));
	json_object_object_add(out, "objects", objects);
	return out;
}

/* From the library. */

static struct site site_of(const struct mmun_site_info *info)
{
	return (struct site){
		.state = info->redirected ? REDIRECTED
			 : info->harmless ? OTHER
					  : LEFT,
		.nr = info->nr,
		.offset = info->offset,
		.function = copy(info->function),
		.why = copy(info->why),
	};
}

static int take_file_site(const struct mmun_site_info *info, void *object)
{
	struct site site = site_of(info);

	add_site(object, &site);
	return 0;
}

static int take_own_site(const char *path, const struct mmun_site_info *info, void *arg)
{
	struct program *program = arg;
	struct site site = site_of(info);
	struct object *object = program->nr_objects ? &program->objects[program->nr_objects - 1]
						    : NULL;

	if (!object || strcmp(object->path, path))
		object = add_object(program, path);
	add_site(object, &site);
	return 0;
}

int sites_of_file(const char *path, bool verbose)
{
	struct program program = { 0 };
	struct object *object = add_object(&program, path);
	int ret = mmun_file_sites(path, take_file_site, object), left;

	if (ret) {
		mmunotify_error("probe", "%s: %s", path, strerror(-ret));
		return MMUNOTIFY_EXIT_USAGE;
	}
	for (size_t i = 0; i < object->nr_sites; i++)
		if (verbose || object->sites[i].state != OTHER)
			print_site(&object->sites[i], "");
	printf("%s: %u redirected, %u other, %u left\n", path, object->counts[REDIRECTED],
	       object->counts[OTHER], object->counts[LEFT]);
	left = count_left(&program);
	clear_program(&program);
	return left ? MMUNOTIFY_EXIT_FAILED : 0;
}

/* Where it cannot be started it lists what would be redirected. */
static void look_at_self(struct program *self)
{
	char path[4096];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);

	*self = (struct program){ .pid = getpid(), .at_end = true };
	path[length > 0 ? length : 0] = '\0';
	self->path = copy(path);
	self->error = -mmun_self_start();
	mmun_self_sites(take_own_site, self);
	mmun_self_stop();
}

void sites_print_self(bool verbose)
{
	struct program self;

	look_at_self(&self);
	puts("\nThis process:");
	print_program(&self, verbose);
	clear_program(&self);
}

struct json_object *sites_self_object(bool verbose)
{
	struct json_object *object;
	struct program self;

	look_at_self(&self);
	object = program_object(&self, verbose);
	clear_program(&self);
	return object;
}

/* Of the programs of a command. */

struct programs {
	struct program *programs;
	size_t count;
};

/* Cuts the next field off @*line; "" when there is none. */
static char *field(char **line)
{
	char *at = *line, *end = at + strcspn(at, "\t\n");

	*line = *end == '\t' ? end + 1 : end;
	if (*end == '\n')
		*line = end + 1;
	*end = '\0';
	return at;
}

/* A program that is there already said more at its end, or is another by now. */
static struct program *take_program(struct programs *programs, char *line)
{
	long pid = strtol(field(&line), NULL, 10);
	bool at_end = !strcmp(field(&line), "end");
	struct program *program = NULL;

	for (size_t i = 0; at_end && i < programs->count; i++)
		if (programs->programs[i].pid == pid && !programs->programs[i].at_end)
			program = &programs->programs[i];
	if (program) {
		clear_program(program);
		memset(program, 0, sizeof(*program));
	} else {
		programs->programs = grow(programs->programs, &programs->count, sizeof(*program));
		program = &programs->programs[programs->count - 1];
	}
	program->pid = pid;
	program->at_end = at_end;
	program->error = (int)strtol(field(&line), NULL, 10);
	program->path = copy(field(&line));
	return program;
}

static void take_site(struct program *program, char *line)
{
	struct site site = { .state = LEFT };
	const char *state = field(&line);

	if (!program->nr_objects)
		return;
	for (int i = 0; i < NR_STATES; i++)
		if (!strcmp(state, states[i]))
			site.state = (enum state)i;
	site.nr = (int)strtol(field(&line), NULL, 10);
	site.offset = strtoul(field(&line), NULL, 16);
	site.function = copy(field(&line));
	site.why = copy(field(&line));
	add_site(&program->objects[program->nr_objects - 1], &site);
}

static void take_line(struct programs *programs, struct program **program, char *line)
{
	const char *kind = field(&line);

	if (!strcmp(kind, "program")) {
		*program = take_program(programs, line);
	} else if (!*program) {
		return;
	} else if (!strcmp(kind, "reason")) {
		(*program)->reason = copy(field(&line));
		(*program)->remedy = copy(field(&line));
	} else if (!strcmp(kind, "object")) {
		add_object(*program, field(&line));
	} else if (!strcmp(kind, "site")) {
		take_site(*program, line);
	} else if (!strcmp(kind, "done")) {
		(*program)->complete = true;
	}
}

static void read_report(struct programs *programs, int fd)
{
	struct program *program = NULL;
	char *line = NULL;
	size_t size = 0;
	FILE *report;

	lseek(fd, 0, SEEK_SET);
	report = need(fdopen(fd, "r"));
	while (getline(&line, &size, report) > 0)
		take_line(programs, &program, line);
	free(line);
	fclose(report);
}

static int print_programs(const struct programs *programs, bool verbose, bool json)
{
	struct json_object *out = json_object_new_object(), *list = json_object_new_array();
	bool failed = false;

	for (size_t i = 0; i < programs->count; i++) {
		const struct program *program = &programs->programs[i];

		if (json)
			json_object_array_add(list, program_object(program, verbose));
		else
			print_program(program, verbose);
		failed |= program->error || program->reason || !program->complete ||
			  count_left(program);
	}
	json_object_object_add(out, "programs", list);
	if (json)
		json_print_line(stdout, out);
	else
		json_object_put(out);
	return failed ? MMUNOTIFY_EXIT_FAILED : 0;
}

/* The terminal's signals are the program's business: it ends and we print. */
static void leave_signals_to_it(void)
{
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
}

static int run_command(char **command, int fd)
{
	struct launch launch = { .variable = REPORT_ENV };
	int status = launch_check(&launch, "probe", command);
	pid_t child;

	if (!status)
		status = launch_find_library(&launch, "trace");
	if (status)
		return status;
	snprintf(launch.value, sizeof(launch.value), "/proc/%d/fd/%d", getpid(), fd);
	fflush(stdout);
	status = launch_start(&launch, &child, leave_signals_to_it);
	if (status)
		return status;
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int sites_of_command(char **command, bool verbose, bool json)
{
	int fd = memfd_create(REPORT_NAME, MFD_CLOEXEC), status;
	struct programs programs = { 0 };

	if (fd < 0) {
		mmunotify_error("probe", "memory for the report cannot be had: %s",
				strerror(errno));
		return MMUNOTIFY_EXIT_TOOL;
	}
	status = run_command(command, fd);
	if (status) {
		close(fd);
		return status;
	}
	read_report(&programs, fd);
	if (!programs.count) {
		mmunotify_error("probe", "the program has said nothing of itself");
		return MMUNOTIFY_EXIT_TOOL;
	}
	status = print_programs(&programs, verbose, json);
	for (size_t i = 0; i < programs.count; i++)
		clear_program(&programs.programs[i]);
	free(programs.programs);
	return status;
}
