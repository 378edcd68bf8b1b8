/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The mappings of an address space as one line: "0-4 rw-p, 4-6 r--s f+2", pages from ARENA. */
#ifndef MMUN_TESTS_UNIT_SOFT_LAYOUT_H
#define MMUN_TESTS_UNIT_SOFT_LAYOUT_H

#include <stdio.h>

#include "soft.h"

#define ARENA      0x10000000000ul
#define AT(page)   (ARENA + (unsigned long)(page)*PAGE)
#define HUGE_PAGES MMUN_SOFT_HUGE_PAGES

static UNUSED int layout_add(const struct mmun_soft_map *map, void *arg)
{
	const unsigned long f = map->flags;
	char *line = arg;
	size_t used = strlen(line);

	used += (size_t)snprintf(line + used, 512 - used, "%s%ld-%ld %c%c%c%c", used ? ", " : "",
				 (long)(map->start - ARENA) / (long)PAGE,
				 (long)(map->end - ARENA) / (long)PAGE, f & VM_READ ? 'r' : '-',
				 f & VM_WRITE ? 'w' : '-', f & VM_EXEC ? 'x' : '-',
				 f & VM_MAYSHARE ? 's' : 'p');
	if (*map->name && used < 512)
		snprintf(line + used, 512 - used, " %s+%ld", map->name, (long)(map->offset / PAGE));
	return 0;
}

static UNUSED const char *layout(struct mm_struct *mm)
{
	static char line[512];

	*line = 0;
	mmun_soft_maps(mm, layout_add, line);
	return line;
}

#define is_layout(mm, expected, ...) \
	do { \
		const char *layout_got = layout(mm); \
		if (!ok(!strcmp(layout_got, (expected)), __VA_ARGS__)) \
			diag("got \"%s\"", layout_got); \
	} while (0)

/* A fresh machine and address space, and its end. */
struct scene {
	struct mmun_soft *soft;
	struct mm_struct *mm;
	long live;
};

static UNUSED struct scene scene_begin(const struct mmun_soft_params *params)
{
	struct scene s = { .live = mmun_alloc_live() };

	s.soft = soft_machine(params);
	s.mm = soft_new_mm(s.soft);
	return s;
}

static UNUSED void scene_end(struct scene *s, const char *what)
{
	mmput(s->mm);
	mmu_notifier_synchronize();
	is(mmun_soft_destroy(s->soft), 0, "%s: the machine can go", what);
	is(mmun_alloc_live(), s->live, "%s: nothing is left behind", what);
}

/* The first @pages pages of the arena, private and anonymous, each written. */
static UNUSED void scene_fill(struct scene *s, long page, long pages, unsigned long value)
{
	soft_map(s->mm, AT(page), (size_t)pages, RW, PRIVATE, NULL);
	for (long i = 0; i < pages; i++)
		soft_poke(s->mm, AT(page + i), value + (unsigned long)i);
}

static UNUSED long scene_peek_from(struct scene *s, long page, long pages, unsigned long value)
{
	long right = 0;

	for (long i = 0; i < pages; i++)
		right += soft_peek(s->mm, AT(page + i)) == value + (unsigned long)i;
	return right;
}

#endif
