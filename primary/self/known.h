/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sites of files that somebody has looked at before this process began: a look at a C
 * library takes most of what a start takes.  `mmunotify trace` looks once and hands what it has
 * found to each program that it starts.
 */
#ifndef MMUN_SELF_KNOWN_H
#define MMUN_SELF_KNOWN_H

#include <sys/stat.h>

#include "scan.h"

/* Which file, and that it is as it was. */
struct mmun_identity {
	unsigned long device, inode, size;
	long changed, changed_ns, modified, modified_ns;
};

void mmun_identify(const struct stat *file, struct mmun_identity *identity);

/* Between these two what was handed over can be asked for; with the source's lock held. */
void mmun_known_open(void);
void mmun_known_close(void);

/*
 * Calls @fn for each site of @object, which was opened from that file.
 * Return: -ENOENT if nothing is known of it, and then @fn was not called; else 0 or what
 * @fn returned.
 */
int mmun_known_sites(const struct mmun_object *object, const struct mmun_identity *identity,
		     mmun_finding_fn fn, void *arg);

#endif
