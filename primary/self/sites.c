/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What scan.c says of a file, for a look at it without running it; and of the objects of
 * this process, where it is compared with what stands there.
 * Tests: tests/contract/objects.c, tests/system/trace_errors.py (mmunotify probe).
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
	const struct mmun_object *object;
	/* One or the other. */
	int (*fn)(const struct mmun_site_info *info, void *arg);
	int (*fn_of_process)(const char *object, const struct mmun_site_info *info, void *arg);
	void *arg;
	/* Of a process: where the object is, and what is redirected in it. */
	const struct mmun_loaded *loaded;
	bool started;
};

static const struct mmun_site *find_site(const struct mmun_loaded *loaded,
					 const struct mmun_finding *finding)
{
	const struct mmun_image *image = loaded->image;

	for (int i = 0; image && i < image->nr_sites; i++)
		if ((unsigned long)image->sites[i].at == loaded->bias + finding->at)
			return &image->sites[i];
	return NULL;
}

/* It would be redirected: is it? */
static const char *why_not(const struct request *request, const struct mmun_finding *finding)
{
	const struct mmun_site *site = find_site(request->loaded, finding);

	if (site && mmun_site_is_ours(site))
		return NULL;
	return !site || mmun_site_is_original(site)
		       ? "it could not be redirected when its library was loaded"
		       : "another library or tool has replaced its code since";
}

static int report(const struct mmun_finding *finding, void *arg)
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

	if (request->fn_of_process && finding->verdict == MMUN_VERDICT_OWN)
		return 0;
	if (info.redirected && request->started) {
		info.why = why_not(request, finding);
		info.redirected = !info.why;
	}
	info.function = mmun_object_name(request->object, finding->address, &info.offset);
	return request->fn ? request->fn(&info, request->arg)
			   : request->fn_of_process(request->loaded->path, &info, request->arg);
}

static int scan_file(struct request *request, const unsigned char *map, size_t size)
{
	struct mmun_object object;
	int ret = mmun_object_open_file(&object, map, size);

	if (ret)
		return ret;
	request->object = &object;
	return mmun_scan(&object, mmun_object_is_c_library(&object), report, request);
}

static int scan_loaded(const struct mmun_loaded *loaded, void *arg)
{
	struct request *request = arg;

	/* Unloaded meanwhile. */
	if (loaded->image && mmun_self_look(loaded->image))
		return 0;
	request->loaded = loaded;
	request->object = loaded->object;
	return mmun_scan(loaded->object, mmun_object_is_c_library(loaded->object), report, request);
}

int mmun_sites_of_process(struct mmun_image *images,
			  int (*fn)(const char *object, const struct mmun_site_info *info,
				    void *arg),
			  void *arg)
{
	struct request request = { .fn_of_process = fn, .arg = arg, .started = images };

	return mmun_self_each_object(images, scan_loaded, &request);
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
		map = !S_ISREG(file.st_mode) || !file.st_size
			      ? -ENOEXEC
			      : mmun_syscall6(SYS_mmap, 0, file.st_size, PROT_READ, MAP_PRIVATE, fd,
					      0);
	mmun_self_close(fd);
	if (map < 0)
		return (int)map;
	ret = scan_file(&request, (const unsigned char *)map, file.st_size);
	mmun_syscall3(SYS_munmap, map, file.st_size, 0);
	return ret;
}
