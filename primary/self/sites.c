/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What scan.c says of a file, for whoever asks without running it.
 * Tests: tests/system/trace_errors.py (mmunotify probe --sites).
 */
#include "mmunotify/self.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "scan.h"
#include "state.h"

struct request {
	struct mmun_object object;
	int (*fn)(const struct mmun_site_info *info, void *arg);
	void *arg;
};

static int tell(const struct mmun_finding *finding, void *arg)
{
	const struct request *request = arg;
	struct mmun_site_info info = {
		.offset = finding->address,
		.nr = finding->nr,
		.redirected = finding->verdict == MMUN_VERDICT_SITE,
		.harmless = finding->verdict == MMUN_VERDICT_OTHER ||
			    finding->verdict == MMUN_VERDICT_OWN,
		.why = finding->why,
	};

	info.function = mmun_object_name(&request->object, finding->address, &info.offset);
	return request->fn(&info, request->arg);
}

static int scan_file(struct request *request, const unsigned char *map, size_t size)
{
	int ret = mmun_object_open_file(&request->object, map, size);
	const char *name;

	if (ret)
		return ret;
	name = mmun_object_soname(&request->object);
	return mmun_scan(&request->object,
			 !strncmp(name, "libc.so.6", 9) || !strncmp(name, "ld-linux-x86-64.so", 18),
			 tell, request);
}

int mmun_file_sites(const char *path, int (*fn)(const struct mmun_site_info *info, void *arg),
		    void *arg)
{
	struct request request = { .fn = fn, .arg = arg };
	int fd = (int)mmun_self_open(path);
	struct stat file;
	long map;
	int ret;

	if (fd < 0)
		return fd;
	map = mmun_syscall3(SYS_fstat, fd, (unsigned long)&file, 0);
	if (!map)
		map = !S_ISREG(file.st_mode) || !file.st_size ? -ENOEXEC :
			mmun_syscall6(SYS_mmap, 0, file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	mmun_self_close(fd);
	if (map < 0)
		return (int)map;
	ret = scan_file(&request, (const unsigned char *)map, file.st_size);
	mmun_syscall3(SYS_munmap, map, file.st_size, 0);
	return ret;
}
