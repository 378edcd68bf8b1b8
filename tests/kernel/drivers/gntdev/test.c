/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pages of other domains, mapped by grants.  The hypervisor is here: it counts for each grant how
 * often it is mapped, and refuses to unmap what is not.  In a paravirtualized domain it would
 * write the task's page table entries itself, so their grants have to be back when a callback
 * returns; in the other mode pages are mapped as any driver's.
 */
#include <unistd.h>

#include "../../changes.h"

#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mmu_notifier.h>
#include <linux/slab.h>
#include <xen/events.h>
#include <xen/grant_table.h>

#include <xen/gntdev.h>

#define AT        0x10000000ul
#define ARGUMENTS 0x20000000ul
#define PAGES     8u
#define GRANTS    64u
#define ROUNDS    400

static bool pv;
static struct file *file;

#undef mmu_interval_notifier_insert_locked
int mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *sub, struct mm_struct *of,
					unsigned long start, unsigned long length,
					const struct mmu_interval_notifier_ops *ops);
int insert_of_test(struct mmu_interval_notifier *sub, struct mm_struct *of, unsigned long start,
		   unsigned long length, const struct mmu_interval_notifier_ops *ops);

/* The control: a callback that does nothing. */
static bool deaf;

static bool ignore(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		   unsigned long cur_seq)
{
	return true;
}

static const struct mmu_interval_notifier_ops deaf_ops = { .invalidate = ignore };

int insert_of_test(struct mmu_interval_notifier *sub, struct mm_struct *of, unsigned long start,
		   unsigned long length, const struct mmu_interval_notifier_ops *ops)
{
	return mmu_interval_notifier_insert_locked(sub, of, start, length, deaf ? &deaf_ops : ops);
}

/* The hypervisor. */

#define HANDLES 4096u

static pthread_mutex_t hypervisor = PTHREAD_MUTEX_INITIALIZER;
/* The other domain's pages. */
static char foreign[GRANTS][64];
/* What a handle stands for, -1: nothing; one that is gone is not used again. */
static int handles[HANDLES];
static unsigned int next_handle;
static long mapped[GRANTS];
static unsigned long bad_unmaps, events_sent;
static long event_users;
/* Unmapping takes its time, as where a page has other users.  Not with callbacks: this driver
 * has one request for each map, and would overwrite it with that of a second range. */
static bool slow;
static unsigned int queued;

bool xen_pv_domain(void)
{
	return pv;
}

static long mapped_grants(void)
{
	long all = 0;

	pthread_mutex_lock(&hypervisor);
	for (unsigned int i = 0; i < GRANTS; i++)
		all += mapped[i];
	pthread_mutex_unlock(&hypervisor);
	return all;
}

int gnttab_alloc_pages(int count, struct page **pages)
{
	for (int i = 0; i < count; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i]) {
			gnttab_free_pages(i, pages);
			return -ENOMEM;
		}
	}
	return 0;
}

void gnttab_free_pages(int count, struct page **pages)
{
	for (int i = 0; i < count; i++) {
		if (pages[i])
			__free_page(pages[i]);
		pages[i] = NULL;
	}
}

static void map_one(struct gnttab_map_grant_ref *op)
{
	op->status = GNTST_bad_gntref;
	if (op->ref >= GRANTS || next_handle == HANDLES)
		return;
	handles[next_handle] = (int)op->ref;
	mapped[op->ref]++;
	op->handle = next_handle++;
	op->status = GNTST_okay;
}

int gnttab_map_refs(struct gnttab_map_grant_ref *map_ops, struct gnttab_map_grant_ref *kmap_ops,
		    struct page **pages, unsigned int count)
{
	pthread_mutex_lock(&hypervisor);
	for (unsigned int i = 0; i < count; i++) {
		map_one(&map_ops[i]);
		if (kmap_ops)
			map_one(&kmap_ops[i]);
		if (map_ops[i].status == GNTST_okay)
			memcpy_to_page(pages[i], 0, foreign[map_ops[i].ref], sizeof(foreign[0]));
	}
	pthread_mutex_unlock(&hypervisor);
	return 0;
}

static void unmap_one(struct gnttab_unmap_grant_ref *op)
{
	op->status = GNTST_bad_handle;
	if (op->handle >= HANDLES || handles[op->handle] < 0) {
		bad_unmaps += op->handle != INVALID_GRANT_HANDLE;
		return;
	}
	mapped[handles[op->handle]]--;
	handles[op->handle] = -1;
	op->status = GNTST_okay;
}

static void unmap_all(struct gntab_unmap_queue_data *item)
{
	pthread_mutex_lock(&hypervisor);
	for (unsigned int i = 0; i < item->count; i++) {
		unmap_one(&item->unmap_ops[i]);
		if (item->kunmap_ops)
			unmap_one(&item->kunmap_ops[i]);
	}
	pthread_mutex_unlock(&hypervisor);
	item->done(0, item);
}

static void unmap_later(struct work_struct *work)
{
	unmap_all(container_of(work, struct gntab_unmap_queue_data, gnttab_work.work));
	__atomic_fetch_sub(&queued, 1, __ATOMIC_RELEASE);
}

/* Until everything that was to be unmapped is. */
static void settle(void)
{
	while (__atomic_load_n(&queued, __ATOMIC_ACQUIRE))
		usleep(1000);
}

void gnttab_unmap_refs_async(struct gntab_unmap_queue_data *item)
{
	if (!slow) {
		unmap_all(item);
		return;
	}
	__atomic_fetch_add(&queued, 1, __ATOMIC_RELAXED);
	INIT_DELAYED_WORK(&item->gnttab_work, unmap_later);
	schedule_delayed_work(&item->gnttab_work, 1);
}

void gnttab_batch_copy(struct gnttab_copy *ops, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct gnttab_copy *op = &ops[i];

		op->status = GNTST_okay;
		if (op->flags & GNTCOPY_source_gref && op->source.u.ref < GRANTS)
			memcpy_to_page(pfn_to_page(op->dest.u.gmfn), op->dest.offset,
				       foreign[op->source.u.ref] + op->source.offset, op->len);
		else if (op->flags & GNTCOPY_dest_gref && op->dest.u.ref < GRANTS)
			memcpy_from_page(foreign[op->dest.u.ref] + op->dest.offset,
					 pfn_to_page(op->source.u.gmfn), op->source.offset,
					 op->len);
		else
			op->status = GNTST_bad_gntref;
	}
}

int evtchn_get(evtchn_port_t port)
{
	event_users++;
	return port == 7 ? 0 : -EINVAL;
}

void evtchn_put(evtchn_port_t port)
{
	event_users--;
}

void notify_remote_via_evtchn(evtchn_port_t port)
{
	events_sent++;
}

/* The task. */

static long call(unsigned int cmd, void *argument, size_t length)
{
	long ret;

	mmun_soft_write(mm, ARGUMENTS, argument, length, NULL);
	ret = mmun_compat_ioctl(file, cmd, ARGUMENTS);
	mmun_soft_read(mm, ARGUMENTS, argument, length, NULL);
	return ret;
}

struct grant_request {
	struct ioctl_gntdev_map_grant_ref head;
	struct ioctl_gntdev_grant_ref more[PAGES - 1];
};

/* @count grants from @first on, at a place of the file. */
static long ask(unsigned int first, unsigned int count, u64 *index)
{
	struct grant_request request = { .head = { .count = count } };
	struct ioctl_gntdev_grant_ref *refs = request.head.refs;
	long ret;

	for (unsigned int i = 0; i < count; i++)
		(i ? request.more : refs)[i ? i - 1 : 0].ref = first + i;
	ret = call(IOCTL_GNTDEV_MAP_GRANT_REF, &request, sizeof(request));
	*index = request.head.index;
	return ret;
}

static long map_grants(u64 index, unsigned int count, int prot)
{
	mmun_soft_address at = mmun_soft_mmap(mm, AT, count * PAGE_SIZE, prot,
					      MAP_SHARED | MAP_FIXED, file, index);

	return mmun_soft_is_error(at) ? (long)at : 0;
}

static long give_back(u64 index, unsigned int count)
{
	struct ioctl_gntdev_unmap_grant_ref request = { .index = index, .count = count };

	return call(IOCTL_GNTDEV_UNMAP_GRANT_REF, &request, sizeof(request));
}

static void open_device(void)
{
	if (mmun_compat_open("xen/gntdev", O_RDWR, &file))
		bail_out("no device");
}

static void test_one_by_one(void)
{
	const long each = pv ? 2 : 1;
	u64 index, second;

	is(ask(10, 4, &index), 0, "four grants");
	is(mapped_grants(), 0, "are not mapped yet");
	is(map_grants(index, 3, PROT_READ | PROT_WRITE), -EINVAL, "three of them cannot be");
	is(map_grants(index, 4, PROT_READ | PROT_WRITE), 0, "all are mapped");
	is(mapped_grants(), 4 * each, "by the hypervisor");
	if (!pv)
		is(get(AT + PAGE_SIZE), 11, "and read by the task");
	is(map_grants(index, 4, PROT_READ), -EINVAL, "not a second time");
	is(give_back(index, 4), 0, "given back");
	mmun_soft_munmap(mm, AT, 4 * PAGE_SIZE);
	is(mapped_grants(), 0, "after munmap() none is mapped");
	is(ask(60, 8, &index), 0, "grants that are not there");
	is(map_grants(index, 8, PROT_READ), -EINVAL, "are refused when they are mapped");
	is(give_back(index, 8), 0, "and go");
	is(mapped_grants(), 0, "all of them");
	is(ask(1, 2, &index), 0, "a place");
	is(ask(3, 2, &second), 0, "and another");
	ok(index != second, "which is not the same");
	is(give_back(index, 2) | give_back(second, 2), 0, "both are left");
	is(give_back(second, 2), -ENOENT, "once");
}

/* In the mode where the hypervisor writes the entries. */
static void test_callbacks(void)
{
	u64 index;

	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		if (!(what & (DONTNEED | UNMAP | PROTECT)))
			continue;
		ask(0, PAGES, &index);
		is(map_grants(index, PAGES, PROT_READ | PROT_WRITE), 0, "grants");
		change((enum change)what, AT + 2 * PAGE_SIZE, 3);
		settle();
		is(mapped_grants(), 2 * (PAGES - 3), "change %#x returns those of its pages", what);
		mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
		give_back(index, PAGES);
		settle();
		is(mapped_grants(), 0, "munmap() the rest");
	}
	is(bad_unmaps, 0, "each is unmapped once");
}

static void test_unmap_notify(void)
{
	struct ioctl_gntdev_unmap_notify notify = { .action = UNMAP_NOTIFY_SEND_EVENT,
						    .event_channel_port = 7 };
	u64 index;

	ask(20, 1, &index);
	notify.index = index;
	is(call(IOCTL_GNTDEV_SET_UNMAP_NOTIFY, &notify, sizeof(notify)), 0,
	   "an event is asked for");
	is(map_grants(index, 1, PROT_READ | PROT_WRITE), 0, "for a grant");
	events_sent = 0;
	mmun_soft_munmap(mm, AT, PAGE_SIZE);
	is(give_back(index, 1), 0, "when it goes");
	is(events_sent, 1, "the event is sent");
	is(event_users, 0, "and its channel let go");
}

static void test_copy(void)
{
	struct {
		struct ioctl_gntdev_grant_copy copy;
		struct gntdev_grant_copy_segment segment;
	} request = { .copy = { .count = 1 } };

	map(AT, 2, PROT_READ | PROT_WRITE, 0, NULL);
	request.copy.segments =
		(struct gntdev_grant_copy_segment *)(ARGUMENTS +
						     (unsigned long)offsetof(__typeof__(request),
									     segment));
	request.segment.source.foreign.ref = 33;
	request.segment.dest.virt = (void *)(AT + PAGE_SIZE - 8);
	request.segment.len = 32;
	request.segment.flags = GNTCOPY_source_gref;
	is(call(IOCTL_GNTDEV_GRANT_COPY, &request, sizeof(request)), 0, "a copy from a grant");
	is(get(AT + PAGE_SIZE - 8), 33, "comes to two pages");
	is(get(AT + PAGE_SIZE), 0x21, "of the task");
	request.segment.source.foreign.ref = 1000;
	is(call(IOCTL_GNTDEV_GRANT_COPY, &request, sizeof(request)), 0, "from none");
	is(request.segment.status, GNTST_bad_gntref, "its status says so");
	request.segment.dest.virt = (void *)0x60000000ul;
	is(call(IOCTL_GNTDEV_GRANT_COPY, &request, sizeof(request)), -EFAULT, "to nowhere");
	mmun_soft_munmap(mm, AT, 2 * PAGE_SIZE);
}

static void test_threads(void)
{
	struct changes changes = { .at = AT,
				   .pages = PAGES,
				   .which = DONTNEED | FORK | PROTECT | MIGRATE | RECLAIM };
	unsigned long done = 0;
	u64 index;

	slow = !pv;
	start_changes(&changes);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		if (ask(i % (GRANTS - PAGES), PAGES, &index))
			continue;
		done += !map_grants(index, PAGES, PROT_READ | PROT_WRITE);
		if (i % 3)
			give_back(index, PAGES);
		mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE / (1 + i % 2));
		if (!(i % 3))
			give_back(index, PAGES);
		mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
		if (next_handle > HANDLES - 4 * PAGES)
			break;
	}
	stop_changes(&changes);
	settle();
	slow = false;
	ok(done > 20, "%lu times grants are mapped while another thread changes the memory", done);
	is(mapped_grants(), 0, "all are back");
	is(bad_unmaps, 0, "each once");
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	u64 index;

	deaf = true;
	ask(0, 2, &index);
	is(map_grants(index, 2, PROT_READ | PROT_WRITE), 0, "grants without the callback");
	mmun_soft_madvise(mm, AT, PAGE_SIZE, MADV_DONTNEED);
	is(mapped_grants(), 4, "stay mapped when their entries go");
	mmun_soft_munmap(mm, AT, 2 * PAGE_SIZE);
	give_back(index, 2);
	memset(mapped, 0, sizeof(mapped));
	deaf = false;
}

static void test_exit(void)
{
	u64 index;

	ask(0, PAGES, &index);
	mmun_soft_munmap(mm, AT, PAGES * PAGE_SIZE);
	is(map_grants(index, PAGES, PROT_READ | PROT_WRITE), 0, "grants at the end");
	mmun_compat_close(file);
	end_task();
	settle();
}

static void run(void)
{
	start_machine();
	memset(handles, 0xff, sizeof(handles));
	next_handle = 0;
	is(mmun_compat_load(), 0, pv ? "paravirtualized: loaded" : "translated: loaded");
	open_device();
	map(ARGUMENTS, 1, PROT_READ | PROT_WRITE, 0, NULL);
	test_one_by_one();
	test_unmap_notify();
	test_copy();
	if (pv)
		test_callbacks();
	test_threads();
	if (pv)
		test_control();
	test_exit();
	is(mapped_grants(), 0, "the end of the task returns what it had");
	mmun_compat_unload();
	stop_machine(0);
}

int main(void)
{
	for (unsigned int i = 0; i < GRANTS; i++)
		memset(foreign[i], 0, sizeof(foreign[i])), foreign[i][0] = foreign[i][8] = (char)i;
	run();
	pv = true;
	run();
	return tap_done();
}
