/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: libfabric's registration caches, fed by the adapter.
 *
 * A buffer is registered through a cache of the real libfabric, its memory is replaced in a
 * way, and it is registered again: is what the cache hands out of the old memory?  A
 * registration is a copy of the stamp that the memory had when it was made.  Each mode is a process
 * of its own, since libfabric reads its environment once; libfabric's own monitor and one
 * that says nothing must be caught with old memory, else the test shows nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../tap.h"
#include "fi_cache.h"

#define SIZE (64u << 10)

static unsigned long adds;

static int add(struct fi_cached *cached)
{
	adds++;
	cached->stamp[0] = *(volatile unsigned long *)cached->start;
	return 0;
}

static void drop(struct fi_cached *cached)
{
	(void)cached;
}

static const struct fi_cache_ops ops = { add, drop };

static void *map(void *at, int flags, int fd)
{
	return mmap(at, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);
}

static void replace_munmap(char *at, int fd)
{
	munmap(at, SIZE);
	map(at, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
}

static void replace_fixed(char *at, int fd)
{
	map(at, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1);
}

static void replace_dontneed(char *at, int fd)
{
	madvise(at, SIZE, MADV_DONTNEED);
}

static void replace_mremap(char *at, int fd)
{
	void *other = map(NULL, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	mremap(other, SIZE, SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

static void replace_syscall(char *at, int fd)
{
	syscall(SYS_madvise, at, SIZE, MADV_DONTNEED);
}

/* The number comes in a register, from who knows where. */
static __attribute__((noinline)) long inline_call(long nr, void *a, unsigned long b, long c)
{
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return result;
}

static void replace_inline(char *at, int fd)
{
	inline_call(SYS_madvise, at, SIZE, MADV_DONTNEED);
}

static void replace_punch(char *at, int fd)
{
	fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SIZE);
}

static const struct way {
	const char *name;
	void (*replace)(char *at, int fd);
	bool file;
} ways[] = {
	{ "munmap", replace_munmap, false },     { "MAP_FIXED", replace_fixed, false },
	{ "DONTNEED", replace_dontneed, false }, { "mremap-onto", replace_mremap, false },
	{ "syscall()", replace_syscall, false }, { "inline", replace_inline, false },
	{ "punch", replace_punch, true },
};
#define NR_WAYS (sizeof(ways) / sizeof(ways[0]))

/* In the child: one character for each way, "o": old memory was handed out. */
static int run_ways(void)
{
	char verdict[NR_WAYS + 1] = "";
	const char *why = "";
	struct fi_cache *cache = fi_cache_create(&ops, &why);
	unsigned long stamp = 1;
	size_t i;

	if (!cache) {
		printf("no cache: %s\n", why);
		return 1;
	}
	for (i = 0; i < NR_WAYS; i++) {
		const int fd = ways[i].file ? memfd_create("fi", 0) : -1;
		struct fi_cached *cached;
		unsigned int use;
		char *at;

		if (ways[i].file && ftruncate(fd, SIZE))
			return 1;
		at = map(NULL, ways[i].file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, fd);
		verdict[i] = '.';
		*(volatile unsigned long *)at = stamp++;
		for (use = 0; use < 3; use++)
			fi_cache_put(fi_cache_get(cache, at, SIZE));
		ways[i].replace(at, fd);
		*(volatile unsigned long *)at = stamp++;
		for (use = 0; use < 3; use++) {
			cached = fi_cache_get(cache, at, SIZE);
			if (cached->stamp[0] != stamp - 1)
				verdict[i] = 'o';
			fi_cache_put(cached);
		}
	}
	printf("%s %lu\n", verdict, adds);
	fi_cache_destroy(cache);
	return 0;
}

struct result {
	char out[512], err[1024];
	int status;
};

static void read_all(int fd, char *text, size_t size)
{
	size_t length = 0;
	ssize_t got;

	while ((got = read(fd, text + length, size - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = 0;
	close(fd);
}

/* Runs this program's part @what with more environment, NULL at its end. */
static struct result run(const char *what, const char *const env[])
{
	struct result result;
	int out[2], err[2];
	pid_t pid;

	if (pipe(out) || pipe(err))
		bail_out("pipe");
	pid = fork();
	if (!pid) {
		dup2(out[1], 1);
		dup2(err[1], 2);
		close(out[0]);
		close(err[0]);
		for (; *env; env++)
			putenv((char *)*env);
		execl("/proc/self/exe", "fi", what, NULL);
		_exit(127);
	}
	close(out[1]);
	close(err[1]);
	read_all(out[0], result.out, sizeof(result.out));
	read_all(err[0], result.err, sizeof(result.err));
	waitpid(pid, &result.status, 0);
	return result;
}

#define OURS "FI_PROVIDER_PATH=" TEST_ADAPTER_DIR

/* @old: 'o' must hand out old memory, '.' must not, '?' may. */
static void check_mode(const char *mode, const char *old, const char *said, const char *const env[])
{
	const struct result result = run("ways", env);
	size_t i;

	if (!ok(result.status == 0 && strlen(result.out) > NR_WAYS, "%s: runs", mode)) {
		diag("status %x: %s%s", result.status, result.out, result.err);
		return;
	}
	for (i = 0; i < NR_WAYS; i++)
		ok(old[i] == '?' || old[i] == result.out[i], "%s: %s: %s", mode, ways[i].name,
		   old[i] == 'o' ? "old memory is handed out" : "memory is never old");
	if (!ok(*said ? strstr(result.err, said) != NULL : !*result.err, "%s: says %s", mode,
		*said ? said : "nothing"))
		diag("%s", result.err);
	diag("%s: %s", mode, strtok((char *)result.out, "\n"));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "ways"))
		return run_ways();
	unsetenv("FI_PROVIDER_PATH");
	unsetenv("FI_MR_CACHE_MONITOR");
	/*                                mFDosip */
	check_mode("own hooks", "...oooo", "",
		   (const char *[]){ "FI_MR_CACHE_MONITOR=memhooks", NULL });
	check_mode("silent", "ooooooo", "MMUNOTIFY_FI=silent",
		   (const char *[]){ OURS, "MMUNOTIFY_FI=silent", NULL });
	check_mode("off", "...oooo", "", (const char *[]){ OURS, "MMUNOTIFY_FI=off", NULL });
	check_mode("adapter", ".....?.", "", (const char *[]){ OURS, NULL });
	check_mode("adapter, strict", ".......", "",
		   (const char *[]){ OURS, "MMUNOTIFY_STRICT=1", NULL });
	check_mode("adapter, another monitor named", ".....?.", "",
		   (const char *[]){ OURS, "FI_MR_CACHE_MONITOR=memhooks", NULL });
	return tap_done();
}
