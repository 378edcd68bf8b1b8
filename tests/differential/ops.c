/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Steps: making random ones, writing them down, reading them again. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "diff.h"

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

const unsigned int slot_offset[SLOTS] = { 0, 8, 2048, 4088 };

static const char *const kind_names[] = {
#define KIND_NAME(name, text) text,
	KINDS(KIND_NAME)
#undef KIND_NAME
};

uint64_t rnd(struct random *r)
{
	uint64_t x = r->state += 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

uint32_t below(struct random *r, uint32_t n)
{
	return (uint32_t)((rnd(r) >> 32) * n >> 32);
}

static bool one_in(struct random *r, uint32_t n)
{
	return !below(r, n);
}

static uint32_t page_somewhere(struct random *r)
{
	if (one_in(r, 24))
		return below(r, ARENA_PAGES);
	return below(r, DENSE_PAGES);
}

static uint32_t few_pages(struct random *r)
{
	switch (below(r, 8)) {
	case 0:
	case 1:
	case 2:
		return 1;
	case 3:
	case 4:
	case 5:
		return 1 + below(r, 6);
	case 6:
		return 1 + below(r, 24);
	default:
		return one_in(r, 8) ? 512 + below(r, 1024) : 1 + below(r, DENSE_PAGES);
	}
}

static uint32_t some_prot(struct random *r)
{
	/* Never PROT_EXEC alone: processors with protection keys make that unreadable. */
	static const uint32_t prots[] = {
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ | PROT_WRITE,
		PROT_READ,
		PROT_READ,
		PROT_NONE,
		PROT_WRITE,
		PROT_READ | PROT_EXEC,
		PROT_READ | PROT_WRITE | PROT_EXEC,
	};

	return prots[below(r, sizeof(prots) / sizeof(prots[0]))];
}

static void make_mmap(struct random *r, struct op *op)
{
	op->file = one_in(r, 2) ? -1 : (int8_t)below(r, FILES);
	op->prot = some_prot(r);
	op->to = below(r, FILE_PAGES);
	op->flags = one_in(r, 3) ? MAP_SHARED : MAP_PRIVATE;
	switch (below(r, 6)) {
	case 0:
		break;
	case 1:
		op->flags |= MAP_FIXED_NOREPLACE;
		break;
	default:
		op->flags |= MAP_FIXED;
	}
	/* Where a large mapping with a hint goes the file system decides. */
	if (op->file >= SHMEM_FILES && op->pages >= 512)
		op->flags = (op->flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED;
	if (op->file < 0)
		op->flags |= MAP_ANONYMOUS;
	if (one_in(r, 12))
		op->flags |= MAP_POPULATE;
	if (one_in(r, 40))
		op->flags |= MAP_NORESERVE;
	if (one_in(r, 60))
		op->flags |= MAP_LOCKED;
	if (op->file < 0 && one_in(r, 40))
		op->flags |= MAP_GROWSDOWN;
}

static uint32_t some_advice(struct random *r)
{
	static const uint32_t advices[] = {
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_DONTNEED,
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_REMOVE,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_WIPEONFORK,
		MADV_KEEPONFORK,
		MADV_HUGEPAGE,
		MADV_NOHUGEPAGE,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_COLD,
		MADV_PAGEOUT,
		MADV_POPULATE_READ,
		MADV_POPULATE_WRITE,
		MADV_DONTNEED_LOCKED,
		MADV_MERGEABLE,
		MADV_UNMERGEABLE,
		99,
	};

	return advices[below(r, sizeof(advices) / sizeof(advices[0]))];
}

static void make_mremap(struct random *r, struct op *op)
{
	op->to = page_somewhere(r);
	op->to_pages = one_in(r, 2) ? op->pages : few_pages(r);
	switch (below(r, 8)) {
	case 0:
		op->flags = 0;
		break;
	case 1:
	case 2:
		op->flags = MREMAP_MAYMOVE;
		break;
	case 3:
		op->flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;
		op->to_pages = op->pages;
		break;
	case 4:
		op->flags = one_in(r, 4) ? MREMAP_FIXED : MREMAP_MAYMOVE | MREMAP_DONTUNMAP;
		break;
	default:
		op->flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	}
}

/* How often each kind is drawn. */
/* clang-format off */
static const uint8_t weights[NR_KINDS] = {
	[OP_MMAP] = 30, [OP_MUNMAP] = 14, [OP_MPROTECT] = 18, [OP_MREMAP] = 14, [OP_MADVISE] = 22,
	[OP_WRITE] = 60, [OP_READ] = 20, [OP_FETCH] = 3, [OP_FORK] = 3, [OP_EXIT] = 3,
	[OP_TRUNCATE] = 5, [OP_PUNCH] = 4, [OP_PWRITE] = 6, [OP_PREAD] = 4, [OP_MSYNC] = 3,
	[OP_FSYNC] = 1, [OP_MLOCK] = 2, [OP_MUNLOCK] = 2, [OP_RECLAIM] = 4, [OP_KSM] = 2,
	[OP_MIGRATE] = 3, [OP_COMPACT] = 1, [OP_COLLAPSE] = 1, [OP_CLEAN] = 1,
};
/* clang-format on */

static enum kind some_kind(struct random *r)
{
	uint32_t sum = 0, draw, kind;

	for (kind = 0; kind < NR_KINDS; kind++)
		sum += weights[kind];
	draw = below(r, sum);
	for (kind = 0; draw >= weights[kind]; kind++)
		draw -= weights[kind];
	return kind;
}

/*
 * A file on a disk ends with a page: what a mapping writes into the last page behind
 * the end stays until the page is written back, and when that is nobody knows.
 */
static void keep_whole_pages(struct op *op)
{
	if (op->file < SHMEM_FILES)
		return;
	if (op->kind == OP_TRUNCATE)
		op->to = 0;
	else if (op->kind == OP_PWRITE)
		op->to = PAGE - 8;
}

struct op make_op(struct random *r, uint64_t value)
{
	struct op op = {
		.kind = some_kind(r),
		.process = below(r, PROCESSES),
		.file = -1,
		.page = page_somewhere(r),
		.pages = few_pages(r),
		/* The low byte is a return instruction: the page may be called. */
		.value = value << 8 | 0xc3,
	};

	if (op.page + op.pages > ARENA_PAGES)
		op.pages = ARENA_PAGES - op.page;
	switch ((enum kind)op.kind) {
	case OP_MMAP:
		make_mmap(r, &op);
		break;
	case OP_MPROTECT:
		op.prot = some_prot(r);
		break;
	case OP_MREMAP:
		make_mremap(r, &op);
		break;
	case OP_MADVISE:
		op.flags = some_advice(r);
		break;
	case OP_WRITE:
	case OP_READ:
		op.to = below(r, SLOTS);
		break;
	case OP_FORK:
		op.to = below(r, PROCESSES);
		break;
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_PWRITE:
	case OP_PREAD:
		op.file = (int8_t)below(r, FILES);
		op.page = below(r, FILE_PAGES);
		op.pages = 1 + below(r, 6);
		/* Often on a page boundary. */
		op.to = one_in(r, 2) ? 0 : below(r, PAGE / 8) * 8;
		keep_whole_pages(&op);
		break;
	case OP_MSYNC:
		op.flags = one_in(r, 2) ? MS_SYNC : MS_ASYNC;
		break;
	case OP_FSYNC:
		op.file = (int8_t)below(r, FILES);
		break;
	default:
		break;
	}
	return op;
}

bool touches_files(const struct op *op)
{
	switch ((enum kind)op->kind) {
	case OP_TRUNCATE:
	case OP_PUNCH:
	case OP_PWRITE:
	case OP_FORK:
	case OP_KSM:
	case OP_RECLAIM:
	case OP_MIGRATE:
	case OP_COMPACT:
		return true;
	case OP_MADVISE:
		return op->flags == MADV_REMOVE;
	default:
		return false;
	}
}

void print_op(FILE *out, const struct op *op)
{
	fprintf(out, "%s p%u file %d page %u +%u to %u +%u flags 0x%x prot %u value 0x%lx\n",
		kind_names[op->kind], op->process, op->file, op->page, op->pages, op->to,
		op->to_pages, op->flags, op->prot, (unsigned long)op->value);
}

int parse_op(const char *line, struct op *op)
{
	unsigned int process;
	unsigned long value;
	char name[32];
	int file;

	line += strspn(line, " \t\n");
	if (!*line || *line == '#')
		return 0;
	*op = (struct op){ 0 };
	if (sscanf(line, "%31s p%u file %d page %u +%u to %u +%u flags %x prot %u value %lx", name,
		   &process, &file, &op->page, &op->pages, &op->to, &op->to_pages, &op->flags,
		   &op->prot, &value) != 10)
		return -1;
	op->process = (uint8_t)process;
	op->file = (int8_t)file;
	op->value = value;
	for (op->kind = 0; op->kind < NR_KINDS; op->kind++)
		if (!strcmp(name, kind_names[op->kind]))
			break;
	if (op->kind == NR_KINDS || process >= PROCESSES || file < -1 || file >= FILES ||
	    op->page + op->pages > ARENA_PAGES)
		return -1;
	return 1;
}
