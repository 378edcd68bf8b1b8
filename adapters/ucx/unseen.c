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

/* Of an object that is loaded @bias beyond what its file says, and begins with @header. */
static bool has_words(uintptr_t bias, const ElfW(Ehdr) * header)
{
	/* In UCX's tables of variables; and the name of a function of libucm. */
	static const char *const words[] = { "MMAP_HOOK_MODE", "ucm_mmap_install" };
	const ElfW(Phdr) *segments = (const void *)((const char *)header + header->e_phoff);

	/* In the page that is there for certain. */
	if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
	    header->e_phoff + header->e_phnum * sizeof(*segments) > 4096)
		return false;
	for (const ElfW(Phdr) *segment = segments; segment < segments + header->e_phnum;
	     segment++) {
		/* What is only read: no thread changes or unmaps it. */
		if (segment->p_type != PT_LOAD || (segment->p_flags & (PF_R | PF_W)) != PF_R)
			continue;
		for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++)
			if (memmem((const void *)(bias + segment->p_vaddr), segment->p_filesz,
				   words[w], strlen(words[w]) + 1))
				return true;
	}
	return false;
}

/*
 * Without dl_iterate_phdr(): its lock may be held by a thread of the process that this one was
 * forked from, for ever.  The one of dladdr1() is free, as exit() takes it as well.
 */
bool ucx_find_unseen(char *path, size_t size)
{
	const void *function = dlsym(RTLD_NEXT, "munmap");
	uintptr_t target = function ? jump_target(function) : 0;
	struct link_map *map;
	Dl_info info;

	if (!target || !dladdr1((const void *)target, &info, (void **)&map, RTLD_DL_LINKMAP) ||
	    !has_words(map->l_addr, info.dli_fbase))
		return false;
	snprintf(path, size, "%s", *map->l_name ? map->l_name : "the program itself");
	return true;
}
