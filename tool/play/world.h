/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a running script of `mmunotify soft` consists of. */
#ifndef MMUN_TOOL_PLAY_WORLD_H
#define MMUN_TOOL_PLAY_WORLD_H

#include <pthread.h>
#include <stdint.h>

#include <mmunotify/soft.h>

#include "script.h"

struct soft_options {
	bool quiet, json, maps_after_each;
	/* Seconds without progress after which the run is given up. */
	unsigned int timeout;
};

/* A block that runs. */
struct soft_thread {
	struct soft_world *world;
	/* NULL name: the script itself. */
	const char *name;
	const struct soft_block *block;
	pthread_t pthread;
	struct soft_thread *next;
	/* The end of the run: it has been joined. */
	bool reaped;
	/* world->lock: */
	bool ended;
	/* The command that runs. */
	const struct soft_statement *statement;
	/* What the checker has caught in it, its own to read and write. */
	int violation;
};

struct soft_world {
	struct soft_script *script;
	const struct soft_options *options;
	struct mmun_soft *soft;
	/* Orders what follows, and the printing. */
	pthread_mutex_t lock, print;
	pthread_cond_t changed;
	struct soft_thread *threads;
	/* An expectation did not hold: nothing new is begun. */
	bool stop;
	/* The script is over: what its end causes is not printed. */
	bool ending;
	/* Memory or threads ran out: the fault of the machine, not of the script. */
	bool broken;
	/* Raised by every command. */
	unsigned long progress;
	pthread_t watchdog;
	pthread_cond_t over;
	bool is_over;
};

/* One command in one thread. */
struct soft_call {
	struct soft_world *world;
	struct soft_thread *thread;
	const struct soft_statement *statement;
	const struct soft_arg *arg;
	const struct soft_arg *keyword;
};

/* The thread that the caller is, or NULL: then it is the library's own. */
extern _Thread_local struct soft_thread *soft_current;

/* Objects. */

/* An address space that a task has left by exec. */
struct soft_left {
	struct soft_left *next;
	struct mm_struct *mm;
};

struct soft_task {
	/* NULL after exit. */
	struct mmun_soft_task *task;
	/* Its current address space; soft_task_mm() for threads that did not enter. */
	struct mm_struct *mm;
	struct soft_left *left;
	const char *name;
	/* world->lock: the thread that is in a command of it. */
	struct soft_thread *user;
};

/* The object of a name, or NULL after a message: it is not there (any more). */
void *soft_object(struct soft_call *call, const struct soft_arg *arg);
void *soft_object_peek(const struct soft_symbol *symbol);
void soft_object_set(struct soft_symbol *symbol, void *object);
/* A new zeroed object for a declared name, or NULL after a message. */
void *soft_object_new(struct soft_call *call, size_t size);

/* The sum of an argument; false after a message: a name has no value yet. */
bool soft_value(struct soft_call *call, const struct soft_arg *arg, unsigned long *value);
void soft_value_set(struct soft_world *world, struct soft_symbol *symbol, unsigned long value);
/* The bytes that a text or a number (8 bytes, little-endian) stands for.  0 or -1. */
struct soft_bytes {
	const char *data;
	size_t length;
	bool text;
	uint64_t number;
};
bool soft_bytes(struct soft_call *call, const struct soft_arg *arg, struct soft_bytes *bytes);

/* -errno or 0 of the library as an outcome. */
int soft_outcome(long ret);

/* Out of memory or threads; returns SOFT_OUTCOME_FAILED. */
int soft_break(struct soft_call *call, const char *what);
/* A message that ends the run; returns SOFT_OUTCOME_FAILED. */
int soft_fail(struct soft_call *call, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Printing. */

enum soft_field_type {
	SOFT_FIELDS_END,
	SOFT_FIELD_TEXT,
	SOFT_FIELD_NUMBER,
	SOFT_FIELD_ADDRESS,
	SOFT_FIELD_BOOL,
};

struct soft_field {
	enum soft_field_type type;
	const char *key;
	const char *text;
	uint64_t number;
};

/* clang-format off */
#define SOFT_TEXT(k, v) { SOFT_FIELD_TEXT, k, v, 0 }
#define SOFT_NUMBER(k, v) { SOFT_FIELD_NUMBER, k, NULL, (uint64_t)(v) }
#define SOFT_ADDRESS(k, v) { SOFT_FIELD_ADDRESS, k, NULL, v }
#define SOFT_BOOL(k, v) { SOFT_FIELD_BOOL, k, NULL, v }
/* clang-format on */
#define SOFT_FIELDS(...) \
	((const struct soft_field[]){ __VA_ARGS__, { SOFT_FIELDS_END, NULL, NULL, 0 } })

enum soft_level {
	/* What a command says and causes: not when quiet. */
	SOFT_SAY_EVENT,
	/* What a command was asked to show. */
	SOFT_SAY_ANSWER,
};

/* One line: an object of @type with @fields, or the text of @format, indented. */
void soft_say(struct soft_world *world, enum soft_level level, const char *type,
	      const struct soft_field *fields, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void soft_say_command(struct soft_world *world, const struct soft_statement *statement);
/* Bytes for people: a number if there are 8 of them and no text, else a text. */
const char *soft_show_bytes(const char *data, size_t length, char *buffer, size_t size);

/* Running. */

/* The exit status. */
int soft_run(struct soft_script *script, const struct soft_options *options);
/* Ends every object.  No thread runs.  0, or -1 after a message. */
int soft_teardown(struct soft_world *world);
/* Waits for world->changed, with world->lock held; only to be called in a loop. */
void soft_wait(struct soft_world *world);
void soft_changed(struct soft_world *world);
/* Until every thread but the caller has ended or sleeps. */
void soft_settle(struct soft_world *world);

/* Tasks. */

struct soft_task *soft_task_enter(struct soft_call *call, const struct soft_arg *arg);
void soft_task_leave(struct soft_call *call, struct soft_task *task);
/* The struct stays to the end of the run; its memory may end before. */
struct mm_struct *soft_task_mm(struct soft_task *task);
/* With a reference: mmun_soft_file_put() it.  NULL after a message. */
struct file *soft_file_enter(struct soft_call *call, const struct soft_arg *arg);
void soft_task_end(struct soft_symbol *symbol);
void soft_file_end(struct soft_symbol *symbol);

/* Notifiers (notifier.c). */

enum soft_point { SOFT_NOWHERE, SOFT_AT_START, SOFT_AT_END, SOFT_AT_RELEASE };

#define SOFT_LISTENER_COUNTERS(X) \
	X(starts) X(ends) X(open) X(refused) X(releases) X(young) X(changes)

struct soft_listener {
	struct soft_world *world;
	const char *name;
	const char *task;
	/* Refuses what may not sleep; says that everything is young. */
	bool refusing, always_young;
	/* world->lock: */
	enum soft_point block_at;
	bool blocked;
#define SOFT_LISTENER_FIELD(name) unsigned long name;
	SOFT_LISTENER_COUNTERS(SOFT_LISTENER_FIELD)
#undef SOFT_LISTENER_FIELD
};

/* Each prints, counts and, if the script says so, blocks. */
int soft_heard_start(struct soft_listener *listener, const struct mmu_notifier_range *range);
void soft_heard_end(struct soft_listener *listener, const struct mmu_notifier_range *range);
void soft_heard_release(struct soft_listener *listener);
void soft_heard_change(struct soft_listener *listener, unsigned long address);
int soft_heard_young(struct soft_listener *listener, const char *question, unsigned long start,
		     unsigned long end, int answer);
struct soft_listener *soft_listener_of(const struct soft_symbol *symbol);

/* A subscription: the notifier commands' and, with a cache behind it, the devices'. */
struct soft_subscriber {
	struct mmu_notifier mn;
	struct mmu_notifier_ops ops;
	struct soft_listener listener;
	struct mm_struct *mm;
	bool registered;
};

enum soft_registering { SOFT_LOCKING, SOFT_LOCKED, SOFT_MISLOCKED, SOFT_UNLOCKED };

/* Registers on the task's mm, dead or alive.  An outcome. */
int soft_subscribe(struct soft_call *call, struct soft_subscriber *subscriber,
		   struct soft_task *task, const char *name, enum soft_registering how);
void soft_subscriber_end(struct soft_subscriber *subscriber);
void soft_device_end(struct soft_symbol *symbol);
/* Its last callback has returned. */
void soft_device_unregistered(struct soft_symbol *symbol);
void soft_notifier_end(struct soft_symbol *symbol);
void soft_interval_end(struct soft_symbol *symbol);
void soft_gru_end(struct soft_symbol *symbol);
void soft_kvm_end(struct soft_symbol *symbol);

unsigned long soft_listener_counter(const struct soft_symbol *symbol, unsigned long index);
unsigned long soft_gru_counter(const struct soft_symbol *symbol, unsigned long index);
unsigned long soft_kvm_counter(const struct soft_symbol *symbol, unsigned long index);
bool soft_stats_counter_find(const char *name, unsigned long *index);
/* The name of a counter, or NULL behind the last. */
const char *soft_counter_name(enum soft_kind kind, unsigned long index);
const char *soft_listener_counter_name(unsigned long index);
const char *soft_gru_counter_name(unsigned long index);
const char *soft_kvm_counter_name(unsigned long index);
unsigned long soft_counter(const struct soft_symbol *symbol, unsigned long index);

/* "load" and "store" of each kind of device; @write @data or read into it.  Outcomes. */
int soft_device_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		       char *data, size_t length, bool write);
int soft_gru_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		    char *data, size_t length, bool write);
int soft_kvm_access(struct soft_call *call, struct soft_symbol *symbol, unsigned long address,
		    char *data, size_t length, bool write);

void soft_maps_of(struct soft_world *world, struct soft_task *task, enum soft_level level);
/* The machine's violation hook. */
void soft_violation(const struct mmun_soft_violation *what, void *arg);

/* The commands. */
/* clang-format off */
#define SOFT_RUNS(X) \
	X(machine) X(task) X(clone) X(fork) X(exec) X(exit) \
	X(file) X(close) X(let) X(map) X(unmap) X(protect) X(remap) X(advise) \
	X(remap_file_pages) X(brk) X(heap) X(lock) X(unlock) X(sync) \
	X(read) X(write) X(fetch) X(fill) X(touch) \
	X(pread) X(pwrite) X(truncate) X(punch) X(fsync) \
	X(notifier) X(unregister) X(interval) X(remove) X(begin) X(retry) X(check) \
	X(device) X(gru) X(context) X(kvm) X(slot) X(load) X(store) \
	X(block) X(wait) X(go) X(reset) \
	X(reclaim) X(ksm) X(migrate) X(compact) X(collapse) X(soft_dirty) X(oom) \
	X(maps) X(pagemap) X(locks) X(stats) X(print) \
	X(start) X(join) X(parallel) X(settle) \
	X(expect_waiting) X(expect_stats) X(expect_maps) X(expect_locks) X(expect_pagemap) \
	X(expect_counter)
/* clang-format on */
#define SOFT_RUN_DECLARE(name) int soft_run_##name(struct soft_call *call);
SOFT_RUNS(SOFT_RUN_DECLARE)
#undef SOFT_RUN_DECLARE

/* Places of the keywords in the commands' lists (syntax.c). */
enum {
	SOFT_MACHINE_MEMORY,
	SOFT_MACHINE_SWAP,
	SOFT_MACHINE_MM_LOCK,
	SOFT_MACHINE_HUGE,
	SOFT_MACHINE_MAP_COUNT,
	SOFT_MACHINE_ADDRESS_SPACE
};
enum { SOFT_FILE_AS_REGULAR, SOFT_FILE_AS_SHMEM };
enum {
	SOFT_MAP_SHARED,
	SOFT_MAP_PRIVATE,
	SOFT_MAP_FILE,
	SOFT_MAP_OFFSET,
	SOFT_MAP_FIXED,
	SOFT_MAP_NOREPLACE,
	SOFT_MAP_GROWSDOWN,
	SOFT_MAP_POPULATE,
	SOFT_MAP_LOCKED,
	SOFT_MAP_NORESERVE,
	SOFT_MAP_AS
};
enum { SOFT_REMAP_TO, SOFT_REMAP_MAYMOVE, SOFT_REMAP_DONTUNMAP, SOFT_REMAP_AS };
enum {
	SOFT_NOTIFIER_WITHOUT,
	SOFT_NOTIFIER_REFUSING,
	SOFT_NOTIFIER_YOUNG,
	SOFT_NOTIFIER_LOCKED,
	SOFT_NOTIFIER_MISLOCKED,
	SOFT_NOTIFIER_UNLOCKED
};
enum { SOFT_INTERVAL_REFUSING, SOFT_INTERVAL_LOCKED };
enum { SOFT_DEVICE_WITHOUT, SOFT_DEVICE_CARELESS };
enum {
	SOFT_ENTRY_PRESENT,
	SOFT_ENTRY_SWAPPED,
	SOFT_ENTRY_WRITABLE,
	SOFT_ENTRY_YOUNG,
	SOFT_ENTRY_DIRTY,
	SOFT_ENTRY_SOFT_DIRTY,
	SOFT_ENTRY_ZERO,
	SOFT_ENTRY_HUGE,
	SOFT_ENTRY_FILE,
	SOFT_ENTRY_KSM,
	SOFT_NR_ENTRY
};

#endif
