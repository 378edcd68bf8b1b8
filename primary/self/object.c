/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads ELF headers, symbols and the table of functions for unwinding; changes
 * nothing and keeps nothing but pointers into the object.
 * Tests: tests/glibc.
 */
#include "object.h"

#include <errno.h>
#include <string.h>

const void *mmun_object_at(const struct mmun_object *object, unsigned long address, size_t size)
{
	for (int i = 0; i < object->nr_parts; i++) {
		const struct mmun_object_part *part = &object->parts[i];

		if (address >= part->start && address < part->end)
			return size <= part->end - address ? part->bytes + (address - part->start)
							   : NULL;
	}
	return NULL;
}

/* For what is read in units of @unit bytes. */
static const void *aligned_at(const struct mmun_object *object, unsigned long address, size_t size,
			      unsigned long unit)
{
	const void *at = mmun_object_at(object, address, size);

	return (unsigned long)at & (unit - 1) ? NULL : at;
}

/* The string at @address if it ends within the object. */
static const char *string_at(const struct mmun_object *object, unsigned long address)
{
	for (int i = 0; i < object->nr_parts; i++) {
		const struct mmun_object_part *part = &object->parts[i];

		if (address >= part->start && address < part->end) {
			const char *string = (const char *)part->bytes + (address - part->start);

			return memchr(string, 0, part->end - address) ? string : NULL;
		}
	}
	return NULL;
}

const char *mmun_object_soname(const struct mmun_object *object)
{
	const char *name = object->soname ? string_at(object, object->strings + object->soname)
					  : NULL;

	return name ? name : "";
}

bool mmun_object_is_c_library(const struct mmun_object *object)
{
	const char *name = mmun_object_soname(object);

	return !strncmp(name, "libc.so.6", 9) || !strncmp(name, "ld-linux-x86-64.so", 18);
}

bool mmun_object_defines(const struct mmun_object *object, const char *name)
{
	for (unsigned int i = 0; i < object->nr_symbols; i++) {
		const Elf64_Sym *symbol = &object->symbols[i];
		const char *its = symbol->st_shndx
					  ? string_at(object, object->strings + symbol->st_name)
					  : NULL;

		if (its && !strcmp(its, name))
			return true;
	}
	return false;
}

/* The number of symbols is the end of the last chain of the hash table. */
static unsigned int count_symbols(const struct mmun_object *object, unsigned long address)
{
	const unsigned int *hash = aligned_at(object, address, 16, 4), *buckets;
	unsigned long chains;
	unsigned int last = 0;

	if (!hash)
		return 0;
	buckets = mmun_object_at(object, address + 16 + hash[2] * 8UL, hash[0] * 4UL);
	chains = address + 16 + hash[2] * 8UL + hash[0] * 4UL;
	if (!buckets)
		return 0;
	for (unsigned int i = 0; i < hash[0]; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < hash[1])
		return hash[1];
	for (;; last++) {
		const unsigned int *chain =
			mmun_object_at(object, chains + (last - hash[1]) * 4UL, 4);

		if (!chain)
			return 0;
		if (*chain & 1)
			return last + 1;
	}
}

/* The linker replaces the offsets by addresses once it has loaded the file. */
static void read_dynamic(struct mmun_object *object, const Elf64_Phdr *program, unsigned long bias)
{
	unsigned long symbols = 0, hash = 0;

	for (unsigned long at = program->p_vaddr;; at += sizeof(Elf64_Dyn)) {
		const Elf64_Dyn *entry = aligned_at(object, at, sizeof(*entry), 8);
		unsigned long value;

		if (!entry || entry->d_tag == DT_NULL)
			break;
		value = entry->d_un.d_val;
		if (entry->d_tag == DT_SONAME)
			object->soname = value;
		if (bias && value >= bias)
			value -= bias;
		if (entry->d_tag == DT_SYMTAB)
			symbols = value;
		else if (entry->d_tag == DT_STRTAB)
			object->strings = value;
		else if (entry->d_tag == DT_GNU_HASH)
			hash = value;
	}
	object->nr_symbols = symbols && hash ? count_symbols(object, hash) : 0;
	object->symbols = aligned_at(object, symbols, object->nr_symbols * sizeof(Elf64_Sym), 8);
	if (!object->symbols)
		object->nr_symbols = 0;
}

/* Four bytes a number, relative to the table: what every linker writes. */
static void read_frames(struct mmun_object *object, const Elf64_Phdr *program)
{
	const unsigned char *header = mmun_object_at(object, program->p_vaddr, 12);
	unsigned int count;

	if (!header || header[0] != 1 || header[2] != 0x03 || header[3] != 0x3b)
		return;
	memcpy(&count, header + 8, sizeof(count));
	object->frames = aligned_at(object, program->p_vaddr + 12, count * 8UL, 4);
	if (!object->frames)
		return;
	object->nr_frames = count;
	object->frame_header = program->p_vaddr;
}

static void add_part(struct mmun_object *object, const Elf64_Phdr *program, size_t size,
		     const unsigned char *bytes)
{
	struct mmun_object_part *part = &object->parts[object->nr_parts];

	if (object->nr_parts == MMUN_OBJECT_PARTS || !size ||
	    program->p_vaddr + size < program->p_vaddr)
		return;
	part->start = program->p_vaddr;
	part->end = program->p_vaddr + size;
	part->bytes = bytes;
	part->executable = program->p_flags & PF_X;
	object->nr_parts++;
}

static bool is_our_kind(const Elf64_Ehdr *header)
{
	return !memcmp(header->e_ident, ELFMAG, SELFMAG) &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_machine == EM_X86_64 &&
	       header->e_phentsize == sizeof(Elf64_Phdr);
}

static void read_tables(struct mmun_object *object, const Elf64_Phdr *program, int count,
			unsigned long bias)
{
	for (int i = 0; i < count; i++) {
		if (program[i].p_type == PT_DYNAMIC)
			read_dynamic(object, &program[i], bias);
		else if (program[i].p_type == PT_GNU_EH_FRAME)
			read_frames(object, &program[i]);
	}
}

static bool lies_within(unsigned long offset, unsigned long length, size_t size)
{
	return offset <= size && length <= size - offset;
}

/* .symtab, where it has not been stripped. */
static void read_sections(struct mmun_object *object, const unsigned char *file, size_t size)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
	const Elf64_Shdr *section, *names;
	unsigned long length = header->e_shnum * sizeof(*section);

	if (!header->e_shoff || header->e_shoff & 7 || header->e_shentsize != sizeof(*section) ||
	    header->e_shstrndx >= header->e_shnum || !lies_within(header->e_shoff, length, size))
		return;
	section = (const Elf64_Shdr *)(file + header->e_shoff);
	names = &section[header->e_shstrndx];
	for (int i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *strings;

		if (lies_within(names->sh_offset + section[i].sh_name, 12, size) &&
		    !memcmp(file + names->sh_offset + section[i].sh_name, ".gopclntab", 11))
			object->is_go = true;
		if (section[i].sh_type != SHT_SYMTAB || section[i].sh_offset & 7 ||
		    section[i].sh_link >= header->e_shnum ||
		    !lies_within(section[i].sh_offset, section[i].sh_size, size))
			continue;
		strings = &section[section[i].sh_link];
		if (!lies_within(strings->sh_offset, strings->sh_size, size))
			continue;
		object->all_symbols = (const Elf64_Sym *)(file + section[i].sh_offset);
		object->nr_all_symbols = section[i].sh_size / sizeof(Elf64_Sym);
		object->all_strings = (const char *)file + strings->sh_offset;
		object->all_strings_size = strings->sh_size;
	}
}

int mmun_object_open_file(struct mmun_object *object, const unsigned char *file, size_t size)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)file;
	const Elf64_Phdr *program;

	memset(object, 0, sizeof(*object));
	if (size < sizeof(*header) || !is_our_kind(header) || header->e_phoff & 7 ||
	    !lies_within(header->e_phoff, header->e_phnum * sizeof(*program), size))
		return -ENOEXEC;
	program = (const Elf64_Phdr *)(file + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++) {
		if (program[i].p_type != PT_LOAD)
			continue;
		/* Truncated. */
		if (!lies_within(program[i].p_offset, program[i].p_filesz, size))
			return -ENOEXEC;
		add_part(object, &program[i], program[i].p_filesz, file + program[i].p_offset);
	}
	read_tables(object, program, header->e_phnum, 0);
	read_sections(object, file, size);
	return 0;
}

bool mmun_object_is_header(const Elf64_Ehdr *header)
{
	return is_our_kind(header);
}

void mmun_object_open_memory(struct mmun_object *object, const Elf64_Phdr *program, int count,
			     unsigned long bias, const unsigned char *bytes, unsigned long low)
{
	memset(object, 0, sizeof(*object));
	for (int i = 0; i < count; i++)
		if (program[i].p_type == PT_LOAD && program[i].p_flags & PF_R)
			add_part(object, &program[i], program[i].p_filesz,
				 bytes + (program[i].p_vaddr - low));
	read_tables(object, program, count, bias);
}

static unsigned long frame_start(const struct mmun_object *object, unsigned int index)
{
	return object->frame_header + object->frames[2 * index];
}

/* How many bytes pc_begin and pc_range take, from the CIE that the FDE names; and
 * whether it is of a signal trampoline, which begins a byte late. */
static unsigned int pointer_size(const struct mmun_object *object, unsigned long fde,
				 bool *is_signal)
{
	const unsigned int *head = aligned_at(object, fde, 8, 4);
	const unsigned char *cie;
	unsigned long address;
	const char *name;
	unsigned int at = 9;

	if (!head || !head[0] || head[0] == 0xffffffff)
		return 0;
	address = fde + 4 - head[1];
	cie = mmun_object_at(object, address, 32);
	if (!cie)
		return 0;
	name = (const char *)cie + 9;
	if (*name != 'z')
		return *name ? 0 : 8;
	at += strnlen(name, 16) + 1;
	/* Alignment factors, the register, the length: small numbers all. */
	while (at < 24 && cie[at] & 0x80)
		at++;
	at++;
	while (at < 26 && cie[at] & 0x80)
		at++;
	at += 3;
	for (name++; *name && at < 31; name++) {
		if (*name == 'R') {
			*is_signal = name[1] == 'S';
			return (cie[at] & 15) == 0x0b || (cie[at] & 15) == 0x03 ? 4 : 8;
		}
		if (*name == 'L')
			at++;
		else if (*name == 'P')
			at += (cie[at] & 15) == 0x0b || (cie[at] & 15) == 0x03 ? 5 : 9;
		else if (*name != 'S' && *name != 'B')
			return 0;
	}
	return 0;
}

static void read_frame(const struct mmun_object *object, unsigned int index,
		       struct mmun_function *function)
{
	unsigned long fde = object->frame_header + object->frames[2 * index + 1], length = 0;
	bool is_signal = false;
	unsigned int size = pointer_size(object, fde, &is_signal);
	const unsigned char *body = size ? mmun_object_at(object, fde + 8, 2UL * size) : NULL;

	if (body)
		memcpy(&length, body + size, size);
	function->start = frame_start(object, index);
	function->end = function->start + length;
	function->start += is_signal;
}

/* Code behind a function's unwinding table, as behind clone(), is still its own. */
static bool frame_function(const struct mmun_object *object, unsigned long address, bool with_tail,
			   struct mmun_function *function)
{
	unsigned int low = 0, high = object->nr_frames;

	while (low < high) {
		unsigned int middle = low + (high - low) / 2;

		if (frame_start(object, middle) <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return false;
	read_frame(object, low - 1, function);
	if (with_tail && address >= function->end && low < object->nr_frames &&
	    function->end > function->start)
		function->end = frame_start(object, low);
	return address < function->end;
}

static const Elf64_Sym *symbol_of(const Elf64_Sym *symbols, unsigned int count,
				  unsigned long address)
{
	for (unsigned int i = 0; i < count; i++)
		if (ELF64_ST_TYPE(symbols[i].st_info) == STT_FUNC && symbols[i].st_shndx &&
		    address >= symbols[i].st_value &&
		    address - symbols[i].st_value < symbols[i].st_size)
			return &symbols[i];
	return NULL;
}

bool mmun_object_function(const struct mmun_object *object, unsigned long address,
			  struct mmun_function *function)
{
	const Elf64_Sym *symbol;

	if (frame_function(object, address, false, function))
		return true;
	symbol = symbol_of(object->all_symbols, object->nr_all_symbols, address);
	if (!symbol)
		symbol = symbol_of(object->symbols, object->nr_symbols, address);
	if (!symbol)
		return frame_function(object, address, true, function);
	function->start = symbol->st_value;
	function->end = symbol->st_value + symbol->st_size;
	return true;
}

bool mmun_object_covers(const struct mmun_object *object, unsigned long address)
{
	struct mmun_function function;

	return object->nr_frames ? frame_function(object, address, false, &function)
				 : mmun_object_function(object, address, &function);
}

const char *mmun_object_name(const struct mmun_object *object, unsigned long address,
			     unsigned long *offset)
{
	const Elf64_Sym *symbol = symbol_of(object->all_symbols, object->nr_all_symbols, address);
	const char *name;

	if (symbol && symbol->st_name < object->all_strings_size) {
		name = object->all_strings + symbol->st_name;
		if (!memchr(name, 0, object->all_strings_size - symbol->st_name))
			return NULL;
	} else {
		symbol = symbol_of(object->symbols, object->nr_symbols, address);
		name = symbol ? string_at(object, object->strings + symbol->st_name) : NULL;
	}
	if (name)
		*offset = address - symbol->st_value;
	return name;
}
