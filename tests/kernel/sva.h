/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Behind linux/iommu.h: what the kernel's IOMMU core is for one group of devices, and a device that
 * translates by the page tables of an address space, as an IOMMU and a device with a TLB of
 * its own do.
 *
 * The device walks the tables when it has no entry for an address, keeps what it finds until it
 * is flushed, and asks for the page where it finds nothing.  Until the flush it may
 * use what the tables do not say any more: the page is not free before.  So an access through an
 * entry whose page was freed is wrong at any time, and one through an entry that differs
 * from the tables is wrong when no change is going on.
 */
#ifndef MMUN_TESTS_KERNEL_SVA_H
#define MMUN_TESTS_KERNEL_SVA_H

#include <unistd.h>

#include "changes.h"

#include <linux/completion.h>
#include <linux/iommu.h>
#include <linux/mmu_notifier.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#define SVA_PASIDS   8u
#define SVA_ENTRIES  64u
#define SVA_MEMORY   0x10000000ul
#define SVA_PAGES    16u
#define SVA_ACCESSES 3000u

/* The group: a handle for each PASID. */
struct iommu_group {
	struct iommu_attach_handle *handles[SVA_PASIDS];
};

struct sva_entry {
	bool there;
	u32 pasid;
	unsigned long address;
	unsigned long serial;
	struct mmun_soft_translation t;
};

/* The device and its IOMMU. */
static struct sva {
	spinlock_t lock;
	/* Whose page tables each PASID translates by; NULL: it faults. */
	struct mm_struct *tables[SVA_PASIDS];
	struct sva_entry entries[SVA_ENTRIES];
	unsigned long next;
	/* Requests, flushes, and how many entries these took. */
	unsigned long requests, flushes, flushed;
	/* Accesses to pages that were freed, to what has exited; to what differs from the tables. */
	unsigned long freed, late;
} sva;

/* Of the thread's last access. */
static __thread enum mmun_soft_violation_kind sva_kind;

static struct iommu_group sva_group;
static struct iopf_queue sva_queue;
static struct iommu_fault_param sva_param = { .queue = &sva_queue };
static struct iommu_device sva_iommu;
static struct dev_iommu sva_dev_iommu = {
	.fault_param = &sva_param,
	.iommu_dev = &sva_iommu,
	.max_pasids = SVA_PASIDS,
};

/* What the driver's hardware functions do with it. */

__attribute__((unused)) static void sva_set_tables(u32 pasid, struct mm_struct *mm)
{
	spin_lock(&sva.lock);
	sva.tables[pasid] = mm;
	spin_unlock(&sva.lock);
}

/* Entries of @pasid (~0u: of each) whose page is in [start, last]. */
__attribute__((unused)) static void sva_flush(u32 pasid, unsigned long start, unsigned long last)
{
	spin_lock(&sva.lock);
	sva.flushes++;
	for (unsigned int i = 0; i < SVA_ENTRIES; i++) {
		struct sva_entry *entry = &sva.entries[i];

		if (!entry->there || (pasid != ~0u && entry->pasid != pasid) ||
		    entry->address + PAGE_SIZE - 1 < start || entry->address > last)
			continue;
		entry->there = false;
		sva.flushed++;
	}
	spin_unlock(&sva.lock);
}

/* The IOMMU core. */

static unsigned long sva_pasids;

ioasid_t iommu_alloc_global_pasid(struct device *dev)
{
	for (u32 pasid = IOMMU_FIRST_GLOBAL_PASID; pasid < dev->iommu->max_pasids; pasid++)
		if (!(sva_pasids & (1ul << pasid))) {
			sva_pasids |= 1ul << pasid;
			return pasid;
		}
	return IOMMU_PASID_INVALID;
}

void iommu_free_global_pasid(ioasid_t pasid)
{
	sva_pasids &= ~(1ul << pasid);
}

struct iommu_attach_handle *iommu_attach_handle_get(struct iommu_group *group, ioasid_t pasid,
						    unsigned int type)
{
	struct iommu_attach_handle *handle = group->handles[pasid];

	if (!handle)
		return ERR_PTR(-ENOENT);
	return handle->domain->type == type ? handle : ERR_PTR(-EBUSY);
}

int iommu_attach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid,
			      struct iommu_attach_handle *handle)
{
	struct iommu_group *group = dev->iommu_group;
	int ret;

	if (group->handles[pasid])
		return -EBUSY;
	handle->domain = domain;
	group->handles[pasid] = handle;
	ret = domain->ops->set_dev_pasid(domain, dev, pasid, NULL);
	if (ret)
		group->handles[pasid] = NULL;
	return ret;
}

void iommu_detach_device_pasid(struct iommu_domain *domain, struct device *dev, ioasid_t pasid)
{
	dev->iommu->iommu_dev->ops->remove_dev_pasid(dev, pasid, domain);
	dev->iommu_group->handles[pasid] = NULL;
}

void iommu_domain_free(struct iommu_domain *domain)
{
	if (domain->type == IOMMU_DOMAIN_SVA)
		mmdrop(domain->mm);
	domain->ops->free(domain);
}

/* Page requests: one at a time, from the thread that plays the device. */

static DECLARE_COMPLETION(sva_answered);
static enum iommu_page_response_code sva_answer;

void iopf_group_response(struct iopf_group *group, enum iommu_page_response_code status)
{
	sva_answer = status;
}

void iopf_free_group(struct iopf_group *group)
{
	kfree(group);
	complete(&sva_answered);
}

static int sva_request(struct device *dev, u32 pasid, unsigned long address, bool write)
{
	struct iommu_attach_handle *handle = dev->iommu_group->handles[pasid];
	struct iopf_group *group = kzalloc(sizeof(*group), GFP_KERNEL);

	group->last_fault.fault.prm = (struct iommu_fault_page_request){
		.flags = IOMMU_FAULT_PAGE_REQUEST_PASID_VALID,
		.pasid = pasid,
		.perm = write ? IOMMU_FAULT_PERM_WRITE : IOMMU_FAULT_PERM_READ,
		.addr = address,
	};
	INIT_LIST_HEAD(&group->faults);
	list_add(&group->last_fault.list, &group->faults);
	group->attach_handle = handle;
	group->fault_param = dev->iommu->fault_param;
	reinit_completion(&sva_answered);
	if (handle->domain->iopf_handler(group))
		bail_out("no page request");
	wait_for_completion(&sva_answered);
	return sva_answer == IOMMU_PAGE_RESP_SUCCESS ? 0 : -EFAULT;
}

/* The device. */

static bool t_allows(const struct mmun_soft_translation *t, bool write)
{
	return !write || t->writable;
}

/* Lock held. */
static struct sva_entry *sva_find(u32 pasid, unsigned long page, bool write)
{
	for (unsigned int i = 0; i < SVA_ENTRIES; i++) {
		struct sva_entry *entry = &sva.entries[i];

		if (!entry->there || entry->pasid != pasid || entry->address != page)
			continue;
		if (t_allows(&entry->t, write))
			return entry;
		entry->there = false;
	}
	return NULL;
}

/* What the tables say is kept if there was no flush meanwhile: a flush comes with their lock held,
 * so ours cannot be around the look at them.  0; -EAGAIN; -ENOENT: not mapped, or not so. */
static int sva_walk(struct mm_struct *of, u32 pasid, unsigned long page, bool write,
		    unsigned long flushes)
{
	struct mmun_soft_translation t;
	struct sva_entry *entry;

	if (mmun_soft_translate_present(of, page, &t) || !t_allows(&t, write))
		return -ENOENT;
	spin_lock(&sva.lock);
	if (sva.flushes == flushes) {
		entry = &sva.entries[sva.next % SVA_ENTRIES];
		*entry = (struct sva_entry){
			.there = true, .pasid = pasid, .address = page, .serial = ++sva.next, .t = t
		};
	}
	spin_unlock(&sva.lock);
	return -EAGAIN;
}

/* An access met something else than the entry says.  Nothing if a flush has taken that meanwhile: it
 * would have waited for the access. */
static void sva_judge(const struct sva_entry *had)
{
	spin_lock(&sva.lock);
	for (unsigned int i = 0; i < SVA_ENTRIES; i++) {
		if (!sva.entries[i].there || sva.entries[i].serial != had->serial)
			continue;
		if (sva_kind == MMUN_SOFT_FREED || sva_kind == MMUN_SOFT_AFTER_EXIT)
			sva.freed++;
		else
			sva.late++;
	}
	spin_unlock(&sva.lock);
}

static int sva_once(struct device *dev, u32 pasid, unsigned long address, bool write,
		    unsigned long *value)
{
	struct sva_entry *found, entry = {};
	unsigned long flushes;
	struct mm_struct *of;
	int ret;

	spin_lock(&sva.lock);
	of = sva.tables[pasid];
	flushes = sva.flushes;
	found = of ? sva_find(pasid, address & PAGE_MASK, write) : NULL;
	if (found)
		entry = *found;
	spin_unlock(&sva.lock);
	if (!of)
		return -EFAULT;
	if (!entry.there) {
		ret = sva_walk(of, pasid, address & PAGE_MASK, write, flushes);
		if (ret != -ENOENT)
			return ret;
		sva.requests++;
		return sva_request(dev, pasid, address, write) ? -EFAULT : -EAGAIN;
	}
	if (write ? mmun_soft_device_write(of, address, &entry.t, value, sizeof(*value))
		  : mmun_soft_device_read(of, address, &entry.t, value, sizeof(*value))) {
		sva_judge(&entry);
		/* The flush is on its way. */
		usleep(20);
		return -EAGAIN;
	}
	return 0;
}

/* Reads or writes a word of the address space that @pasid is; 0, -EFAULT. */
static int sva_access(struct device *dev, u32 pasid, unsigned long address, bool write,
		      unsigned long *value)
{
	for (;;) {
		int ret = sva_once(dev, pasid, address, write, value);

		if (ret != -EAGAIN)
			return ret;
	}
}

/* The machine, and what is asked of each driver. */

static void sva_violation(const struct mmun_soft_violation *what, void *arg)
{
	sva_kind = what->kind;
}

static void sva_new_task(void)
{
	if (mmun_soft_task_create(soft, &task))
		bail_out("no task");
	mm = mmun_soft_task_mm(task);
	/* What an IOMMU is given: the page tables are found by it. */
	mm->pgd = mm;
	mmun_compat_set_current(task);
	map(SVA_MEMORY, SVA_PAGES, PROT_READ | PROT_WRITE, 0, NULL);
}

static void sva_start(const struct iommu_ops *ops, struct device *dev, void *priv)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20,
						 .swap = 16ul << 20,
						 .violation = sva_violation };

	if (mmun_soft_create(&params, &soft))
		bail_out("no machine");
	mmun_compat_start(soft);
	spin_lock_init(&sva.lock);
	sva_queue.wq = alloc_workqueue("iopf", 0, 0);
	sva_iommu.ops = ops;
	sva_dev_iommu.priv = priv;
	dev->iommu = &sva_dev_iommu;
	dev->iommu_group = &sva_group;
	sva_new_task();
}

static void sva_stop(void)
{
	/* As a driver does when it is unloaded: notifiers that were put are freed. */
	mmu_notifier_synchronize();
	destroy_workqueue(sva_queue.wq);
	stop_machine(0);
}

static unsigned long sva_reads(struct device *dev, u32 pasid, unsigned long address)
{
	unsigned long value = ~0ul;

	return sva_access(dev, pasid, address, false, &value) ? ~0ul : value;
}

static void sva_test_in_turn(struct device *dev)
{
	static const char *const names[] = { "DONTNEED", "munmap()",      "migration",
					     "fork",     "mprotect()",    "MADV_PAGEOUT",
					     "reclaim",  "a plain write", "mremap()" };
	unsigned long at = SVA_MEMORY + 3 * PAGE_SIZE, value = 17;
	struct iommu_sva *handle = iommu_sva_bind_device(dev, mm);
	u32 pasid;

	if (!ok(!IS_ERR(handle), "the device is bound to the task"))
		bail_out("nothing to go on with");
	pasid = iommu_sva_get_pasid(handle);
	ok(iommu_sva_bind_device(dev, mm) == handle, "once more: the same bond");
	iommu_sva_unbind_device(handle);
	put(at, 16);
	is(sva_reads(dev, pasid, at), 16, "it reads what the task wrote");
	is(sva_access(dev, pasid, at + PAGE_SIZE, true, &value), 0, "writes where nothing was");
	is(get(at + PAGE_SIZE), 17, "which the task reads");
	ok(sva.requests > 0, "it asked for a page");
	is(sva_access(dev, pasid, SVA_MEMORY - PAGE_SIZE, false, &value), -EFAULT,
	   "outside of all mappings it fails");
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		put(at, 18 + i);
		sva_reads(dev, pasid, at);
		change((enum change)(1u << i), at, 1);
		is(sva_reads(dev, pasid, at), get(at), "after %s it reads what is there", names[i]);
		value = 30 + i;
		is(sva_access(dev, pasid, at, true, &value), 0, "and writes");
		is(get(at), 30 + i, "that");
	}
	is(mmun_soft_mprotect(mm, at, PAGE_SIZE, PROT_READ), 0, "read-only");
	is(sva_access(dev, pasid, at, true, &value), -EFAULT, "it may not write");
	mmun_soft_mprotect(mm, at, PAGE_SIZE, PROT_READ | PROT_WRITE);
	ok(sva.flushed > 0, "entries were flushed");
	is(sva.freed + sva.late, 0, "none was used that was not so");
	iommu_sva_unbind_device(handle);
	is(sva_access(dev, pasid, at, false, &value), -EFAULT, "unbound: it fails");
}

static void sva_test_against_changes(struct device *dev)
{
	struct changes changes = { .at = SVA_MEMORY, .pages = SVA_PAGES, .which = ALL_CHANGES };
	struct iommu_sva *handle = iommu_sva_bind_device(dev, mm);
	u32 pasid = iommu_sva_get_pasid(handle);
	unsigned long foreign = 0, failed = 0, value;
	unsigned int state = 3;

	start_changes(&changes);
	for (unsigned int i = 0; i < SVA_ACCESSES || changed(&changes) < SVA_ACCESSES / 20; i++) {
		unsigned long at = SVA_MEMORY + draw(&state, SVA_PAGES) * PAGE_SIZE + 8;
		bool write = draw(&state, 2);

		value = at;
		if (sva_access(dev, pasid, at, write, &value))
			failed++; /* between munmap() and mmap() */
		else
			foreign += value && value != at;
	}
	stop_changes(&changes);
	diag("%lu changes, %lu requests, %lu entries flushed, %lu accesses refused, %lu before the flush",
	     changed(&changes), sva.requests, sva.flushed, failed, sva.late);
	is(sva.freed, 0, "against changes: no page was used that is free");
	is(foreign, 0, "and none of somebody else");
	sva.late = 0;
	for (unsigned long i = 0; i < SVA_PAGES; i++)
		foreign += sva_reads(dev, pasid, SVA_MEMORY + i * PAGE_SIZE) !=
			   get(SVA_MEMORY + i * PAGE_SIZE);
	is(foreign + sva.late + sva.freed, 0, "after the last it reads what is there");
	iommu_sva_unbind_device(handle);
}

/* mmu_notifier_register() of the drivers: with or without their flush. */

#undef mmu_notifier_register
int mmu_notifier_register(struct mmu_notifier *mn, struct mm_struct *mm);
static bool sva_deaf;
static struct mmu_notifier_ops sva_deaf_ops;

static void sva_ignore(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
		       unsigned long end)
{
}

int register_of_test(struct mmu_notifier *mn, struct mm_struct *of)
{
	if (sva_deaf) {
		sva_deaf_ops = *mn->ops;
		/* By the name that it has since 6.6, or before. */
		if (mn->ops->arch_invalidate_secondary_tlbs)
			sva_deaf_ops.arch_invalidate_secondary_tlbs = sva_ignore;
		else
			sva_deaf_ops.invalidate_range = sva_ignore;
		mn->ops = &sva_deaf_ops;
	}
	return mmu_notifier_register(mn, of);
}

static void sva_test_control(struct device *dev)
{
	unsigned long at = SVA_MEMORY, value;
	struct iommu_sva *handle;
	u32 pasid;

	sva_deaf = true;
	handle = iommu_sva_bind_device(dev, mm);
	sva_deaf = false;
	pasid = iommu_sva_get_pasid(handle);
	put(at, 1);
	is(sva_reads(dev, pasid, at), 1, "without its flush it reads");
	mmun_soft_madvise(mm, at, PAGE_SIZE, MADV_DONTNEED);
	sva.freed = sva.late = 0;
	is(sva_once(dev, pasid, at, false, &value), -EAGAIN, "but after DONTNEED");
	is(sva.freed, 1, "the page that is free");
	iommu_sva_unbind_device(handle);
	sva.freed = sva.late = 0;
}

/* The task ends while its device goes on. */

struct sva_user {
	struct device *dev;
	u32 pasid;
	unsigned long accesses;
};

static void *sva_use(void *arg)
{
	struct sva_user *user = arg;
	unsigned long value;

	for (unsigned long i = 0;; i++) {
		if (sva_access(user->dev, user->pasid, SVA_MEMORY + i % SVA_PAGES * PAGE_SIZE,
			       i & 1, &value))
			return NULL;
		__atomic_add_fetch(&user->accesses, 1, __ATOMIC_RELEASE);
	}
}

static void sva_test_exit(struct device *dev)
{
	struct iommu_sva *handle = iommu_sva_bind_device(dev, mm);
	struct sva_user user = { .dev = dev, .pasid = iommu_sva_get_pasid(handle) };
	struct mm_struct *gone = mm;
	pthread_t thread;

	mmgrab(gone);
	if (pthread_create(&thread, NULL, sva_use, &user))
		bail_out("no thread");
	while (__atomic_load_n(&user.accesses, __ATOMIC_ACQUIRE) < 100)
		sched_yield();
	end_task();
	pthread_join(thread, NULL);
	is(sva.freed, 0, "the task exits: its device stops before a page is free");
	iommu_sva_unbind_device(handle);
	mm_pasid_drop(gone);
	gone->iommu_mm = NULL;
	mmdrop(gone);
	is(sva_pasids, 0, "no PASID is left");
	sva_new_task();
}

__attribute__((unused)) static void sva_test(const struct iommu_ops *ops, struct device *dev,
					     void *priv)
{
	sva_start(ops, dev, priv);
	sva_test_in_turn(dev);
	sva_test_against_changes(dev);
	sva_test_control(dev);
	for (unsigned int i = 0; i < 3; i++)
		sva_test_exit(dev);
	sva_stop();
}

#endif
