/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/fault/file.c: devices that are mapped, and the answers of their drivers. */
#include <sched.h>

#include "checked.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

/* A device that is mapped. */
struct device {
	vm_fault_t answer;
	struct page *page;
	struct vm_fault seen;
	int faults;
	/* mmun_soft_vm_insert_page() of ->page in the fault. */
	bool inserts;
	/* In the fault: that, and the page is returned too. */
	bool both;
};

static vm_fault_t device_fault(struct vm_fault *vmf)
{
	struct device *device = vmf->vma->vm_private_data;

	device->seen = *vmf;
	device->faults++;
	if (device->both && mmun_soft_vm_insert_page(vmf->vma, vmf->address, device->page))
		return VM_FAULT_OOM;
	if (device->inserts)
		return mmun_soft_vm_insert_page(vmf->vma, vmf->address, device->page)
			       ? VM_FAULT_SIGBUS
			       : VM_FAULT_NOPAGE;
	if (device->answer == VM_FAULT_RETRY && device->faults < 3)
		return VM_FAULT_RETRY;
	if (device->answer && device->answer != VM_FAULT_RETRY)
		return device->answer;
	if (device->page)
		mmun_soft_get_page(device->page);
	vmf->page = device->page;
	return 0;
}

static const struct vm_operations_struct device_vm_ops = { .fault = device_fault };
static const struct vm_operations_struct empty_vm_ops;

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &device_vm_ops;
	vma->vm_flags |= VM_MIXEDMAP;
	return 0;
}

static int empty_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &empty_vm_ops;
	return 0;
}

static int plain_mmap(struct file *file, struct vm_area_struct *vma)
{
	return 0;
}

static const struct file_operations device_fops = { .mmap = device_mmap };
static const struct file_operations empty_fops = { .mmap = empty_mmap };
static const struct file_operations plain_fops = { .mmap = plain_mmap };

/* Registers of a device: no struct pages, says the flag. */
static int io_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_flags |= VM_IO;
	return device_mmap(file, vma);
}

static const struct file_operations io_fops = { .mmap = io_mmap };

static struct file *new_device(const struct file_operations *fops, struct device *device)
{
	struct file *file;

	if (mmun_soft_device_create(soft, "device", fops, device, &file))
		bail_out("cannot make a device");
	return file;
}

static void answers(struct device *device, unsigned long at, vm_fault_t answer, int ret, int signal,
		    int code, const char *what)
{
	struct mmun_soft_fault fault;
	unsigned long value;

	device->answer = answer;
	is(mmun_soft_read(mm, at, &value, sizeof(value), &fault), ret, "%s", what);
	is(fault.signal, signal, "%s: the signal", what);
	is(fault.code, code, "%s: its code", what);
}

static void test_device_faults(void)
{
	struct device device = { 0 };
	struct page *device_page;
	struct file *file;
	unsigned long at;

	begin();
	device.page = device_page = mmun_soft_alloc_page(soft);
	file = new_device(&device_fops, &device);
	at = soft_map(mm, 0, 4, RW, MAP_SHARED, file);
	answers(&device, at, VM_FAULT_OOM, -ENOMEM, SIGKILL, 0, "VM_FAULT_OOM");
	answers(&device, at, VM_FAULT_SIGBUS, -EFAULT, SIGBUS, BUS_ADRERR, "VM_FAULT_SIGBUS");
	answers(&device, at, VM_FAULT_SIGSEGV, -EFAULT, SIGSEGV, SEGV_MAPERR, "VM_FAULT_SIGSEGV");
	device.faults = 0;
	answers(&device, at + 2 * PAGE + 8, VM_FAULT_RETRY, 0, 0, 0, "VM_FAULT_RETRY");
	is(device.faults, 3, "asks again");
	is(device.seen.address, at + 2 * PAGE, "the address is the page's");
	is(device.seen.pgoff, 2, "so is the offset");
	is(device.seen.flags & FAULT_FLAG_WRITE, 0, "a read is no write");
	device.answer = 0;
	soft_poke(mm, at, 6);
	is(device.seen.flags & FAULT_FLAG_WRITE, FAULT_FLAG_WRITE, "a write is");
	is(word_of(device.page), 6, "it goes to the device's page");
	is(soft_peek(mm, at + 3 * PAGE), 6, "which is mapped wherever it says");
	device.faults = 0;
	soft_poke(mm, at + 3 * PAGE, 7);
	is(device.faults, 0, "the first write after a read does not ask again");
	device.inserts = true;
	is(soft_peek(mm, at + PAGE), 7, "a device may insert the page itself");
	mmun_soft_munmap(mm, at + PAGE, PAGE);
	device.inserts = false;
	device.both = true;
	at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	is(soft_peek(mm, at), 7, "and return it as well");
	is(entry_of(at).mapcount, 4, "the first one counts");
	device.both = false;
	device.page = NULL;
	answers(&device, at + PAGE, 0, -EFAULT, SIGBUS, BUS_ADRERR, "no page at all");
	device.page = device_page;
	mmun_soft_file_put(file);
	mmput(mm);
	is(word_of(device.page), 7, "its page outlives the mappings");
	mmun_soft_put_page(device.page);
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

/* Answers VM_FAULT_RETRY until a writer has had the mmap lock. */
static long asked, written;

static vm_fault_t waiting_fault(struct vm_fault *vmf)
{
	struct device *device = vmf->vma->vm_private_data;

	device->seen = *vmf;
	count(&asked);
	if (!mmun_load_full(&written))
		return VM_FAULT_RETRY;
	mmun_soft_get_page(device->page);
	vmf->page = device->page;
	return 0;
}

static const struct vm_operations_struct waiting_vm_ops = { .fault = waiting_fault };

static int waiting_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_private_data = file->private_data;
	vma->vm_ops = &waiting_vm_ops;
	return 0;
}

static const struct file_operations waiting_fops = { .mmap = waiting_mmap };

/* A caller that holds the mmap lock throughout is not asked for it, and gets -EBUSY after one try. */
static void test_retry_not_allowed(void)
{
	struct device device = { 0 };
	struct mmun_soft_translation t;
	struct page *pages[2];
	struct file *file;
	unsigned long at;

	begin();
	device.page = mmun_soft_alloc_page(soft);
	file = new_device(&waiting_fops, &device);
	at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	mmun_store_full(&written, 0);
	mmun_store_full(&asked, 0);
	is(get(at, 2, 0, pages), -EBUSY, "get_user_pages does not wait for a driver");
	is(asked, 1, "and asks it once");
	is(device.seen.flags & FAULT_FLAG_ALLOW_RETRY, 0, "having said so");
	is(translate(at, true, &t), -EBUSY, "nor does a translation");
	is(asked, 2, "once too");
	ok(!entry_of(at).present, "nothing is mapped");
	mmun_store_full(&written, 1);
	is(soft_peek(mm, at), 0, "once the driver is ready");
	mmun_store_full(&written, 0);
	is(get(at, 2, 0, pages), 1, "what could be got counts");
	mmun_soft_put_page(pages[0]);
	is(translate(at, false, &t), 0, "what is mapped is translated");
	mmun_soft_file_put(file);
	mmun_soft_put_page(device.page);
	end();
}

/* Once the driver was asked, and has to wait for this. */
static void *write_layout(void *arg)
{
	while (!mmun_load_full(&asked))
		sched_yield();
	mmap_write_lock(mm);
	mmun_store_full(&written, 1);
	mmap_write_unlock(mm);
	return NULL;
}

static pthread_t driver_waits(void)
{
	mmun_store_full(&written, 0);
	mmun_store_full(&asked, 0);
	return spawn(write_layout, NULL);
}

static void test_retry_allowed(void)
{
	struct device device = { 0 };
	unsigned long at;
	pthread_t thread;
	struct file *file;

	begin();
	device.page = mmun_soft_alloc_page(soft);
	file = new_device(&waiting_fops, &device);
	at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	thread = driver_waits();
	is(mmun_soft_madvise(mm, at, PAGE, MADV_POPULATE_READ), 0,
	   "MADV_POPULATE_READ lets go of the lock");
	pthread_join(thread, NULL);
	ok(entry_of(at).present && asked > 1, "and comes again");
	thread = driver_waits();
	is(mmun_soft_mlock(mm, at + PAGE, PAGE), 0, "mlock does");
	pthread_join(thread, NULL);
	ok(entry_of(at + PAGE).present, "as well");
	thread = driver_waits();
	at = soft_map(mm, 0, 2, RW, MAP_SHARED | MAP_POPULATE, file);
	pthread_join(thread, NULL);
	ok(entry_of(at).present && entry_of(at + PAGE).present, "MAP_POPULATE does too");
	mmun_soft_file_put(file);
	mmun_soft_put_page(device.page);
	end();
}

static void test_private_device(void)
{
	struct device device = { 0 };
	struct recorder events;
	struct file *file;
	unsigned long at;

	begin();
	record(&events, mm);
	device.page = mmun_soft_alloc_page(soft);
	file = new_device(&device_fops, &device);
	at = soft_map(mm, 0, 2, RW, MAP_PRIVATE, file);
	soft_poke(mm, at, 1);
	is(word_of(device.page), 0, "a private mapping copies");
	is(forget(&events), 0, "what nobody had mapped");
	is(soft_peek(mm, at + PAGE), 0, "what it has read");
	soft_poke(mm, at + PAGE, 2);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at + PAGE, 1), "is replaced");
	is(word_of(device.page), 0, "the device's page stays");
	mmun_soft_file_put(file);
	mmun_soft_put_page(device.page);
	stop_recording(&events, mm);
	end();
}

static void test_device_without_fault(void)
{
	struct file *empty, *plain;
	unsigned long at, value = 1;
	struct mmun_soft_fault fault;

	begin();
	empty = new_device(&empty_fops, NULL);
	plain = new_device(&plain_fops, NULL);
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, empty);
	is(mmun_soft_write(mm, at, &value, 8, &fault), -EFAULT, "a device without ->fault");
	is(fault.signal, SIGBUS, "has no pages");
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, plain);
	is(mmun_soft_write(mm, at, &value, 8, &fault), -EFAULT, "nor one without operations");
	at = soft_map(mm, 0, 1, RW, MAP_PRIVATE, plain);
	is(mmun_soft_write(mm, at, &value, 8, &fault), 0, "but mapped privately it is memory");
	is(soft_peek(mm, at), 1, "like any");
	mmun_soft_file_put(plain);
	mmun_soft_file_put(empty);
	end();
}

static void test_insert(void)
{
	struct device device = { 0 };
	struct vm_area_struct *vma;
	struct page *page, *anon;
	struct file *file;
	unsigned long at;

	begin();
	page = mmun_soft_alloc_page(soft);
	file = new_device(&device_fops, &device);
	at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	mmap_write_lock(mm);
	vma = mmun_soft_vma_lookup(mm, at);
	is(mmun_soft_vm_insert_page(vma, at + 2 * PAGE, page), -EFAULT, "not outside the mapping");
	is(mmun_soft_vm_insert_page(vma, at, page), 0, "a page is inserted");
	is(mmun_soft_vm_insert_page(vma, at, page), -EBUSY, "not where one is");
	mmap_write_unlock(mm);
	soft_poke(mm, at, 3);
	is(word_of(page), 3, "it is what the mapping shows");
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	is(get(at, 1, FOLL_WRITE, &anon), 1, "anonymous pages");
	mmap_write_lock(mm);
	is(mmun_soft_vm_insert_page(vma, vma->vm_start + PAGE, anon), -EINVAL, "are not inserted");
	mmap_write_unlock(mm);
	mmun_soft_put_page(anon);
	mmun_soft_put_page(page);
	mmun_soft_file_put(file);
	end();
}

static void test_io(void)
{
	struct device device = { 0 };
	struct file *file;
	struct page *page;
	unsigned long at;

	begin();
	device.page = mmun_soft_alloc_page(soft);
	file = new_device(&io_fops, &device);
	at = soft_map(mm, 0, 1, RW, MAP_SHARED | MAP_POPULATE, file);
	ok(!entry_of(at).present, "VM_IO is not populated");
	is(get(at, 1, 0, &page), -EFAULT, "nor got");
	soft_poke(mm, at, 1);
	is(word_of(device.page), 1, "but can be written");
	mmun_soft_file_put(file);
	mmun_soft_put_page(device.page);
	end();
}

static void test_locked(void)
{
	struct file *file;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, PROT_NONE, PRIVATE, NULL);
	is(mmun_soft_mlock(mm, at, PAGE), -ENOMEM, "what cannot be accessed is not locked in");
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	is(mmun_soft_mlock(mm, at, 2 * PAGE), -ENOMEM, "nor what is beyond the end of a file");
	ok(entry_of(at).present && !entry_of(at).writable, "shared pages are locked in as read");
	mmun_soft_file_put(file);
	end();
}

int main(void)
{
	test_device_faults();
	test_retry_not_allowed();
	test_retry_allowed();
	test_private_device();
	test_device_without_fault();
	test_insert();
	test_io();
	test_locked();
	return tap_done();
}
