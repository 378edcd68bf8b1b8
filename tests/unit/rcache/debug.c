/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the debug mode of a cache says of misuse, and what poison shows; the misuse of each test is
 * a process of its own.  Debug builds abort, others say a sentence and go on. */
#include "cache.h"
#include "fake.h"

#define PAGE 4096ul
#define BASE (1ul << 40)
#define RW   (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)

#ifdef MMUN_DEBUG
#define ABORTS true
#else
#define ABORTS false
#endif

struct region {
	struct mmun_registration reg;
	unsigned char bytes[64];
};

static struct fake fake;
static struct mm_struct *mm;
static struct mmun_rcache *cache;
static long registered, deregistered;
static char text[2000];

static int reg_memory(void *arg, struct mmun_registration *reg)
{
	count(&registered);
	memset(((struct region *)reg)->bytes, 1, 64);
	return 0;
}

static void dereg_memory(void *arg, struct mmun_registration *reg)
{
	count(&deregistered);
}

static const struct mmun_rcache_ops ops = { .register_memory = reg_memory,
					    .deregister_memory = dereg_memory };

static void begin(unsigned int flags)
{
	const struct mmun_rcache_options options = { .flags = MMUN_RCACHE_NO_REAPER | flags,
						     .registration_size = sizeof(struct region) };

	if (mmun_rcache_create(mm, &ops, NULL, &options, &cache))
		bail_out("no cache");
}

static struct region *get(unsigned long page)
{
	return (struct region *)mmun_rcache_get(cache, BASE + page * PAGE, PAGE, RW);
}

static void put(struct region *region)
{
	mmun_rcache_put(cache, &region->reg);
}

/* In a child: misuse, and afterwards all is as it was. */
static void still_right(struct region *region)
{
	mmun_rcache_invalidate(cache, BASE, BASE + PAGE);
	if (mmun_rcache_progress(cache) != 0)
		_exit(3);
	put(region);
	if (mmun_rcache_progress(cache) != 1 || mmun_rcache_destroy(cache))
		_exit(4);
}

static void put_twice(void *arg)
{
	struct region *region, *other;

	begin(MMUN_RCACHE_DEBUG);
	other = get(1);
	put(other);
	put(other);
	region = get(0);
	still_right(region);
}

static void put_foreign(void *arg)
{
	static struct region foreign;
	struct region *region;

	begin(MMUN_RCACHE_DEBUG);
	region = get(0);
	put(&foreign);
	still_right(region);
}

static void put_middle(void *arg)
{
	struct region *region;

	begin(MMUN_RCACHE_DEBUG);
	region = get(0);
	put((struct region *)((char *)region + 16));
	still_right(region);
}

static void put_after_destroy(void *arg)
{
	struct region *region;

	begin(MMUN_RCACHE_DEBUG);
	region = get(0);
	put(region);
	if (mmun_rcache_destroy(cache))
		_exit(3);
	put(region);
}

static void destroy_twice(void *arg)
{
	begin(MMUN_RCACHE_DEBUG);
	if (mmun_rcache_destroy(cache))
		_exit(3);
	mmun_rcache_destroy(cache);
}

static void foreign_without_debug(void *arg)
{
	static struct region foreign;

	begin(0);
	put(&foreign);
}

static void test_misuse(const char *what, void (*fn)(void *), const char *sentence)
{
	int status = run_in_child(fn, NULL, text, sizeof(text));

	ok(ABORTS ? aborted(status) : exited_well(status), "%s: %s", what,
	   ABORTS ? "aborts" : "is survived, and nothing is changed by it");
	if (!ok(strstr(text, sentence), "%s is said", what))
		diag("%s (status %x)", text, status);
}

/* Not in a child, for it is none of these mistakes. */
static void test_right_use(void)
{
	struct region *regions[3];

	begin(MMUN_RCACHE_DEBUG);
	for (int i = 0; i < 3; i++)
		regions[i] = get(0);
	for (int i = 0; i < 3; i++)
		put(regions[i]);
	regions[0] = get(0);
	mmun_rcache_invalidate(cache, BASE, BASE + PAGE);
	is(mmun_rcache_progress(cache), 0, "in debug mode uses are counted");
	put(regions[0]);
	is(mmun_rcache_progress(cache), 1, "and ended");
	is(mmun_rcache_destroy(cache), 0, "as without");
}

static void test_poison(void)
{
	unsigned int reused = 0, poisoned = 0;
	struct region *region;

	begin(MMUN_RCACHE_POISON);
	region = get(0);
	is(region->bytes[0], 1, "a registration is the backend's");
	put(region);
	is(region->bytes[0], 1, "after its put, too");
	mmun_rcache_invalidate(cache, BASE, BASE + PAGE);
	mmun_rcache_progress(cache);
	for (int i = 0; i < 64; i++)
		poisoned += region->bytes[i] == 0xdb;
	is(poisoned, 64, "after its deregistration it is poison");
	for (unsigned long i = 0; i < 500; i++) {
		struct region *other = get(10 + i);

		reused += other == region;
		put(other);
		mmun_rcache_invalidate(cache, BASE, BASE + 1000 * PAGE);
		mmun_rcache_progress(cache);
	}
	is(reused, 0, "and it is not used again soon");
	is(region->bytes[63], 0xdb, "so that it stays poison");
	is(mmun_rcache_destroy(cache), 0, "the cache goes");
}

static void with_environment(void *arg)
{
	struct region *region;

	setenv("MMUNOTIFY_RCACHE", arg, 1);
	begin(0);
	region = get(0);
	put(region);
	mmun_rcache_flush(cache);
	if (!strcmp(arg, "poison") && region->bytes[0] != 0xdb)
		_exit(5);
	if (strcmp(arg, "debug"))
		return;
	put(region);
}

static void test_environment(void)
{
	int status =
		run_in_child(with_environment, (void *)(uintptr_t) "debug", text, sizeof(text));

	ok(ABORTS ? aborted(status) : exited_well(status), "MMUNOTIFY_RCACHE=debug");
	ok(strstr(text, "not in use"), "finds a put too many");
	status = run_in_child(with_environment, (void *)(uintptr_t) "poison", text, sizeof(text));
	ok(exited_well(status) && !*text, "MMUNOTIFY_RCACHE=poison poisons");
	status = run_in_child(with_environment, (void *)(uintptr_t) "loud", text, sizeof(text));
	ok(exited_well(status) && strstr(text, "neither"), "another word is ignored, and said");
}

int main(void)
{
	unsetenv("MMUNOTIFY_RCACHE");
	mm = fake_mm(&fake);
	test_right_use();
	test_poison();
	test_misuse("a put too many", put_twice, "not in use");
	test_misuse("a put of something else", put_foreign, "no registration of the cache");
	test_misuse("a put of a registration's middle", put_middle, "no registration of the cache");
	test_misuse("a put after destroy", put_after_destroy, "after mmun_rcache_destroy()");
	test_misuse("a second destroy", destroy_twice, "what has been destroyed");
	test_misuse("a put of something else without debug mode", foreign_without_debug,
		    "no registration of the cache");
	test_environment();
	mmput(mm);
	return tap_done();
}
