/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* munmap, mmap over something, brk, mprotect: the layout itself. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "operations.h"

#define RW         (PROT_READ | PROT_WRITE)
#define HUGE_BYTES (2UL << 20)

static const char *anon_all(struct region *r)
{
	const char *why = region_anon(r);

	if (!why)
		region_expect(r, 0, AREA_PAGES);
	return why;
}

static const char *anon_middle(struct region *r)
{
	const char *why = region_anon(r);

	if (!why)
		region_expect(r, 4, 4);
	return why;
}

static long unmap_all(struct region *r)
{
	return r->c->munmap(r->base, r->size);
}

static long unmap_middle(struct region *r)
{
	return r->c->munmap(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES);
}

/* The kernel rounds the length up. */
static long unmap_middle_unaligned_length(struct region *r)
{
	return r->c->munmap(r->base + 4 * PAGE_BYTES, 3 * PAGE_BYTES + 1);
}

static const char *anon_huge(struct region *r)
{
	char *room = region_room(HUGE_BYTES, HUGE_BYTES);

	if (!room)
		return "no room";
	r->size = HUGE_BYTES;
	r->base = mmap(room, r->size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (r->base == MAP_FAILED || madvise(r->base, r->size, MADV_HUGEPAGE))
		return "transparent huge pages are off";
	region_fill(r->base, r->size, 3);
	region_watch(r, 0, AREA_PAGES);
	region_expect(r, 4, 4);
	return NULL;
}

static const char *hugetlb(struct region *r)
{
	r->size = 2 * HUGE_BYTES;
	r->base = mmap(NULL, r->size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (r->base == MAP_FAILED)
		return "no hugetlb pages (vm.nr_hugepages is 0)";
	region_fill(r->base, r->size, 5);
	r->area = (struct watch_area){ .start = (unsigned long)r->base,
				       .stride = HUGE_BYTES / 8,
				       .pages = 16 };
	region_expect_at(r, (unsigned long)r->base + HUGE_BYTES, HUGE_BYTES);
	return NULL;
}

static long unmap_second_hugetlb(struct region *r)
{
	return r->c->munmap(r->base + HUGE_BYTES, HUGE_BYTES);
}

static long unmap_misaligned(struct region *r)
{
	return r->c->munmap(r->base + 1, r->size);
}

static long unmap_nothing(struct region *r)
{
	return r->c->munmap(r->base, 0);
}

static long unmap_beyond(struct region *r)
{
	return r->c->munmap(r->base, (size_t)-PAGE_BYTES);
}

static const char *anon_with_hole(struct region *r)
{
	const char *why = region_anon(r);

	if (!why && munmap(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES))
		why = "cannot make a hole";
	return why;
}

static const char *anon_around_hole(struct region *r)
{
	const char *why = anon_with_hole(r);

	/* Nobody can hold a translation of the hole: what is said of it is free,
	 * but its neighbours must be left alone. */
	if (!why)
		region_watch(r, 0, 4);
	return why;
}

static const char *anon_three_pieces(struct region *r)
{
	const char *why = anon_with_hole(r);

	if (!why && mprotect(r->base + 12 * PAGE_BYTES, 2 * PAGE_BYTES, PROT_READ))
		why = "cannot split";
	if (!why)
		region_expect(r, 0, AREA_PAGES);
	return why;
}

static const char *anon_and_neighbour(struct region *r)
{
	const char *why = region_anon(r);

	r->other_size = AREA_BYTES;
	r->other = mmap(NULL, r->other_size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!why && r->other == MAP_FAILED)
		why = "mmap failed";
	return why;
}

static long unmap_neighbour(struct region *r)
{
	return r->c->munmap(r->other, r->other_size);
}

static long done(const void *got)
{
	return got == MAP_FAILED ? -1 : 0;
}

static long map_over(struct region *r)
{
	return done(r->c->mmap(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, RW,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static long map64_over(struct region *r)
{
	return done(r->c->mmap64(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, RW,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
}

static long map_noreplace(struct region *r)
{
	return done(r->c->mmap(r->base, r->size, RW,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
}

/* Both flags: the careful one wins. */
static long map_fixed_and_noreplace(struct region *r)
{
	return done(r->c->mmap(r->base, r->size, RW,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_FIXED_NOREPLACE, -1,
			       0));
}

static long map_hint(struct region *r)
{
	return done(r->c->mmap(r->base, r->size, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static long map_over_bad_fd(struct region *r)
{
	return done(r->c->mmap(r->base, r->size, RW, MAP_PRIVATE | MAP_FIXED, -1, 0));
}

static long map_over_misaligned(struct region *r)
{
	return done(r->c->mmap(r->base + 1, r->size, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			       -1, 0));
}

static const char *anon_and_socket(struct region *r)
{
	const char *why = region_anon(r);

	r->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return r->fd < 0 ? "no socket" : why;
}

/* The kernel has dropped the pages before the file refuses to be mapped. */
static long map_over_refusing_file(struct region *r)
{
	return done(r->c->mmap(r->base, r->size, PROT_READ, MAP_SHARED | MAP_FIXED, r->fd, 0));
}

static const char *heap_top(struct region *r)
{
	char *end = (char *)syscall(SYS_brk, 0);

	r->base = (char *)(((unsigned long)end + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
	r->size = AREA_BYTES;
	if (r->c->brk(r->base + r->size))
		return "brk cannot grow";
	region_fill(r->base, r->size, 7);
	region_watch(r, 0, AREA_PAGES);
	return NULL;
}

static const char *heap_top_shrunk(struct region *r)
{
	const char *why = heap_top(r);

	if (!why)
		region_expect(r, 4, AREA_PAGES - 4);
	return why;
}

static long brk_shrink(struct region *r)
{
	return r->c->brk(r->base + 4 * PAGE_BYTES);
}

/* The page with the new end stays. */
static long brk_shrink_inside_page(struct region *r)
{
	return r->c->brk(r->base + 3 * PAGE_BYTES + 5);
}

static long brk_grow(struct region *r)
{
	return r->c->brk(r->base + r->size + 4 * PAGE_BYTES);
}

static long brk_refused(struct region *r)
{
	return r->c->brk(r->base + (1UL << 45));
}

static long sbrk_shrink(struct region *r)
{
	return sbrk(-(intptr_t)((AREA_PAGES - 4) * PAGE_BYTES)) == (void *)-1 ? -1 : 0;
}

static const char *anon_rights(struct region *r)
{
	const char *why = anon_middle(r);

	r->area.flags = PAGE_RIGHTS;
	return why;
}

static long protect_none(struct region *r)
{
	return r->c->mprotect(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, PROT_NONE);
}

static long protect_read(struct region *r)
{
	return r->c->mprotect(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, PROT_READ);
}

static long protect_key(struct region *r)
{
	return r->c->pkey_mprotect(r->base + 4 * PAGE_BYTES, 4 * PAGE_BYTES, PROT_READ, -1);
}

static long protect_misaligned(struct region *r)
{
	return r->c->mprotect(r->base + 1, PAGE_BYTES, PROT_READ);
}

static const char *anon_rights_hole(struct region *r)
{
	const char *why = anon_with_hole(r);

	r->area.flags = PAGE_RIGHTS;
	if (!why)
		region_expect(r, 0, AREA_PAGES);
	return why;
}

/* Fails with ENOMEM after it has changed the pages below the hole. */
static long protect_across_hole(struct region *r)
{
	return r->c->mprotect(r->base, r->size, PROT_READ);
}

#define UNMAP(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_MUNMAP, MMU_NOTIFY_UNMAP, flags_, prepare_, act_ \
	}
#define MAPS(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_MMAP_FIXED, MMU_NOTIFY_UNMAP, flags_, prepare_, act_ \
	}
#define BREAK(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_BRK, MMU_NOTIFY_UNMAP, flags_, prepare_, act_ \
	}
#define PROTECT(name_, flags_, prepare_, act_) \
	{ \
		name_, MMUN_OP_MPROTECT, MMU_NOTIFY_PROTECTION_VMA, (flags_) | OP_PINNED_SAFE, \
			prepare_, act_ \
	}

const struct operation operations_map[] = {
	UNMAP("munmap, whole", 0, anon_all, unmap_all),
	UNMAP("munmap, middle", 0, anon_middle, unmap_middle),
	UNMAP("munmap, length not a multiple of the page", 0, anon_middle,
	      unmap_middle_unaligned_length),
	UNMAP("munmap, part of a huge page", 0, anon_huge, unmap_middle),
	UNMAP("munmap, one of two hugetlb pages", 0, hugetlb, unmap_second_hugetlb),
	UNMAP("munmap, three VMAs and a hole", 0, anon_three_pieces, unmap_all),
	UNMAP("munmap, misaligned: EINVAL", OP_QUIET | OP_FAILS, region_anon, unmap_misaligned),
	UNMAP("munmap, length 0: EINVAL", OP_QUIET | OP_FAILS, region_anon, unmap_nothing),
	UNMAP("munmap, beyond the address space: EINVAL", OP_QUIET | OP_FAILS, region_anon,
	      unmap_beyond),
	UNMAP("munmap, a hole", OP_QUIET, anon_around_hole, unmap_middle),
	UNMAP("munmap, another range", OP_QUIET, anon_and_neighbour, unmap_neighbour),
	MAPS("mmap MAP_FIXED over", 0, anon_middle, map_over),
	MAPS("mmap64 MAP_FIXED over", 0, anon_middle, map64_over),
	MAPS("mmap MAP_FIXED_NOREPLACE: EEXIST", OP_QUIET | OP_FAILS, region_anon, map_noreplace),
	MAPS("mmap MAP_FIXED|MAP_FIXED_NOREPLACE: EEXIST", OP_QUIET | OP_FAILS, region_anon,
	     map_fixed_and_noreplace),
	MAPS("mmap with the address as a hint", OP_QUIET, region_anon, map_hint),
	MAPS("mmap MAP_FIXED, bad fd: EBADF", OP_QUIET | OP_FAILS, region_anon, map_over_bad_fd),
	MAPS("mmap MAP_FIXED, misaligned: EINVAL", OP_QUIET | OP_FAILS, region_anon,
	     map_over_misaligned),
	MAPS("mmap MAP_FIXED, file refuses after the pages went: ENODEV", OP_FAILS | OP_LOOSE,
	     anon_and_socket, map_over_refusing_file),
	BREAK("brk, shrink", 0, heap_top_shrunk, brk_shrink),
	BREAK("brk, shrink to inside a page", 0, heap_top_shrunk, brk_shrink_inside_page),
	BREAK("brk, grow", OP_QUIET, heap_top, brk_grow),
	BREAK("brk, refused", OP_QUIET | OP_FAILS, heap_top, brk_refused),
	BREAK("sbrk, shrink", OP_PLAIN, heap_top_shrunk, sbrk_shrink),
	PROTECT("mprotect PROT_NONE", 0, anon_rights, protect_none),
	PROTECT("mprotect PROT_READ", 0, anon_rights, protect_read),
	PROTECT("pkey_mprotect PROT_READ", 0, anon_rights, protect_key),
	PROTECT("mprotect, misaligned: EINVAL", OP_QUIET | OP_FAILS, anon_rights,
		protect_misaligned),
	PROTECT("mprotect across a hole: ENOMEM after the first part", OP_FAILS | OP_LOOSE,
		anon_rights_hole, protect_across_hole),
	{ 0 },
};
