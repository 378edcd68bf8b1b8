/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The routes of calls.h.  Does not choose between them: the operations suite
 * runs every operation on each.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"

static int *own_errno(void)
{
	return &errno;
}

const struct calls calls_libc = {
	.mmap = mmap,
	.mmap64 = mmap64,
	.munmap = munmap,
	.mremap = mremap,
	.madvise = madvise,
	.process_madvise = process_madvise,
	.brk = brk,
	.shmat = shmat,
	.shmdt = shmdt,
	.mprotect = mprotect,
	.pkey_mprotect = pkey_mprotect,
	.remap_file_pages = remap_file_pages,
	.ftruncate = ftruncate,
	.truncate = truncate,
	.fallocate = fallocate,
	.errno_at = own_errno,
};

long (*calls_enter)(long nr, ...) = syscall;

static long answer(long result)
{
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}

#define TAKE_ARGUMENTS(a, nr) \
	do { \
		va_list list; \
		va_start(list, nr); \
		for (int i = 0; i < 6; i++) \
			(a)[i] = va_arg(list, long); \
		va_end(list); \
	} while (0)

long calls_inline(long nr, ...)
{
	long a[6], result;

	TAKE_ARGUMENTS(a, nr);
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return answer(result);
}

/* mov %r9,%rax; mov 8(%rsp),%r9; mov %rcx,%r10; syscall; ret */
static const unsigned char code[] = { 0x4c, 0x89, 0xc8, 0x4c, 0x8b, 0x4c, 0x24,
				      0x08, 0x49, 0x89, 0xca, 0x0f, 0x05, 0xc3 };

long calls_generated(long nr, ...)
{
	static long (*generated)(long, long, long, long, long, long nr, long sixth);
	long a[6];

	if (!generated) {
		void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);

		memcpy(page, code, sizeof(code));
		mprotect(page, 4096, PROT_READ | PROT_EXEC);
		generated = (long (*)(long, long, long, long, long, long, long))page;
	}
	TAKE_ARGUMENTS(a, nr);
	return answer(generated(a[0], a[1], a[2], a[3], a[4], nr, a[5]));
}

static void *raw_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
	return (void *)calls_enter(SYS_mmap, addr, len, prot, flags, fd, offset);
}

static int raw_munmap(void *addr, size_t len)
{
	return (int)calls_enter(SYS_munmap, addr, len);
}

static void *raw_mremap(void *addr, size_t old, size_t new, int flags, ...)
{
	va_list args;
	void *to;

	va_start(args, flags);
	to = va_arg(args, void *);
	va_end(args);
	return (void *)calls_enter(SYS_mremap, addr, old, new, flags, to);
}

static int raw_madvise(void *addr, size_t len, int advice)
{
	return (int)calls_enter(SYS_madvise, addr, len, advice);
}

static ssize_t raw_process_madvise(int fd, const struct iovec *vec, size_t n, int advice,
				   unsigned int flags)
{
	return calls_enter(SYS_process_madvise, fd, vec, n, advice, flags);
}

/* The kernel answers with the break, libc's function with 0 or -1. */
static int raw_brk(void *to)
{
	if ((void *)calls_enter(SYS_brk, to) == to)
		return 0;
	errno = ENOMEM;
	return -1;
}

static void *raw_shmat(int id, const void *addr, int flags)
{
	return (void *)calls_enter(SYS_shmat, id, addr, flags);
}

static int raw_shmdt(const void *addr)
{
	return (int)calls_enter(SYS_shmdt, addr);
}

static int raw_mprotect(void *addr, size_t len, int prot)
{
	return (int)calls_enter(SYS_mprotect, addr, len, prot);
}

static int raw_pkey_mprotect(void *addr, size_t len, int prot, int key)
{
	return (int)calls_enter(SYS_pkey_mprotect, addr, len, prot, key);
}

static int raw_remap_file_pages(void *addr, size_t len, int prot, size_t page, int flags)
{
	return (int)calls_enter(SYS_remap_file_pages, addr, len, prot, page, flags);
}

static int raw_ftruncate(int fd, off_t len)
{
	return (int)calls_enter(SYS_ftruncate, fd, len);
}

static int raw_truncate(const char *path, off_t len)
{
	return (int)calls_enter(SYS_truncate, path, len);
}

static int raw_fallocate(int fd, int mode, off_t offset, off_t len)
{
	return (int)calls_enter(SYS_fallocate, fd, mode, offset, len);
}

const struct calls calls_syscall = {
	.mmap = raw_mmap,
	.mmap64 = raw_mmap,
	.munmap = raw_munmap,
	.mremap = raw_mremap,
	.madvise = raw_madvise,
	.process_madvise = raw_process_madvise,
	.brk = raw_brk,
	.shmat = raw_shmat,
	.shmdt = raw_shmdt,
	.mprotect = raw_mprotect,
	.pkey_mprotect = raw_pkey_mprotect,
	.remap_file_pages = raw_remap_file_pages,
	.ftruncate = raw_ftruncate,
	.truncate = raw_truncate,
	.fallocate = raw_fallocate,
	.errno_at = own_errno,
};

int calls_by_name(struct calls *out, void *handle)
{
	struct {
		const char *name;
		void **to;
	} names[] = {
		{ "mmap", (void **)&out->mmap },
		{ "mmap64", (void **)&out->mmap64 },
		{ "munmap", (void **)&out->munmap },
		{ "mremap", (void **)&out->mremap },
		{ "madvise", (void **)&out->madvise },
		{ "process_madvise", (void **)&out->process_madvise },
		{ "brk", (void **)&out->brk },
		{ "shmat", (void **)&out->shmat },
		{ "shmdt", (void **)&out->shmdt },
		{ "mprotect", (void **)&out->mprotect },
		{ "pkey_mprotect", (void **)&out->pkey_mprotect },
		{ "remap_file_pages", (void **)&out->remap_file_pages },
		{ "ftruncate", (void **)&out->ftruncate },
		{ "truncate", (void **)&out->truncate },
		{ "fallocate", (void **)&out->fallocate },
		{ "__errno_location", (void **)&out->errno_at },
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		*names[i].to = dlsym(handle, names[i].name);
		if (!*names[i].to)
			return -1;
	}
	return 0;
}
