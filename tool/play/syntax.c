/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The words of `mmunotify soft`: its commands, and the words that stand for numbers.
 *
 * I1  What a pattern says is all that the parser knows of a command; the order of a
 *     command's keywords is that of its enum in world.h.
 *
 * Not here: parsing (parse.c), running (the others).
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "world.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

struct word {
	const char *word;
	unsigned long value;
};

static const struct word rights[] = {
	{ "none", PROT_NONE },
	{ "r", PROT_READ },
	{ "w", PROT_WRITE },
	{ "rw", PROT_READ | PROT_WRITE },
	{ "rx", PROT_READ | PROT_EXEC },
	{ "rwx", PROT_READ | PROT_WRITE | PROT_EXEC },
	{ "x", PROT_EXEC },
	{ NULL, 0 },
};

static const struct word advice[] = {
	{ "normal", MADV_NORMAL },
	{ "random", MADV_RANDOM },
	{ "sequential", MADV_SEQUENTIAL },
	{ "willneed", MADV_WILLNEED },
	{ "dontneed", MADV_DONTNEED },
	{ "free", MADV_FREE },
	{ "remove", MADV_REMOVE },
	{ "dontfork", MADV_DONTFORK },
	{ "dofork", MADV_DOFORK },
	{ "wipeonfork", MADV_WIPEONFORK },
	{ "keeponfork", MADV_KEEPONFORK },
	{ "mergeable", MADV_MERGEABLE },
	{ "unmergeable", MADV_UNMERGEABLE },
	{ "hugepage", MADV_HUGEPAGE },
	{ "nohugepage", MADV_NOHUGEPAGE },
	{ "dontdump", MADV_DONTDUMP },
	{ "dodump", MADV_DODUMP },
	{ "cold", MADV_COLD },
	{ "pageout", MADV_PAGEOUT },
	{ "populate_read", MADV_POPULATE_READ },
	{ "populate_write", MADV_POPULATE_WRITE },
	{ "dontneed_locked", MADV_DONTNEED_LOCKED },
	{ "collapse", MADV_COLLAPSE },
	{ NULL, 0 },
};

static const struct word points[] = {
	{ "start", SOFT_AT_START },
	{ "end", SOFT_AT_END },
	{ "release", SOFT_AT_RELEASE },
	{ NULL, 0 },
};

static const struct word mm_locks[] = {
	{ "percpu_rwsem", MMUN_SOFT_MM_LOCK_PERCPU_RWSEM },
	{ "sort", MMUN_SOFT_MM_LOCK_SORT },
	{ "mark", MMUN_SOFT_MM_LOCK_MARK },
	{ NULL, 0 },
};

static const struct word releases[] = { { "release", 1 }, { NULL, 0 } };

static const struct word outcomes[] = {
	{ "EPERM", EPERM },
	{ "ENOENT", ENOENT },
	{ "ESRCH", ESRCH },
	{ "EINTR", EINTR },
	{ "EIO", EIO },
	{ "ENXIO", ENXIO },
	{ "EAGAIN", EAGAIN },
	{ "ENOMEM", ENOMEM },
	{ "EACCES", EACCES },
	{ "EFAULT", EFAULT },
	{ "EBUSY", EBUSY },
	{ "EEXIST", EEXIST },
	{ "ENODEV", ENODEV },
	{ "EINVAL", EINVAL },
	{ "EFBIG", EFBIG },
	{ "ENOSPC", ENOSPC },
	{ "EDEADLK", EDEADLK },
	{ "EOVERFLOW", EOVERFLOW },
	{ "ENOTSUP", ENOTSUP },
	{ "EBADF", EBADF },
	{ "EMFILE", EMFILE },
	{ "SIGSEGV", SOFT_OUTCOME_SIGNAL + SIGSEGV },
	{ "SIGBUS", SOFT_OUTCOME_SIGNAL + SIGBUS },
	{ "SIGKILL", SOFT_OUTCOME_SIGNAL + SIGKILL },
	{ "freed", SOFT_OUTCOME_VIOLATION + MMUN_SOFT_FREED },
	{ "replaced", SOFT_OUTCOME_VIOLATION + MMUN_SOFT_REPLACED },
	{ "write_protected", SOFT_OUTCOME_VIOLATION + MMUN_SOFT_WRITE_PROTECTED },
	{ "after_exit", SOFT_OUTCOME_VIOLATION + MMUN_SOFT_AFTER_EXIT },
	{ "no_access", SOFT_OUTCOME_VIOLATION + MMUN_SOFT_NO_ACCESS },
	{ "again", SOFT_OUTCOME_RETRY },
	{ NULL, 0 },
};

const char *soft_outcome_name(int outcome)
{
	static _Thread_local char number[32];

	for (const struct word *word = outcomes; word->word; word++)
		if (word->value == (unsigned long)outcome)
			return word->word;
	snprintf(number, sizeof(number), "error %d", outcome);
	return number;
}

static bool find_word(const struct word *words, const char *name, unsigned long *value)
{
	for (; words->word; words++) {
		if (!strcmp(words->word, name)) {
			*value = words->value;
			return true;
		}
	}
	return false;
}

bool soft_outcome_find(const char *name, int *outcome)
{
	unsigned long value;

	if (!find_word(outcomes, name, &value))
		return false;
	*outcome = (int)value;
	return true;
}

static const struct word *words_of(char pattern)
{
	switch (pattern) {
	case 'P':
		return rights;
	case 'A':
		return advice;
	case 'b':
		return points;
	case 'm':
		return mm_locks;
	default:
		return releases;
	}
}

bool soft_word_find(char pattern, const char *word, unsigned long *value)
{
	if (pattern == 'X')
		return soft_stats_counter_find(word, value);
	return find_word(words_of(pattern), word, value);
}

const char *soft_words(char pattern)
{
	static char list[512];
	size_t used = 0;

	if (pattern == 'X')
		return "the counters that the command stats prints";
	for (const struct word *word = words_of(pattern); word->word; word++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s", used ? " " : "",
					 word->word);
	return list;
}

const char *soft_kind_name(enum soft_kind kind)
{
	static const char *const names[SOFT_NR_KINDS] = {
		[SOFT_TASK] = "task",         [SOFT_FILE] = "file",
		[SOFT_NOTIFIER] = "notifier", [SOFT_INTERVAL] = "interval",
		[SOFT_DEVICE] = "device",     [SOFT_GRU] = "gru",
		[SOFT_CONTEXT] = "context",   [SOFT_KVM] = "kvm",
		[SOFT_THREAD] = "thread",     [SOFT_VALUE] = "value",
	};

	return names[kind];
}

const char *soft_counter_name(enum soft_kind kind, unsigned long index)
{
	if (kind == SOFT_GRU)
		return soft_gru_counter_name(index);
	if (kind == SOFT_KVM)
		return soft_kvm_counter_name(index);
	return soft_listener_counter_name(index);
}

bool soft_counter_find(enum soft_kind kind, const char *name, unsigned long *index)
{
	const char *at;

	for (*index = 0; (at = soft_counter_name(kind, *index)); (*index)++)
		if (!strcmp(at, name))
			return true;
	return false;
}

#define KEYWORDS(...) ((const struct soft_keyword[]){ __VA_ARGS__, { NULL, 0 } })

static const struct soft_keyword entry_keywords[] = {
	{ "present", 0 },      { "swapped", 0 },    { "writable", 0 },    { "young", 0 },
	{ "dirty", 0 },        { "soft_dirty", 0 }, { "zero", 0 },        { "huge", 0 },
	{ "file", 0 },         { "ksm", 0 },        { "not_present", 0 }, { "not_swapped", 0 },
	{ "not_writable", 0 }, { "not_young", 0 },  { "not_dirty", 0 },   { "not_soft_dirty", 0 },
	{ "not_zero", 0 },     { "not_huge", 0 },   { "not_file", 0 },    { "not_ksm", 0 },
	{ NULL, 0 },
};

const struct soft_syntax soft_commands[] = {
	{ "machine", "",
	  KEYWORDS({ "memory", '@' }, { "swap", '@' }, { "mm_lock", 'm' }, { "huge_always", 0 },
		   { "map_count", '@' }, { "address_space", '@' }),
	  soft_run_machine,
	  "[memory SIZE] [swap SIZE] [mm_lock percpu_rwsem|sort|mark] [huge_always] [map_count N] "
	  "[address_space SIZE]" },
	{ "task", "t", NULL, soft_run_task, "NAME" },
	{ "clone", "T<as>t", NULL, soft_run_clone, "TASK as NAME" },
	{ "fork", "T<as>t", NULL, soft_run_fork, "TASK as NAME" },
	{ "exec", "T", NULL, soft_run_exec, "TASK" },
	{ "exit", "T", NULL, soft_run_exit, "TASK" },
	{ "file", "f@", KEYWORDS({ "regular", 0 }, { "shmem", 0 }), soft_run_file,
	  "NAME SIZE [regular|shmem]" },
	{ "close", "F", NULL, soft_run_close, "FILE" },
	{ "let", "v=@", NULL, soft_run_let, "NAME = SUM" },
	{ "map", "T@@P",
	  KEYWORDS({ "shared", 0 }, { "private", 0 }, { "file", 'F' }, { "offset", '@' },
		   { "fixed", 0 }, { "noreplace", 0 }, { "growsdown", 0 }, { "populate", 0 },
		   { "locked", 0 }, { "noreserve", 0 }, { "as", 'v' }),
	  soft_run_map,
	  "TASK ADDRESS|any SIZE RIGHTS [shared|private] [file FILE] [offset N] [fixed|noreplace] "
	  "[growsdown] [populate] [locked] [noreserve] [as NAME]" },
	{ "unmap", "T@@", NULL, soft_run_unmap, "TASK ADDRESS SIZE" },
	{ "protect", "T@@P", NULL, soft_run_protect, "TASK ADDRESS SIZE RIGHTS" },
	{ "remap", "T@@@",
	  KEYWORDS({ "to", '@' }, { "maymove", 0 }, { "dontunmap", 0 }, { "as", 'v' }),
	  soft_run_remap,
	  "TASK ADDRESS OLD-SIZE NEW-SIZE [to ADDRESS] [maymove] [dontunmap] [as NAME]" },
	{ "advise", "T@@A", NULL, soft_run_advise, "TASK ADDRESS SIZE ADVICE" },
	{ "remap_file_pages", "T@@@", NULL, soft_run_remap_file_pages,
	  "TASK ADDRESS SIZE PAGE-OF-FILE" },
	{ "heap", "T@", NULL, soft_run_heap, "TASK ADDRESS" },
	{ "brk", "T@", NULL, soft_run_brk, "TASK ADDRESS" },
	{ "lock", "T@@", NULL, soft_run_lock, "TASK ADDRESS SIZE" },
	{ "unlock", "T@@", NULL, soft_run_unlock, "TASK ADDRESS SIZE" },
	{ "sync", "T@@", NULL, soft_run_sync, "TASK ADDRESS SIZE" },
	{ "read", "T@?\"", NULL, soft_run_read, "TASK ADDRESS [EXPECTED]" },
	{ "write", "T@\"", NULL, soft_run_write, "TASK ADDRESS VALUE" },
	{ "fetch", "T@?\"", NULL, soft_run_fetch, "TASK ADDRESS [EXPECTED]" },
	{ "fill", "T@@\"", NULL, soft_run_fill, "TASK ADDRESS SIZE VALUE" },
	{ "touch", "T@@", NULL, soft_run_touch, "TASK ADDRESS SIZE" },
	{ "pread", "F@?\"", NULL, soft_run_pread, "FILE OFFSET [EXPECTED]" },
	{ "pwrite", "F@\"", NULL, soft_run_pwrite, "FILE OFFSET VALUE" },
	{ "truncate", "F@", NULL, soft_run_truncate, "FILE SIZE" },
	{ "punch", "F@@", NULL, soft_run_punch, "FILE OFFSET SIZE" },
	{ "fsync", "F", NULL, soft_run_fsync, "FILE" },
	{ "notifier", "n<on>T",
	  KEYWORDS({ "without", 'r' }, { "refusing", 0 }, { "young", 0 }, { "locked", 0 },
		   { "mislocked", 0 }, { "unlocked", 0 }),
	  soft_run_notifier,
	  "NAME on TASK [without release] [refusing] [young] [locked|mislocked|unlocked]" },
	{ "unregister", "U", NULL, soft_run_unregister, "NOTIFIER|DEVICE" },
	{ "interval", "i<on>T@@", KEYWORDS({ "refusing", 0 }, { "locked", 0 }), soft_run_interval,
	  "NAME on TASK ADDRESS SIZE [refusing] [locked]" },
	{ "remove", "I", NULL, soft_run_remove, "INTERVAL" },
	{ "begin", "I", NULL, soft_run_begin, "INTERVAL" },
	{ "retry", "I", NULL, soft_run_retry, "INTERVAL" },
	{ "check", "I", NULL, soft_run_check, "INTERVAL" },
	{ "device", "d<on>T", KEYWORDS({ "without", 'r' }, { "careless", 0 }), soft_run_device,
	  "NAME on TASK [without release] [careless]" },
	{ "gru", "g", NULL, soft_run_gru, "NAME" },
	{ "context", "c<of>G<in>T", KEYWORDS({ "at", '@' }), soft_run_context,
	  "NAME of GRU in TASK [at ADDRESS]" },
	{ "kvm", "k<on>T", NULL, soft_run_kvm, "NAME on TASK" },
	{ "slot", "K@@@@", NULL, soft_run_slot, "KVM NUMBER GUEST-ADDRESS ADDRESS SIZE" },
	{ "load", "D@?\"", NULL, soft_run_load, "DEVICE|CONTEXT|KVM ADDRESS [EXPECTED]" },
	{ "store", "D@\"", NULL, soft_run_store, "DEVICE|CONTEXT|KVM ADDRESS VALUE" },
	{ "block", "Lb", NULL, soft_run_block, "NOTIFIER start|end|release" },
	{ "wait", "L", NULL, soft_run_wait, "NOTIFIER" },
	{ "go", "L", NULL, soft_run_go, "NOTIFIER" },
	{ "reset", "L", NULL, soft_run_reset, "NOTIFIER" },
	{ "reclaim", "@", NULL, soft_run_reclaim, "PAGES" },
	{ "ksm", "", NULL, soft_run_ksm, "" },
	{ "migrate", "T@", NULL, soft_run_migrate, "TASK ADDRESS" },
	{ "compact", "", NULL, soft_run_compact, "" },
	{ "collapse", "T@", NULL, soft_run_collapse, "TASK ADDRESS" },
	{ "soft_dirty", "T", NULL, soft_run_soft_dirty, "TASK" },
	{ "oom", "T", NULL, soft_run_oom, "TASK" },
	{ "maps", "T", NULL, soft_run_maps, "TASK" },
	{ "pagemap", "T@?@", NULL, soft_run_pagemap, "TASK ADDRESS [SIZE]" },
	{ "locks", "T", NULL, soft_run_locks, "TASK" },
	{ "stats", "?O", NULL, soft_run_stats, "[NOTIFIER|GRU|KVM]" },
	{ "print", "S", NULL, soft_run_print, "\"TEXT\"" },
	{ "start", "hB", NULL, soft_run_start, "NAME { ... }" },
	{ "join", "H", NULL, soft_run_join, "NAME" },
	{ "parallel", "B<and>B?<and>B?<and>B", NULL, soft_run_parallel, "{ ... } and { ... }" },
	{ "settle", "", NULL, soft_run_settle, "" },
	{ "expect waiting", "H", NULL, soft_run_expect_waiting, "THREAD" },
	{ "expect stats", "X=@", NULL, soft_run_expect_stats, "COUNTER = N" },
	{ "expect maps", "T=@", NULL, soft_run_expect_maps, "TASK = N" },
	{ "expect locks", "T=@", NULL, soft_run_expect_locks, "TASK = N" },
	{ "expect pagemap", "T@", entry_keywords, soft_run_expect_pagemap,
	  "TASK ADDRESS present|not_present|swapped|not_swapped|writable|not_writable..." },
	{ "expect", "OC=@", NULL, soft_run_expect_counter,
	  "NAME COUNTER = N, or expect OUTCOME COMMAND" },
	{ NULL, NULL, NULL, NULL, NULL },
};
