/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify.hpp in use: owners that move and end, callbacks that see each change, a cache between
 * threads that change memory.  Compiled and run by cpp.py, with and without sanitizers and exceptions;
 * prints TAP.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <mmunotify.hpp>

namespace
{

constexpr std::size_t page = 4096;

int nr_results, nr_failures;

void ok(bool passed, const char *name)
{
	std::printf("%sok %d - %s\n", passed ? "" : "not ", ++nr_results, name);
	nr_failures += !passed;
}

unsigned long address_of(const void *at)
{
	return reinterpret_cast<unsigned long>(at);
}

char *map_pages(std::size_t pages, void *at = nullptr)
{
	return static_cast<char *>(mmap(at, pages * page, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0));
}

/* Allocations of the calling thread: where no sanitizer has an allocator of its own. */
thread_local unsigned long allocations;

struct counts {
	unsigned long starts, ends, releases;
};

/* Counts what touches one page; takes and gives nothing else. */
class counter
{
public:
	counter(counts &into, unsigned long watched) noexcept : into_(into), watched_(watched)
	{
	}
	counter(const counter &) = delete;

	MMUNOTIFY_HOOK void invalidate_range_start(const mmunotify::range &range) noexcept
	{
		if (range.start <= watched_ && watched_ < range.end)
			__atomic_add_fetch(&into_.starts, 1, __ATOMIC_SEQ_CST);
	}
	MMUNOTIFY_HOOK void invalidate_range_end(const mmunotify::range &range) noexcept
	{
		if (range.start <= watched_ && watched_ < range.end)
			__atomic_add_fetch(&into_.ends, 1, __ATOMIC_SEQ_CST);
	}
	MMUNOTIFY_HOOK void release() noexcept
	{
		__atomic_add_fetch(&into_.releases, 1, __ATOMIC_SEQ_CST);
	}

private:
	counts &into_;
	unsigned long watched_;
};

using counting = mmunotify::notifier<counter>;
static_assert(!std::is_copy_constructible_v<counting> && !std::is_copy_assignable_v<counting>);
static_assert(std::is_nothrow_move_constructible_v<counting>);
static_assert(std::is_nothrow_move_assignable_v<counting> && sizeof(counting) == sizeof(void *));

void test_notifier()
{
	counts seen = {};
	std::error_code error;
	char *at = map_pages(1);
	unsigned long before;

	{
		auto first = counting::try_create(mmunotify::self(), error, seen, address_of(at));
		ok(!error && first, "a notifier is created");
		before = allocations;
		madvise(at, page, MADV_DONTNEED);
		ok(seen.starts == 1 && seen.ends == 1, "and hears of a change");
		ok(allocations == before, "for which nothing was allocated");
		counting second = std::move(first);
		ok(second && !first, "it moves");
		munmap(at, page);
		ok(seen.starts == 2 && seen.ends == 2, "and still hears");
		first = std::move(second);
		counting &same = first;
		first = std::move(same);
		map_pages(1, at);
		ok(first && seen.starts >= 2, "back again, and onto itself");
		ok(!seen.releases, "no release until the end");
	}
	ok(seen.releases == 1, "which is that of its scope");
	seen = {};
	munmap(at, page);
	ok(!seen.starts, "then nothing is called");
	auto none = counting::try_create(nullptr, error, seen, 0ul);
	ok(!none && error == std::errc::no_such_process,
	   "without an address space: an error, and none");
}

/* Looks at its owner, and is aligned as no allocation is unless asked. */
struct alignas(256) looking {
	mmunotify::notifier<looking> &owner;
	bool &found;

	looking(mmunotify::notifier<looking> &of, bool &into) noexcept : owner(of), found(into)
	{
	}
	MMUNOTIFY_HOOK void release() noexcept
	{
		found = owner && &*owner == this;
	}
};

void test_owner()
{
	bool found = false;
	std::error_code error;
	mmunotify::notifier<looking> owner, none;

	owner = mmunotify::notifier<looking>::try_create(mmunotify::self(), error, owner, found);
	ok(owner && address_of(&*owner) % alignof(looking) == 0, "a Handler has its alignment");
	owner.reset();
	ok(found && !owner, "its last callback finds its owner");
	found = false;
	owner = mmunotify::notifier<looking>::try_create(mmunotify::self(), error, owner, found);
	owner = std::move(none);
	ok(found && !owner, "also when the owner is overwritten");
}

#if MMUNOTIFY_EXCEPTIONS
struct refusing {
	explicit refusing(int value)
	{
		if (value)
			throw value;
	}
	void release() noexcept
	{
	}
};

void test_exceptions()
{
	bool thrown = false;

	try {
		counts seen = {};
		counting watching(static_cast<mm_struct *>(nullptr), seen, 0ul);
	} catch (const std::system_error &error) {
		thrown = error.code() == std::errc::no_such_process;
	}
	ok(thrown, "a constructor throws what try_create() sets");
	thrown = false;
	try {
		mmunotify::notifier<refusing> watching(mmunotify::self(), 1);
	} catch (int) {
		thrown = true;
	}
	ok(thrown, "and lets an exception of the Handler's constructor through");
	ok(static_cast<bool>(mmunotify::notifier<refusing>(mmunotify::self(), 0)),
	   "or there is one");
}
#else
void test_exceptions()
{
}
#endif

/* A refusal of the non-blocking kind. */
struct veto {
	static constexpr bool no_cancellation_point = true;
	unsigned long address;

	explicit veto(unsigned long at) noexcept : address(at)
	{
	}
	MMUNOTIFY_HOOK int invalidate_range_start(const mmunotify::range &range) noexcept
	{
		return range.start == address && !mmu_notifier_range_blockable(&range) ? -EAGAIN
										       : 0;
	}
};

void test_veto()
{
	char *at = map_pages(1);
	std::error_code error;
	auto refusing =
		mmunotify::notifier<veto>::try_create(mmunotify::self(), error, address_of(at));

	ok(munmap(at, page) == -1 && errno == EAGAIN, "a start may refuse");
	refusing.reset();
	ok(!refusing && !munmap(at, page), "until it is gone");
}

/* A lock that no tool replaces; nobody changes memory while it is held. */
class spin
{
public:
	MMUNOTIFY_HOOK void lock() noexcept
	{
		while (__atomic_exchange_n(&taken_, 1, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	MMUNOTIFY_HOOK void unlock() noexcept
	{
		__atomic_store_n(&taken_, 0, __ATOMIC_RELEASE);
	}

private:
	int taken_ = 0;
};

/* The number in a page, as it was looked up; 0: not known. */
struct translation {
	spin lock;
	unsigned long value = 0;

	MMUNOTIFY_HOOK void invalidate(const mmunotify::range &,
				       mmunotify::interval_sequence sequence) noexcept
	{
		lock.lock();
		sequence.set();
		value = 0;
		lock.unlock();
	}
};

/* The number that a page has.  That it changes meanwhile is the point. */
MMUNOTIFY_HOOK __attribute__((noinline)) unsigned long look(const char *at)
{
	return *reinterpret_cast<const volatile unsigned long *>(at);
}

using watching = mmunotify::interval<translation>;
static_assert(!std::is_copy_constructible_v<watching> && !std::is_copy_assignable_v<watching>);
static_assert(std::is_nothrow_move_constructible_v<watching>);
static_assert(std::is_nothrow_move_assignable_v<watching> && sizeof(watching) == sizeof(void *));

void test_interval()
{
	constexpr unsigned long rounds = 2000;
	const int fd = memfd_create("numbers", MFD_CLOEXEC);
	char *at = map_pages(1);
	std::error_code error;
	unsigned long published = 0, stale = 0, newest = 0;
	auto watched =
		mmunotify::interval<translation>::try_create(mmunotify::self(), at, page, error);

	ok(watched && !error, "an interval is created");
	for (unsigned long i = 0; i <= rounds; i++)
		if (pwrite(fd, &i, sizeof(i), static_cast<off_t>(i * page)) < 0)
			ok(false, "a page of numbers");
	std::thread changer([&] {
		for (unsigned long i = 1; i <= rounds; i++) {
			mmap(at, page, PROT_READ, MAP_SHARED | MAP_FIXED, fd,
			     static_cast<off_t>(i * page));
			__atomic_store_n(&published, i, __ATOMIC_SEQ_CST);
		}
	});
	do {
		unsigned long found = 0;

		newest = __atomic_load_n(&published, __ATOMIC_SEQ_CST);
		watched->lock.lock();
		found = watched->value;
		watched->lock.unlock();
		if (!found)
			watched.read(
				watched->lock, [&] { return look(at); },
				[&](unsigned long value) { found = watched->value = value; });
		stale += found < newest;
	} while (newest < rounds);
	changer.join();
	ok(!stale, "what is established through it is never stale");
	auto moved = std::move(watched);
	ok(moved && !watched &&
		   moved.read(
			   moved->lock, [] { return 1; }, [](int) {}),
	   "it moves");
	ok(!watched.read(
		   moved->lock, [] { return 1; }, [](int) {}),
	   "what it was moved from reads nothing");
	fflush(stdout);
	const pid_t child = fork();
	if (!child) {
		const bool right = moved.is_stale() &&
				   !moved.read(
					   moved->lock, [] { return 1; }, [](int) {});
		moved.reset();
		_exit(right && !moved ? 0 : 1);
	}
	int status = -1;
	waitpid(child, &status, 0);
	ok(status == 0, "a forked child only forgets");
	auto empty = mmunotify::interval<translation>::try_create(mmunotify::self(), at, 0, error);
	ok(!empty && error == std::errc::value_too_large, "nothing at all is no interval");
	moved.reset();
	munmap(at, page);
	close(fd);
}

#ifndef WITHOUT_CACHE
/* A device that counts: what it has registered, and what it could not. */
class device
{
public:
	struct data_type {
		unsigned long key;
	};

	explicit device(unsigned long most) noexcept : most_(most)
	{
	}
	MMUNOTIFY_HOOK int register_memory(mmun_registration &, data_type &data) noexcept
	{
		data.key = __atomic_add_fetch(&key_, 1, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&registered, 1, __ATOMIC_SEQ_CST);
		return 0;
	}
	MMUNOTIFY_HOOK void deregister_memory(const mmun_registration &, data_type &data) noexcept
	{
		__atomic_add_fetch(&wrong, !data.key, __ATOMIC_SEQ_CST);
		__atomic_add_fetch(&deregistered, 1, __ATOMIC_SEQ_CST);
	}
	void limits(mmun_rcache_limits &limits) noexcept
	{
		limits.length = most_;
	}
	static inline unsigned long registered, deregistered, wrong;

private:
	unsigned long key_ = 0, most_;
};

using cache_type = mmunotify::registration_cache<device>;
using use_type = cache_type::registration_type;
static_assert(!std::is_copy_constructible_v<cache_type> && !std::is_copy_constructible_v<use_type>);
static_assert(std::is_nothrow_move_constructible_v<use_type>);
static_assert(std::is_nothrow_move_assignable_v<use_type> &&
	      sizeof(use_type) == 2 * sizeof(void *));
static_assert(std::is_nothrow_move_assignable_v<cache_type> &&
	      sizeof(cache_type) == sizeof(void *));

void use_cache(cache_type &cache, unsigned long &failures)
{
	char *at = map_pages(4);

	for (int i = 0; i < 500; i++) {
		std::error_code error;
		auto one = cache.get(at, page, MMUN_RCACHE_READ, error);
		auto two = cache.get(at + page, 2 * page, MMUN_RCACHE_WRITE, error);
		const unsigned long key = one ? one->key : 0;

		if (!one || !two || !key || one.start() > address_of(at))
			__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
		one.reset();
		map_pages(1, at);
		one = cache.get(at, page, MMUN_RCACHE_READ, error);
		if (!one || one->key == key || !one.is_current())
			__atomic_add_fetch(&failures, 1, __ATOMIC_SEQ_CST);
		two = std::move(one);
	}
	munmap(at, 4 * page);
}

void test_cache()
{
	std::error_code error;
	unsigned long failures = 0;
	{
		auto cache = cache_type::try_create(mmunotify::self(), {}, error, 64 * page);
		std::vector<std::thread> threads;

		ok(cache && !error, "a cache is created");
		for (int i = 0; i < 3; i++)
			threads.emplace_back(use_cache, std::ref(cache), std::ref(failures));
		for (auto &thread : threads)
			thread.join();
		ok(!failures, "in threads that change memory no registration is stale");
		auto moved = std::move(cache);
		auto use = moved.get(&failures, 65 * page, MMUN_RCACHE_READ, error);
		ok(!use && error == std::errc::message_size, "the Backend's limit is an error");
		ok(!cache && moved.stats().hits + moved.stats().misses >= 4500,
		   "it moves, and counts");
		use = moved.get(&failures, 8, MMUN_RCACHE_READ, error);
		ok(moved.close() == std::errc::device_or_resource_busy,
		   "it does not end while a registration is in use");
		auto other = cache_type::try_create(mmunotify::self(), {}, error, 64 * page);
		use = other.get(&failures, 8, MMUN_RCACHE_READ, error);
		use_type &same = use;
		use = std::move(same);
		ok(use && use.is_current(), "a use of another cache takes its place");
		ok(!moved.close() && !moved, "then it ends");
		use.reset();
	}
	ok(device::registered == device::deregistered && device::registered >= 1500 &&
		   !device::wrong,
	   "whatever was registered is deregistered");
	use_type longer;
	{
		auto cache = cache_type::try_create(mmunotify::self(), {}, error, 64 * page);
		longer = cache.get(&failures, 8, MMUN_RCACHE_READ, error);
	}
	ok(longer && longer->key, "a use that outlives its cache keeps it");
	longer.reset();
}

#endif

} // namespace

#ifdef COUNT_ALLOCATIONS
void *operator new(std::size_t size)
{
	allocations++;
	void *at = std::malloc(size);

	if (!at)
		std::abort();
	return at;
}
void *operator new(std::size_t size, const std::nothrow_t &) noexcept
{
	allocations++;
	return std::malloc(size);
}
void operator delete(void *at) noexcept
{
	std::free(at);
}
void operator delete(void *at, std::size_t) noexcept
{
	std::free(at);
}
void operator delete(void *at, const std::nothrow_t &) noexcept
{
	std::free(at);
}
#endif

int main()
{
	test_notifier();
	test_owner();
	test_exceptions();
	test_veto();
	test_interval();
#ifndef WITHOUT_CACHE
	test_cache();
#endif
	std::printf("1..%d\n", nr_results);
	return nr_failures != 0;
}
