/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which sections are open, and which registrations are being made.
 *
 * Memory that is registered while a section covers it may be the old one.  So each side says
 * what it is about to do before it looks at the other:
 *
 *     a section opens:                     a registration is made:
 *       it is listed              (A)        it is listed                       (C)
 *       registrations listed that it         sections listed that overlap it?   (D)
 *         overlaps are marked     (B)          then again
 *       what is in the table is              memory is registered
 *         invalidated                        the table gets it, unborn          (E)
 *     memory changes                         marked, or sections listed that overlap it?
 *     the section is unlisted                  then it is invalidated, and again
 *                                            it lives, if it has not been invalidated
 *                                            it is unlisted
 *
 * A and C are full barriers: B sees what is listed, or D sees the section.  A registration is
 * in the table before it is unlisted, and sections look for listed ones first.  B and E are full
 * barriers too: a section that does not find it in the table is seen by the last look.  Until
 * after that nobody gets it: between the two looks all of a section may pass.
 *
 * I1  A place is claimed by its bit.  Its range is valid while ->end is not 0; before that
 *     it counts as overlapping everything.
 * I2  A section that finds no place is counted, and overlaps everything as long as it is open;
 *     a registration that finds none is not put into the table.
 *
 * Nobody waits here.  Context: any, also a signal handler inside of it.
 */
#ifndef MMUN_RCACHE_SECTIONS_H
#define MMUN_RCACHE_SECTIONS_H

#include <stdbool.h>
#include <stddef.h>

#define MMUN_RC_PLACES 128u
#define MMUN_RC_WORDS  (MMUN_RC_PLACES / 64)

struct rc_place {
	unsigned long start, end;
	/* Of a section: what its end is found by.  Of a registration: a section has begun. */
	unsigned long owner;
	/* Sections that have been here. */
	unsigned long count;
};

struct rc_sections {
	unsigned long open[MMUN_RC_WORDS], pending[MMUN_RC_WORDS];
	/* Open sections without a place, and all that ever were. */
	unsigned long unlisted, unlisted_count;
	struct rc_place section[MMUN_RC_PLACES] __attribute__((aligned(64)));
	struct rc_place registration[MMUN_RC_PLACES] __attribute__((aligned(64)));
};

/* A section of [start, end) opens; @owner: other than 0, and no other open section's.  What
 * is in the table is the caller's. */
void mmun_rc_section_open(struct rc_sections *sections, unsigned long owner, unsigned long start,
			  unsigned long end);
void mmun_rc_section_close(struct rc_sections *sections, unsigned long owner);

/* A place for a registration of [start, end), or NULL. */
struct rc_place *mmun_rc_pending(struct rc_sections *sections, unsigned long start,
				 unsigned long end);
void mmun_rc_pending_done(struct rc_sections *sections, struct rc_place *place);

/* Is one listed that overlaps? */
bool mmun_rc_is_pending(const struct rc_sections *sections, unsigned long start, unsigned long end);

/* Is a section open that overlaps @place, or has one begun since it was listed? */
bool mmun_rc_collided(const struct rc_sections *sections, const struct rc_place *place);

/* How many there have been. */
unsigned long mmun_rc_sections(const struct rc_sections *sections);

#endif
