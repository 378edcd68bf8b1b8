/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A scene: a piece of a test that plays in a process of its own, because it
 * registers, patches, forks, execs or dies there.  It reports through shared
 * memory; the parent says it as TAP.
 */
#ifndef MMUN_TESTS_SCENE_H
#define MMUN_TESTS_SCENE_H

#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

#define SCENE_CHECKS 128

struct scene_report {
	unsigned int nr;
	struct {
		bool pass;
		int line;
		char name[160];
	} checks[SCENE_CHECKS];
	/* Free for the scene, shared with the parent and all its children. */
	volatile long words[8];
};

static struct scene_report *scene_report;

__attribute__((format(printf, 3, 4), unused)) static bool scene_check(bool pass, int line,
								      const char *format, ...)
{
	unsigned int i = __atomic_fetch_add(&scene_report->nr, 1, __ATOMIC_SEQ_CST);
	va_list args;

	if (i >= SCENE_CHECKS)
		return pass;
	scene_report->checks[i].pass = pass;
	scene_report->checks[i].line = line;
	va_start(args, format);
	vsnprintf(scene_report->checks[i].name, sizeof(scene_report->checks[i].name), format, args);
	va_end(args);
	return pass;
}

/* check(condition, "name", ...): one test of a scene, legal in any child of it. */
#define check(condition, ...) scene_check((condition), __LINE__, __VA_ARGS__)

static inline void scene_reset(void)
{
	if (!scene_report)
		scene_report = mmap(NULL, sizeof(*scene_report), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset((void *)scene_report, 0, sizeof(*scene_report));
}

/* Says what the scene reported. */
static inline void scene_replay(const char *name)
{
	for (unsigned int i = 0; i < scene_report->nr && i < SCENE_CHECKS; i++)
		if (!ok(scene_report->checks[i].pass, "%s: %s", name, scene_report->checks[i].name))
			diag("checked in line %d of the scene", scene_report->checks[i].line);
	if (scene_report->nr > SCENE_CHECKS)
		ok(false, "%s: has more than %d checks", name, SCENE_CHECKS);
}

/*
 * Plays @fn in a child and waits for it.  The child ends with _exit(0) when
 * @fn returns.  Return: its wait status.
 */
static inline int scene_play(const char *name, void (*fn)(void), unsigned int seconds)
{
	int status = -1;
	pid_t child;

	scene_reset();
	fflush(stdout);
	child = fork();
	if (!child) {
		alarm(seconds);
		fn();
		_exit(0);
	}
	waitpid(child, &status, 0);
	scene_replay(name);
	return status;
}

/* scene("name", fn): plays it and expects it to return. */
static inline void scene(const char *name, void (*fn)(void))
{
	int status = scene_play(name, fn, 60);

	if (!ok(status == 0, "%s: ends well", name))
		diag("wait status %x%s", status,
		     WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM ? ": it hung" : "");
}

#endif
