/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: other patchers of libc in the same process.
 *
 * Whichever comes first, both hear; whichever leaves first, the other still hears
 * and nothing crashes.  While a foreign patch lies over ours, stopping is
 * refused and both sets of bytes stay; when the other has gone, ours can go too
 * and leave the file's bytes.  For an ordinary user all is as for root.
 *
 * Start, registration and stop use no function that the other has patched: it hears of
 * no call, and what it makes of a call (UCX's mremap() drops the last argument) is no
 * business of theirs.
 */
#include <errno.h>
#include <grp.h>
#include <malloc.h>
#include <stdlib.h>

#include <mmunotify/self.h>

#include "operations.h"
#include "peer.h"
#include "sanitizer.h"
#include "scene.h"

static const struct peer *peer;
static struct watch watch;

static void *map_pages(void)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);

	region_fill(at, 4 * PAGE_BYTES, 1);
	return at;
}

static bool notified(void *at)
{
	return watch_find(&watch, (unsigned long)at, (unsigned long)at + 4 * PAGE_BYTES) >= 0;
}

/* Which of the two hear a munmap and a madvise now? */
static void check_hearing(const char *when, bool we, bool they)
{
	void *at = map_pages();
	struct watch_area area = { (unsigned long)at, PAGE_BYTES, 4, 0 };
	bool heard_advice;
	unsigned int before;

	watch_arm(&watch, &area);
	madvise(at, 4 * PAGE_BYTES, MADV_DONTNEED);
	heard_advice = notified(at);
	watch_arm(&watch, &area);
	before = peer->saw ? peer->saw(area.start, area.start + 1) : 0;
	check(munmap(at, 4 * PAGE_BYTES) == 0, "%s: munmap works", when);
	watch_disarm(&watch);
	check(heard_advice == we, "%s: we %s the madvise", when, we ? "hear" : "do not hear");
	check(notified(at) == we, "%s: we %s the munmap", when, we ? "hear" : "do not hear");
	if (peer->saw)
		check((peer->saw(area.start, area.start + 1) > before) == they, "%s: %s %s", when,
		      peer->name, they ? "hears" : "does not hear");
}

static bool start_peer(void)
{
	const char *why = peer->start();

	if (why)
		check(true, "not tried: %s", why);
	return !why;
}

static void we_first(void)
{
	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
	if (!start_peer())
		return;
	check_hearing("both", true, true);
	if (!peer->stop)
		return;
	peer->stop();
	check_hearing("the other has left", true, false);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "then we stop");
	check_hearing("nobody is left", false, false);
}

static void they_first(void)
{
	pagemap_open();
	if (!start_peer())
		return;
	check(watch_register(&watch) == 0, "registers");
	check_hearing("both", true, true);
	if (!peer->stop)
		return;
	peer->stop();
	check_hearing("the other has left", true, false);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "then we stop");
	check_hearing("nobody is left", false, false);
}

/* We leave while their patch is younger than ours. */
static void we_leave_under_them(void)
{
	int ret;

	pagemap_open();
	check(watch_register(&watch) == 0, "registers");
	if (!start_peer())
		return;
	watch_unregister(&watch);
	ret = mmun_self_stop();
	check(ret == -EBUSY, "stopping under a foreign patch is refused (%d)", ret);
	check_hearing("not stopped, no notifier", false, true);
	check(watch_register(&watch) == 0, "registers again");
	check_hearing("again", true, true);
	if (!peer->stop)
		return;
	peer->stop();
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops when the other has left");
	check_hearing("nobody is left", false, false);
}

/* We leave while ours is younger: theirs must be what remains. */
static void we_leave_over_them(void)
{
	pagemap_open();
	if (!start_peer())
		return;
	check(watch_register(&watch) == 0, "registers");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
	check_hearing("we have left", false, true);
	if (!peer->stop)
		return;
	peer->stop();
	check_hearing("nobody is left", false, false);
}

/* Has somebody mapped what no program may map? */
static bool is_low_free(void)
{
	unsigned long start = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	bool read = maps && fscanf(maps, "%lx", &start) == 1;

	if (maps)
		fclose(maps);
	return read && start >= 65536;
}

static void our_own_way(void)
{
	void *volatile warm;
	unsigned int before;

	pagemap_open();
	if (!start_peer() || !peer->calls)
		return;
	/* What we allocate comes from what the allocator has. */
	warm = malloc(65536);
	free(warm);
	before = peer->calls();
	check(watch_register(&watch) == 0, "registers");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0 && mmun_self_start() == 0 && mmun_self_stop() == 0,
	      "stops, starts and stops");
	check(peer->calls() == before, "the other hears of no call of ours (%u)",
	      peer->calls() - before);
	munmap(map_pages(), PAGE_BYTES);
	check(peer->calls() > before, "it does of others'");
	check(is_low_free(), "nothing is mapped at address 0");
}

/* The program's allocator, which is ours as well; what it calls may be redirected. */
static bool asks;

int posix_memalign(void **out, size_t alignment, size_t size)
{
	if (asks) {
		asks = false;
		check(mmun_self() != NULL, "an allocator may ask for the mm");
	}
	*out = memalign(alignment, size);
	return *out ? 0 : ENOMEM;
}

static void allocator_asks(void)
{
	struct mm_struct *mm;

	pagemap_open();
	asks = true;
	mm = mmun_self();
	check(!asks && mm && mm == mmun_self(), "and there is one");
	check(watch_register(&watch) == 0, "registers");
	check(watch_sees_unmap(&watch), "and hears");
	watch_unregister(&watch);
}

/* By sbrk(), and by libc for itself; the other's replacement makes calls of its own. */
static void the_break(void)
{
	const size_t size = 4 * PAGE_BYTES;
	struct watch_area area;
	char *at, *block[64], *last;

	pagemap_open();
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	if (!start_peer())
		return;
	check(watch_register(&watch) == 0, "registers");
	for (int i = 0; i < 64; i++)
		block[i] = memset(malloc(100000), 1, 100000);
	last = (char *)(((unsigned long)block[62] + PAGE_BYTES) & -PAGE_BYTES);
	for (int i = 0; i < 64; i++)
		free(block[i]);
	area = (struct watch_area){ (unsigned long)last, PAGE_BYTES, 4, 0 };
	watch_arm(&watch, &area);
	check(malloc_trim(0) == 1 && notified(last), "we hear that malloc_trim() lowers the break");
	watch_disarm(&watch);
	at = (char *)(((unsigned long)sbrk(2 * size) + PAGE_BYTES) & -PAGE_BYTES);
	region_fill(at, size, 1);
	area.start = (unsigned long)at;
	watch_arm(&watch, &area);
	check(sbrk(-2 * (long)size) != (void *)-1 && notified(at), "we hear of sbrk()");
	watch_disarm(&watch);
	watch_unregister(&watch);
}

/* Nothing that root alone may do is needed. */
static void become_nobody(void)
{
	if (geteuid() == 0 && (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			       setresuid(65534, 65534, 65534)))
		check(false, "becomes an ordinary user");
}

static void (*as_nobody)(void);

static void play_as_nobody(void)
{
	become_nobody();
	as_nobody();
	check(is_low_free(), "nothing is mapped at address 0");
}

static void play_all(const struct peer *p)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} scenes[] = {
		{ "our own way", our_own_way },
		{ "the break", the_break },
		{ "we first", we_first },
		{ "they first", they_first },
		{ "we leave under them", we_leave_under_them },
		{ "we leave over them", we_leave_over_them },
	};
	char name[80];

	peer = p;
	for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
		snprintf(name, sizeof(name), "%s, %s", p->name, scenes[i].name);
		scene(name, scenes[i].fn);
		/* libfabric looks for devices as the user that asks, and may be long about it. */
		if (!p->calls)
			continue;
		snprintf(name, sizeof(name), "%s, %s, ordinary user", p->name, scenes[i].name);
		as_nobody = scenes[i].fn;
		scene(name, play_as_nobody);
	}
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer patches the same functions in its own way");
	scene("the allocator", allocator_asks);
	play_all(&peer_ucx);
	play_all(&peer_prologue);
#ifdef HAVE_LIBFABRIC
	play_all(&peer_libfabric);
#else
	skip("libfabric", "its static archive is not installed");
#endif
	return tap_done();
}
