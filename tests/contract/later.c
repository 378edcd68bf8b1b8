/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a library that is loaded while the source runs and cannot be redirected then.
 *
 * The program goes on; the failure is counted (mmun_stats.late_failed), the probe says
 * why, the next registration is refused with that error; and when the cause is gone the
 * library is redirected at the next munmap(), or by the registration.  One that fails
 * does not keep the others from it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "conditions.h"
#include "object_code.h"
#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

static struct watch watch;
static char *area;
static long used, most;

/* Of two mappings each: no two neighbours have the same rights. */
static void fill_map(void)
{
	while (used < most && !mprotect(area + used * 2 * PAGE_BYTES, PAGE_BYTES, PROT_READ))
		used++;
}

static void give_back(int pairs)
{
	while (pairs-- && used)
		mprotect(area + --used * 2 * PAGE_BYTES, PAGE_BYTES, PROT_NONE);
}

/* Leaves room to load a library, and no more. */
static bool fill_all_but(int pairs)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

	if (read(fd, text, sizeof(text) - 1) > 0)
		most = strtol(text, NULL, 0);
	close(fd);
	if (most < 1000 || most > 1 << 20)
		return false;
	area = mmap(NULL, (size_t)most * 2 * PAGE_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return false;
	fill_map();
	give_back(pairs);
	return true;
}

static unsigned long failures(void)
{
	struct mmun_stats stats;

	mmun_mm_stats(mmun_self(), &stats);
	return stats.late_failed;
}

static bool probe_says(const char *first, const char *second)
{
	struct mmun_probe probe;

	mmun_source_at(0)->probe(&probe);
	if (!probe.available && strstr(probe.reason, first) && strstr(probe.reason, second) &&
	    probe.remedy[0])
		return true;
	check(false, "the probe says: %d '%s'", probe.available, probe.reason);
	return false;
}

static bool probe_is_content(void)
{
	struct mmun_probe probe;

	mmun_source_at(0)->probe(&probe);
	return probe.available && !probe.reason[0];
}

static int register_another(void)
{
	static const struct mmu_notifier_ops none;
	struct mmu_notifier another = { .ops = &none };
	int ret = mmu_notifier_register(&another, mmun_self());

	if (!ret)
		mmu_notifier_unregister(&another, mmun_self());
	return ret;
}

static bool invalidate(struct mmu_interval_notifier *interval,
		       const struct mmu_notifier_range *range, unsigned long number)
{
	mmu_interval_set_seq(interval, number);
	return true;
}

static int insert_interval(void)
{
	static const struct mmu_interval_notifier_ops none = { .invalidate = invalidate };
	struct mmu_interval_notifier interval;
	int ret = mmu_interval_notifier_insert(&interval, mmun_self(), 0, PAGE_BYTES, &none);

	if (!ret)
		mmu_interval_notifier_remove(&interval);
	return ret;
}

/* Is the object's own madvise() notified? */
static bool is_seen(const struct object_code *code)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	struct watch_area watched = { (unsigned long)at, PAGE_BYTES, 4, 0 };
	bool seen;

	region_fill(at, 4 * PAGE_BYTES, 1);
	watch_arm(&watch, &watched);
	code->madvise(at, 4 * PAGE_BYTES, MADV_DONTNEED);
	watch_disarm(&watch);
	seen = watch_find(&watch, watched.start, watched.start + 4 * PAGE_BYTES) >= 0;
	munmap(at, 4 * PAGE_BYTES);
	return seen;
}

static int count_left(const char *object, const struct mmun_site_info *info, void *count)
{
	if (strstr(object, "contract-object-relro") && info->nr == SYS_madvise && !info->redirected)
		*(int *)count += info->why && strstr(info->why, "when its library was loaded");
	return 0;
}

static bool is_listed_as_left(void)
{
	int count = 0;

	return mmun_self_sites(count_left, &count) == 0 && count == 1;
}

static const struct object_code *load(const char *path)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	const struct object_code *code = handle ? dlsym(handle, "loaded_code") : NULL;

	check(code != NULL, "a library is loaded");
	return code;
}

static void pause_ms(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* The object that is loaded there is not seen, and everybody can know. */
static const struct object_code *load_unseen(void)
{
	const struct object_code *code;

	check(watch_register(&watch) == 0 && failures() == 0, "registers");
	if (!fill_all_but(10)) {
		check(true, "vm.max_map_count cannot be reached here");
		return NULL;
	}
	code = load(TEST_OBJECT);
	if (!code || !check(!is_seen(code), "at the limit of mappings it is not redirected"))
		return NULL;
	check(failures() > 0, "B14: the failure is counted (%lu)", failures());
	return code;
}

static void at_the_limit(void)
{
	const struct object_code *code = load_unseen();
	unsigned long before;

	if (!code)
		return;
	check(probe_says("mappings", "contract-object-relro"), "the probe says which and why");
	check(is_listed_as_left(), "its instructions are listed as left");
	check(register_another() == -ENOMEM, "a registration is refused");
	check(insert_interval() == -ENOMEM, "so is an interval");
	check(probe_says("mappings", "contract-object-relro"), "the probe still says so");
	/* Longer than the pause between two attempts by now. */
	pause_ms(1500);
	before = failures();
	munmap(area, (size_t)most * 2 * PAGE_BYTES);
	check(is_seen(code), "B14: it is seen after the munmap() that makes room");
	check(failures() == before, "no attempt has failed since");
	check(probe_is_content() && !is_listed_as_left(), "the probe has no complaint");
	check(register_another() == 0 && insert_interval() == 0, "registrations are welcome");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
	check(!is_seen(code), "and the library's bytes are back");
}

static void by_registration(void)
{
	const struct object_code *code = load_unseen();

	if (!code)
		return;
	/* At once: not yet by munmap(). */
	give_back(500);
	check(register_another() == 0 && is_seen(code), "a registration tries again");
	check(probe_is_content(), "the probe has no complaint");
}

static bool poke(const unsigned char *at, unsigned char byte)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	bool done = fd >= 0 && pwrite(fd, &byte, 1, (off_t)(unsigned long)at) == 1;

	close(fd);
	return done;
}

static void beside_one_that_fails(void)
{
	const struct object_code *code = load_unseen(), *other;
	unsigned char *at = code ? (unsigned char *)(unsigned long)code->munmap : NULL, byte;

	if (!code)
		return;
	byte = *at;
	if (!poke(at, 0xcc)) {
		check(true, "/proc/self/mem cannot be written here");
		return;
	}
	give_back(500);
	other = load(TEST_OBJECT_NORELRO);
	if (!other)
		return;
	check(is_seen(other), "B14: one that fails does not keep another from being redirected");
	check(!is_seen(code) && *at == 0xcc, "text with a breakpoint is left alone");
	check(probe_says("breakpoint", "contract-object-relro"), "the probe says which and why");
	check(register_another() == -EBUSY, "a registration is refused");
	poke(at, byte);
	check(register_another() == 0 && is_seen(code), "until the breakpoint is gone");
}

static void forbidden(void)
{
	const struct object_code *code;
	unsigned long count;

	check(watch_register(&watch) == 0 && forbid(SYS_mremap, ~0u),
	      "registers, and loses a right");
	code = load(TEST_OBJECT);
	if (!code)
		return;
	check(!is_seen(code) && failures() > 0, "B14: the failure is counted (%lu)", failures());
	check(probe_says("mremap", "seccomp"), "the probe says why");
	check(register_another() == -EPERM && insert_interval() == -EPERM,
	      "registrations are refused");
	pause_ms(1500);
	count = failures();
	for (int i = 0; i < 100; i++)
		munmap(mmap(NULL, PAGE_BYTES, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		       PAGE_BYTES);
	check(failures() == count, "it is not tried again and again");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
}

static void in_a_child(void)
{
	const struct object_code *code = load_unseen();
	pid_t child;
	int status = -1;

	if (!code)
		return;
	give_back(500);
	child = fork();
	if (!child) {
		check(failures() == 0, "a child has failed at nothing");
		memset(&watch, 0, sizeof(watch));
		check(watch_register(&watch) == 0 && is_seen(code),
		      "its start redirects the library");
		_exit(0);
	}
	waitpid(child, &status, 0);
	check(status == 0, "the child ends well");
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer's own memory does not fit into these limits");
	scene("at the limit of mappings", at_the_limit);
	scene("by registration", by_registration);
	scene("beside one that fails", beside_one_that_fails);
	scene("forbidden", forbidden);
	scene("in a child", in_a_child);
	return tap_done();
}
