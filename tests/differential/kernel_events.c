/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What Linux notifies its own notifiers of: each helper process has a virtual machine
 * that uses the arena as memory, and the tracepoint in KVM's notifier shows each range.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "diff.h"

#define TRACEFS    "/sys/kernel/tracing"
#define EVENT      TRACEFS "/events/kvm/kvm_unmap_hva_range/"
#define RING_PAGES 8
#define HUGE       (512 * PAGE)

/* From the event's format. */
static unsigned long event_id;
static unsigned int start_offset, end_offset;

/* Of this process. */
static struct perf_event_mmap_page *ring;
static int vm_fd = -1, event_fd = -1;

static bool read_format(void)
{
	FILE *file = fopen(EVENT "format", "r");
	char line[256];

	start_offset = end_offset = 0;
	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, " field:unsigned long start; offset:%u;", &start_offset);
		sscanf(line, " field:unsigned long end; offset:%u;", &end_offset);
		sscanf(line, "ID: %lu", &event_id);
	}
	if (file)
		fclose(file);
	return event_id && start_offset && end_offset;
}

const char *events_prepare(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		return "no /dev/kvm";
	if (read_format())
		return NULL;
	/* Not mounted: mount it where nobody else sees it. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("tracefs", TRACEFS, "tracefs", 0, NULL))
		return "tracefs cannot be mounted";
	return read_format() ? NULL : "this kernel has no tracepoint kvm_unmap_hva_range";
}

static int open_vm(void)
{
	struct kvm_userspace_memory_region memory = {
		.memory_size = ARENA_PAGES * PAGE,
		.userspace_addr = ARENA,
	};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC), fd;

	if (kvm < 0)
		return -1;
	fd = ioctl(kvm, KVM_CREATE_VM, 0);
	close(kvm);
	if (fd >= 0 && ioctl(fd, KVM_SET_USER_MEMORY_REGION, &memory)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int open_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = event_id,
		.sample_period = 1,
		.sample_type = PERF_SAMPLE_RAW,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

bool events_begin(void)
{
	if (vm_fd >= 0)
		close(vm_fd);
	if (event_fd >= 0)
		close(event_fd);
	vm_fd = open_vm();
	event_fd = open_event();
	if (vm_fd < 0 || event_fd < 0)
		return false;
	/* The parent's ring is not inherited. */
	ring = mmap(NULL, (1 + RING_PAGES) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, event_fd, 0);
	return ring != MAP_FAILED;
}

static void copy_from_ring(void *to, uint64_t at, size_t size)
{
	const unsigned char *data = (const unsigned char *)ring + PAGE;

	for (size_t i = 0; i < size; i++)
		((unsigned char *)to)[i] = data[(at + i) % (RING_PAGES * PAGE)];
}

static void take(struct view *view, uint64_t start, uint64_t end)
{
	const uint64_t arena_end = ARENA + ARENA_PAGES * PAGE;
	struct range *last = view->nr_ranges ? &view->ranges[view->nr_ranges - 1] : NULL;

	/* Each VMA split inside an aligned 2 MiB notifies of all of it, huge page or not. */
	if (end - start == HUGE && !(start % HUGE))
		return;
	start = start > ARENA ? start : ARENA;
	end = end < arena_end ? end : arena_end;
	if (start >= end)
		return;
	if (last && last->end == start)
		last->end = end;
	else if (view->nr_ranges < MAX_RANGES)
		view->ranges[view->nr_ranges++] = (struct range){ start, end };
	else
		view->ranges_lost = true;
}

void events_take(struct view *view)
{
	uint64_t head, tail;

	view->nr_ranges = 0;
	view->ranges_lost = false;
	if (!ring)
		return;
	head = __atomic_load_n(&ring->data_head, __ATOMIC_ACQUIRE);
	for (tail = ring->data_tail; tail < head;) {
		struct perf_event_header header;
		/* The size of the raw data comes before it. */
		unsigned char raw[64];
		uint64_t start, end;

		copy_from_ring(&header, tail, sizeof(header));
		copy_from_ring(raw, tail + sizeof(header) + 4, sizeof(raw));
		memcpy(&start, raw + start_offset, 8);
		memcpy(&end, raw + end_offset, 8);
		if (header.type == PERF_RECORD_SAMPLE)
			take(view, start, end);
		else
			view->ranges_lost = true;
		tail += header.size;
	}
	__atomic_store_n(&ring->data_tail, head, __ATOMIC_RELEASE);
}
