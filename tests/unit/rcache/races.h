/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What tests of races share.  Each includes a source of the cache with some calls replaced, so
 * that what another thread may do at that moment is done there, every time.
 */
#ifndef MMUN_TESTS_UNIT_RCACHE_RACES_H
#define MMUN_TESTS_UNIT_RCACHE_RACES_H

#include "fake.h"

#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

#include "cache.h"

#if defined(__SANITIZE_THREAD__)
#define PLAIN_CELLS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PLAIN_CELLS 0
#endif
#endif
#ifndef PLAIN_CELLS
#define PLAIN_CELLS 1
#endif

/* Two pieces of memory. */
#define A    0x10000000ul
#define B    0x20000000ul
#define SIZE 0x4000ul

struct mm_struct *mmun_self(void)
{
	return NULL;
}

static struct fake fake;
static struct mm_struct *the_mm;
static struct mmun_rcache *the_cache;
static struct rc_state *the_state;
static long registered, deregistered;
/* What happens while the backend works, and what it says. */
static void (*in_register)(void), (*in_deregister)(void);
static int register_error;
/* One that is not to be deregistered. */
static const struct mmun_registration *in_use;

static int device_register(void *arg, struct mmun_registration *reg)
{
	count(&registered);
	if (in_register)
		in_register();
	return register_error;
}

static void device_deregister(void *arg, struct mmun_registration *reg)
{
	count(&deregistered);
	if (in_deregister)
		in_deregister();
	if (reg == in_use)
		ok(false, "C3: what is in use is not deregistered");
}

static const struct mmun_rcache_ops device_ops = { .register_memory = device_register,
						   .deregister_memory = device_deregister };

/* Without a reaper; of plain additions in debug builds, too. */
static UNUSED void begin_cache(unsigned long regions)
{
	const struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER,
						     .limits.regions = regions };

	the_mm = fake_mm(&fake);
	registered = deregistered = 0;
	in_register = in_deregister = NULL;
	register_error = 0;
	in_use = NULL;
	if (mmun_rcache_create(the_mm, &device_ops, NULL, &options, &the_cache))
		bail_out("no cache");
	the_state = mmun_rc_state(the_cache);
	if (PLAIN_CELLS)
		mmun_store_full(&the_state->hot.flags, 0);
	mmun_rc_set_plain(the_cache);
}

static UNUSED void finish(const char *what)
{
	is(mmun_rcache_destroy(the_cache), 0, "%s: destroyed", what);
	is(registered - deregistered, 0, "C4: %s: all that was registered is deregistered, once",
	   what);
	mmput(the_mm);
}

static UNUSED struct mmun_registration *get(unsigned long address)
{
	return mmun_rcache_get(the_cache, address, SIZE, MMUN_RCACHE_READ);
}

static UNUSED struct mmun_registration *get_cached(unsigned long address)
{
	return mmun_rcache_get(the_cache, address, SIZE, MMUN_RCACHE_READ | MMUN_RCACHE_CACHED);
}

static UNUSED bool covers(const struct mmun_registration *reg, unsigned long address)
{
	return !mmun_is_err(reg) && reg->start <= address && address + SIZE <= reg->end;
}

/* Registered, and nobody uses it. */
static UNUSED void keep_one(unsigned long address)
{
	mmun_rcache_put(the_cache, get(address));
}

struct section {
	struct mmu_notifier_range range;
	struct mmun_reader reader;
};

static UNUSED void open_section(struct section *section, unsigned long address)
{
	mmun_mm_read_lock(the_mm, &section->reader);
	section->range = (struct mmu_notifier_range){ .mm = the_mm,
						      .start = address,
						      .end = address + SIZE,
						      .flags = MMUN_RANGE_READ_LOCKED };
	mmu_notifier_invalidate_range_start(&section->range);
}

static UNUSED void close_section(struct section *section)
{
	mmu_notifier_invalidate_range_end(&section->range);
	mmun_mm_read_unlock(the_mm, &section->reader);
}

/* The memory changes. */
static UNUSED void change(unsigned long address)
{
	struct section section;

	open_section(&section, address);
	close_section(&section);
}

#endif
