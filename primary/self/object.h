/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An ELF object, in its file or as it is loaded: what stands at an address, and
 * in which function an address lies.  Addresses are the file's own, as if it
 * were loaded at 0.  Every access is checked against the object's bounds: a
 * file may say anything.
 */
#ifndef MMUN_SELF_OBJECT_H
#define MMUN_SELF_OBJECT_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

#define MMUN_OBJECT_PARTS 16

struct mmun_object_part {
	unsigned long start, end;
	const unsigned char *bytes;
	bool executable;
};

struct mmun_object {
	/* Loaded segments. */
	int nr_parts;
	struct mmun_object_part parts[MMUN_OBJECT_PARTS];
	/* Dynamic linking: what is missing is NULL. */
	const Elf64_Sym *symbols;
	unsigned int nr_symbols;
	unsigned long strings;
	unsigned long soname;
	/* The table of functions that unwinding uses. */
	unsigned long frame_header;
	const int *frames;
	unsigned int nr_frames;
	/* Symbols of the file that are not loaded; only of a file. */
	const Elf64_Sym *all_symbols;
	unsigned int nr_all_symbols;
	const char *all_strings;
	size_t all_strings_size;
	bool is_go;
};

/* Of @size bytes of a file.  Return 0 or -ENOEXEC. */
int mmun_object_open_file(struct mmun_object *object, const unsigned char *file, size_t size);
/* Does it begin an object that we know how to read? */
bool mmun_object_is_header(const Elf64_Ehdr *header);
/* Of one that was loaded, @bias from its own addresses; @bytes: a copy of its readable
 * segments, of which the first begins at @low. */
void mmun_object_open_memory(struct mmun_object *object, const Elf64_Phdr *program, int count,
			     unsigned long bias, const unsigned char *bytes, unsigned long low);

/* NULL if they are not all there. */
const void *mmun_object_at(const struct mmun_object *object, unsigned long address, size_t size);

/* DT_SONAME, or "". */
const char *mmun_object_soname(const struct mmun_object *object);

/* Is it a GNU C library or its dynamic linker? */
bool mmun_object_is_c_library(const struct mmun_object *object);

/* Does it define the dynamic symbol @name? */
bool mmun_object_defines(const struct mmun_object *object, const char *name);

struct mmun_function {
	unsigned long start, end;
};
bool mmun_object_function(const struct mmun_object *object, unsigned long address,
			  struct mmun_function *function);
/* Does it belong to a function?  To what unwinding knows, if it knows any. */
bool mmun_object_covers(const struct mmun_object *object, unsigned long address);
/* The symbol that names @address; NULL if there is none. */
const char *mmun_object_name(const struct mmun_object *object, unsigned long address,
			     unsigned long *offset);

#endif
