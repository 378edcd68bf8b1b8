/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The memory of a process's statistics page: a file in memory of its own, or a part of the
 * one that MMUNOTIFY_STAT names.
 *
 * Invariants:
 *  I1  No access to a page can fail, or end the process: its size is sealed before it is
 *      used, and its memory is allocated by the file system and not by a page fault.
 *  I2  No call here ends the process by a signal: RLIMIT_FSIZE is looked at before.
 *  I3  A descriptor is closed only by the call that got it; once a page is mapped it stays
 *      open, because the program may have closed it and opened something else.
 *  I4  What MMUNOTIFY_STAT names is opened only if it is a file of that name.
 * Not here: what stands in a page (stat.c).
 * Tests: tests/unit/stat/.
 */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "atomic.h"
#include "number.h"
#include "raw_syscall.h"

/* Newer than the C library's headers may be. */
#define FILE_NOEXEC_SEAL 8u
#define FILE_SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

#define LINK_TEXT "/memfd:" MMUN_STAT_NAME " (deleted)"

/* The program may have closed its standard streams, and would write into the file. */
static long above_streams(long fd)
{
	long other;

	if (fd < 0 || fd > 2)
		return fd;
	other = mmun_syscall3(SYS_fcntl, (unsigned long)fd, F_DUPFD_CLOEXEC, 3);
	mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
	return other;
}

static bool may_have_size(unsigned long size)
{
	struct rlimit limit;

	return !mmun_syscall4(SYS_prlimit64, 0, RLIMIT_FSIZE, 0, (unsigned long)&limit) &&
	       limit.rlim_cur >= size;
}

static struct mmun_stat_page *map_part(long fd, unsigned long offset)
{
	long page;

	if (!may_have_size(offset + MMUN_STAT_PAGE_SIZE) ||
	    mmun_syscall4(SYS_fallocate, (unsigned long)fd, 0, offset, MMUN_STAT_PAGE_SIZE))
		return NULL;
	page = mmun_syscall6(SYS_mmap, 0, MMUN_STAT_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			     (unsigned long)fd, offset);
	return page < 0 ? NULL : (struct mmun_stat_page *)page;
}

static long create_file(void)
{
	unsigned long name = (unsigned long)MMUN_STAT_NAME;
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	long fd = mmun_syscall3(SYS_memfd_create, name, flags | FILE_NOEXEC_SEAL, 0);

	return fd == -EINVAL ? mmun_syscall3(SYS_memfd_create, name, flags, 0) : fd;
}

static struct mmun_stat_page *map_own(void)
{
	long fd = above_streams(create_file());
	struct mmun_stat_page *page;

	if (fd < 0)
		return NULL;
	page = map_part(fd, 0);
	if (page && !mmun_syscall3(SYS_fcntl, (unsigned long)fd, F_ADD_SEALS, FILE_SEALS))
		return page;
	if (page)
		mmun_syscall3(SYS_munmap, (unsigned long)page, MMUN_STAT_PAGE_SIZE, 0);
	mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
	return NULL;
}

/* Another process may have got the number since, and opening some files has effects. */
static bool is_named_ours(const char *path)
{
	char text[sizeof(LINK_TEXT)];

	return mmun_syscall3(SYS_readlink, (unsigned long)path, (unsigned long)text,
			     sizeof(text)) == sizeof(text) - 1 &&
	       !memcmp(text, LINK_TEXT, sizeof(text) - 1);
}

/* "/proc/PID/fd/N:TOKEN".  Return: false if it is none. */
static bool parse(const char *text, char *path, size_t size, unsigned long *token)
{
	const char *colon = strchr(text, ':'), *at = text;
	unsigned long number;

	if (!colon || (size_t)(colon - text) >= size || strncmp(at, "/proc/", 6))
		return false;
	at = mmun_get_decimal(at + 6, &number);
	if (strncmp(at, "/fd/", 4) || mmun_get_decimal(at + 4, &number) != colon)
		return false;
	memcpy(path, text, (size_t)(colon - text));
	path[colon - text] = '\0';
	return *mmun_get_decimal(colon + 1, token) == '\0';
}

/* Return: false if the file cannot be what the command made. */
static bool check_file(long fd, unsigned long *size)
{
	long seals = mmun_syscall3(SYS_fcntl, (unsigned long)fd, F_GET_SEALS, 0);
	struct stat file;

	if (seals < 0 || (seals & FILE_SEALS) != FILE_SEALS ||
	    mmun_syscall3(SYS_fstat, (unsigned long)fd, (unsigned long)&file, 0))
		return false;
	*size = (unsigned long)file.st_size;
	return *size > MMUN_STAT_PAGE_SIZE;
}

/* The next page that no process has.  Return: its offset, 0 if there is none. */
static unsigned long claim(struct mmun_stat_file *file, unsigned long size, unsigned long token)
{
	unsigned long index;

	if (memcmp(file->magic, MMUN_STAT_FILE_MAGIC, sizeof(file->magic)) ||
	    file->version != MMUN_STAT_VERSION || file->page_size != MMUN_STAT_PAGE_SIZE ||
	    file->token != token)
		return 0;
	index = mmun_add_relaxed(&file->claimed, 1) - 1;
	if (index >= size / MMUN_STAT_PAGE_SIZE - 1)
		return 0;
	return (index + 1) * MMUN_STAT_PAGE_SIZE;
}

static struct mmun_stat_page *map_claimed(long fd, unsigned long token)
{
	unsigned long size, offset;
	struct mmun_stat_page *head;

	if (!check_file(fd, &size))
		return NULL;
	head = map_part(fd, 0);
	if (!head)
		return NULL;
	offset = claim((struct mmun_stat_file *)head, size, token);
	mmun_syscall3(SYS_munmap, (unsigned long)head, MMUN_STAT_PAGE_SIZE, 0);
	return offset ? map_part(fd, offset) : NULL;
}

static struct mmun_stat_page *map_shared(const char *text)
{
	struct mmun_stat_page *page;
	unsigned long token;
	char path[64];
	long fd;

	if (!parse(text, path, sizeof(path), &token) || !is_named_ours(path))
		return NULL;
	fd = above_streams(mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD, (unsigned long)path,
					 O_RDWR | O_CLOEXEC | O_NONBLOCK, 0));
	if (fd < 0)
		return NULL;
	page = map_claimed(fd, token);
	if (!page)
		mmun_syscall3(SYS_close, (unsigned long)fd, 0, 0);
	return page;
}

struct mmun_stat_page *mmun_stat_map_page(void)
{
	const char *named = secure_getenv(MMUN_STAT_ENV);
	struct mmun_stat_page *page = NULL;

	if (named && !strcmp(named, "off"))
		return NULL;
	if (named)
		page = map_shared(named);
	return page ? page : map_own();
}
