/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of one process that another has attached: what the other reads and writes is what the first
 * one has, after every change that the first one makes.  The driver keeps a reference to each page
 * that it has mapped, so without its callback what is read is old, not freed.
 */
#include "../../changes.h"

#include <linux/fs.h>

#include "xpmem_internal.h"
#include "xpmem_private.h"

#define AT        0x10000000ul
#define ARGUMENTS 0x20000000ul
#define PAGES     8ul
#define ROUNDS    200ul

long xpmem_killed;

struct side {
	struct mmun_soft_task *task;
	struct mm_struct *mm;
	struct file *file;
	pid_t tgid;
};

static struct side source, other;
static xpmem_segid_t segment;
static xpmem_apid_t permit;
static unsigned long attached;

/* The calling thread is one of that process. */
static void act_for(const struct side *side)
{
	mmun_compat_set_current(NULL);
	mmun_compat_set_current(side->task);
	/* The driver knows processes by it. */
	current->tgid = side->tgid;
	task = side->task;
	mm = side->mm;
}

static long call(const struct side *side, unsigned int cmd, void *argument, size_t length)
{
	long ret;

	act_for(side);
	mmun_soft_write(mm, ARGUMENTS, argument, length, NULL);
	ret = mmun_compat_ioctl(side->file, cmd, ARGUMENTS);
	mmun_soft_read(mm, ARGUMENTS, argument, length, NULL);
	return ret;
}

/* To the driver frame 0 is none; on a PC no program has it.  The first that is allocated. */
static struct page *take_frame_0(void)
{
	struct page *page = mmun_soft_alloc_page(soft);

	if (!page || page_to_pfn(page))
		bail_out("somebody has frame 0");
	return page;
}

static void open_side(struct side *side)
{
	act_for(side);
	map(ARGUMENTS, 1, PROT_READ | PROT_WRITE, 0, NULL);
	if (mmun_compat_open("xpmem", O_RDWR, &side->file))
		bail_out("no device");
}

static void close_side(struct side *side)
{
	act_for(side);
	is(side->file->f_op->flush(side->file, NULL), 0, "a descriptor is closed");
	mmun_compat_close(side->file);
}

static long make(unsigned long pages)
{
	struct xpmem_cmd_make make = { .vaddr = AT,
				       .size = pages * PAGE_SIZE,
				       .permit_type = XPMEM_PERMIT_MODE,
				       .permit_value = 0600 };
	long ret = call(&source, XPMEM_CMD_MAKE, &make, sizeof(make));

	segment = make.segid;
	return ret;
}

static long get_permit(void)
{
	struct xpmem_cmd_get get = { .segid = segment,
				     .flags = XPMEM_RDWR,
				     .permit_type = XPMEM_PERMIT_MODE };
	long ret = call(&other, XPMEM_CMD_GET, &get, sizeof(get));

	permit = get.apid;
	return ret;
}

static long attach(unsigned long pages)
{
	struct xpmem_cmd_attach attach = { .apid = permit, .size = pages * PAGE_SIZE };
	long ret = call(&other, XPMEM_CMD_ATTACH, &attach, sizeof(attach));

	attached = attach.vaddr;
	return ret;
}

static unsigned long peek(const struct side *side, unsigned long address)
{
	act_for(side);
	return get(address);
}

static void poke(const struct side *side, unsigned long address, unsigned long value)
{
	act_for(side);
	put(address, value);
}

static void test_attach(void)
{
	is(make(PAGES), 0, "a segment");
	is(get_permit(), 0, "a permit of another process");
	is(attach(PAGES), 0, "which attaches it");
	poke(&source, AT, 1);
	is(peek(&other, attached), 1, "and reads what is there");
	poke(&other, attached, 2);
	is(peek(&source, AT), 2, "writes there");
	is(atomic_read(&xpmem_my_part->n_pinned), 1, "one page is held");
}

static void test_changes(void)
{
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		for (unsigned long i = 0; i < PAGES; i++) {
			poke(&source, AT + i * PAGE_SIZE, 10 + i);
			peek(&other, attached + i * PAGE_SIZE);
		}
		act_for(&source);
		change((enum change)what, AT, PAGES);
		if (what == MOVE || what == UNMAP || what == DONTNEED)
			is(peek(&other, attached), peek(&source, AT), "change %u: it is the same",
			   what);
		poke(&source, AT, 100 + what);
		is(peek(&other, attached), 100 + what, "change %u: what is written since is read",
		   what);
		poke(&other, attached + PAGE_SIZE, 200 + what);
		is(peek(&source, AT + PAGE_SIZE), 200 + what, "change %u: and the other way", what);
	}
	is(violations(), 0, "no frame was touched that had been freed");
}

static void no_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
}

/* The control. */
static void test_disconnected(void)
{
	static const struct mmu_notifier_ops nothing = { .invalidate_range_end = no_end };
	struct xpmem_thread_group *group = xpmem_tg_ref_by_segid(segment);
	const struct mmu_notifier_ops *ops = group->mmu_not.ops;

	poke(&source, AT, 1);
	peek(&other, attached);
	group->mmu_not.ops = &nothing;
	act_for(&source);
	change(DONTNEED, AT, 1);
	poke(&source, AT, 2);
	is(peek(&other, attached), 1, "without the callback what is read is old");
	group->mmu_not.ops = ops;
	change(DONTNEED, AT, 1);
	xpmem_tg_deref(group);
}

/* What the driver holds is what entries lead to. */
static void test_detach(void)
{
	struct xpmem_cmd_detach detach = { .vaddr = attached };

	for (unsigned long i = 0; i < PAGES; i++)
		peek(&other, attached + i * PAGE_SIZE);
	is(call(&other, XPMEM_CMD_DETACH, &detach, sizeof(detach)), 0, "it is detached");
	is(peek(&other, attached), ~0ul, "and nothing is there");
	is(atomic_read(&xpmem_my_part->n_pinned), atomic_read(&xpmem_my_part->n_unpinned),
	   "all pages are given back");
	is(attach(PAGES), 0, "it is attached again");
}

/* The other process touches the memory all the time. */
static void *touch(void *arg)
{
	mmun_compat_set_current(other.task);
	current->tgid = other.tgid;
	for (unsigned long i = 0; i < ROUNDS; i++) {
		unsigned long value, address = attached + i % PAGES * PAGE_SIZE;

		mmun_soft_read(other.mm, address, &value, sizeof(value), NULL);
		mmun_soft_write(other.mm, address + 8, &i, sizeof(i), NULL);
	}
	mmun_compat_set_current(NULL);
	return NULL;
}

/* By calls that keep the mmap lock for write: the driver's fault keeps it for read. */
static void test_both(void)
{
	unsigned long wrong = 0, before = violations();
	pthread_t thread;

	if (pthread_create(&thread, NULL, touch, NULL))
		bail_out("no thread");
	act_for(&source);
	for (unsigned long i = 0; i < ROUNDS; i++)
		change(i % 2 ? UNMAP : MOVE, AT + i % PAGES * PAGE_SIZE, 1);
	pthread_join(thread, NULL);
	for (unsigned long i = 0; i < PAGES; i++) {
		poke(&source, AT + i * PAGE_SIZE, i);
		wrong += peek(&other, attached + i * PAGE_SIZE) != i;
	}
	is(wrong, 0, "after changes on one side and touches on the other both have the same");
	diag("%lu touches of a page that was given back before its entry was taken away",
	     violations() - before);
}

int main(void)
{
	struct page *frame_0;

	start_machine();
	frame_0 = take_frame_0();
	source = (struct side){ .task = task, .mm = mm, .tgid = 1001 };
	other.tgid = 1002;
	if (mmun_soft_task_create(soft, &other.task))
		bail_out("no task");
	other.mm = mmun_soft_task_mm(other.task);
	is(mmun_compat_load(), 0, "the module");
	act_for(&source);
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	open_side(&source);
	open_side(&other);
	test_attach();
	test_changes();
	test_disconnected();
	test_detach();
	test_both();
	close_side(&source);
	is(peek(&other, attached), ~0ul, "what it had is not there any more");
	close_side(&other);
	is(atomic_read(&xpmem_my_part->n_pinned), atomic_read(&xpmem_my_part->n_unpinned),
	   "and no page is held");
	is(xpmem_killed, 0, "nobody was killed");
	mmun_compat_set_current(NULL);
	mmun_compat_unload();
	mmun_soft_exit(other.task);
	mmun_soft_exit(source.task);
	mmun_soft_put_page(frame_0);
	task = NULL;
	stop_machine(0);
	return tap_done();
}
