/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A software address space and the card of secondary/nic. */
#include <string.h>
#include <sys/mman.h>

#include "../../tap.h"
#include "world.h"

#define RW (PROT_READ | PROT_WRITE)

const char *const world_name = "a software address space";
const bool world_is_self = false;

static struct mmun_soft *machine;
static struct mm_struct *mm;
static struct mmun_nic *nic;
static struct file *file;
static long word, violations;

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	__atomic_add_fetch(&violations, 1, __ATOMIC_SEQ_CST);
}

void world_begin(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20,
						 .swap = 16ul << 20,
						 .violation = on_violation };

	if (mmun_soft_create(&params, &machine) || mmun_soft_mm_create(machine, &mm) ||
	    mmun_nic_create(mm, NULL, &nic))
		bail_out("no machine");
}

void world_end(const char *what)
{
	if (file)
		mmun_soft_file_put(file);
	file = NULL;
	is(mmun_nic_destroy(nic), 0, "%s: no region is left", what);
	mmput(mm);
	is(mmun_soft_destroy(machine), 0, "%s: nothing is left of the machine", what);
	is(world_refusals(), 0, "%s: no access through a stale translation", what);
}

struct mm_struct *world_mm(void)
{
	return mm;
}

static struct file *new_file(unsigned long pages)
{
	if (file)
		mmun_soft_file_put(file);
	if (mmun_soft_file_create(machine, "world", MMUN_SOFT_FILE_SHMEM, pages * PAGE, &file))
		bail_out("no file");
	return file;
}

static unsigned long map(unsigned long address, enum world_memory kind, unsigned long pages,
			 int flags)
{
	struct file *of = kind == WORLD_FILE ? new_file(pages) : NULL;
	mmun_soft_address at;

	flags |= (kind == WORLD_PRIVATE ? MAP_PRIVATE : MAP_SHARED) | (of ? 0 : MAP_ANONYMOUS);
	at = mmun_soft_mmap(mm, address, pages * PAGE, RW, flags, of, 0);
	if (mmun_soft_is_error(at))
		bail_out("no mapping");
	world_fill(at, pages);
	return at;
}

unsigned long world_map(enum world_memory kind, unsigned long pages)
{
	return map(0, kind, pages, 0);
}

void world_map_at(unsigned long address, enum world_memory kind, unsigned long pages)
{
	map(address, kind, pages, MAP_FIXED);
}

void world_unmap(unsigned long address, unsigned long pages)
{
	if (mmun_soft_munmap(mm, address, pages * PAGE))
		bail_out("no munmap");
}

void world_move(unsigned long address, unsigned long pages, unsigned long new_pages,
		unsigned long to)
{
	if (mmun_soft_is_error(mmun_soft_mremap(mm, address, pages * PAGE, new_pages * PAGE,
						to ? MREMAP_MAYMOVE | MREMAP_FIXED : 0, to)))
		bail_out("no mremap");
}

int world_advise(unsigned long address, unsigned long pages, int advice)
{
	return mmun_soft_madvise(mm, address, pages * PAGE, advice);
}

int world_protect(unsigned long address, unsigned long pages, int prot)
{
	return mmun_soft_mprotect(mm, address, pages * PAGE, prot);
}

int world_truncate(unsigned long pages)
{
	return mmun_soft_ftruncate(file, pages * PAGE);
}

int world_punch(unsigned long page, unsigned long pages)
{
	return mmun_soft_punch_hole(file, page * PAGE, pages * PAGE);
}

unsigned long world_brk(long pages)
{
	unsigned long was = mmun_soft_brk(mm, 0);

	if (!was) {
		mmun_soft_set_brk_base(mm, 1ul << 30);
		was = mmun_soft_brk(mm, 0);
	}
	if (mmun_soft_brk(mm, was + (unsigned long)pages * PAGE) !=
	    was + (unsigned long)pages * PAGE)
		bail_out("no brk");
	return was;
}

long world_load(unsigned long address)
{
	long value;

	return mmun_soft_read(mm, address, &value, sizeof(value), NULL) ? -1 : value;
}

void world_store(unsigned long address, long value)
{
	if (mmun_soft_write(mm, address, &value, sizeof(value), NULL))
		bail_out("memory cannot be written");
}

void world_fill(unsigned long address, unsigned long pages)
{
	for (unsigned long i = 0; i < pages; i++)
		world_store(address + i * PAGE, __atomic_add_fetch(&word, 1, __ATOMIC_SEQ_CST));
}

int world_register(struct world_region *region)
{
	return mmun_nic_ops.register_memory(nic, &region->nic.reg);
}

void world_deregister(struct world_region *region)
{
	mmun_nic_ops.deregister_memory(nic, &region->nic.reg);
}

long world_device_load(struct world_region *region, unsigned long address)
{
	long value;

	return mmun_nic_read(nic, region->nic.key, address, &value, sizeof(value)) ? WORLD_REFUSED
										   : value;
}

long world_refusals(void)
{
	return __atomic_exchange_n(&violations, 0, __ATOMIC_SEQ_CST);
}
