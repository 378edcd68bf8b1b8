/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every subscriber of a `mmunotify soft` run does about an event: it is
 * printed and counted, and the callback stays inside while the script says so.
 *
 * I1  A callback that is blocked holds what its caller holds; only that it may
 *     sleep is asked before.  It goes on when the run ends, whatever happened.
 *
 * Not here: the subscriptions (notifier.c, device.c).
 * Tests: tests/system/soft_tool.py.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "world.h"

static const char *const counter_names[] = {
#define COUNTER_NAME(name) #name,
	SOFT_LISTENER_COUNTERS(COUNTER_NAME)
#undef COUNTER_NAME
};

#define NR_COUNTERS (sizeof(counter_names) / sizeof(counter_names[0]))

const char *soft_listener_counter_name(unsigned long index)
{
	return index < NR_COUNTERS ? counter_names[index] : NULL;
}

unsigned long soft_listener_counter(const struct soft_symbol *symbol, unsigned long index)
{
	struct soft_listener *listener = soft_listener_of(symbol);
	const unsigned long *const counters[] = {
#define COUNTER_PLACE(name) &listener->name,
		SOFT_LISTENER_COUNTERS(COUNTER_PLACE)
#undef COUNTER_PLACE
	};
	unsigned long value;

	pthread_mutex_lock(&listener->world->lock);
	value = *counters[index];
	pthread_mutex_unlock(&listener->world->lock);
	return value;
}

static const char *class_name(enum mmu_notifier_event event)
{
	static const char *const names[MMUN_NR_EVENTS] = {
		[MMU_NOTIFY_UNMAP] = "unmap",
		[MMU_NOTIFY_CLEAR] = "clear",
		[MMU_NOTIFY_PROTECTION_VMA] = "protect",
		[MMU_NOTIFY_PROTECTION_PAGE] = "protect-page",
		[MMU_NOTIFY_SOFT_DIRTY] = "soft-dirty",
		[MMU_NOTIFY_RELEASE] = "release",
		[MMU_NOTIFY_MIGRATE] = "migrate",
		[MMU_NOTIFY_EXCLUSIVE] = "exclusive",
	};

	return names[event];
}

static void say_section(struct soft_listener *listener, const char *type,
			const struct mmu_notifier_range *range, const char *more)
{
	const char *operation = range->origin ? mmun_op_name(range->origin->op) : "unknown";
	const bool blockable = mmu_notifier_range_blockable(range);
	const bool unchanged = range->flags & MMUN_RANGE_UNCHANGED;

	soft_say(listener->world, SOFT_SAY_EVENT, type,
		 SOFT_FIELDS(SOFT_TEXT("notifier", listener->name),
			     SOFT_TEXT("task", listener->task), SOFT_ADDRESS("start", range->start),
			     SOFT_ADDRESS("end", range->end),
			     SOFT_TEXT("class", class_name(range->event)),
			     SOFT_TEXT("operation", operation), SOFT_BOOL("blockable", blockable),
			     SOFT_BOOL("unchanged", unchanged), SOFT_BOOL("refused", more[0] != 0)),
		 "%s on %s: %-5s 0x%lx-0x%lx %s by %s%s%s%s", listener->name, listener->task, type,
		 range->start, range->end, class_name(range->event), operation,
		 blockable ? "" : ", must not sleep", unchanged ? ", nothing changed" : "", more);
}

static void say(struct soft_listener *listener, const char *type, const char *text)
{
	soft_say(listener->world, SOFT_SAY_EVENT, type,
		 SOFT_FIELDS(SOFT_TEXT("notifier", listener->name),
			     SOFT_TEXT("task", listener->task)),
		 "%s on %s: %s", listener->name, listener->task, text);
}

/* I1 */
static void maybe_block(struct soft_listener *listener, enum soft_point point)
{
	struct soft_world *world = listener->world;
	bool blocks;

	pthread_mutex_lock(&world->lock);
	blocks = listener->block_at == point && !world->stop;
	if (blocks) {
		listener->block_at = SOFT_NOWHERE;
		listener->blocked = true;
	}
	pthread_mutex_unlock(&world->lock);
	if (!blocks)
		return;
	say(listener, "blocked", "stays in the callback");
	pthread_mutex_lock(&world->lock);
	soft_changed(world);
	while (listener->blocked && !world->stop)
		soft_wait(world);
	listener->blocked = false;
	pthread_mutex_unlock(&world->lock);
}

static void count(struct soft_listener *listener, unsigned long *counter, long by)
{
	pthread_mutex_lock(&listener->world->lock);
	*counter += (unsigned long)by;
	pthread_mutex_unlock(&listener->world->lock);
}

int soft_heard_start(struct soft_listener *listener, const struct mmu_notifier_range *range)
{
	const bool refuses = listener->refusing && !mmu_notifier_range_blockable(range);

	count(listener, &listener->starts, 1);
	count(listener, refuses ? &listener->refused : &listener->open, 1);
	say_section(listener, "start", range, refuses ? ": refused" : "");
	if (mmu_notifier_range_blockable(range))
		maybe_block(listener, SOFT_AT_START);
	return refuses ? -EAGAIN : 0;
}

void soft_heard_end(struct soft_listener *listener, const struct mmu_notifier_range *range)
{
	count(listener, &listener->ends, 1);
	count(listener, &listener->open, -1);
	say_section(listener, "end", range, "");
	if (mmu_notifier_range_blockable(range))
		maybe_block(listener, SOFT_AT_END);
}

void soft_heard_release(struct soft_listener *listener)
{
	count(listener, &listener->releases, 1);
	say(listener, "release", "release");
	maybe_block(listener, SOFT_AT_RELEASE);
}

void soft_heard_change(struct soft_listener *listener, unsigned long address)
{
	count(listener, &listener->changes, 1);
	soft_say(listener->world, SOFT_SAY_EVENT, "change_pte",
		 SOFT_FIELDS(SOFT_TEXT("notifier", listener->name),
			     SOFT_TEXT("task", listener->task), SOFT_ADDRESS("address", address)),
		 "%s on %s: change_pte 0x%lx", listener->name, listener->task, address);
}

int soft_heard_young(struct soft_listener *listener, const char *question, unsigned long start,
		     unsigned long end, int answer)
{
	answer |= listener->always_young;
	count(listener, &listener->young, answer);
	soft_say(listener->world, SOFT_SAY_EVENT, question,
		 SOFT_FIELDS(SOFT_TEXT("notifier", listener->name),
			     SOFT_TEXT("task", listener->task), SOFT_ADDRESS("start", start),
			     SOFT_ADDRESS("end", end), SOFT_BOOL("young", answer)),
		 "%s on %s: %s 0x%lx-0x%lx: %s", listener->name, listener->task, question, start,
		 end, answer ? "young" : "old");
	return answer;
}

static struct soft_listener *listener_now(struct soft_call *call)
{
	return soft_object(call, &call->arg[0]) ? soft_listener_of(call->arg[0].symbol) : NULL;
}

int soft_run_block(struct soft_call *call)
{
	const enum soft_point point = (enum soft_point)call->arg[1].number;
	struct soft_listener *listener = listener_now(call);

	if (!listener)
		return SOFT_OUTCOME_FAILED;
	if (call->arg[0].symbol->kind == SOFT_INTERVAL && point != SOFT_AT_START)
		return soft_fail(call, "an interval notifier has only a start");
	pthread_mutex_lock(&call->world->lock);
	listener->block_at = point;
	pthread_mutex_unlock(&call->world->lock);
	return 0;
}

int soft_run_wait(struct soft_call *call)
{
	struct soft_listener *listener = listener_now(call);
	bool blocked;

	if (!listener)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&call->world->lock);
	while (!listener->blocked && !call->world->stop)
		soft_wait(call->world);
	blocked = listener->blocked;
	pthread_mutex_unlock(&call->world->lock);
	return blocked ? 0 : SOFT_OUTCOME_FAILED;
}

int soft_run_go(struct soft_call *call)
{
	struct soft_listener *listener = listener_now(call);
	bool blocked;

	if (!listener)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&call->world->lock);
	blocked = listener->blocked;
	listener->blocked = false;
	soft_changed(call->world);
	pthread_mutex_unlock(&call->world->lock);
	if (blocked)
		soft_settle(call->world);
	return blocked ? 0 : soft_fail(call, "'%s' is in no blocked callback", listener->name);
}

int soft_run_reset(struct soft_call *call)
{
	struct soft_listener *listener = listener_now(call);

	if (!listener)
		return SOFT_OUTCOME_FAILED;
	pthread_mutex_lock(&call->world->lock);
	listener->starts = listener->ends = listener->refused = 0;
	listener->releases = listener->young = listener->changes = 0;
	pthread_mutex_unlock(&call->world->lock);
	return 0;
}
