/* c++ -std=c++17 -o registration_cache registration_cache.cpp $(pkg-config --cflags --libs mmunotify) */
/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * own-device.c in C++: a device of one's own behind the registration cache.
 *
 * The device is a pipe.  vmsplice(2) puts references to pages into it, which stay there whatever
 * becomes of the addresses: a device that has pinned memory, in the kernel that you have.
 */
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <mmunotify.hpp>

namespace
{

constexpr std::size_t size = 4 * 4096;

struct pipe_device {
	struct data_type {
		int pipe[2];
	};

	int register_memory(mmun_registration &range, data_type &data) noexcept
	{
		iovec iov = { reinterpret_cast<void *>(range.start), range.end - range.start };

		if (pipe2(data.pipe, O_CLOEXEC | O_NONBLOCK))
			return -errno;
		if (vmsplice(data.pipe[1], &iov, 1, 0) != static_cast<ssize_t>(iov.iov_len)) {
			close(data.pipe[0]);
			close(data.pipe[1]);
			return -EFAULT;
		}
		std::printf("    register   %zu bytes\n", iov.iov_len);
		return 0;
	}

	/* Never called from munmap() itself: later, and when nobody uses it. */
	void deregister_memory(const mmun_registration &range, data_type &data) noexcept
	{
		close(data.pipe[0]);
		close(data.pipe[1]);
		std::printf("    deregister %lu bytes\n", range.end - range.start);
	}
};

using cache_type = mmunotify::registration_cache<pipe_device>;

/* The device reads what is registered; tee(2) leaves it there. */
ssize_t device_reads(const pipe_device::data_type &data, char *text, std::size_t length)
{
	int copy[2];
	ssize_t got = -1;

	if (pipe2(copy, O_CLOEXEC))
		return -1;
	if (tee(data.pipe[0], copy[1], size, 0) > 0)
		got = read(copy[0], text, length);
	close(copy[0]);
	close(copy[1]);
	return got;
}

bool transfer(cache_type &cache, const char *buffer)
{
	char text[32];
	std::error_code error;
	auto reg = cache.get(buffer, size, MMUN_RCACHE_READ, error); /* its end is the put */

	if (!reg) {
		std::fprintf(stderr, "no registration: %s\n", error.message().c_str());
		return false;
	}
	if (device_reads(*reg, text, sizeof(text)) != static_cast<ssize_t>(sizeof(text)))
		return false;
	std::printf("  the program has \"%s\", the device reads \"%s\"\n", buffer, text);
	return !std::strcmp(buffer, text);
}

char *map_pages(void *at, int flags)
{
	return static_cast<char *>(mmap(at, size, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | flags, -1, 0));
}

} // namespace

int main()
{
	mmun_rcache_options options = {};
	std::error_code error;
	bool right = true;

	setvbuf(stdout, nullptr, _IOLBF, 0);
	options.name = "own device";
	auto cache = cache_type::try_create(mmunotify::self(), options, error);
	if (!cache) {
		std::fprintf(stderr, "no cache: %s ('mmunotify probe' says why)\n",
			     error.message().c_str());
		return 1;
	}
	char *buffer = map_pages(nullptr, 0);

	std::puts("new memory: the cache has the device register it");
	std::strcpy(buffer, "first");
	right &= transfer(cache, buffer);
	std::puts("the same again: a hit");
	std::strcpy(buffer, "second");
	right &= transfer(cache, buffer);
	std::puts("other pages at the same place: what was registered is out of date");
	map_pages(buffer, MAP_FIXED);
	std::strcpy(buffer, "third");
	right &= transfer(cache, buffer);

	const auto stats = cache.stats();
	std::printf("%lu hits, %lu misses, %lu invalidations\n", stats.hits, stats.misses,
		    stats.invalidations);
	right &= stats.hits == 1 && stats.invalidations == 1;
	std::puts("the end: the rest is deregistered");
	return right ? 0 : 1;
}
