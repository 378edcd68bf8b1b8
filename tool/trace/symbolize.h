/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Return addresses to names of functions. */
#ifndef MMUN_TOOL_TRACE_SYMBOLIZE_H
#define MMUN_TOOL_TRACE_SYMBOLIZE_H

#include <stddef.h>

#include "record.h"

struct symbolizer;

/* A place in a program's code.  Names are as they stand in files: terminal_escape() them. */
struct symbol {
	/* Demangled where it is C++ or Rust; NULL: not known. */
	const char *function;
	uint64_t offset;
	/* NULL: not known. */
	const char *file;
	int line;
};

/*
 * symbolizer_demangle() - "ns::f(int)" for "_ZN2ns1fEi".
 * Return: the text, in @out; or @name where it is no such name, or one that would fill more
 * than @size.
 */
const char *symbolizer_demangle(const char *name, char *out, size_t size);

/* NULL, which all others accept, when there is no memory. */
struct symbolizer *symbolizer_new(void);
void symbolizer_free(struct symbolizer *symbolizer);

/*
 * symbolizer_find() - what lies at @frame.
 *
 * Addresses are those behind a call or system call, as return addresses are.
 * The strings live as long as the symbolizer.
 */
void symbolizer_find(struct symbolizer *symbolizer, const struct record_frame *frame,
		     struct symbol *out);
/* Has room for a long name of a function; in less room names are cut. */
#define SYMBOLIZER_MAX_PLACE 8192
/* The same as "function+0x12 (file.c:34) in /lib/x.so+0x1234", escaped. */
void symbolizer_describe(struct symbolizer *symbolizer, const struct record_frame *frame, char *out,
			 size_t size);
/* The same as JSON: module, offset, function, function_offset, file, line. */
struct json_object *symbolizer_object(struct symbolizer *symbolizer,
				      const struct record_frame *frame);

#endif
