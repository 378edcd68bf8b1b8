/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For `mmunotify probe -- COMMAND`: lists the system call instructions of this process
 * once the event source is started, and again when the address space goes away, for then
 * everything has been loaded.  Formats by itself: the end may come inside a program's
 * own exit, wherever that is made.
 * Tests: tests/system/trace_errors.py.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include <number.h>
#include <raw_syscall.h>

#include "report.h"
#include "tracer.h"

/* Pages that are not needed are never touched. */
#define SIZE (16ul << 20)

/* Being written; what does not fit is left out, and then the report has no end. */
struct text {
	char *at;
	size_t used;
	/* The object that the last line is of. */
	char object[256];
};

static char path[64];
static int start_error;

static void add(struct text *text, const char *string, char after)
{
	size_t length = string ? strlen(string) : 0;

	if (text->used + length + 2 > SIZE)
		return;
	/* Names come from files that may hold anything. */
	for (size_t i = 0; i < length; i++)
		text->at[text->used++] = (unsigned char)string[i] < ' ' ? '?' : string[i];
	text->at[text->used++] = after;
}

static void add_number(struct text *text, long value, unsigned int base, char after)
{
	unsigned long rest = value < 0 ? -(unsigned long)value : (unsigned long)value;
	char digits[1 + MMUN_NUMBER_SIZE] = "-";

	mmun_put_number(digits + (value < 0), rest, base);
	add(text, digits, after);
}

/* Up to the end of one of them. */
static bool begins_like(const char *a, const char *b, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (a[i] != b[i])
			return false;
		if (!a[i])
			break;
	}
	return true;
}

static int add_site(const char *object, const struct mmun_site_info *info, void *arg)
{
	struct text *text = arg;

	if (!begins_like(object, text->object, sizeof(text->object) - 1)) {
		for (size_t i = 0; i + 1 < sizeof(text->object); i++)
			if (!(text->object[i] = object[i]))
				break;
		add(text, "object", '\t');
		add(text, object, '\n');
	}
	add(text, "site", '\t');
	add(text, info->redirected ? "redirected" : info->harmless ? "other" : "left", '\t');
	add_number(text, info->nr, 10, '\t');
	add_number(text, (long)info->offset, 16, '\t');
	add(text, info->function, '\t');
	add(text, info->why, '\n');
	return 0;
}

static void add_reason(struct text *text)
{
	const struct mmun_primary_ops *source = mmun_mm_ops(mmun_self());
	struct mmun_probe probe;

	source->probe(&probe);
	if (probe.available)
		return;
	add(text, "reason", '\t');
	add(text, probe.reason, '\t');
	add(text, probe.remedy, '\n');
}

static void write_text(const struct text *text)
{
	long fd = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)path,
				O_WRONLY | O_APPEND | O_CLOEXEC, 0);

	if (fd < 0)
		return;
	mmun_syscall3(SYS_write, (unsigned long)fd, (unsigned long)text->at, text->used);
	mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
}

static void say(const char *when)
{
	char program[RING_MAX_TEXT] = "";
	struct text text = { .used = 0 };
	long memory = mmun_syscall6(SYS_mmap, 0, SIZE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1ul, 0);

	if (memory < 0)
		return;
	text.at = (char *)memory;
	mmun_syscall3(SYS_readlink, (unsigned long)"/proc/self/exe", (unsigned long)program,
		      sizeof(program) - 1);
	add(&text, "program", '\t');
	add_number(&text, mmun_syscall3(SYS_getpid, 0, 0, 0), 10, '\t');
	add(&text, when, '\t');
	add_number(&text, start_error, 10, '\t');
	add(&text, program, '\n');
	add_reason(&text);
	if (!mmun_self_sites(add_site, &text))
		add(&text, "done", '\n');
	write_text(&text);
	mmun_syscall3(SYS_munmap, (unsigned long)memory, SIZE, 0);
}

static void report_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	say("end");
}

static const struct mmu_notifier_ops ops = { .release = report_release };
static struct mmu_notifier notifier = { .ops = &ops };

static bool is_report(const char *name)
{
	static const char expected[] = "/memfd:" REPORT_NAME;
	char target[64];
	long length = mmun_syscall3(SYS_readlink, (unsigned long)name, (unsigned long)target,
				    sizeof(target));

	return length >= (long)sizeof(expected) - 1 &&
	       begins_like(target, expected, sizeof(expected) - 1);
}

void report_attach(const char *name)
{
	struct mm_struct *mm = mmun_self();

	if (!mm || strlen(name) >= sizeof(path) || !is_report(name))
		return;
	memcpy(path, name, strlen(name) + 1);
	exec_follow(REPORT_ENV, name);
	start_error = -mmu_notifier_register(&notifier, mm);
	say("start");
}
