/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * sites FILE - each system call instruction of an ELF file, with what would be done
 * about it, by the very code that decides it in a process (primary/self/scan.c).
 * Exit status 1 if one is unknown in a C library or dynamic linker.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "scan.h"

static struct mmun_object object;
static unsigned int count[4];

static int print(const struct mmun_finding *finding, void *arg)
{
	static const char *const verdicts[] = {
		[MMUN_VERDICT_SITE] = "redirected",
		[MMUN_VERDICT_OTHER] = "not ours",
		[MMUN_VERDICT_OWN] = "our own",
		[MMUN_VERDICT_UNKNOWN] = "unknown",
	};
	static const char *const forms[] = {
		[MMUN_FORM_BACK] = "back",     [MMUN_FORM_PAD] = "pad",   [MMUN_FORM_RUN] = "run",
		[MMUN_FORM_WINDOW] = "window", [MMUN_FORM_CALL] = "call",
	};
	unsigned long offset = finding->address;
	const char *name = mmun_object_name(&object, finding->address, &offset);

	count[finding->verdict]++;
	printf("# %6lx %s+0x%lx: %s", finding->address, name ? name : "", offset,
	       verdicts[finding->verdict]);
	if (finding->verdict == MMUN_VERDICT_SITE)
		printf(" (%s at %lx)", forms[finding->form], finding->at);
	printf(finding->nr_numbers ? ", number" : ", number in a register");
	for (int i = 0; i < finding->nr_numbers; i++)
		printf(" %d", finding->numbers[i]);
	printf("%s%s\n", finding->why ? ": " : "", finding->why ? finding->why : "");
	return 0;
}

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1, ret;
	const char *name;
	struct stat file;
	void *map;
	bool is_c_library;

	if (fd < 0 || fstat(fd, &file)) {
		fprintf(stderr, "usage: sites FILE\n");
		return 2;
	}
	map = mmap(NULL, file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED || mmun_object_open_file(&object, map, file.st_size)) {
		fprintf(stderr, "%s: no ELF file of x86-64\n", argv[1]);
		return 2;
	}
	name = mmun_object_soname(&object);
	is_c_library = !strncmp(name, "libc.so.6", 9) || !strncmp(name, "ld-linux-x86-64.so", 18);
	ret = mmun_scan(&object, is_c_library, print, NULL);
	printf("# %s: %u redirected, %u not ours, %u our own, %u unknown\n", name,
	       count[MMUN_VERDICT_SITE], count[MMUN_VERDICT_OTHER], count[MMUN_VERDICT_OWN],
	       count[MMUN_VERDICT_UNKNOWN]);
	return ret || !count[MMUN_VERDICT_SITE] || (is_c_library && count[MMUN_VERDICT_UNKNOWN]);
}
