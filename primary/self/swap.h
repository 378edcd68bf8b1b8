/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs of pages of text, replaced in one step for every thread: swap.c says how. */
#ifndef MMUN_SELF_SWAP_H
#define MMUN_SELF_SWAP_H

#include "refusal.h"
#include "state.h"

/* Consecutive pages that are replaced together. */
struct mmun_run {
	unsigned long start, end;
};

/* What is to be done to the sites of a run, and to which. */
struct mmun_edit {
	bool (*wants)(const struct mmun_site *site);
	void (*write)(unsigned char *copy, struct mmun_run run, struct mmun_image *image);
};

/* The first run of pages from @from on with sites, whatever their order; false when
 * there is none. */
bool mmun_run_next(const struct mmun_image *image, unsigned long from, struct mmun_run *run);
bool mmun_run_holds(const struct mmun_site *site, struct mmun_run run);
bool mmun_run_has(const struct mmun_image *image, struct mmun_run run,
		  bool (*wanted)(const struct mmun_site *));

/*
 * Edits the sites of @run that want it.  Return 0, also where none does by now, or -errno with
 * the step that failed: -EFAULT where the text is gone, -ESTALE where it changes all the time.
 */
int mmun_run_swap(struct mmun_image *image, struct mmun_run run, const struct mmun_edit *edit,
		  enum mmun_step *step);

/* The image's file, if it is still what was loaded; -1. */
int mmun_run_open_file(const struct mmun_image *image);
void mmun_run_close_file(int fd);
/* What the file has for @run; NULL when it cannot be seen. */
const unsigned char *mmun_run_map_file(const struct mmun_image *image, int fd, struct mmun_run run);
void mmun_run_unmap(const unsigned char *bytes, struct mmun_run run);
/* Maps the file over @run: nothing of us stays in the layout.  Return 0 or -errno; -ESTALE: it
 * holds anything of others. */
int mmun_run_map_again(struct mmun_image *image, int fd, struct mmun_run run);

/* Is that byte part of what we have written? */
bool mmun_run_is_our_byte(const struct mmun_image *image, unsigned long at);

#endif
