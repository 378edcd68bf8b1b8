/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The rules of docs/RULES.md for memory of devices, one by one: D1 to D9. */
#include "owned.h"
#include "recorder.h"
#include "table/table.h"

static struct owned gpu, other;
static struct recorder recorder;
static struct mmun_soft *soft;
static struct mm_struct *mm;
static unsigned long at;
static long live;

static void begin_type(enum memory_type type)
{
	const struct mmun_soft_params params = { .memory = 64 * PAGE, .swap = 64 * PAGE };

	live = mmun_alloc_live();
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	owned_start_type(&gpu, soft, 0, type);
	owned_start(&other, soft, OWNED_FRAMES);
	at = soft_map(mm, 0, 8, RW, PRIVATE, NULL);
	soft_tag(mm, at, 4, 100);
}

static void begin(void)
{
	begin_type(MEMORY_DEVICE_PRIVATE);
}

static void end(void)
{
	mmput(mm);
	owned_stop(&other);
	owned_stop(&gpu);
	soft_gone(soft, live);
}

static struct page *hold(unsigned long address, unsigned int gup_flags)
{
	struct page *page = NULL;

	mmap_read_lock(mm);
	if (mmun_soft_get_user_pages(mm, address, 1, gup_flags, &page) != 1)
		page = NULL;
	mmap_read_unlock(mm);
	return page;
}

/* Lent, and let go of by the driver. */
static bool lend(unsigned long address, unsigned long value)
{
	struct page *page = NULL;

	mmap_read_lock(mm);
	if (mmun_soft_make_device_exclusive(mm, address, 1, &page, &gpu) != 1)
		page = NULL;
	mmap_read_unlock(mm);
	if (!page)
		return false;
	*(unsigned long *)mmun_soft_page_address(page) = value;
	mmun_soft_unlock_page(page);
	mmun_soft_put_page(page);
	return true;
}

/* What a notifier saw of the address when the last section started. */
static unsigned long watched;
static void *owner;
static soft_pte before;
static int sections;

static void look(struct recorder *r, const struct mmu_notifier_range *range)
{
	if (range->start > watched || watched >= range->end)
		return;
	sections++;
	owner = range->owner;
	mmun_mutex_lock(&soft_mm(mm)->page_table_lock);
	before = mmun_soft_pte_value(soft_mm(mm), watched);
	mmun_mutex_unlock(&soft_mm(mm)->page_table_lock);
}

static void watch_for(unsigned long address)
{
	watched = address;
	owner = &recorder;
	sections = 0;
}

static void test_sections(void)
{
	begin();
	record(&recorder, mm);
	recorder.in_start = look;
	watch_for(at);
	is(owned_move(&gpu, mm, at, 1, true), 1, "a page goes");
	ok(sections == 1 && before & SOFT_PTE_PRESENT && owner == &gpu,
	   "D1: it goes within a section of its driver");
	watch_for(at);
	soft_peek(mm, at);
	ok(sections == 1 && before & SOFT_PTE_DEVICE && owner == &gpu,
	   "D1: and comes back within one");
	watch_for(at + 6 * PAGE);
	is(owned_move(&gpu, mm, at + 6 * PAGE, 1, true), 1, "one comes to be there");
	ok(sections == 2 && !before && owner == &gpu,
	   "D1: what comes where nothing was comes within a section");
	watch_for(at + PAGE);
	ok(lend(at + PAGE, 7), "a page is lent");
	ok(sections == 1 && before & SOFT_PTE_PRESENT && owner == &gpu,
	   "D1: it is lent within a section of its driver");
	watch_for(at + PAGE);
	is(soft_peek(mm, at + PAGE), 7, "a processor looks");
	ok(sections == 1 && before & SOFT_PTE_DEVICE && !owner,
	   "D1: it is taken back within a section of nobody's");
	stop_recording(&recorder, mm);
	end();
}

static unsigned long collected;

static void note_collected(struct migrate_vma *args)
{
	collected = args->cpages;
}

static void test_stays(void)
{
	struct mm_struct *child;
	struct page *page;

	begin();
	page = hold(at, FOLL_WRITE);
	collected = 1;
	gpu.in_between = note_collected;
	is(owned_move(&gpu, mm, at, 1, true), 0, "D2: a page that somebody holds stays");
	is(collected, 0, "D2: its driver is not asked to copy it");
	gpu.in_between = NULL;
	ok(soft_entry(mm, at).present && soft_entry(mm, at).writable, "as it is");
	mmun_soft_put_page(page);
	page = hold(at, FOLL_WRITE | FOLL_PIN);
	is(owned_move(&gpu, mm, at, 1, true), 0, "D2: a page that is pinned stays");
	mmun_soft_lock_page(page);
	mmun_soft_unpin_page(page);
	is(owned_move(&gpu, mm, at, 1, true), 0, "D2: a page that is locked stays");
	mmun_soft_unlock_page(page);
	is(mmun_soft_mm_fork(mm, &child), 0, "a child");
	is(owned_move(&gpu, mm, at, 1, true), 1, "a shared page goes");
	ok(soft_entry(mm, at).device && soft_entry(child, at).device,
	   "D2: out of all page tables that have it");
	mmput(child);
	end();
}

static struct page *held;

static void hold_moving(struct migrate_vma *args)
{
	gpu.in_between = NULL;
	held = migrating(&gpu, args->src[0]);
	mmun_soft_get_page(held);
}

static void test_held_late(void)
{
	begin();
	gpu.in_between = hold_moving;
	is(owned_move(&gpu, mm, at, 1, true), 0,
	   "D3: a page that somebody gets hold of on its way stays");
	ok(soft_entry(mm, at).present, "where it was");
	mmun_soft_put_page(held);
	is(soft_peek(mm, at), 100, "with what it says");
	is(owned_move(&gpu, mm, at, 1, true), 1, "and goes later");
	end();
}

static void *poke(void *arg)
{
	soft_poke(mm, at + 6 * PAGE, 7);
	return NULL;
}

static void fill_hole(struct migrate_vma *args)
{
	pthread_t thread;

	gpu.in_between = NULL;
	pthread_create(&thread, NULL, poke, NULL);
	pthread_join(thread, NULL);
}

static void test_filled_meanwhile(void)
{
	begin();
	gpu.in_between = fill_hole;
	is(owned_move(&gpu, mm, at + 5 * PAGE, 3, true), 2, "what is filled meanwhile does not go");
	is(soft_peek(mm, at + 6 * PAGE), 7, "D4: a page that came meanwhile is not replaced");
	ok(soft_entry(mm, at + 5 * PAGE).device, "the others did");
	end();
}

static void test_of_others(void)
{
	struct mmun_soft_translation t;

	begin();
	is(owned_move(&gpu, mm, at, 1, true), 1, "a page goes");
	is(owned_move(&other, mm, at, 1, false), 0,
	   "D5: a driver does not move what is in another's memory");
	is(mmun_soft_translate_device(mm, at, &other, &t), -ENOENT, "D5: nor does it reach it");
	is(mmun_soft_translate_device(mm, at, &gpu, &t), 0, "its own driver does");
	end();
	begin_type(MEMORY_DEVICE_COHERENT);
	is(owned_move(&gpu, mm, at, 1, true), 1, "a page goes");
	is(owned_move(&other, mm, at, 1, false), 0, "D5: not of coherent memory either");
	end();
}

static void test_touched(void)
{
	struct mmun_soft_fault fault;
	unsigned long value;

	begin();
	is(owned_move(&gpu, mm, at, 2, true), 2, "pages go");
	is(soft_peek(mm, at), 100, "D6: a processor finds what was in private memory");
	is(mmun_soft_translate_present(mm, at + PAGE, &(struct mmun_soft_translation){ 0 }),
	   -ENOENT, "D6: without asking nobody else reaches it");
	gpu.refuse = VM_FAULT_SIGBUS;
	is(mmun_soft_read(mm, at + PAGE, &value, sizeof(value), &fault), -EFAULT,
	   "D6: a driver that cannot bring it back says so");
	is(fault.signal, SIGBUS, "by SIGBUS");
	gpu.refuse = 0;
	end();
}

static int unmapper;
static bool gone;

static void *unmap_memory(void *arg)
{
	mmun_store_full(&unmapper, gettid());
	mmun_soft_memunmap_pages(&gpu.pgmap);
	mmun_store_full(&gone, true);
	return NULL;
}

static bool sleeps(int thread)
{
	char path[64], state = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", thread);
	file = fopen(path, "r");
	if (file) {
		(void)!fscanf(file, "%*d %*s %c", &state);
		fclose(file);
	}
	return state == 'S';
}

/* Until the other thread waits, or has not waited. */
static void unmap_memory_beside(pthread_t *thread)
{
	pthread_create(thread, NULL, unmap_memory, NULL);
	while (!mmun_load_full(&unmapper) || !(sleeps(unmapper) || mmun_load_full(&gone)))
		sched_yield();
}

static void test_memory_goes(void)
{
	struct page *page;
	pthread_t thread;

	begin();
	is(owned_move(&gpu, mm, at, 2, true), 2, "pages go");
	page = mmun_soft_pfn_page(soft, soft_entry(mm, at).pfn);
	mmun_soft_get_page(page);
	is(mmun_soft_munmap(mm, at, PAGE), 0, "one is unmapped");
	is(gpu.nr_free, OWNED_FRAMES - 2, "D7: it is not the driver's while somebody has it");
	mmun_soft_put_page(page);
	is(gpu.nr_free, OWNED_FRAMES - 1, "D7: then it is");
	unmap_memory_beside(&thread);
	ok(!mmun_load_full(&gone), "D7: the memory stays while there is a page in use");
	is(mmun_soft_munmap(mm, at, 8 * PAGE), 0, "until that is unmapped");
	pthread_join(thread, NULL);
	ok(!mmun_soft_pfn_page(soft, gpu.first), "then it goes");
	is(gpu.nr_free, OWNED_FRAMES, "all of it");
	pthread_mutex_destroy(&gpu.lock);
	mmput(mm);
	owned_stop(&other);
	soft_gone(soft, live);
}

static void test_lent(void)
{
	struct mmun_soft_translation t;
	struct mm_struct *child;
	unsigned long shared;

	begin();
	shared = soft_map(mm, 0, 1, RW, MAP_SHARED | MAP_ANONYMOUS, NULL);
	ok(!lend(shared, 7), "D8: shared memory is not lent");
	ok(lend(at, 7), "a page is");
	is(mmun_soft_translate_device(mm, at, &gpu, &t), -ENOENT,
	   "D8: what is lent only its device reaches");
	is(owned_move(&other, mm, at, 1, true), 0, "D8: and it does not move");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(soft_entry(mm, at).present && soft_entry(child, at).present, "D8: fork ends that");
	soft_poke(mm, at, 8);
	is(soft_peek(child, at), 7, "D8: what the device wrote is the child's, too");
	mmput(child);
	is(mmun_soft_mprotect(mm, at, PAGE, RW), 0, "writable");
	ok(lend(at, 9), "lent again");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "read-only now");
	is(soft_peek(mm, at), 9, "it comes back");
	ok(!soft_entry(mm, at).writable, "D8: with the right that it has by then");
	end();
}

static void test_coherent(void)
{
	struct page *page;
	unsigned long faults;

	begin_type(MEMORY_DEVICE_COHERENT);
	is(owned_move(&gpu, mm, at, 4, true), 4, "pages go");
	faults = soft_stats_of(soft).faults;
	soft_tag(mm, at, 4, 200);
	is(soft_stats_of(soft).faults, faults, "D9: processors reach coherent memory");
	mmun_soft_reclaim(soft, 64);
	mmun_soft_reclaim(soft, 64);
	is(gpu.nr_free, OWNED_FRAMES - 4, "D9: reclaim leaves it alone");
	page = hold(at, FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM);
	ok(page && !mmun_soft_page_memory_type(page),
	   "D9: a page that is pinned for long is of the machine");
	is(*(unsigned long *)mmun_soft_page_address(page), 200, "and says what it did");
	mmun_soft_unpin_page(page);
	end();
}

int main(void)
{
	test_sections();
	test_stays();
	test_held_late();
	test_filled_meanwhile();
	test_of_others();
	test_touched();
	test_memory_goes();
	test_lent();
	test_coherent();
	return tap_done();
}
