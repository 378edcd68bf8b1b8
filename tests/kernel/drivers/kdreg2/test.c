/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device that says to a registration cache what has changed: regions are monitored, and each has
 * a counter in memory that the program reads without a system call, and an event to be read.
 * Counters change at the end of a section, or in a work item if the device is busy; so what
 * holds is that once everything is quiet, a region that is said to be unchanged is.
 */
#include "../../changes.h"

#include <poll.h>

#include <linux/fs.h>
#include <linux/workqueue.h>

#include <include/kdreg2.h>

#define AT        0x10000000ul
#define ARGUMENTS 0x20000000ul
#define PAGES     16ul
#define REGIONS   16
#define ROUNDS    24

static struct file *file;
static unsigned long status;

static long call(unsigned int cmd, void *argument, size_t length)
{
	long ret;

	mmun_soft_write(mm, ARGUMENTS, argument, length, NULL);
	ret = mmun_compat_ioctl(file, cmd, ARGUMENTS);
	mmun_soft_read(mm, ARGUMENTS, argument, length, NULL);
	return ret;
}

static long configure(size_t regions)
{
	struct kdreg2_config_data config = { .max_regions = regions };
	long ret = call(KDREG2_IOCTL_CONFIG_DATA, &config, sizeof(config));

	status = (unsigned long)config.status_data;
	return ret;
}

static struct kdreg2_status_data read_status(void)
{
	struct kdreg2_status_data data = { 0 };

	mmun_soft_read(mm, status, &data, sizeof(data), NULL);
	return data;
}

struct region {
	struct kdreg2_ioctl_monitor monitor;
	struct given given;
};

static long monitor(struct region *region, unsigned long first, unsigned long pages,
		    unsigned long cookie)
{
	region->monitor = (struct kdreg2_ioctl_monitor){ .addr = (void *)(AT + first * PAGE_SIZE),
							 .length = pages * PAGE_SIZE,
							 .cookie = cookie };
	region->given.there = false;
	return call(KDREG2_IOCTL_MONITOR, &region->monitor, sizeof(region->monitor));
}

static long unmonitor(struct region *region)
{
	struct kdreg2_ioctl_unmonitor request = { .cookie = region->monitor.cookie,
						  .monitoring_params =
							  region->monitor.monitoring_params };

	return call(KDREG2_IOCTL_UNMONITOR, &request, sizeof(request));
}

/* As the program asks, without the kernel. */
static bool has_changed(const struct region *region)
{
	const struct kdreg2_monitoring_params *params = &region->monitor.monitoring_params;
	struct kdreg2_monitoring_state state = { .u.raw = 0 };
	unsigned long base = (unsigned long)read_status().monitoring_state_base;

	mmun_soft_read(mm, base + params->location * sizeof(state), &state, sizeof(state), NULL);
	return state.u.raw != params->generation;
}

/* The cookie of the next event, or an error. */
static long next_event(void)
{
	struct kdreg2_event event;
	long ret = mmun_compat_read(file, ARGUMENTS + 2048, sizeof(event));

	if (ret < 0)
		return ret;
	mmun_soft_read(mm, ARGUMENTS + 2048, &event, sizeof(event), NULL);
	return (long)event.u.mapping_change.cookie;
}

static void open_device(unsigned int flags)
{
	if (mmun_compat_open("kdreg2", O_RDWR | flags, &file))
		bail_out("no device");
}

static void test_one_by_one(void)
{
	struct region region, other;

	is(monitor(&region, 0, 1, 1), -ENOSPC, "nothing is monitored before it is configured");
	is(configure(REGIONS), 0, "a number of regions");
	is(read_status().max_regions, REGIONS, "is known to the program");
	is(next_event(), -EAGAIN, "there is no event");
	is(mmun_compat_poll(file), 0, "to wait for");
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		if (!(what & (DONTNEED | UNMAP | MIGRATE | FORK | PROTECT | PAGEOUT | MOVE)))
			continue;
		put(AT, 1);
		is(monitor(&region, 0, 2, 100 + what), 0, "a region");
		is(monitor(&other, 8, 2, 7), 0, "and another");
		change((enum change)what, AT, 2);
		ok(has_changed(&region), "change %#x is seen", what);
		is(has_changed(&other), what == FORK, "by those that it concerns");
		is(next_event(), 100 + (long)what, "and is an event");
		if (!has_changed(&other))
			unmonitor(&other);
		call(KDREG2_IOCTL_FLUSH, &other, 0);
	}
	is(configure(0) | configure(REGIONS), 0, "with none left it can be configured again");
	is(monitor(&region, 0, 2, 1), 0, "a region");
	is(read_status().num_active_regions.val, 1, "is counted");
	is(unmonitor(&region), 0, "until it is not monitored");
	ok(has_changed(&region), "which invalidates it too");
	is(read_status().num_active_regions.val, 0, "none is left");
	is(monitor(&region, 0, 1, KDREG2_BAD_COOKIE_VALUE), -EINVAL, "a cookie that is none");
	for (unsigned long i = 0; i < REGIONS; i++)
		monitor(&region, i, 1, i + 1);
	is(monitor(&region, 0, 1, 99), -ENOSPC, "one too many");
	change(UNMAP, AT, PAGES);
	ok(mmun_compat_poll(file) & POLLIN, "events can be read");
	is(read_status().pending_events.val, REGIONS, "as many as there were regions");
	is(call(KDREG2_IOCTL_FLUSH, &region, 0), 0, "or flushed");
	is(next_event(), -EAGAIN, "then there are none");
}

static long got;

static void *wait_for_event(void *none)
{
	mmun_compat_set_current(task);
	got = next_event();
	mmun_compat_set_current(NULL);
	return NULL;
}

/* A second open file, whose reads block. */
static void test_blocking_read(void)
{
	struct file *first = file;
	struct region region;
	unsigned long before = status;
	pthread_t thread;

	open_device(0);
	is(configure(2), 0, "a second file");
	monitor(&region, 3, 1, 33);
	if (pthread_create(&thread, NULL, wait_for_event, NULL))
		bail_out("no thread");
	mmun_soft_madvise(mm, AT + 3 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED);
	pthread_join(thread, NULL);
	is(got, 33, "a read waits for its event");
	mmun_compat_close(file);
	file = first;
	status = before;
}

static void test_fork(void)
{
	struct mmun_soft_task *child;
	struct region region;

	mmun_soft_fork(task, &child);
	mmun_compat_set_current(child);
	is(monitor(&region, 0, 1, 1), -EBADF, "a child cannot use its parent's file");
	is(mmun_compat_read(file, ARGUMENTS, 64), -EBADF, "nor read it");
	mmun_compat_set_current(NULL);
	mmun_soft_exit(child);
	mmun_compat_set_current(task);
}

static void test_attributes(void)
{
	char text[PAGE_SIZE];

	is(mmun_compat_show_attribute("kdreg2", "contexts", text), 2, "an attribute");
	ok(text[0] == '1', "says that one file is open");
	is(mmun_compat_store_attribute("kdreg2", "debug_level", "9"), -EINVAL, "a level too high");
	is(mmun_compat_store_attribute("kdreg2", "debug_level", "1"), 1, "one that there is");
	is(mmun_compat_store_attribute("kdreg2", "debug_level", "0"), 1, "and back");
	is(mmun_compat_store_attribute("kdreg2", "contexts", "2"), -EIO, "not all are written");
}

/* Everything that is said to be unchanged is, and its translation good. */
static unsigned long check(struct region *regions)
{
	unsigned long unchanged = 0;

	flush_scheduled_work();
	for (int i = 0; i < REGIONS; i++) {
		struct region *region = &regions[i];

		if (!region->given.there || has_changed(region))
			continue;
		device_reads(&region->given, (unsigned long)region->monitor.addr);
		unchanged++;
	}
	return unchanged;
}

static bool refuse(size_t size, void *arg)
{
	return size < 64;
}

static void test_threads(void)
{
	static struct region regions[REGIONS];
	unsigned long unchanged = 0, rounds = 0;
	unsigned int state = 1;

	for (int round = 0; round < ROUNDS; round++) {
		struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };

		/* Now and then what is put off cannot be noted. */
		mmun_compat_fail_allocations(round % 4 == 3 ? refuse : NULL, NULL);
		start_changes(&changes);
		for (int i = 0; i < 40 || changed(&changes) < 10; i++) {
			struct region *region = &regions[draw(&state, REGIONS)];
			unsigned long first = draw(&state, PAGES);

			if (region->given.there)
				unmonitor(region);
			if (monitor(region, first, 1, (unsigned long)(region - regions) + 1))
				continue;
			put(AT + first * PAGE_SIZE, 1);
			region->given.there = !mmun_soft_translate_present(
				mm, AT + first * PAGE_SIZE, &region->given.t);
			if (!draw(&state, 4))
				next_event();
		}
		stop_changes(&changes);
		mmun_compat_fail_allocations(NULL, NULL);
		rounds += changed(&changes);
		unchanged += check(regions);
		change(UNMAP, AT, PAGES);
		flush_scheduled_work();
		memset(regions, 0, sizeof(regions));
		call(KDREG2_IOCTL_FLUSH, &regions[0], 0);
		if (configure(0) || configure(REGIONS))
			bail_out("it cannot be configured again");
	}
	is(violations(), 0, "no region that is said to be unchanged has other pages");
	diag("%lu changes, %lu regions unchanged", rounds, unchanged);
}

/* What is done in no task's name is taken for a child's: not heard of.  Pages that a card has
 * registered are pinned, so that neither reclaim nor migration touches them. */
static void *migrate_main(void *none)
{
	mmun_soft_migrate(mm, AT);
	return NULL;
}

static void look_at_others_changes(void)
{
	struct region region;
	pthread_t thread;

	put(AT, 1);
	monitor(&region, 0, 1, 5);
	if (pthread_create(&thread, NULL, migrate_main, NULL))
		bail_out("no thread");
	pthread_join(thread, NULL);
	diag("a migration by a kernel thread is %s", has_changed(&region) ? "seen" : "not seen");
	call(KDREG2_IOCTL_UNMONITOR_ALL, &region, 0);
	diag("after all were given up at once %lu regions are counted",
	     (unsigned long)read_status().num_active_regions.val);
}

int main(void)
{
	start_machine();
	mmun_compat_set_loglevel(4);
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	map(ARGUMENTS, 1, PROT_READ | PROT_WRITE, 0, NULL);
	is(mmun_compat_load(), 0, "the module is loaded");
	open_device(O_NONBLOCK);
	test_one_by_one();
	test_blocking_read();
	test_fork();
	test_attributes();
	test_threads();
	look_at_others_changes();
	mmun_compat_close(file);
	mmun_compat_unload();
	stop_machine(0);
	return tap_done();
}
