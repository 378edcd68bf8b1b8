/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The card of secondary/nic without a cache: what a region does when memory changes under it. */
#include "machine.h"
#include "nic.h"

static struct mm_struct *mm;
static struct mmun_nic *nic;
static unsigned long at;

static void begin(struct mmun_nic_params params)
{
	machine_begin();
	mm = new_mm();
	at = map(mm, 8);
	for (long i = 0; i < 8; i++)
		put(mm, at + (unsigned long)i * PAGE, i + 1);
	if (mmun_nic_create(mm, &params, &nic))
		bail_out("no card");
}

static void end(const char *what)
{
	is(mmun_nic_destroy(nic), 0, "%s: no region is left", what);
	mmput(mm);
	machine_done(what);
}

static int make(struct mmun_nic_region *region, unsigned long page, unsigned long pages,
		unsigned int access)
{
	*region = (struct mmun_nic_region){
		.reg = { at + page * PAGE, at + (page + pages) * PAGE, access, { 0 } }
	};
	return mmun_nic_ops.register_memory(nic, &region->reg);
}

static void drop(struct mmun_nic_region *region)
{
	mmun_nic_ops.deregister_memory(nic, &region->reg);
}

static long card_get(const struct mmun_nic_region *region, unsigned long page)
{
	long value = -1;
	int ret = mmun_nic_read(nic, region->key, at + page * PAGE, &value, sizeof(value));

	return ret ? ret : value;
}

static int card_put(const struct mmun_nic_region *region, unsigned long page, long value)
{
	return mmun_nic_write(nic, region->key, at + page * PAGE, &value, sizeof(value));
}

#define RW (MMUN_RCACHE_READ | MMUN_RCACHE_WRITE)

static void test_transfers(void)
{
	static char out[3 * PAGE], in[3 * PAGE];
	struct mmun_nic_region region;

	begin((struct mmun_nic_params){ 0 });
	is(make(&region, 1, 4, RW), 0, "memory of a program is registered");
	is(card_get(&region, 2), 3, "the card reads it");
	is(card_put(&region, 2, 33), 0, "and writes it");
	is(get(mm, at + 2 * PAGE), 33, "as the program sees");
	memset(out, 0x5a, sizeof(out));
	is(mmun_nic_write(nic, region.key, at + PAGE + 100, out, sizeof(out)), 0,
	   "over the borders of pages too");
	is(mmun_nic_read(nic, region.key, at + PAGE + 100, in, sizeof(in)), 0, "both ways");
	ok(!memcmp(in, out, sizeof(in)), "byte by byte");
	is(card_get(&region, 0), -EACCES, "before the region the card reads nothing");
	is(mmun_nic_read(nic, region.key, at + 5 * PAGE - 4, in, 8), -EACCES, "nor over its end");
	drop(&region);
	is(card_get(&region, 2), -ENXIO, "its key is dead afterwards");
	end("transfers");
}

static void test_rights(void)
{
	struct mmun_nic_region region;

	begin((struct mmun_nic_params){ 0 });
	is(make(&region, 0, 1, MMUN_RCACHE_READ), 0, "for reading");
	is(card_put(&region, 0, 1), -EACCES, "the card writes nothing");
	is(card_get(&region, 0), 1, "but reads");
	drop(&region);
	mmun_soft_mprotect(mm, at, PAGE, PROT_READ);
	is(make(&region, 0, 1, MMUN_RCACHE_READ), 0, "read-only memory for reading");
	drop(&region);
	is(make(&region, 0, 1, RW), -EFAULT, "not for writing");
	mmun_soft_munmap(mm, at + PAGE, PAGE);
	mmun_soft_mprotect(mm, at, PAGE, PROT_READ | PROT_WRITE);
	is(make(&region, 0, 3, RW), -EFAULT, "nor with a hole");
	end("rights");
}

static void test_limits(void)
{
	struct mmun_rcache_limits limits = { 0 };
	struct mmun_nic_region region[3];

	begin((struct mmun_nic_params){ .regions = 2, .pages = 4, .length = 3 * PAGE });
	mmun_nic_ops.limits(nic, &limits);
	is(limits.length, 3 * PAGE, "the card says how long a region may be");
	is(make(&region[0], 0, 3, RW), 0, "three pages");
	is(make(&region[1], 3, 2, RW), -ENOMEM, "two more are refused where four may be");
	is(make(&region[1], 3, 1, RW), 0, "one is not");
	is(make(&region[2], 4, 1, RW), -ENOSPC, "nor is there a third region");
	drop(&region[0]);
	is(make(&region[2], 4, 1, RW), 0, "after one has gone there is");
	drop(&region[1]);
	drop(&region[2]);
	end("limits");
}

/* A pinned page stays what it was; the checker knows that the program has another. */
static void test_pinned(void)
{
	struct mmun_nic_region region;

	begin((struct mmun_nic_params){ 0 });
	is(make(&region, 0, 4, RW), 0, "pinned");
	mmun_soft_reclaim(machine, 1000);
	mmun_soft_migrate(mm, at);
	mmput(fork_mm(mm));
	put(mm, at, 7);
	is(card_get(&region, 0), 7, "reclaim, migration and fork leave a pinned page alone");
	is(mmun_load_full(&violations), 0, "as the checker says");
	mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED);
	put(mm, at, 8);
	is(card_get(&region, 0), -EFAULT, "a page that has been dropped is refused by the checker");
	mmun_soft_munmap(mm, at + PAGE, PAGE);
	is(card_put(&region, 1, 1), -EFAULT, "one that is unmapped, too");
	is(card_get(&region, 2), 3, "the rest of the region is right");
	is(mmun_swap_full(&violations, 0), 2, "each was reported");
	drop(&region);
	end("pinned");
}

static void test_not_pinned(void)
{
	struct mmun_nic_region region;

	begin((struct mmun_nic_params){ .not_pinned = true });
	is(make(&region, 0, 1, RW), 0, "not pinned");
	is(card_get(&region, 0), 1, "the card reads");
	is(mmun_soft_migrate(mm, at), 0, "the page moves");
	is(card_get(&region, 0), -EFAULT, "and the card is behind");
	is(mmun_swap_full(&violations, 0), 1, "which was reported");
	drop(&region);
	end("not pinned");
}

static void test_after_exit(void)
{
	struct mmun_nic_region region, late;

	begin((struct mmun_nic_params){ 0 });
	is(make(&region, 0, 2, RW), 0, "registered");
	mmgrab(mm);
	mmput(mm);
	is(card_get(&region, 0), -EFAULT, "after the end of the address space nothing is read");
	is(mmun_swap_full(&violations, 0), 1, "which was reported");
	is(make(&late, 0, 2, RW), -ESRCH, "nor registered");
	drop(&region);
	is(mmun_nic_destroy(nic), 0, "the card goes last");
	mmdrop(mm);
	machine_done("exit");
}

static void test_allocations(void)
{
	struct mmun_nic *other;
	struct mmun_nic_region region;
	long live = mmun_alloc_live(), nth;

	for (nth = 1;; nth++) {
		fail_allocation(nth);
		if (!mmun_nic_create(mm, NULL, &other))
			break;
		is(mmun_alloc_live(), live, "allocation %ld of a card fails cleanly", nth);
	}
	fail_allocation(0);
	mmun_nic_destroy(other);
	fail_allocation(1);
	is(make(&region, 0, 2, RW), -ENOMEM, "so does that of a region");
	fail_allocation(0);
	is(make(&region, 0, 2, RW), 0, "and it works again");
	drop(&region);
}

static void test_failing_allocations(void)
{
	begin((struct mmun_nic_params){ 0 });
	test_allocations();
	end("allocation");
}

int main(void)
{
	test_transfers();
	test_rights();
	test_limits();
	test_pinned();
	test_not_pinned();
	test_after_exit();
	test_failing_allocations();
	return tap_done();
}
