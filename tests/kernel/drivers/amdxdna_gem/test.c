/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Buffers of amdxdna, which a device reaches by the addresses where a task has mapped them: a
 * job faults them in where a notifier has said that they are gone, and its fence keeps them.
 * Submission is as in aie2_ctx.c, in our words.
 */
#include "../../machine.h"

#include <unistd.h>

#include <amdxdna_gem.h>
#include <drm/amdxdna_accel.h>

#define PAGES  4ul
#define ROUNDS 100

static const struct amdxdna_dev_ops dev_ops;
static const struct amdxdna_dev_info info = { .ops = &dev_ops };
static struct device dev;
static struct amdxdna_dev xdna = { .ddev = { .dev = &dev }, .dev_info = &info };
static struct amdxdna_client client = { .xdna = &xdna, .pasid = 1 };
static struct drm_file client_file = { .driver_priv = &client };
static struct amdxdna_gem_obj *abo;
static struct file *device;
static unsigned long waits, idle;
/* Held to map the buffer, and to read around a submission: nobody submits a job for an address
 * that mmap() has not returned. */
static pthread_rwlock_t gate = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

/* The machine's pages of a buffer. */

struct drm_gem_shmem_object *drm_gem_shmem_create(struct drm_device *drm, size_t size)
{
	struct drm_gem_object *obj = amdxdna_gem_create_shmem_object_cb(drm, size);
	struct drm_gem_shmem_object *shmem;

	if (IS_ERR(obj))
		return ERR_CAST(obj);
	shmem = container_of(obj, struct drm_gem_shmem_object, base);
	drm_gem_private_object_init(drm, obj, size);
	shmem->pages = kcalloc(size / PAGE_SIZE, sizeof(*shmem->pages), GFP_KERNEL);
	for (size_t i = 0; i < size / PAGE_SIZE; i++)
		shmem->pages[i] = alloc_page(GFP_KERNEL);
	return shmem;
}

void drm_gem_shmem_free(struct drm_gem_shmem_object *shmem)
{
	for (size_t i = 0; i < shmem->base.size / PAGE_SIZE; i++)
		put_page(shmem->pages[i]);
	kfree(shmem->pages);
	drm_gem_object_release(&shmem->base);
	kfree(shmem);
}

static void shmem_open(struct vm_area_struct *vma)
{
	drm_gem_object_get(vma->vm_private_data);
}

static void shmem_close(struct vm_area_struct *vma)
{
	drm_gem_object_put(vma->vm_private_data);
}

static vm_fault_t shmem_fault(struct vm_fault *vmf)
{
	struct drm_gem_object *obj = vmf->vma->vm_private_data;
	struct drm_gem_shmem_object *shmem = container_of(obj, struct drm_gem_shmem_object, base);

	if (vmf->pgoff >= obj->size / PAGE_SIZE)
		return VM_FAULT_SIGBUS;
	vmf->page = shmem->pages[vmf->pgoff];
	get_page(vmf->page);
	return 0;
}

const struct vm_operations_struct drm_gem_shmem_vm_ops = { .open = shmem_open,
							   .close = shmem_close,
							   .fault = shmem_fault };

int drm_gem_shmem_mmap(struct drm_gem_shmem_object *shmem, struct vm_area_struct *vma)
{
	vma->vm_ops = shmem->base.funcs->vm_ops;
	vma->vm_private_data = &shmem->base;
	return 0;
}

/* What belongs to other files of the driver. */

int amdxdna_dma_map_bo(struct amdxdna_dev *device_of, struct amdxdna_gem_obj *bo)
{
	return -ENODEV;
}

void amdxdna_dma_unmap_bo(struct amdxdna_dev *device_of, struct amdxdna_gem_obj *bo)
{
}

struct dma_buf *amdxdna_get_ubuf(struct drm_device *drm, u32 num_entries, void __user *va_entries)
{
	return ERR_PTR(-EOPNOTSUPP);
}

bool amdxdna_use_carveout(struct amdxdna_dev *device_of)
{
	return false;
}

struct dma_buf *amdxdna_get_cbuf(struct drm_device *drm, size_t size, u64 alignment)
{
	return ERR_PTR(-EOPNOTSUPP);
}

static void wait_for_jobs(struct amdxdna_gem_obj *bo, unsigned long cur_seq)
{
	__atomic_add_fetch(&waits, 1, __ATOMIC_RELAXED);
	dma_resv_wait_timeout(to_gobj(bo)->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
}

static const struct amdxdna_dev_ops dev_ops = { .hmm_invalidate = wait_for_jobs };

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret;

	drm_gem_object_get(to_gobj(abo));
	ret = to_gobj(abo)->funcs->mmap(to_gobj(abo), vma);
	if (ret)
		drm_gem_object_put(to_gobj(abo));
	return ret;
}

/* A mapping that was invalidated, with a reference. */
static struct amdxdna_umap *find_invalid(void)
{
	struct amdxdna_umap *umap, *found = NULL;

	down_write(&xdna.notifier_lock);
	list_for_each_entry(umap, &abo->mem.umap_list, node)
		if (!umap->unmapped && umap->invalid && kref_get_unless_zero(&umap->refcnt)) {
			found = umap;
			break;
		}
	if (!found)
		abo->mem.map_invalid = false;
	up_write(&xdna.notifier_lock);
	return found;
}

static int populate(void)
{
	struct amdxdna_umap *umap;
	int ret = 0;

	while ((umap = find_invalid()) && !ret) {
		umap->range.notifier_seq = mmu_interval_read_begin(&umap->notifier);
		mmap_read_lock(mm);
		ret = hmm_range_fault(&umap->range);
		mmap_read_unlock(mm);
		sched_yield();
		if (!ret) {
			down_write(&xdna.notifier_lock);
			if (!mmu_interval_read_retry(&umap->notifier, umap->range.notifier_seq))
				umap->invalid = false;
			up_write(&xdna.notifier_lock);
		}
		if (ret == -EBUSY)
			ret = 0;
		amdxdna_umap_put(umap);
	}
	if (umap && ret)
		amdxdna_umap_put(umap);
	return ret;
}

/* The device reaches the buffer by the task's addresses: each must map its page. */
static void use_mapping(unsigned long start, unsigned long end)
{
	for (unsigned long at = start; at < end; at += PAGE_SIZE) {
		struct mmun_soft_translation t;

		if (mmun_soft_translate_present(mm, at, &t) ||
		    t.page != abo->base.pages[(at - start) / PAGE_SIZE])
			stale++;
		sched_yield();
	}
}

static int run_job(void)
{
	struct dma_fence *fence = dma_fence_alloc(NULL);
	struct amdxdna_umap *umap, *used = NULL;
	unsigned long start = 0, end = 0;
	int ret = 0;

	pthread_rwlock_rdlock(&gate);
	for (;;) {
		dma_resv_lock(to_gobj(abo)->resv, NULL);
		down_read(&xdna.notifier_lock);
		if (!abo->mem.map_invalid)
			break;
		up_read(&xdna.notifier_lock);
		dma_resv_unlock(to_gobj(abo)->resv);
		ret = populate();
		if (ret)
			goto unlock;
	}
	list_for_each_entry(umap, &abo->mem.umap_list, node)
		if (!umap->unmapped) {
			used = umap;
			start = umap->range.start;
			end = umap->range.end;
		}
	dma_resv_add_fence(to_gobj(abo)->resv, fence, DMA_RESV_USAGE_WRITE);
	up_read(&xdna.notifier_lock);
	dma_resv_unlock(to_gobj(abo)->resv);
	pthread_rwlock_unlock(&gate);
	if (used)
		use_mapping(start, end);
	else
		idle++;
	dma_fence_signal(fence);
	dma_fence_put(fence);
	return 0;
unlock:
	pthread_rwlock_unlock(&gate);
	dma_fence_put(fence);
	return ret;
}

static void map_buffer(void)
{
	if (mmun_soft_is_error(mmun_soft_mmap(mm, MEMORY, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_FIXED, device, 0)))
		bail_out("the buffer is not mapped");
}

static void begin(void)
{
	static const struct file_operations fops = { .mmap = device_mmap };
	struct amdxdna_drm_create_bo args = { .type = AMDXDNA_BO_SHARE, .size = PAGES * PAGE_SIZE };

	start_machine();
	mutex_init(&xdna.dev_lock);
	mutex_init(&client.mm_lock);
	init_rwsem(&xdna.notifier_lock);
	xa_init(&client.dev_heap_xa);
	client.filp = &client_file;
	xdna.notifier_wq = alloc_ordered_workqueue("notifier", 0);
	is(amdxdna_drm_create_bo_ioctl(&xdna.ddev, &args, &client_file), 0, "a buffer");
	abo = amdxdna_gem_get_obj(&client, args.handle, AMDXDNA_BO_SHARE);
	is(client.total_bo_usage, PAGES * PAGE_SIZE, "that the client is charged with");
	if (mmun_soft_device_create(soft, "accel", &fops, NULL, &device))
		bail_out("no device");
	map_buffer();
	is(amdxdna_gem_uva(abo), MEMORY, "mapped, and known by the task's address");
}

static void end(void)
{
	leave_task();
	flush_workqueue(xdna.notifier_wq);
	ok(abo->mem.map_invalid,
	   "exit invalidates; what followed the mapping goes with the buffer");
	mmun_soft_file_put(device);
	mmun_gem_handle_close(&client_file);
	is(client.total_bo_usage, 0, "the client is charged with nothing any more");
	amdxdna_gem_put_obj(abo);
	destroy_workqueue(xdna.notifier_wq);
	stop_machine(0);
}

static void test_mappings(void)
{
	struct mmun_soft_task *child;

	is(run_job(), 0, "a job");
	ok(!abo->mem.map_invalid, "for which it is there");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	ok(abo->mem.map_invalid, "DONTNEED is noticed");
	is(run_job(), 0, "the next job brings it back");
	mmun_soft_fork(task, &child);
	mmun_soft_exit(child);
	is(run_job(), 0, "fork and the child's exit change nothing");
	mmun_soft_munmap(mm, MEMORY, PAGES * PAGE_SIZE);
	flush_workqueue(xdna.notifier_wq);
	ok(list_empty(&abo->mem.umap_list) && amdxdna_gem_uva(abo) == AMDXDNA_INVALID_ADDR,
	   "munmap ends the mapping, and its notifier outside of the callback");
	is(run_job(), 0, "a job");
	is(idle, 1, "has nothing to use");
	map_buffer();
	is(run_job(), 0, "mapped again");
	mmun_soft_munmap(mm, MEMORY, PAGE_SIZE);
	flush_workqueue(xdna.notifier_wq);
	ok(list_empty(&abo->mem.umap_list), "a part of it unmapped is the end of all");
	mmun_soft_munmap(mm, MEMORY, PAGES * PAGE_SIZE);
	map_buffer();
	nothing_stale("mappings");
}

/* A job that runs keeps an invalidation waiting. */
static atomic_t invalidated;

static void *invalidate(void *arg)
{
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	atomic_set(&invalidated, 1);
	return NULL;
}

static void test_wait(void)
{
	struct dma_fence *fence = dma_fence_alloc(NULL);
	unsigned long before = waits;
	pthread_t thread;

	is(run_job(), 0, "a job");
	dma_resv_lock(to_gobj(abo)->resv, NULL);
	dma_resv_add_fence(to_gobj(abo)->resv, fence, DMA_RESV_USAGE_WRITE);
	dma_resv_unlock(to_gobj(abo)->resv);
	pthread_create(&thread, NULL, invalidate, NULL);
	while (__atomic_load_n(&waits, __ATOMIC_RELAXED) == before)
		sched_yield();
	ok(!atomic_read(&invalidated), "an invalidation waits for the fence of a job");
	use_mapping(MEMORY, MEMORY + PAGES * PAGE_SIZE);
	dma_fence_signal(fence);
	pthread_join(thread, NULL);
	dma_fence_put(fence);
	nothing_stale("waits");
}

static void test_control(void)
{
	unsigned long before = waits;

	xdna.dev_info =
		&(const struct amdxdna_dev_info){ .ops = &(const struct amdxdna_dev_ops){ 0 } };
	is(run_job(), 0, "a job");
	mmun_soft_madvise(mm, MEMORY, PAGE_SIZE, MADV_DONTNEED);
	is(waits, before, "under a callback that waits for nothing");
	use_mapping(MEMORY, MEMORY + PAGES * PAGE_SIZE);
	is(stale, 1, "it misses a page");
	stale = 0;
	xdna.dev_info = &info;
}

static bool stop;
static unsigned long nr_changes;

static void *change(void *arg)
{
	struct mmun_soft_task *child;

	/* ->mmap takes current->mm for the mapping's. */
	mmun_compat_set_current(task);
	for (unsigned long i = 0; !__atomic_load_n(&stop, __ATOMIC_ACQUIRE); i++) {
		switch (i % 5) {
		case 0:
			mmun_soft_madvise(mm, MEMORY + i % PAGES * PAGE_SIZE, PAGE_SIZE,
					  MADV_DONTNEED);
			break;
		case 1:
			mmun_soft_munmap(mm, MEMORY, PAGES * PAGE_SIZE);
			pthread_rwlock_wrlock(&gate);
			map_buffer();
			pthread_rwlock_unlock(&gate);
			break;
		case 2:
			mmun_soft_mprotect(mm, MEMORY, PAGES * PAGE_SIZE, PROT_READ);
			mmun_soft_mprotect(mm, MEMORY, PAGES * PAGE_SIZE, PROT_READ | PROT_WRITE);
			break;
		case 3:
			if (!mmun_soft_fork(task, &child))
				mmun_soft_exit(child);
			break;
		default:
			stamp(MEMORY);
			break;
		}
		__atomic_add_fetch(&nr_changes, 1, __ATOMIC_ACQ_REL);
		usleep(50);
	}
	mmun_compat_set_current(NULL);
	return NULL;
}

static void test_changes(void)
{
	unsigned long done = 0, other = 0;
	pthread_t thread;

	pthread_create(&thread, NULL, change, NULL);
	while (done < ROUNDS || __atomic_load_n(&nr_changes, __ATOMIC_ACQUIRE) < ROUNDS) {
		unsigned long before = idle;
		int ret = run_job();

		done += !ret && idle == before;
		other += ret && ret != -EFAULT;
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	diag("%lu jobs, %lu without a mapping, %lu changes", done, idle, nr_changes);
	is(other, 0, "jobs against changes");
	nothing_stale("jobs");
}

int main(void)
{
	begin();
	test_mappings();
	test_wait();
	test_control();
	test_changes();
	end();
	return tap_done();
}
