/* cc -o own-device own-device.c $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A secondary MMU of one's own behind the registration cache.
 *
 * The device here is a pipe.  To register memory with it, vmsplice(2) puts references to the
 * pages into the pipe; they stay there, whatever becomes of the addresses, and reading the
 * pipe shows what is in them: a device that has pinned memory, in the kernel that you have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

/* The cache's part comes first; the rest is what the device needs. */
struct pinned {
	struct mmun_registration reg;
	int pipe[2];
};

static int pin(void *arg, struct mmun_registration *reg)
{
	struct pinned *pinned = (struct pinned *)reg;
	struct iovec iov = { (void *)reg->start, reg->end - reg->start };

	(void)arg;
	if (pipe2(pinned->pipe, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	if (vmsplice(pinned->pipe[1], &iov, 1, 0) == (ssize_t)iov.iov_len) {
		printf("    register   %zu bytes\n", iov.iov_len);
		return 0;
	}
	close(pinned->pipe[0]);
	close(pinned->pipe[1]);
	return -EFAULT;
}

/* Never called from munmap() itself: later, and when nobody uses it. */
static void unpin(void *arg, struct mmun_registration *reg)
{
	struct pinned *pinned = (struct pinned *)reg;

	(void)arg;
	close(pinned->pipe[0]);
	close(pinned->pipe[1]);
	printf("    deregister %lu bytes\n", reg->end - reg->start);
}

static const struct mmun_rcache_ops ops = { .register_memory = pin, .deregister_memory = unpin };

/* The device reads what is registered; tee(2) leaves it there. */
static int device_reads(const struct pinned *pinned, char *text, size_t size)
{
	int copy[2], got = -1;

	if (pipe2(copy, O_CLOEXEC))
		return -1;
	if (tee(pinned->pipe[0], copy[1], pinned->reg.end - pinned->reg.start, 0) > 0)
		got = (int)read(copy[0], text, size);
	close(copy[0]);
	close(copy[1]);
	return got;
}

static int transfer(struct mmun_rcache *cache, const char *buffer, size_t size)
{
	struct mmun_registration *reg;
	char text[32];

	reg = mmun_rcache_get(cache, (unsigned long)buffer, size, MMUN_RCACHE_READ);
	if (mmun_is_err(reg)) {
		fprintf(stderr, "no registration: %s\n", strerror(-mmun_ptr_err(reg)));
		return 1;
	}
	if (device_reads((struct pinned *)reg, text, sizeof(text)) != sizeof(text))
		return 1;
	mmun_rcache_put(cache, reg);
	printf("  the program has \"%s\", the device reads \"%s\"\n", buffer, text);
	return strcmp(buffer, text) != 0;
}

int main(void)
{
	struct mmun_rcache_options options = { .name = "own device",
					       .registration_size = sizeof(struct pinned) };
	const int rights = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	const size_t size = 4 * 4096;
	struct mmun_rcache_stats stats;
	struct mmun_rcache *cache;
	int wrong = 0, result;
	char *buffer;

	setvbuf(stdout, NULL, _IOLBF, 0);
	result = mmun_rcache_create(mmun_self(), &ops, NULL, &options, &cache);
	if (result) {
		fprintf(stderr, "no cache: %s ('mmunotify probe' says why)\n", strerror(-result));
		return 1;
	}
	buffer = mmap(NULL, size, rights, flags, -1, 0);
	memset(buffer, 0, size); /* pages of its own */

	puts("new memory: the cache has the device register it");
	strcpy(buffer, "first");
	wrong += transfer(cache, buffer, size);
	puts("the same again: a hit");
	strcpy(buffer, "second");
	wrong += transfer(cache, buffer, size);
	puts("other pages at the same place: what was registered is out of date");
	mmap(buffer, size, rights, flags | MAP_FIXED, -1, 0);
	memset(buffer, 0, size);
	strcpy(buffer, "third");
	wrong += transfer(cache, buffer, size);

	mmun_rcache_stats(cache, &stats);
	printf("%lu hits, %lu misses, %lu invalidations\n", stats.hits, stats.misses,
	       stats.invalidations);
	puts("the end: the rest is deregistered");
	wrong += mmun_rcache_destroy(cache) != 0;
	return wrong != 0;
}
