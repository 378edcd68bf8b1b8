/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* --filter: what each expression lets through, and the errors of wrong ones. */
#include <errno.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>

#include "tap.h"

#include "filter.h"

static const struct record event = {
	.type = RECORD_EVENT,
	.pid = 100,
	.tid = 101,
	.flags = RING_HAS_RESULT,
	.event = { .op = MMUN_OP_MUNMAP,
		   .event = MMU_NOTIFY_UNMAP,
		   .kind = MAPPING_FILE,
		   .start = 0x7f0000000000,
		   .end = 0x7f0000100000,
		   .name = "/usr/lib/libc.so.6" },
};

static const struct {
	const char *filter;
	bool passes;
} cases[] = {
	{ "op=munmap", true },
	{ "op=brk", false },
	{ "op=brk|munmap", true },
	{ "op!=munmap", false },
	{ "op!=brk|mremap", true },
	{ "class=unmap", true },
	{ "class=clear|protect", false },
	{ "range=file", true },
	{ "range!=file", false },
	{ "range=heap|stack|thread-stack", false },
	{ "name=*libc*", true },
	{ "name!=*libc*", false },
	{ "name=libc.so.6", false },
	{ "size=1M", true },
	{ "size=1048576", true },
	{ "size=0x100000", true },
	{ "size!=1M", false },
	{ "size>=1M", true },
	{ "size>1M", false },
	{ "size<=1024K", true },
	{ "size<1g", true },
	{ "addr=0x7f00000ff000", true },
	{ "addr=0x7f0000100000", false },
	{ "addr=7f00000ff000-7f0000200000", true },
	{ "addr=0x7effffff0000-0x7f0000000000", false },
	{ "addr!=0x7effffff0000-0x7f0000000000", true },
	{ "pid=100", true },
	{ "tid>101", false },
	{ "outcome=ok", true },
	{ "outcome=unchanged|error", false },
	{ "op=munmap|brk,class=unmap,size>=1M,range=file", true },
	{ "op=munmap,size>1M", false },
	/* As strace has it. */
	{ "munmap", true },
	{ "brk,munmap", true },
	{ "trace=munmap,brk", true },
	{ "t=brk", false },
	{ "!munmap", false },
	{ "trace=!brk,mmap", true },
	{ "madvise", false },
	{ "madvise-free,munmap", true },
	{ "%memory", true },
	{ "trace=!all", false },
};

static const struct {
	const char *filter;
	size_t column;
	const char *says;
} errors[] = {
	{ "", 1, "none of op, class" },
	{ "colour=red", 1, "'colour' is none of op, class" },
	{ "op", 3, "= or !=" },
	{ "op<munmap", 3, "= or !=" },
	{ "op=munmp", 4, "no op 'munmp', only none, munmap" },
	{ "op=munmap|", 11, "no op ''" },
	{ "op=munmap,class=unmapped", 17, "only unmap, clear" },
	{ "op=munmap,", 11, "none of op" },
	{ "size>=big", 7, "'big' is not a number" },
	{ "size=1X", 6, "not a number" },
	{ "size=99999999999999999999", 6, "not a number" },
	{ "size=99999999T", 6, "not a number" },
	{ "size~1", 1, "none of op" },
	{ "addr=zz", 6, "not a hexadecimal address" },
	{ "addr=0x2000-0x1000", 6, "not above its start" },
	{ "addr=0x2000-", 13, "not a hexadecimal address" },
	{ "name=", 6, "pattern" },
	{ "trace=", 7, "'' is no operation" },
	{ "trace=munmap,open", 14, "'open' is no operation on memory" },
	{ "munmap,", 1, "none of op" },
	{ "signal=SIGTERM", 1, "none of op" },
	{ "none", 1, "'none' is no operation" },
	{ "outcome=maybe", 9, "only ok, unchanged, error" },
};

static void test_matches(void)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct filter filter = { 0 };
		struct filter_error error;
		int result = filter_parse(&filter, cases[i].filter, &error);

		ok(!result && filter_match(&filter, &event) == cases[i].passes, "%s: %s",
		   cases[i].filter, cases[i].passes ? "passes" : "does not pass");
		filter_clear(&filter);
	}
}

static void test_errors(void)
{
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		struct filter filter = { 0 };
		struct filter_error error = { 0, "" };
		int result = filter_parse(&filter, errors[i].filter, &error);

		if (!ok(result == -EINVAL && error.column == errors[i].column &&
				strstr(error.text, errors[i].says) && !filter.nr,
			"'%s': wrong at column %zu", errors[i].filter, errors[i].column))
			diag("%d, column %zu: %s", result, error.column, error.text);
		filter_clear(&filter);
	}
}

static void test_others(void)
{
	struct record process = { .type = RECORD_PROCESS };
	struct filter filter = { 0 };
	struct filter_error error;

	ok(filter_match(&filter, &event), "no filter lets everything through");
	filter_parse(&filter, "op=brk", &error);
	filter_parse(&filter, "op=munmap", &error);
	ok(!filter_match(&filter, &event), "several filters must all hold");
	ok(filter_match(&filter, &process), "what is no event passes");
	filter_clear(&filter);
}

int main(void)
{
	test_matches();
	test_errors();
	test_others();
	return tap_done();
}
