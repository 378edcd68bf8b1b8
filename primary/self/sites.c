/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What scan.c says of a file, for whoever asks without running it.
 * Tests: tests/system/trace_errors.py (mmunotify probe --sites).
 */
#include "mmunotify/self.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan.h"

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
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret = 0;
	struct stat file;
	void *map;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &file))
		ret = -errno;
	else if (!S_ISREG(file.st_mode) || !file.st_size)
		ret = -ENOEXEC;
	if (!ret) {
		map = mmap(NULL, file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (map == MAP_FAILED)
			ret = -errno;
	}
	close(fd);
	if (ret)
		return ret;
	ret = scan_file(&request, map, file.st_size);
	munmap(map, file.st_size);
	return ret;
}
