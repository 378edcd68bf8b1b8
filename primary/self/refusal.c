/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sentences that say why nothing can be patched, for the probe and the caller of a
 * registration: each with what can be done about it.  What the kernel refused is distinguished
 * by the step that it refused and the limits of the process.
 * Not here: when something is refused; sentences that only one place needs.
 * Tests: tests/contract/limits.c, tests/system/trace_errors.py.
 */
#include "refusal.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "number.h"
#include "state.h"

size_t mmun_append(char *to, size_t at, size_t size, const char *text)
{
	while (*text && at + 1 < size)
		to[at++] = *text++;
	to[at] = 0;
	return at;
}

size_t mmun_append_hex(char *to, size_t at, size_t size, unsigned long value)
{
	char digits[MMUN_NUMBER_SIZE];

	mmun_put_number(digits, value, 16);
	return mmun_append(to, at, size, digits);
}

void mmun_self_refuse(struct mmun_refusal *refusal, int error, const char *reason,
		      const char *remedy)
{
	refusal->error = error;
	mmun_append(refusal->reason, 0, sizeof(refusal->reason), reason);
	mmun_append(refusal->remedy, 0, sizeof(refusal->remedy), remedy);
}

void mmun_self_name_refusal(struct mmun_refusal *refusal, const char *path)
{
	char reason[sizeof(refusal->reason)];
	const char *slash = strrchr(path, '/');
	size_t at = mmun_append(reason, 0, sizeof(reason), slash ? slash + 1 : path);

	at = mmun_append(reason, at, sizeof(reason), ": ");
	mmun_append(reason, at, sizeof(reason), refusal->reason);
	mmun_append(refusal->reason, 0, sizeof(refusal->reason), reason);
}

static long read_proc(const char *path, long (*eat)(const char *text, long size, long sum))
{
	int fd = (int)mmun_self_open(path);
	char text[1024];
	long n, sum = 0;

	if (fd < 0)
		return -1;
	while ((n = mmun_syscall3(SYS_read, fd, (unsigned long)text, sizeof(text))) > 0)
		sum = eat(text, n, sum);
	mmun_self_close(fd);
	return sum;
}

static long count_lines(const char *text, long size, long sum)
{
	for (long i = 0; i < size; i++)
		sum += text[i] == '\n';
	return sum;
}

static long parse_number(const char *text, long size, long sum)
{
	for (long i = 0; i < size && text[i] >= '0' && text[i] <= '9'; i++)
		sum = sum * 10 + (text[i] - '0');
	return sum;
}

/* Is there no room for @more mappings? */
static bool is_map_full(long more)
{
	long limit = read_proc("/proc/sys/vm/max_map_count", parse_number);
	long count = read_proc("/proc/self/maps", count_lines);

	return limit > 0 && count > 0 && count + more >= limit;
}

static bool is_limited(int resource)
{
	struct rlimit limit;

	return !mmun_syscall4(SYS_prlimit64, 0, resource, 0, (unsigned long)&limit) &&
	       limit.rlim_cur != RLIM_INFINITY;
}

static void explain_no_memory(struct mmun_refusal *refusal, long more)
{
	if (is_map_full(more))
		mmun_self_refuse(refusal, -ENOMEM,
				 "this process has almost as many mappings as it may have",
				 "raise vm.max_map_count");
	else if (is_limited(RLIMIT_AS) || is_limited(RLIMIT_DATA))
		mmun_self_refuse(
			refusal, -ENOMEM,
			"RLIMIT_AS or RLIMIT_DATA leaves no room for copies of pages of text",
			"raise the limit (ulimit -v, ulimit -d)");
	else
		mmun_self_refuse(refusal, -ENOMEM,
				 "the kernel has no memory for copies of pages of text",
				 "raise the memory limit of this process or its control group");
}

int mmun_self_explain(struct mmun_refusal *refusal, enum mmun_step step, long error, long more)
{
	if (error == -ENOMEM)
		explain_no_memory(refusal, more);
	else if (error == -EAGAIN)
		mmun_self_refuse(
			refusal, -EAGAIN,
			"copies of pages of text would be locked in memory (mlockall), beyond RLIMIT_MEMLOCK",
			"raise RLIMIT_MEMLOCK (ulimit -l), or lock without MCL_FUTURE");
	else if (error == -ESTALE)
		mmun_self_refuse(
			refusal, error = -EBUSY, "text that is to be replaced changes all the time",
			"find out which library or tool rewrites it (mmunotify(7), Limits)");
	else if (error == -EBUSY)
		mmun_self_refuse(refusal, -EBUSY,
				 "the dynamic linker unloads libraries all the time",
				 "start before the threads that load and unload them");
	else if (step == MMUN_STEP_PROTECT && error == -EACCES)
		mmun_self_refuse(
			refusal, -EACCES,
			"this process may not make memory executable that was written (PR_SET_MDWE or SELinux)",
			"lift MemoryDenyWriteExecute or the SELinux rule execmem for this program");
	else
		mmun_self_refuse(
			refusal, (int)error,
			step == MMUN_STEP_COPY
				? "mmap is refused to this process (a seccomp filter)"
			: step == MMUN_STEP_PROTECT
				? "mprotect to PROT_EXEC is refused to this process (a seccomp filter)"
				: "mremap over text is refused to this process (a seccomp filter or sealed memory)",
			"allow the call for this program");
	return (int)error;
}

int mmun_self_explain_stubs(struct mmun_refusal *refusal, int error)
{
	if (error != -ENOMEM || is_map_full(MMUN_MAP_MARGIN))
		return mmun_self_explain(refusal, MMUN_STEP_PROTECT, error, MMUN_MAP_MARGIN);
	mmun_self_refuse(refusal, error, "there is no room for the redirection near the C library",
			 "see mmunotify(7), Limits");
	return error;
}
