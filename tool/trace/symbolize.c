/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Return addresses to names of functions, with elfutils' libdwfl where it was built in, and
 * as people write them, with the demangler of libiberty.
 *
 * A file is opened once and for all its addresses; a file that cannot be read
 * gives no names and is not tried again.  Without libdwfl, and for code outside
 * of files, places are printed as module+offset.  Tests: tests/system/trace_stacks.py.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "intern.h"
#include "json.h"
#include "symbolize.h"
#include "terminal.h"

static void describe_module(const struct record_frame *frame, char *out, size_t size)
{
	char module[RING_MAX_TEXT + 64];

	if (frame->module) {
		terminal_escape(frame->module, module, sizeof(module));
		snprintf(out, size, "%s+0x%llx", module, (unsigned long long)frame->offset);
	} else {
		snprintf(out, size, "0x%llx", (unsigned long long)frame->offset);
	}
}

void symbolizer_describe(struct symbolizer *symbolizer, const struct record_frame *frame, char *out,
			 size_t size)
{
	struct symbol symbol;
	char module[1200], source[600] = "", text[500];
	size_t used;

	describe_module(frame, module, sizeof(module));
	symbolizer_find(symbolizer, frame, &symbol);
	if (symbol.file) {
		terminal_escape(symbol.file, text, sizeof(text));
		snprintf(source, sizeof(source), " (%s:%d)", text, symbol.line);
	}
	if (!symbol.function) {
		snprintf(out, size, "%s", module);
		return;
	}
	/* Whatever the function is called, the place stays readable. */
	terminal_escape(symbol.function, out, size > 1900 ? size - 1850 : size / 4);
	used = strlen(out);
	snprintf(out + used, size - used, "+0x%llx%s in %s", (unsigned long long)symbol.offset,
		 source, module);
}

struct json_object *symbolizer_object(struct symbolizer *symbolizer,
				      const struct record_frame *frame)
{
	struct json_object *object = json_object_new_object();
	struct symbol symbol;

	symbolizer_find(symbolizer, frame, &symbol);
	json_add_text(object, "module", frame->module);
	json_add_address(object, "offset", frame->offset);
	json_add_text(object, "function", symbol.function);
	if (symbol.function)
		json_add_number(object, "function_offset", symbol.offset);
	if (symbol.file) {
		json_add_text(object, "file", symbol.file);
		json_add_number(object, "line", (uint64_t)symbol.line);
	}
	return object;
}

#ifdef HAVE_LIBIBERTY
#include <setjmp.h>

#include <libiberty/demangle.h>

struct demangled {
	/* Here, where no register has it when the way back is a jump. */
	const char *name;
	char *out;
	size_t used, size;
	jmp_buf too_long;
};

/* A short mangled name may stand for one without end: it is left where it gets too long.
 * The demangler has its memory on the stack then. */
static void take_piece(const char *piece, size_t length, void *opaque)
{
	struct demangled *demangled = opaque;

	if (length >= demangled->size - demangled->used)
		longjmp(demangled->too_long, 1);
	memcpy(demangled->out + demangled->used, piece, length);
	demangled->used += length;
	demangled->out[demangled->used] = '\0';
}

const char *symbolizer_demangle(const char *name, char *out, size_t size)
{
	struct demangled demangled = { .name = name, .out = out, .size = size };
	int options = DMGL_PARAMS | DMGL_ANSI;

	if (name[0] != '_' || (name[1] != 'Z' && name[1] != 'R') || strlen(name) > 4096)
		return name;
	if (setjmp(demangled.too_long))
		return demangled.name;
	/* Rust's older names look like C++. */
	if (rust_demangle_callback(demangled.name, options, take_piece, &demangled) &&
	    demangled.used)
		return out;
	demangled.used = 0;
	if (cplus_demangle_v3_callback(demangled.name, options, take_piece, &demangled) &&
	    demangled.used)
		return out;
	return demangled.name;
}
#else
const char *symbolizer_demangle(const char *name, char *out, size_t size)
{
	return name;
}
#endif

#ifdef HAVE_LIBDW
#include <elfutils/libdwfl.h>

struct symbolizer {
	Dwfl *dwfl;
	/* By the address of the interned module name. */
	struct key_map modules;
	/* struct place by module and offset: programs call from few places. */
	struct key_map places;
	/* What was demangled. */
	struct intern *names;
};

/* What was found out about one address. */
struct place {
	struct record_frame frame;
	struct symbol symbol;
};

/* One file; module NULL: it cannot be read. */
struct module {
	Dwfl_Module *module;
	Dwarf_Addr bias;
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

struct symbolizer *symbolizer_new(void)
{
	struct symbolizer *symbolizer = calloc(1, sizeof(*symbolizer));

	if (symbolizer) {
		symbolizer->dwfl = dwfl_begin(&callbacks);
		symbolizer->names = intern_new();
	}
	return symbolizer;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
	if (!symbolizer)
		return;
	key_map_free_values(&symbolizer->modules);
	key_map_free_values(&symbolizer->places);
	intern_free(symbolizer->names);
	if (symbolizer->dwfl)
		dwfl_end(symbolizer->dwfl);
	free(symbolizer);
}

static void load_module(struct symbolizer *symbolizer, const char *path, struct module *module)
{
	struct stat file;

	/* A recording may name anything: what is no plain file is not opened. */
	if (stat(path, &file) || !S_ISREG(file.st_mode))
		return;
	dwfl_report_begin_add(symbolizer->dwfl);
	module->module = dwfl_report_offline(symbolizer->dwfl, path, path, -1);
	dwfl_report_end(symbolizer->dwfl, NULL, NULL);
	if (module->module && !dwfl_module_getelf(module->module, &module->bias))
		module->module = NULL;
}

static const struct module *find_module(struct symbolizer *symbolizer, const char *path)
{
	void **place = key_map_place(&symbolizer->modules, (uintptr_t)path);

	if (!place)
		return NULL;
	if (!*place) {
		*place = calloc(1, sizeof(struct module));
		if (*place && *path == '/')
			load_module(symbolizer, path, *place);
	}
	return *place;
}

static const char *readable(struct symbolizer *symbolizer, const char *name)
{
	char text[4096];
	const char *readable = symbolizer_demangle(name, text, sizeof(text));

	if (readable == name || !symbolizer->names)
		return name;
	readable = intern_text(symbolizer->names, readable, strlen(readable));
	return readable ? readable : name;
}

static void look_up(struct symbolizer *symbolizer, const struct record_frame *frame,
		    struct symbol *out)
{
	const struct module *module;
	Dwarf_Addr address;
	Dwfl_Line *line;
	GElf_Sym symbol;
	GElf_Off offset;

	module = find_module(symbolizer, frame->module);
	if (!module || !module->module)
		return;
	/* The address behind a call may belong to the next function already. */
	address = frame->offset + module->bias - 1;
	out->function =
		dwfl_module_addrinfo(module->module, address, &offset, &symbol, NULL, NULL, NULL);
	if (out->function)
		out->function = readable(symbolizer, out->function);
	out->offset = offset + 1;
	line = dwfl_module_getsrc(module->module, address);
	if (line)
		out->file = dwfl_lineinfo(line, NULL, &out->line, NULL, NULL, NULL);
}

void symbolizer_find(struct symbolizer *symbolizer, const struct record_frame *frame,
		     struct symbol *out)
{
	uint64_t key = (uintptr_t)frame->module * 0x9e3779b97f4a7c15ull ^ frame->offset;
	struct place *place;
	void **at;

	memset(out, 0, sizeof(*out));
	if (!symbolizer || !symbolizer->dwfl || !frame->module)
		return;
	at = key_map_place(&symbolizer->places, key);
	place = at ? *at : NULL;
	if (place && place->frame.module == frame->module && place->frame.offset == frame->offset) {
		*out = place->symbol;
		return;
	}
	look_up(symbolizer, frame, out);
	if (!at || place)
		return;
	place = malloc(sizeof(*place));
	if (place)
		*place = (struct place){ *frame, *out };
	*at = place;
}
#else
struct symbolizer *symbolizer_new(void)
{
	return NULL;
}

void symbolizer_free(struct symbolizer *symbolizer)
{
}

void symbolizer_find(struct symbolizer *symbolizer, const struct record_frame *frame,
		     struct symbol *out)
{
	memset(out, 0, sizeof(*out));
}
#endif
