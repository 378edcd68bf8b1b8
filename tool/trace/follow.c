/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is traced, and what got away.
 *
 * A process says that it is about to execute a program, and the program, once the tracer is
 * in it, that it is there.  What comes between is looked at from outside: the file before
 * it has run, for it may be gone in a moment; then the process.  Whether a process is traced
 * is not guessed from messages: its maps either show the ring or do not.
 *
 * I1  A program is said to have got away only when it cannot come forward any more: it has
 *     ended, and all that it has said is read; the file says why; or the dynamic linker has
 *     passed the place where it loads the tracer.  How long constructors take does not matter.
 * I2  Each program that got away is reported once.
 * A process in another pid namespace gives a number that leads to nobody or to another: what
 * is found there counts only if its parent is the same.
 * Tests: tests/system/trace_lost.py.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "follow.h"
#include "launch.h"

/* In which a call that is about to be made has been made, and in which a process that the
 * tracer cannot attach to would have said so; both are for what is known to get away. */
#define CALL_NS     100000000ull
#define PATIENCE_NS 2000000000ull
/* In which a dynamic linker comes to the C library, wherever the files are. */
#define START_NS 30000000000ull
/* Between two looks at a process that says nothing. */
#define LOOK_NS 500000000ull

#define ENDED \
	"the tracer in it has not come forward: it ended before, or the trace is out of its " \
	"sight (another /proc, a user namespace)"

struct process {
	/* When its address space went away; 0: it has one that we watch. */
	uint64_t released;
	/* When it began, as the kernel says it; 0: its number leads nowhere from here. */
	unsigned long long began;
	/* Of the program that has come forward; when it was last looked whether it is still there. */
	unsigned long long stack;
	uint64_t seen_at;
	/* It is about to execute this; NULL: nothing. */
	const char *exe;
	uint64_t exec_at;
	/* Why it will get away, or, if it is not certain, would; NULL: nothing is known. */
	char *reason;
	bool is_certain;
	/* When it came forward last. */
	uint64_t attached;
	/* A forked child that has not come forward: its calls are not seen, and what it executes
	 * only if that lives when it is looked at. */
	bool is_silent;
	/* It was not there when it was looked for; what it said before that has been read since,
	 * when that is so again. */
	bool is_missed;
	bool gone;
};

static void set_reason(struct process *process, const char *reason, bool is_certain)
{
	free(process->reason);
	process->reason = reason ? strdup(reason) : NULL;
	process->is_certain = is_certain && process->reason;
}

/* What /proc/PID/stat says. */
struct stat_line {
	char state;
	unsigned int ppid;
	/* Where the stack of the program begins: another place in the next program. */
	unsigned long long began, stack;
};

static bool read_stat(uint32_t pid, struct stat_line *stat)
{
	char path[40], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fgets(line, sizeof(line), file) && strrchr(line, ')'))
		found = sscanf(strrchr(line, ')') + 1,
			       " %c %u %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
			       "%*s %*s %*s %llu %*s %*s %*s %*s %*s %llu",
			       &stat->state, &stat->ppid, &stat->began, &stat->stack) == 4;
	fclose(file);
	return found;
}

/* In a pid namespace of its own another process has the number here. */
static void look_for(struct process *process, uint32_t pid, uint32_t ppid)
{
	struct stat_line stat;

	process->began = ppid && read_stat(pid, &stat) && stat.ppid == ppid ? stat.began : 0;
}

static bool is_there(const struct process *process, uint32_t pid, struct stat_line *stat)
{
	return process->began && read_stat(pid, stat) && stat->began == process->began &&
	       stat->state != 'Z' && stat->state != 'X';
}

void follow_free(struct follow *follow)
{
	for (size_t i = 0; i < follow->processes.size; i++) {
		struct process *process = follow->processes.entries[i].value;

		if (process)
			free(process->reason);
	}
	key_map_free_values(&follow->processes);
}

static struct process *process_of(struct follow *follow, uint32_t pid)
{
	void **place = key_map_place(&follow->processes, pid);

	if (place && !*place)
		*place = calloc(1, sizeof(struct process));
	return place ? *place : NULL;
}

/* I2 */
static void got_away(struct follow *follow, uint32_t pid, struct process *process, const char *exe,
		     const char *reason, uint64_t now)
{
	follow->unfollowed++;
	follow->report(follow->arg, pid, exe, reason, now);
	set_reason(process, NULL, false);
	process->exe = NULL;
	process->gone = true;
}

void follow_forked(struct follow *follow, uint32_t pid, uint32_t parent, uint64_t since)
{
	const struct process *by = key_map_find(&follow->processes, parent);
	struct process child = { .stack = by ? by->stack : 0, .is_silent = true };
	struct process *process = process_of(follow, pid);

	/* It may have come forward before its parent has said that it is there. */
	if (!process || !follow->children || process->attached >= since)
		return;
	look_for(&child, pid, parent);
	free(process->reason);
	*process = child;
}

void follow_attached(struct follow *follow, const struct ring_message *message)
{
	struct process *process = process_of(follow, message->pid);

	if (!process)
		return;
	free(process->reason);
	*process = (struct process){
		.gone = message->process.error,
		.stack = message->process.stack,
		.attached = message->time,
	};
	if (!message->process.ppid)
		follow->has_namespaces = true;
	look_for(process, message->pid, message->process.ppid);
}

void follow_released(struct follow *follow, uint32_t pid, uint64_t now)
{
	struct process *process = process_of(follow, pid);

	if (process)
		process->released = now;
}

/* Looked at by the name that leads there for this process, while there is one. */
static const char *obstacle_of(uint32_t pid, const char *exe)
{
	char path[RING_MAX_TEXT + 32];
	struct stat file;

	snprintf(path, sizeof(path), "/proc/%u/root%s", pid, exe);
	if (stat(path, &file) < 0)
		snprintf(path, sizeof(path), "%s", exe);
	/* The path comes from the program: it may be any. */
	return *exe == '/' && !stat(path, &file) && S_ISREG(file.st_mode)
		       ? launch_file_obstacle(path)
		       : NULL;
}

/* Of a program that the tracer stays away from; @error: of a look at the tracer's library. */
static const char *unreached_reason(int error)
{
	if (error == EACCES)
		return "its user may not read the tracer's library";
	if (error == ENOENT || error == ENOTDIR)
		return "its root directory is another, in which the tracer is not";
	return "its dynamic linker cannot load the tracer";
}

void follow_exec(struct follow *follow, const struct ring_message *message, const char *exe)
{
	struct process *process = process_of(follow, message->pid);
	const char *reason;
	char text[512];

	if (!process)
		return;
	process->gone = process->is_missed = false;
	process->exe = exe ? exe : "?";
	process->exec_at = message->time;
	look_for(process, message->pid, message->exec.ppid);
	reason = obstacle_of(message->pid, process->exe);
	if (message->flags & RING_NOT_REACHED) {
		snprintf(text, sizeof(text), "%s; what it executes is not followed either",
			 reason ? reason : unreached_reason(message->exec.error));
		set_reason(process, text, true);
	} else if (reason) {
		set_reason(process, reason, true);
	} else if (message->exec.error == EBUSY) {
		set_reason(process, "another trace follows it", true);
	} else if (message->exec.error) {
		snprintf(text, sizeof(text), "LD_PRELOAD cannot be set for it: %s",
			 strerror(message->exec.error));
		set_reason(process, text, true);
	} else if (message->exec.uid && message->exec.uid != geteuid()) {
		/* It has no access to our descriptors. */
		snprintf(text, sizeof(text),
			 "it runs as another user (%u), to whom the trace is not open",
			 message->exec.uid);
		set_reason(process, text, false);
	} else {
		set_reason(process, NULL, false);
	}
}

void follow_exec_failed(struct follow *follow, uint32_t pid, const char *exe, int error,
			uint64_t now)
{
	struct process *process = process_of(follow, pid);
	char text[192];

	if (!process)
		return;
	set_reason(process, NULL, false);
	process->exe = NULL;
	/* Its notifiers have been released before.  Another attempt may follow. */
	if (!process->released)
		return;
	snprintf(text, sizeof(text),
		 "it could not be executed (%s), and what its process does instead is not seen",
		 strerror(error));
	process->exe = exe ? exe : "?";
	process->exec_at = now;
	set_reason(process, text, true);
}

enum trace_state {
	PROCESS_GONE,
	PROCESS_TRACED,
	/* The tracer is loaded and has not run yet. */
	PROCESS_LOADED,
	/* The C library is, and comes behind it: the tracer will not be. */
	PROCESS_UNTRACED,
	PROCESS_STARTING
};

/* A dead or exiting process has no maps; one of another user shows none to us. */
static enum trace_state state_of(struct follow *follow, uint32_t pid)
{
	enum trace_state state = PROCESS_GONE;
	unsigned long long inode;
	char path[40], line[4200];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	maps = fopen(path, "re");
	if (!maps)
		return errno == EACCES ? PROCESS_UNTRACED : PROCESS_GONE;
	while (state != PROCESS_TRACED && fgets(line, sizeof(line), maps)) {
		if (state == PROCESS_GONE)
			state = PROCESS_STARTING;
		if (sscanf(line, "%*s %*s %*s %*s %llu", &inode) == 1 &&
		    inode == follow->ring_inode && strstr(line, "/memfd:" RING_NAME))
			state = PROCESS_TRACED;
		else if (strstr(line, follow->library))
			state = PROCESS_LOADED;
		else if (state == PROCESS_STARTING && strstr(line, "/libc.so.6"))
			state = PROCESS_UNTRACED;
	}
	fclose(maps);
	return state;
}

static bool has_other_root(uint32_t pid)
{
	struct stat ours, its;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/root/.", pid);
	return !stat("/.", &ours) && !stat(path, &its) &&
	       (ours.st_dev != its.st_dev || ours.st_ino != its.st_ino);
}

/* Does the process run the file already?  Not known of a script. */
static bool runs(uint32_t pid, const char *exe)
{
	char path[40], target[RING_MAX_TEXT];
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	length = readlink(path, target, sizeof(target));
	return length == (ssize_t)strlen(exe) && !memcmp(target, exe, (size_t)length);
}

/* Of a program that lives without the tracer, from its file. */
static const char *reason_of(uint32_t pid)
{
	const char *reason;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	reason = launch_file_obstacle(path);
	if (reason)
		return reason;
	return has_other_root(pid) ? "its root directory is another, in which the tracer is not"
				   : "the dynamic linker has not loaded the tracer";
}

/* I1 */
static void check_exec(struct follow *follow, uint32_t pid, struct process *process, uint64_t now)
{
	bool is_late = now > process->exec_at + PATIENCE_NS;
	enum trace_state state;
	struct stat_line stat;

	if (!is_there(process, pid, &stat)) {
		if (process->is_certain || (process->began && process->is_missed))
			got_away(follow, pid, process, process->exe,
				 process->reason ? process->reason : ENDED, now);
		process->is_missed = true;
		return;
	}
	if (process->is_certain) {
		if (is_late || runs(pid, process->exe))
			got_away(follow, pid, process, process->exe, process->reason, now);
		return;
	}
	state = state_of(follow, pid);
	/* Stopped: nothing can be said. */
	if (stat.state == 'T' || stat.state == 't')
		return;
	/* The call takes its time, or the new program's message was lost. */
	if (state == PROCESS_TRACED && is_late)
		process->exe = NULL;
	else if (state == PROCESS_UNTRACED ||
		 (state == PROCESS_LOADED && process->reason && is_late) ||
		 (state == PROCESS_STARTING && now > process->exec_at + START_NS))
		got_away(follow, pid, process, process->exe,
			 process->reason ? process->reason : reason_of(pid), now);
}

/* It was released, and no message has said why: perhaps that one was lost. */
static void check_released(struct follow *follow, uint32_t pid, struct process *process,
			   uint64_t now)
{
	char path[40], exe[RING_MAX_TEXT];
	struct stat_line stat;
	ssize_t length;

	process->gone = true;
	if (!is_there(process, pid, &stat) || state_of(follow, pid) != PROCESS_UNTRACED)
		return;
	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	length = readlink(path, exe, sizeof(exe) - 1);
	exe[length > 0 ? length : 0] = '\0';
	got_away(follow, pid, process, exe, reason_of(pid), now);
}

/* I1.  What it has done nobody knows.  Where processes have numbers of their own, another
 * number may have come forward. */
static void check_ended(struct follow *follow, uint32_t pid, struct process *process, uint64_t now)
{
	if (!process->is_missed) {
		process->is_missed = true;
		return;
	}
	process->gone = true;
	if (!follow->has_namespaces)
		got_away(follow, pid, process, "a forked child",
			 "it was not made by fork(3), or ended at once", now);
}

/* It has neither ended nor said anything, and is another program. */
static void check_unseen(struct follow *follow, uint32_t pid, struct process *process, uint64_t now)
{
	char path[40], exe[RING_MAX_TEXT];
	struct stat_line stat;
	ssize_t length;

	if (process->is_silent && !is_there(process, pid, &stat)) {
		check_ended(follow, pid, process, now);
		return;
	}
	if (now < process->seen_at + LOOK_NS)
		return;
	process->seen_at = now;
	if (!is_there(process, pid, &stat) || !stat.stack || !process->stack ||
	    stat.stack == process->stack || state_of(follow, pid) != PROCESS_UNTRACED)
		return;
	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	length = readlink(path, exe, sizeof(exe) - 1);
	exe[length > 0 ? length : 0] = '\0';
	got_away(follow, pid, process, *exe ? exe : NULL,
		 process->is_silent ? "it was executed by a child that was not made by fork(3)"
				    : "it was executed by a system call that only --strict sees",
		 now);
}

void follow_check(struct follow *follow, uint64_t now)
{
	for (size_t i = 0; i < follow->processes.size; i++) {
		struct process *process = follow->processes.entries[i].value;
		uint32_t pid = (uint32_t)follow->processes.entries[i].key;

		if (!process || process->gone)
			continue;
		if (process->exe && now < process->exec_at + CALL_NS)
			continue;
		if (process->exe)
			check_exec(follow, pid, process, now);
		else if (process->released && now > process->released + PATIENCE_NS)
			check_released(follow, pid, process, now);
		else if (!process->released)
			check_unseen(follow, pid, process, now);
	}
}

bool follow_is_anybody_alive(struct follow *follow, uint64_t now, pid_t *pid)
{
	for (size_t i = 0; i < follow->processes.size; i++) {
		struct process *process = follow->processes.entries[i].value;
		uint32_t number = (uint32_t)follow->processes.entries[i].key;
		enum trace_state state;
		struct stat_line stat;

		if (!process || process->gone)
			continue;
		*pid = (pid_t)number;
		state = state_of(follow, number);
		if (state == PROCESS_TRACED)
			return true;
		/* follow_check() decides about it. */
		if (is_there(process, number, &stat) ||
		    (process->exe && now < process->exec_at + CALL_NS))
			return true;
		if (!process->exe && !process->released && !process->is_silent)
			process->gone = true;
	}
	return false;
}

void follow_finish(struct follow *follow, uint64_t now)
{
	for (size_t i = 0; i < follow->processes.size; i++) {
		struct process *process = follow->processes.entries[i].value;
		uint32_t pid = (uint32_t)follow->processes.entries[i].key;

		if (!process || process->gone)
			continue;
		/* All that it has said has been read. */
		process->is_missed = true;
		if (process->is_silent && !process->exe)
			check_unseen(follow, pid, process, now);
		if (!process->exe)
			continue;
		if (process->reason || state_of(follow, pid) != PROCESS_TRACED)
			got_away(follow, pid, process, process->exe,
				 process->reason ? process->reason : ENDED, now);
	}
}
