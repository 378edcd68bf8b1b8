/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Recognises what is loaded by its ELF contents, whatever the file is called: a mapping belongs
 * to an object if each of its segments lies where its headers say.  What is in memory may be
 * unloaded at any time and is read by the kernel (text.c).
 * Not here: what the contents mean (object.c), which objects there are (image.c).
 * Tests: tests/contract/objects.c, tests/contract/doubts.c.
 */
#include "loaded.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "state.h"

static bool is_loadable(const Elf64_Phdr *program)
{
	return program->p_type == PT_LOAD && program->p_filesz;
}

bool mmun_headers_read(struct mmun_headers *headers, unsigned long base)
{
	const Elf64_Phdr *program = headers->program;

	if (mmun_self_read(&headers->file, base, sizeof(headers->file)) ||
	    !mmun_object_is_header(&headers->file) || headers->file.e_phnum > MMUN_MAX_HEADERS ||
	    headers->file.e_phoff > MMUN_PAGE_SIZE ||
	    mmun_self_read(headers->program, base + headers->file.e_phoff,
			   headers->file.e_phnum * sizeof(*program)))
		return false;
	headers->bias = base;
	headers->low = -1ul;
	headers->high = 0;
	for (int i = 0; i < headers->file.e_phnum; i++) {
		unsigned long start = program[i].p_vaddr & MMUN_PAGE_MASK;
		unsigned long end = mmun_page_up(program[i].p_vaddr + program[i].p_filesz);

		if (!is_loadable(&program[i]))
			continue;
		if (end <= start)
			return false;
		/* The first: small objects have their data in that page as well. */
		if (!headers->high && (program[i].p_offset & MMUN_PAGE_MASK) == 0)
			headers->bias = base - start;
		headers->low = start < headers->low ? start : headers->low;
		headers->high = end > headers->high ? end : headers->high;
	}
	return headers->high > headers->low;
}

/* Segments that @vma shows a part of; *@wrong: something else lies there. */
static unsigned long segments_in(const struct mmun_headers *headers,
				 const struct mmun_vma_place *vma, unsigned long inode, bool *wrong)
{
	unsigned long found = 0;

	for (int i = 0; i < headers->file.e_phnum; i++) {
		const Elf64_Phdr *program = &headers->program[i];
		unsigned long start = (headers->bias + program->p_vaddr) & MMUN_PAGE_MASK;
		unsigned long end = headers->bias + program->p_vaddr + program->p_filesz;

		/* Anonymous memory: pages that were replaced, by us or others. */
		if (!is_loadable(program) || vma->end <= start || vma->start >= end || !vma->inode)
			continue;
		if (vma->inode == inode &&
		    vma->start - start == vma->offset - (program->p_offset & MMUN_PAGE_MASK))
			found |= 1UL << i;
		else
			*wrong = true;
	}
	return found;
}

bool mmun_headers_are_loaded(const struct mmun_headers *headers, unsigned long inode)
{
	unsigned long missing = 0, end = headers->bias + headers->high;
	struct mmun_vma_place vma;
	struct mmun_vma_walk walk;
	bool wrong = false;

	for (int i = 0; i < headers->file.e_phnum; i++)
		missing |= is_loadable(&headers->program[i]) ? 1UL << i : 0;
	if (mmun_vma_walk_start(&walk, headers->bias + headers->low, true))
		return false;
	while (!wrong && missing && mmun_vma_walk_next_place(&walk, &vma, NULL, 0) &&
	       vma.start < end)
		missing &= ~segments_in(headers, &vma, inode, &wrong);
	mmun_vma_walk_end(&walk);
	return !wrong && !missing;
}

static bool map_file_of(struct mmun_opened *opened, const char *path, unsigned long inode)
{
	struct stat file;
	long map = -1;
	int fd = (int)mmun_self_open(path);

	if (fd < 0)
		return false;
	if (!mmun_syscall3(SYS_fstat, fd, (long)&file, 0) && file.st_ino == inode)
		map = mmun_syscall6(SYS_mmap, 0, file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	mmun_self_close(fd);
	if (map < 0 && map > -4096)
		return false;
	opened->map = map;
	opened->size = file.st_size;
	mmun_identify(&file, &opened->identity);
	return true;
}

void mmun_loaded_close(const struct mmun_opened *opened)
{
	if (opened->map)
		mmun_syscall3(SYS_munmap, opened->map, opened->size, 0);
}

/* What is loaded of it, in memory that nobody unmaps. */
static bool copy_segments(struct mmun_opened *opened)
{
	const struct mmun_headers *headers = &opened->headers;
	long map = mmun_syscall6(SYS_mmap, 0, headers->high - headers->low, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map < 0)
		return false;
	opened->map = map;
	opened->size = headers->high - headers->low;
	for (int i = 0; i < headers->file.e_phnum; i++) {
		const Elf64_Phdr *program = &headers->program[i];

		if (is_loadable(program) && program->p_flags & PF_R &&
		    mmun_self_read((char *)map + (program->p_vaddr - headers->low),
				   headers->bias + program->p_vaddr, program->p_filesz))
			return false;
	}
	return true;
}

int mmun_loaded_open(struct mmun_opened *opened, const struct mmun_vma *text, unsigned long base,
		     bool known)
{
	const struct mmun_headers *headers = &opened->headers;

	opened->map = 0;
	opened->is_file = true;
	if (!mmun_headers_read(&opened->headers, base) ||
	    !(known || mmun_headers_are_loaded(headers, text->inode)))
		return -ENOEXEC;
	if (map_file_of(opened, text->name, text->inode) &&
	    !mmun_object_open_file(&opened->object, (unsigned char *)opened->map, opened->size))
		return 0;
	mmun_loaded_close(opened);
	opened->map = 0;
	opened->is_file = false;
	if (!copy_segments(opened)) {
		mmun_loaded_close(opened);
		return -ENOEXEC;
	}
	mmun_object_open_memory(&opened->object, headers->program, headers->file.e_phnum,
				headers->bias, (unsigned char *)opened->map, headers->low);
	return 0;
}
