/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes as a sequence of operations on software address spaces.
 *
 * The first byte chooses the machine, every four after it are one operation and its
 * arguments, so that cutting and joining inputs gives inputs.  After each of them
 *
 * I1  the result is one that the operation may have, and nothing was changed where
 *     it says so;
 * I2  what was written is what is read, by the task, by the file and by a driver;
 * I3  every translation that a driver keeps is good and no section is open;
 * I4  the mappings are in order; and at the end nothing is left behind.
 *
 * What the contents should be after fork, copy-on-write or remapping is for
 * tests/differential and tests/torture to say.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "../torture/soft_gpu.h"
#include "world.h"

#define MAX_RECORDS 200

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* An operation's view of its record. */
struct step {
	struct world *world;
	const struct record *r;
	unsigned int who;
	struct mm_struct *mm;
	unsigned long address;
	size_t length;
};

/* Most often near the start of a block, where the others are, too. */
static unsigned long address_of(uint8_t byte)
{
	unsigned long page = byte < 64 ? byte : byte < 128 ? 32 + 8ul * (byte - 64) : 4ul * byte;

	return ARENA_FIRST + page % ARENA_PAGES * PAGE;
}

static size_t length_of(uint8_t byte)
{
	if (byte >= 0xf0)
		return MMUN_SOFT_HUGE_SIZE * (1 + (byte & 1));
	return (byte < 0x80 ? 1 + byte % 8u : 1 + byte % 64u) * PAGE;
}

static struct file *file_of(const struct step *s, uint8_t byte)
{
	return s->world->file[byte % NR_FILES];
}

static void may_fail(int ret)
{
	must(ret == 0 || (ret < 0 && ret >= -4095));
}

static int prot_of(uint8_t byte)
{
	static const int prots[] = {
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ,
		PROT_NONE,
		PROT_READ | PROT_WRITE | PROT_EXEC,
		PROT_WRITE,
		PROT_READ | PROT_EXEC,
		PROT_EXEC,
	};

	return prots[byte % 8];
}

static void op_mmap(const struct step *s)
{
	static const int extra[] = {
		0, 0, MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_GROWSDOWN, 0, 0,
	};
	uint8_t c = s->r->c;
	struct file *file = c & 8 ? file_of(s, c >> 4) : NULL;
	int flags = (c & 16 ? MAP_SHARED : MAP_PRIVATE) | (file ? 0 : MAP_ANONYMOUS) |
		    extra[c >> 5] | (s->r->b & 1 ? MAP_FIXED_NOREPLACE : MAP_FIXED);
	unsigned long hint = s->r->b & 2 ? 0 : s->address;
	mmun_soft_address at;

	if (!hint)
		flags &= ~(MAP_FIXED | MAP_FIXED_NOREPLACE);
	at = mmun_soft_mmap(s->mm, hint, s->length, prot_of(c), flags, file,
			    file ? (s->r->b & 7) * PAGE : 0);
	must(mmun_soft_is_error(at) || !hint || at == hint);
}

static void op_munmap(const struct step *s)
{
	may_fail(mmun_soft_munmap(s->mm, s->address, s->length));
}

static void op_mprotect(const struct step *s)
{
	may_fail(mmun_soft_mprotect(s->mm, s->address, s->length, prot_of(s->r->c)));
}

static void op_mremap(const struct step *s)
{
	static const int flags[] = {
		0,
		MREMAP_MAYMOVE,
		MREMAP_MAYMOVE | MREMAP_FIXED,
		MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
	};
	unsigned int kind = s->r->c & 3;
	size_t new_length = kind == 3 || s->r->b & 1 ? s->length : length_of(s->r->c);

	mmun_soft_mremap(s->mm, s->address, s->length, new_length, flags[kind],
			 address_of((uint8_t)(s->r->c * 5)));
}

static void op_madvise(const struct step *s)
{
	static const int advice[] = {
		MADV_DONTNEED,      MADV_FREE,           MADV_REMOVE,
		MADV_PAGEOUT,       MADV_COLD,           MADV_WILLNEED,
		MADV_MERGEABLE,     MADV_UNMERGEABLE,    MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,    MADV_COLLAPSE,       MADV_DONTFORK,
		MADV_DOFORK,        MADV_WIPEONFORK,     MADV_KEEPONFORK,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_DONTNEED_LOCKED,
		MADV_SEQUENTIAL,    MADV_NORMAL,         99,
	};

	may_fail(mmun_soft_madvise(s->mm, s->address, s->length,
				   advice[s->r->c % (sizeof(advice) / sizeof(advice[0]))]));
}

static void op_remap_file_pages(const struct step *s)
{
	may_fail(mmun_soft_remap_file_pages(s->mm, s->address, s->length, 0, s->r->c % 24, 0));
}

static void op_brk(const struct step *s)
{
	unsigned long base = ARENA_FIRST - 4096 * PAGE;

	may_fail(mmun_soft_set_brk_base(s->mm, base));
	mmun_soft_brk(s->mm, base + s->r->c * PAGE / 2);
}

static void op_lock(const struct step *s)
{
	if (s->r->c & 1)
		may_fail(mmun_soft_mlock(s->mm, s->address, s->length));
	else
		may_fail(mmun_soft_munlock(s->mm, s->address, s->length));
}

static void op_msync(const struct step *s)
{
	may_fail(mmun_soft_msync(s->mm, s->address, s->length, s->r->c & 1 ? MS_SYNC : MS_ASYNC));
}

/* I2.  Not when it failed: bytes below the address that failed are there then. */
static void op_write(const struct step *s)
{
	unsigned char bytes[64], seen[64];
	unsigned long at = s->address + s->r->b * 16ul;

	memset(bytes, s->r->c, sizeof(bytes));
	if (mmun_soft_write(s->mm, at, bytes, sizeof(bytes), NULL))
		return;
	if (!mmun_soft_read(s->mm, at, seen, sizeof(seen), NULL))
		must(!memcmp(bytes, seen, sizeof(bytes)));
}

static void op_read(const struct step *s)
{
	struct mmun_soft_fault fault = { 0 };
	unsigned char byte;
	int ret = s->r->c & 1 ? mmun_soft_fetch(s->mm, s->address, &byte, 1, &fault)
			      : mmun_soft_read(s->mm, s->address, &byte, 1, &fault);

	must(!ret == !fault.signal);
	must(!ret || (fault.reason && fault.address == s->address));
}

/* Write every page of the range: what reclaim, migration and huge pages feed on. */
static void op_fill(const struct step *s)
{
	unsigned char byte = s->r->c;

	for (unsigned long at = s->address; at < s->address + s->length; at += PAGE) {
		if (mmun_soft_write(s->mm, at, &byte, 1, NULL))
			return;
	}
}

static void op_file_write(const struct step *s)
{
	struct file *file = file_of(s, s->r->a);
	unsigned char bytes[32], seen[32];
	uint64_t at = s->r->b * 512ull;

	memset(bytes, s->r->c, sizeof(bytes));
	if (mmun_soft_pwrite(file, bytes, sizeof(bytes), at) != sizeof(bytes))
		return;
	must(mmun_soft_file_size(file) >= at + sizeof(bytes));
	if (mmun_soft_pread(file, seen, sizeof(seen), at) == sizeof(seen))
		must(!memcmp(bytes, seen, sizeof(bytes)));
}

static void op_truncate(const struct step *s)
{
	struct file *file = file_of(s, s->r->a);
	uint64_t size = s->r->b * 256ull;

	if (!mmun_soft_ftruncate(file, size))
		must(mmun_soft_file_size(file) == size);
}

static void op_punch(const struct step *s)
{
	may_fail(mmun_soft_punch_hole(file_of(s, s->r->a), s->r->b * 1024ull,
				      1 + s->r->c * 1024ull));
}

static void op_fsync(const struct step *s)
{
	may_fail(mmun_soft_fsync(file_of(s, s->r->a)));
}

static void op_driver(const struct step *s)
{
	struct driver **driver = &s->world->driver[s->who];

	if (!*driver)
		*driver = driver_create(s->mm);
	else if (s->r->c & 1)
		driver_refuse(*driver);
	else if (s->r->c & 2) {
		driver_destroy(*driver);
		*driver = NULL;
	}
}

static void op_device(const struct step *s)
{
	struct driver *driver = s->world->driver[s->who];

	if (!driver)
		return;
	for (unsigned int i = 0; i <= s->r->b % 8; i++)
		driver_access(driver, s->address + i * PAGE, s->r->c & 1, s->r->c & 2);
}

/* The task and everybody's place in the world. */
static unsigned int free_slot(const struct world *world)
{
	unsigned int i = 0;

	while (i < NR_TASKS && world->task[i])
		i++;
	return i;
}

static void op_fork(const struct step *s)
{
	unsigned int slot = free_slot(s->world);
	struct mmun_soft_task *task = s->world->task[s->who];

	if (slot == NR_TASKS)
		return;
	if (s->r->c & 1)
		may_fail(mmun_soft_clone(task, &s->world->task[slot]));
	else
		may_fail(mmun_soft_fork(task, &s->world->task[slot]));
}

static void op_exit(const struct step *s)
{
	struct mmun_soft_task **task = &s->world->task[s->who];

	if (s->r->c & 1) {
		may_fail(mmun_soft_exec(*task));
		return;
	}
	mmun_soft_exit(*task);
	*task = NULL;
}

static void op_machine(const struct step *s)
{
	switch (s->r->c % 8) {
	case 0:
		mmun_soft_reclaim(s->world->soft, s->r->b);
		break;
	case 1:
		mmun_soft_ksm_scan(s->world->soft);
		break;
	case 2:
		may_fail(mmun_soft_migrate(s->mm, s->address));
		break;
	case 3:
		mmun_soft_compact(s->world->soft);
		break;
	case 4:
		may_fail(mmun_soft_collapse(s->mm, s->address));
		break;
	case 5:
		may_fail(mmun_soft_clear_soft_dirty(s->mm));
		break;
	case 6:
		may_fail(mmun_soft_oom_reap(s->mm));
		break;
	default:
		mmun_soft_reclaim(s->world->soft, 4);
		break;
	}
}

static void op_pin(const struct step *s)
{
	struct world *world = s->world;
	long got;

	if (world->pinned) {
		if (s->r->c & 1)
			mmun_soft_set_page_dirty(world->pinned);
		mmun_soft_unpin_page(world->pinned);
		world->pinned = NULL;
		return;
	}
	mmap_read_lock(s->mm);
	got = mmun_soft_get_user_pages(s->mm, s->address, 1,
				       FOLL_PIN | (s->r->c & 2 ? FOLL_WRITE : 0) |
					       (s->r->c & 4 ? FOLL_FORCE : 0),
				       &world->pinned);
	mmap_read_unlock(s->mm);
	must(got == 1 || got == -EFAULT || got == -ENOMEM);
	if (got != 1)
		world->pinned = NULL;
}

static int count_lock(const struct mmun_soft_lock *lock, void *arg)
{
	must(lock->vmas > 0);
	++*(unsigned int *)arg;
	return 0;
}

static void op_mm_lock(const struct step *s)
{
	struct mm_lock_data data;
	unsigned int locks = 0;
	int ret;

	mmun_soft_locks(s->mm, count_lock, &locks);
	mmap_write_lock(s->mm);
	ret = mm_lock(s->mm, &data);
	may_fail(ret);
	if (!ret)
		mm_unlock(s->mm, &data);
	mmap_write_unlock(s->mm);
}

static void op_show(const struct step *s)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(s->mm, s->address, &entry);
	must(!(entry.present && entry.swapped));
	must(!entry.present || entry.zero || (entry.refcount > 0 && entry.mapcount > 0));
}

static void op_fail(const struct step *s)
{
	world_fail_allocation(s->r->c % 16);
}

static void op_gpu(const struct step *s)
{
	const bool coherent = s->r->c & 8;
	uint64_t word;

	if (!s->world->gpus)
		return;
	switch (s->r->c & 7) {
	case 0:
		gpu_evict(coherent);
		break;
	case 1 ... 2:
		if (gpu_write_lent(s->mm, s->address, s->r->c) &&
		    !mmun_soft_read(s->mm, s->address, &word, sizeof(word), NULL))
			must(word == s->r->c);
		break;
	default:
		gpu_move(s->mm, s->address, s->address + s->length, coherent, s->r->c & 1);
		break;
	}
}

static void (*const operations[])(const struct step *s) = {
	op_mmap,       op_munmap,   op_mprotect, op_mremap, op_madvise, op_remap_file_pages,
	op_brk,        op_lock,     op_msync,    op_write,  op_read,    op_fill,
	op_file_write, op_truncate, op_punch,    op_fsync,  op_driver,  op_device,
	op_fork,       op_exit,     op_machine,  op_pin,    op_mm_lock, op_show,
	op_fail,       op_gpu,
};

#define NR_OPERATIONS (sizeof(operations) / sizeof(operations[0]))

/* The high bits of the operation choose the task. */
static void play(struct world *world, const struct record *r)
{
	struct step s = { .world = world, .r = r, .who = (r->op >> 5) % NR_TASKS };

	while (s.who && !world->task[s.who])
		s.who--;
	if (!world->task[s.who] && mmun_soft_task_create(world->soft, &world->task[s.who]))
		return;
	s.mm = mmun_soft_task_mm(world->task[s.who]);
	s.address = address_of(r->a);
	s.length = length_of(r->b);
	operations[(r->op & 31) % NR_OPERATIONS](&s);
}

int fuzz_operations(const uint8_t *data, size_t size)
{
	struct world world;
	struct record r;

	if (!size || size > 1 + MAX_RECORDS * sizeof(r))
		return 0;
	world_create(&world, data[0]);
	for (size_t at = 1; at + sizeof(r) <= size; at += sizeof(r)) {
		memcpy(&r, data + at, sizeof(r));
		play(&world, &r);
		world_check(&world);
	}
	world_fail_allocation(0);
	world_destroy(&world);
	return 0;
}
