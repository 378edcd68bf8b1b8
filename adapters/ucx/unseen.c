/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UCX that is linked statically, or was loaded with RTLD_DEEPBIND, calls its own functions.
 * In the hook mode bistro it can be seen afterwards: munmap() begins with a jump into the
 * object that it is in, and that object has the name of the variable that chooses the mode, or
 * is libucm.  Others patch munmap() as well; they are not UCX.
 * Not seen: the modes reloc and none, which leave the function alone.
 * Tests: tests/contract/adapters/ucx.c.
 */
#include "unseen.h"

#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <dlfcn.h>

/* jmp rel32; or mov $target,%rax; jmp *%rax */
static uintptr_t jump_target(const unsigned char *code)
{
	uintptr_t target;
	int32_t relative;

	if (code[0] == 0xe9) {
		memcpy(&relative, code + 1, sizeof(relative));
		return (uintptr_t)code + 5 + (uintptr_t)(intptr_t)relative;
	}
	if (code[0] == 0x48 && code[1] == 0xb8 && code[10] == 0xff && code[11] == 0xe0) {
		memcpy(&target, code + 2, sizeof(target));
		return target;
	}
	return 0;
}

struct question {
	uintptr_t target;
	bool is_ucx;
	char *path;
	size_t size;
};

static bool has_words(const struct dl_phdr_info *info)
{
	/* In UCX's tables of variables; and the name of a function of libucm. */
	static const char *const words[] = { "MMAP_HOOK_MODE", "ucm_mmap_install" };
	const ElfW(Phdr) * segment;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		segment = &info->dlpi_phdr[i];
		/* What is only read: no thread changes or unmaps it. */
		if (segment->p_type != PT_LOAD || (segment->p_flags & (PF_R | PF_W)) != PF_R)
			continue;
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (memmem((const void *)(info->dlpi_addr + segment->p_vaddr),
				   segment->p_filesz, words[w], strlen(words[w]) + 1))
				return true;
	}
	return false;
}

static bool contains(const struct dl_phdr_info *info, uintptr_t address)
{
	for (int i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_LOAD &&
		    address - info->dlpi_addr - info->dlpi_phdr[i].p_vaddr <
			    info->dlpi_phdr[i].p_memsz)
			return true;
	return false;
}

static int ask(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct question *question = arg;

	if (!contains(info, question->target))
		return 0;
	question->is_ucx = has_words(info);
	snprintf(question->path, question->size, "%s",
		 *info->dlpi_name ? info->dlpi_name : "the program itself");
	return 1;
}

bool ucx_find_unseen(char *path, size_t size)
{
	struct question question = { .path = path, .size = size };
	const void *function = dlsym(RTLD_NEXT, "munmap");

	question.target = function ? jump_target(function) : 0;
	if (question.target)
		dl_iterate_phdr(ask, &question);
	return question.is_ucx;
}
