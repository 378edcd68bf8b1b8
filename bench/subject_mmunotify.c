/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process under mmunotify: with the library loaded only, with its
 * redirections in and nobody subscribed, with one to eight notifiers that do
 * nothing; and the costs that only mmunotify's own interface can show.
 */
#include <errno.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "patching.h"
#include "registration.h"
#include "worker.h"

#define MAX_NOTIFIERS 8
#define SECTIONS      500000u

static int ignore_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn, (void)range;
	return 0;
}

static void ignore_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn, (void)range;
}

static const struct mmu_notifier_ops ignore_ops = {
	.invalidate_range_start = ignore_start,
	.invalidate_range_end = ignore_end,
	.flags = MMUN_OPS_NO_CANCELLATION_POINT,
};

static int add_notifiers(unsigned long count, struct mm_struct *mm)
{
	static struct mmu_notifier notifiers[MAX_NOTIFIERS];
	int error = count > MAX_NOTIFIERS ? -EINVAL : 0;

	for (unsigned long i = 0; i < count && !error; i++) {
		notifiers[i].ops = &ignore_ops;
		error = mmu_notifier_register(&notifiers[i], mm);
	}
	return error;
}

static int start_notifiers(unsigned int count)
{
	int error = mmun_self_start();

	return error ? error : add_notifiers(count, mmun_self());
}

static int start_loaded(void)
{
	return mmun_self() ? 0 : -errno;
}

static int start_0(void)
{
	return start_notifiers(0);
}

static int start_strict(void)
{
	return mmun_self_start_strict();
}

static int start_1(void)
{
	return start_notifiers(1);
}

static int start_2(void)
{
	return start_notifiers(2);
}

static int start_4(void)
{
	return start_notifiers(4);
}

static int start_8(void)
{
	return start_notifiers(8);
}

const struct bench_mode bench_modes[] = {
	{ .name = "loaded", .start = start_loaded }, { .name = "0", .start = start_0 },
	{ .name = "strict", .start = start_strict }, { .name = "1", .start = start_1 },
	{ .name = "2", .start = start_2 },           { .name = "4", .start = start_4 },
	{ .name = "8", .start = start_8 },           { .name = NULL },
};

static struct mmu_notifier measured = { .ops = &ignore_ops };

static int nothing_to_set_up(char **args)
{
	(void)args;
	return 0;
}

/* Figure 0: microseconds of the first registration, patching included. */
static void first_batch(double *figures)
{
	uint64_t start = bench_now();
	int error = mmu_notifier_register(&measured, mmun_self());

	figures[0] = error ? -1 : (double)(bench_now() - start) / 1e3;
}

static int see_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	(void)mn;
	if (range->event == MMU_NOTIFY_UNMAP)
		bench_patching_seen();
	return 0;
}

static const struct mmu_notifier_ops see_ops = { .invalidate_range_start = see_start };
static struct mmu_notifier seer = { .ops = &see_ops };

static int patch_in(void)
{
	return mmu_notifier_register(&seer, mmun_self());
}

static int patch_out(void)
{
	mmu_notifier_unregister(&seer, mmun_self());
	return mmun_self_stop();
}

static int patch_setup(char **args)
{
	return bench_patching_setup(args, patch_in, patch_out);
}

static int registration_in(void)
{
	return mmu_notifier_register(&measured, mmun_self());
}

static void registration_out(void)
{
	mmu_notifier_unregister(&measured, mmun_self());
}

/* The redirections are in before: what is measured is registering. */
static int registration_setup(char **args)
{
	int error = mmun_self_start();

	return error ? error : bench_registration_setup(args, registration_in, registration_out);
}

static int stall_setup(char **args)
{
	int error = mmun_self_start();

	return error ? error : bench_stall_setup(args, registration_in, registration_out);
}

/* An address space of our own making: only the chain costs anything. */
static struct mm_struct *own_mm;

static const struct mmun_primary_ops own_primary = {
	.name = "bench",
};

/* Arguments: NOTIFIERS. */
static int section_setup(char **args)
{
	const struct mmun_mm_params params = { .ops = &own_primary };
	int error = mmun_mm_create(&params, &own_mm);

	bench_pin(1);
	return error ? error : add_notifiers(bench_number(args, 0, 0), own_mm);
}

/* Figure 0: nanoseconds of one section as a redirected call opens it. */
static void section_batch(double *figures)
{
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < SECTIONS; i++) {
		struct mmu_notifier_range range = {
			.mm = own_mm,
			.end = 65536,
			.flags = MMUN_RANGE_READ_LOCKED,
		};
		struct mmun_reader reader;

		mmun_mm_read_lock(own_mm, &reader);
		if (!mmu_notifier_invalidate_range_start_nonblock(&range))
			mmu_notifier_invalidate_range_end(&range);
		mmun_mm_read_unlock(own_mm, &reader);
	}
	figures[0] = (double)(bench_now() - start) / SECTIONS;
}

const struct bench_workload bench_workloads[] = {
	{ .name = "section", .setup = section_setup, .batch = section_batch },
	{ .name = "first", .setup = nothing_to_set_up, .batch = first_batch },
	{ .name = "patching", .setup = patch_setup, .batch = bench_patching_batch },
	{ .name = "registration", .setup = registration_setup, .batch = bench_registration_batch },
	{ .name = "stall", .setup = stall_setup, .batch = bench_stall_batch },
	{ .name = NULL },
};
