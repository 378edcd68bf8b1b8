/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An object that the process has loaded, opened to be looked at: from its file where that is
 * still the same, else from a copy of what is in memory.
 */
#ifndef MMUN_SELF_LOADED_H
#define MMUN_SELF_LOADED_H

#include <elf.h>
#include <stdbool.h>

#include "known.h"
#include "object.h"
#include "vma.h"

#define MMUN_MAX_HEADERS 40

/* What an object that is loaded says of itself. */
struct mmun_headers {
	Elf64_Ehdr file;
	Elf64_Phdr program[MMUN_MAX_HEADERS];
	unsigned long bias;
	/* Its own addresses, of whole pages. */
	unsigned long low, high;
};

/* An object of the process, read from its file where that is still the same. */
struct mmun_opened {
	struct mmun_object object;
	struct mmun_headers headers;
	unsigned long map, size;
	/* Is it from its file, and from which? */
	bool is_file;
	struct mmun_identity identity;
};

/* @base: where the beginning of the file is mapped.  False: no object that we know how to read
 * begins there. */
bool mmun_headers_read(struct mmun_headers *headers, unsigned long base);

/*
 * Has the file been loaded, as its headers say, or was it mapped by other means?  A
 * debugger or an emulator looks at a library through a mapping that may be executable.
 */
bool mmun_headers_are_loaded(const struct mmun_headers *headers, unsigned long inode);

/*
 * @base: where the beginning of the file is mapped.  A file that was replaced or
 * deleted, or whose path is longer than we keep, leaves what is in memory.  @known: it is
 * loaded, although we may have replaced all that shows it.
 * Return 0 or -ENOEXEC; after 0 it must be closed.
 */
int mmun_loaded_open(struct mmun_opened *opened, const struct mmun_vma *text, unsigned long base,
		     bool known);
void mmun_loaded_close(const struct mmun_opened *opened);

#endif
