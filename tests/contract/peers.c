/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: other patchers of libc in the same process.
 *
 * Whoever comes first, both hear; whoever leaves first, the other still hears
 * and nothing crashes.  While a foreign patch lies over ours, stopping is
 * refused and both sets of bytes stay; when the other has gone, ours can go too
 * and leave the file's bytes.
 */
#include <errno.h>

#include <mmunotify/self.h>

#include "operations.h"
#include "peer.h"
#include "sanitizer.h"
#include "scene.h"

static const struct peer *peer;
static struct watch watch;

static void *map_pages(void)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	region_fill(at, 4 * PAGE_BYTES, 1);
	return at;
}

static bool told(void *at)
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
	heard_advice = told(at);
	watch_arm(&watch, &area);
	before = peer->saw ? peer->saw(area.start, area.start + 1) : 0;
	check(munmap(at, 4 * PAGE_BYTES) == 0, "%s: munmap works", when);
	watch_disarm(&watch);
	check(heard_advice == we, "%s: we %s the madvise", when, we ? "hear" : "do not hear");
	check(told(at) == we, "%s: we %s the munmap", when, we ? "hear" : "do not hear");
	if (peer->saw)
		check((peer->saw(area.start, area.start + 1) > before) == they,
		      "%s: %s %s", when, peer->name, they ? "hears" : "does not hear");
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

static void play_all(const struct peer *p)
{
	static const struct { const char *name; void (*fn)(void); } scenes[] = {
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
	}
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer patches the same functions in its own way");
	play_all(&peer_ucx);
	play_all(&peer_prologue);
#ifdef HAVE_LIBFABRIC
	play_all(&peer_libfabric);
#else
	skip("libfabric", "its static archive is not installed");
#endif
	return tap_done();
}
