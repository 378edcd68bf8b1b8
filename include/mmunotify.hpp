/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify for C++17: subscriptions and registrations that end with their scope.
 *
 *     struct cache {
 *             int invalidate_range_start(const mmunotify::range &range) noexcept;
 *             void invalidate_range_end(const mmunotify::range &range) noexcept;
 *             void release() noexcept;
 *     };
 *     mmunotify::notifier<cache> watching(mmunotify::self(), arguments of the constructor...);
 *
 * Three owners, move-only: notifier, interval, registration_cache with its registrations.  What is
 * subscribed is created in one allocation at the beginning and stays at its place; moving an
 * owner moves a pointer.  Callbacks are members of your class, found when it is compiled; what
 * stands between the library and them allocates nothing, takes no lock, and is no virtual call.
 *
 * What callbacks may do is said at struct mmu_notifier_ops and in mmunotify(7), CALLBACKS: they run
 * inside munmap() and free(), in any thread, with any lock of the program held.  So they
 * allocate nothing (no std::string, no container that grows), take only locks that are never held
 * across a memory operation, and are noexcept: one that is not does not compile.  In a program
 * that ThreadSanitizer instruments, write MMUNOTIFY_HOOK before each of them.  (It does not see how the
 * library orders the users of one registration: what they write there it takes for races.)
 *
 * Errors: each owner has a constructor that throws std::system_error, and try_create(), which sets a
 * std::error_code and returns an empty owner.  Codes are errno's, of std::generic_category(): compare
 * with std::errc.  With -fno-exceptions there is only the second.
 *
 * Everything else is the C headers' (mmunotify/mmu_notifier.h, mmunotify/rcache.h), whose contracts
 * hold; fork included: in a child an owner only forgets.
 */
#ifndef MMUNOTIFY_HPP
#define MMUNOTIFY_HPP

#if !defined(__cplusplus) || __cplusplus < 201703L
#error "mmunotify.hpp needs C++17 (-std=c++17)"
#endif

#include <cerrno>
#include <cstddef>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/rcache.h>
#include <mmunotify/self.h>

/** Before a callback, and what it calls: sanitizers leave it alone, see mmunotify(7), CALLBACKS. */
#if defined(__clang__)
#define MMUNOTIFY_HOOK __attribute__((disable_sanitizer_instrumentation))
#else
#define MMUNOTIFY_HOOK __attribute__((no_sanitize("thread")))
#endif

#if defined(__cpp_exceptions) || defined(__EXCEPTIONS)
#define MMUNOTIFY_EXCEPTIONS 1
#else
#define MMUNOTIFY_EXCEPTIONS 0
#endif

namespace mmunotify
{

/** What a section is about: start, end, event, flags, origin. */
using range = ::mmu_notifier_range;

/** The address space of this process; null if there was no memory for it. */
inline ::mm_struct *self() noexcept
{
	return ::mmun_self();
}

namespace detail
{

/* Of a result of the C functions, 0 or -errno. */
inline std::error_code code_of(long result) noexcept
{
	return result < 0 ? std::error_code(static_cast<int>(-result), std::generic_category())
			  : std::error_code();
}

#if MMUNOTIFY_EXCEPTIONS
inline void throw_if(const std::error_code &error, const char *what)
{
	if (error)
		throw std::system_error(error, what);
}
#endif

/* Which callbacks a class has. */
template <class T, class = void> struct has_start : std::false_type {
};
template <class T>
struct has_start<T, std::void_t<decltype(std::declval<T &>().invalidate_range_start(
			    std::declval<const range &>()))>> : std::true_type {
};
template <class T, class = void> struct has_end : std::false_type {
};
template <class T>
struct has_end<T, std::void_t<decltype(std::declval<T &>().invalidate_range_end(
			  std::declval<const range &>()))>> : std::true_type {
};
template <class T, class = void> struct has_release : std::false_type {
};
template <class T>
struct has_release<T, std::void_t<decltype(std::declval<T &>().release())>> : std::true_type {
};
template <class T, class = void> struct has_limits : std::false_type {
};
template <class T>
struct has_limits<T, std::void_t<decltype(std::declval<T &>().limits(
			     std::declval<::mmun_rcache_limits &>()))>> : std::true_type {
};
template <class T, class = void> struct no_cancellation_point : std::false_type {
};
template <class T>
struct no_cancellation_point<T, std::void_t<decltype(T::no_cancellation_point)>>
    : std::bool_constant<T::no_cancellation_point> {
};

/* Makes what an owner holds of @args, in one allocation, and has @begin begin it: a call of the C
 * API, 0 or -errno.  Nothing is left of what fails. */
template <class Held, class Begin, class... Args>
std::error_code create(std::unique_ptr<Held> &held, ::mm_struct *mm, Begin begin, Args &&...args)
{
	int result = -ENOMEM;

	held.reset(new (std::nothrow) Held(std::forward<Args>(args)...));
	if (held) {
		result = mm ? begin(*held) : -ESRCH;
		if (result)
			held.reset();
	}
	return code_of(result);
}

inline void unsubscribe(::mmu_notifier *mn, ::mm_struct *mm) noexcept
{
	::mmu_notifier_unregister(mn, mm);
}
inline void unsubscribe(::mmu_interval_notifier *sub, ::mm_struct *) noexcept
{
	::mmu_interval_notifier_remove(sub);
}

/* What notifier and interval have in common.  Subscription is the C API's struct, which the owner
 * holds until it has ended: callbacks, which run until then, find their owner as it was. */
template <class Subscription, class Handler> class subscription
{
public:
	/** Ends the subscription; no callback runs afterwards, and the Handler is gone.  Not from a
	 *  callback.  What an interval's readers have translated is yours to drop. */
	void reset() noexcept
	{
		if (node_)
			detail::unsubscribe(node_.get(), node_->of);
		node_.reset();
	}

	explicit operator bool() const noexcept
	{
		return static_cast<bool>(node_);
	}
	/** The Handler; callbacks use it at the same time. */
	Handler &operator*() const noexcept
	{
		return node_->handler;
	}
	Handler *operator->() const noexcept
	{
		return &node_->handler;
	}
	/** Does it belong to the process that forked this one? */
	bool is_stale() const noexcept
	{
		return node_ && ::mmun_mm_is_stale(node_->of);
	}

protected:
	struct node : Subscription {
		template <class... Args>
		explicit node(Args &&...args) : Subscription(), handler(std::forward<Args>(args)...)
		{
		}
		::mm_struct *of = nullptr;
		Handler handler;
	};

	MMUNOTIFY_HOOK static Handler &handler_of(Subscription *of) noexcept
	{
		return static_cast<node *>(of)->handler;
	}

	subscription() noexcept = default;
	subscription(subscription &&other) noexcept = default;
	subscription &operator=(subscription &&other) noexcept
	{
		if (this != &other) {
			reset();
			node_ = std::move(other.node_);
		}
		return *this;
	}
	~subscription()
	{
		reset();
	}

	std::unique_ptr<node> node_;
};

} // namespace detail

/**
 * notifier - a subscription to every change of an address space.
 *
 * Handler has at least one of
 *     int or void invalidate_range_start(const range &) noexcept;    0, or -EAGAIN
 *     void invalidate_range_end(const range &) noexcept;
 *     void release() noexcept;
 * and may have `static constexpr bool no_cancellation_point = true`, which is
 * MMUN_OPS_NO_CANCELLATION_POINT.
 * reset(), bool, *, -> and is_stale(): of detail::subscription, above.
 */
template <class Handler> class notifier : public detail::subscription<::mmu_notifier, Handler>
{
	using base = detail::subscription<::mmu_notifier, Handler>;
	using base::handler_of;

	static_assert(
		detail::has_start<Handler>::value || detail::has_end<Handler>::value ||
			detail::has_release<Handler>::value,
		"a notifier has invalidate_range_start(), invalidate_range_end() or release()");

	MMUNOTIFY_HOOK static int start(::mmu_notifier *mn, const range *changing) noexcept
	{
		using result = decltype(handler_of(mn).invalidate_range_start(*changing));

		static_assert(noexcept(handler_of(mn).invalidate_range_start(*changing)),
			      "invalidate_range_start() must be noexcept: it runs inside munmap()");
		if constexpr (std::is_void_v<result>) {
			handler_of(mn).invalidate_range_start(*changing);
			return 0;
		} else {
			return handler_of(mn).invalidate_range_start(*changing);
		}
	}
	MMUNOTIFY_HOOK static void end(::mmu_notifier *mn, const range *changed) noexcept
	{
		static_assert(noexcept(handler_of(mn).invalidate_range_end(*changed)),
			      "invalidate_range_end() must be noexcept: it runs inside munmap()");
		handler_of(mn).invalidate_range_end(*changed);
	}
	MMUNOTIFY_HOOK static void release(::mmu_notifier *mn, ::mm_struct *) noexcept
	{
		static_assert(noexcept(handler_of(mn).release()), "release() must be noexcept");
		handler_of(mn).release();
	}
	static constexpr ::mmu_notifier_ops make_ops() noexcept
	{
		::mmu_notifier_ops made{};

		if constexpr (detail::has_start<Handler>::value)
			made.invalidate_range_start = start;
		if constexpr (detail::has_end<Handler>::value)
			made.invalidate_range_end = end;
		if constexpr (detail::has_release<Handler>::value)
			made.release = release;
		if constexpr (detail::no_cancellation_point<Handler>::value)
			made.flags = MMUN_OPS_NO_CANCELLATION_POINT;
		return made;
	}
	static constexpr ::mmu_notifier_ops ops = make_ops();

public:
	/** Empty. */
	notifier() noexcept = default;

	/** Subscribes to @mm a Handler made of @args.  @error: as mmu_notifier_register(). */
	template <class... Args>
	static notifier
	try_create(::mm_struct *mm, std::error_code &error,
		   Args &&...args) noexcept(std::is_nothrow_constructible_v<Handler, Args &&...>)
	{
		notifier made;

		error = detail::create(
			made.node_, mm,
			[mm](auto &node) {
				node.of = mm;
				node.ops = &ops;
				return ::mmu_notifier_register(&node, mm);
			},
			std::forward<Args>(args)...);
		return made;
	}

#if MMUNOTIFY_EXCEPTIONS
	template <class... Args> explicit notifier(::mm_struct *mm, Args &&...args)
	{
		std::error_code error;

		*this = try_create(mm, error, std::forward<Args>(args)...);
		detail::throw_if(error, "mmunotify::notifier ('mmunotify probe' says why)");
	}
#endif
};

/** What Handler::invalidate() of an interval gets beside the range. */
class interval_sequence
{
public:
	MMUNOTIFY_HOOK interval_sequence(::mmu_interval_notifier *sub,
					 unsigned long sequence) noexcept
	    : sub_(sub), sequence_(sequence)
	{
	}
	/** Under the lock that readers hold in interval::read(): lets them retry.  Always, whatever
	 *  the range is. */
	MMUNOTIFY_HOOK void set() const noexcept
	{
		::mmu_interval_set_seq(sub_, sequence_);
	}

private:
	::mmu_interval_notifier *sub_;
	unsigned long sequence_;
};

/**
 * interval - a subscription to changes of one range.
 *
 * Handler has
 *     void or bool invalidate(const range &, interval_sequence) noexcept;
 * which takes its lock, calls set(), drops its translations, unlocks (mmunotify/interval.h).
 * reset(), bool, *, -> and is_stale(): of detail::subscription, above.
 */
template <class Handler>
class interval : public detail::subscription<::mmu_interval_notifier, Handler>
{
	using base = detail::subscription<::mmu_interval_notifier, Handler>;
	using base::node_;

	MMUNOTIFY_HOOK static bool invalidate(::mmu_interval_notifier *sub, const range *changing,
					      unsigned long sequence) noexcept
	{
		Handler &handler = base::handler_of(sub);
		const interval_sequence given(sub, sequence);
		using result = decltype(handler.invalidate(*changing, given));

		static_assert(noexcept(handler.invalidate(*changing, given)),
			      "invalidate() must be noexcept: it runs inside munmap()");
		if constexpr (std::is_void_v<result>) {
			handler.invalidate(*changing, given);
			return true;
		} else {
			return handler.invalidate(*changing, given);
		}
	}
	static constexpr ::mmu_interval_notifier_ops make_ops() noexcept
	{
		::mmu_interval_notifier_ops made{};

		made.invalidate = invalidate;
		return made;
	}
	static constexpr ::mmu_interval_notifier_ops ops = make_ops();

public:
	interval() noexcept = default;

	/** Subscribes to @length bytes at @address.  @error: as mmu_interval_notifier_insert(). */
	template <class... Args>
	static interval
	try_create(::mm_struct *mm, const volatile void *address, std::size_t length,
		   std::error_code &error,
		   Args &&...args) noexcept(std::is_nothrow_constructible_v<Handler, Args &&...>)
	{
		interval made;

		error = detail::create(
			made.node_, mm,
			[=](auto &node) {
				node.of = mm;
				return ::mmu_interval_notifier_insert(
					&node, mm, reinterpret_cast<unsigned long>(address), length,
					&ops);
			},
			std::forward<Args>(args)...);
		return made;
	}

#if MMUNOTIFY_EXCEPTIONS
	template <class... Args>
	interval(::mm_struct *mm, const volatile void *address, std::size_t length, Args &&...args)
	{
		std::error_code error;

		*this = try_create(mm, address, length, error, std::forward<Args>(args)...);
		detail::throw_if(error, "mmunotify::interval ('mmunotify probe' says why)");
	}
#endif

	/**
	 * Looks up and establishes, again and again until nothing changed in between.
	 * @look_up: called without a lock; returns what establish gets
	 * @establish: called under @lock, the one that invalidate() takes; changes no memory
	 *
	 * Waits while the range is being changed.
	 * Return: false, and nothing is established: this cannot be done here (in the child of a
	 * fork; by a thread that is inside a change itself).
	 */
	template <class Lock, class LookUp, class Establish>
	bool read(Lock &lock, LookUp &&look_up, Establish &&establish)
	{
		struct guard {
			explicit guard(Lock &taken) : lock(taken)
			{
				lock.lock();
			}
			guard(const guard &) = delete;
			guard &operator=(const guard &) = delete;
			~guard()
			{
				lock.unlock();
			}
			Lock &lock;
		};

		while (node_ && !base::is_stale() && !::mmun_mm_is_inside(node_->of)) {
			const unsigned long sequence = ::mmu_interval_read_begin(node_.get());
			auto found = look_up();
			guard held(lock);

			if (!::mmu_interval_read_retry(node_.get(), sequence)) {
				establish(std::move(found));
				return true;
			}
		}
		return false;
	}
};

/**
 * registration - one use of registered memory; ends it when it goes.
 *
 * Its cache must be there until then; see ~registration_cache().
 */
template <class Data> class registration
{
public:
	registration() noexcept = default;
	/** mmun_rcache_put(). */
	void reset() noexcept
	{
		entry_.reset();
	}

	explicit operator bool() const noexcept
	{
		return static_cast<bool>(entry_);
	}
	/** What the device needs. */
	const Data &operator*() const noexcept
	{
		return entry_->data;
	}
	const Data *operator->() const noexcept
	{
		return &entry_->data;
	}
	/** First byte and one past the last byte: covers what was asked for. */
	unsigned long start() const noexcept
	{
		return entry_->reg.start;
	}
	unsigned long end() const noexcept
	{
		return entry_->reg.end;
	}
	unsigned int access() const noexcept
	{
		return entry_->reg.access;
	}
	/** Has the memory not changed since it was registered? */
	bool is_current() const noexcept
	{
		return entry_ && ::mmun_rcache_is_current(entry_.get_deleter().cache, &entry_->reg);
	}

	/* private: */
	struct entry {
		::mmun_registration reg;
		Data data;
	};
	registration(::mmun_rcache *cache, entry *taken) noexcept : entry_(taken, put{ cache })
	{
	}

private:
	struct put {
		void operator()(entry *used) const noexcept
		{
			::mmun_rcache_put(cache, &used->reg);
		}
		::mmun_rcache *cache;
	};

	std::unique_ptr<entry, put> entry_;
};

/**
 * registration_cache - registrations that are kept, and never stale (mmunotify/rcache.h).
 *
 * Backend has
 *     using data_type = ...;     what the device needs for a registration; zeroed, trivial
 *     int register_memory(mmun_registration &range, data_type &) noexcept;     0 or -errno
 *     void deregister_memory(const mmun_registration &range, data_type &) noexcept;
 * and may have
 *     void limits(mmun_rcache_limits &) noexcept;
 * Their context is that of struct mmun_rcache_ops: they are no hooks, they may sleep and allocate.
 */
template <class Backend> class registration_cache
{
public:
	using data_type = typename Backend::data_type;
	using registration_type = registration<data_type>;

private:
	using entry = typename registration_type::entry;

	static_assert(std::is_trivial_v<data_type> && std::is_standard_layout_v<entry>,
		      "data_type is trivial: the cache makes it of zeros, and drops it");
	static_assert(alignof(entry) <= alignof(::mmun_registration),
		      "data_type needs no greater alignment than a pointer");

	struct core {
		template <class... Args>
		explicit core(Args &&...args) : backend(std::forward<Args>(args)...)
		{
		}
		::mmun_rcache *cache = nullptr;
		Backend backend;
	};

	static int do_register(void *arg, ::mmun_registration *reg) noexcept
	{
		Backend &backend = static_cast<core *>(arg)->backend;
		data_type &data = reinterpret_cast<entry *>(reg)->data;

		static_assert(noexcept(backend.register_memory(*reg, data)),
			      "register_memory() must be noexcept: C calls it");
		return backend.register_memory(*reg, data);
	}
	static void do_deregister(void *arg, ::mmun_registration *reg) noexcept
	{
		Backend &backend = static_cast<core *>(arg)->backend;
		data_type &data = reinterpret_cast<entry *>(reg)->data;

		static_assert(noexcept(backend.deregister_memory(*reg, data)),
			      "deregister_memory() must be noexcept: C calls it");
		backend.deregister_memory(*reg, data);
	}
	static void do_limits(void *arg, ::mmun_rcache_limits *limits) noexcept
	{
		static_cast<core *>(arg)->backend.limits(*limits);
	}
	static constexpr ::mmun_rcache_ops make_ops() noexcept
	{
		::mmun_rcache_ops made{};

		made.register_memory = do_register;
		made.deregister_memory = do_deregister;
		if constexpr (detail::has_limits<Backend>::value)
			made.limits = do_limits;
		return made;
	}
	static constexpr ::mmun_rcache_ops ops = make_ops();

public:
	registration_cache() noexcept = default;

	/** A cache of memory of @mm with a Backend made of @args.  @options: registration_size is
	 *  set here.  @error: as mmun_rcache_create(). */
	template <class... Args>
	static registration_cache
	try_create(::mm_struct *mm, ::mmun_rcache_options options, std::error_code &error,
		   Args &&...args) noexcept(std::is_nothrow_constructible_v<Backend, Args &&...>)
	{
		registration_cache made;

		options.registration_size = sizeof(entry);
		error = detail::create(
			made.core_, mm,
			[&](core &arg) {
				return ::mmun_rcache_create(mm, &ops, &arg, &options, &arg.cache);
			},
			std::forward<Args>(args)...);
		return made;
	}

#if MMUNOTIFY_EXCEPTIONS
	template <class... Args>
	registration_cache(::mm_struct *mm, const ::mmun_rcache_options &options, Args &&...args)
	{
		std::error_code error;

		*this = try_create(mm, options, error, std::forward<Args>(args)...);
		detail::throw_if(error,
				 "mmunotify::registration_cache ('mmunotify probe' says why)");
	}
#endif

	registration_cache(registration_cache &&other) noexcept = default;
	registration_cache &operator=(registration_cache &&other) noexcept
	{
		if (this != &other) {
			leave();
			core_ = std::move(other.core_);
		}
		return *this;
	}

	/** As close().  While registrations are in use it cannot end: then cache and Backend stay, for
	 *  their sake, until the process ends.  Let registrations go first. */
	~registration_cache()
	{
		leave();
	}

	/** Deregisters everything.  std::errc::device_or_resource_busy: some are in use; gets fail from
	 *  now on, and it is to be called again. */
	std::error_code close() noexcept
	{
		const int result = core_ ? ::mmun_rcache_destroy(core_->cache) : 0;

		if (!result)
			core_.reset();
		return detail::code_of(result);
	}

	/** A registration of @length bytes at @address.  @error: as mmun_rcache_get(). */
	registration_type get(const volatile void *address, std::size_t length, unsigned int access,
			      std::error_code &error) noexcept
	{
		::mmun_registration *reg = ::mmun_rcache_get(
			core_->cache, reinterpret_cast<unsigned long>(address), length, access);

		if (::mmun_is_err(reg)) {
			error = detail::code_of(::mmun_ptr_err(reg));
			return {};
		}
		error.clear();
		return { core_->cache, reinterpret_cast<entry *>(reg) };
	}
#if MMUNOTIFY_EXCEPTIONS
	registration_type get(const volatile void *address, std::size_t length, unsigned int access)
	{
		std::error_code error;
		registration_type taken = get(address, length, access, error);

		detail::throw_if(error, "mmunotify::registration_cache::get");
		return taken;
	}
#endif

	/** Memory of [@start, @end) was changed in a way that no event source sees. */
	void invalidate(unsigned long start, unsigned long end) noexcept
	{
		::mmun_rcache_invalidate(core_->cache, start, end);
	}
	/** Drops everything; what is in use goes with its last use. */
	void flush() noexcept
	{
		::mmun_rcache_flush(core_->cache);
	}
	using stats_type = struct ::mmun_rcache_stats;
	stats_type stats() const noexcept
	{
		stats_type found;

		::mmun_rcache_stats(core_->cache, &found);
		return found;
	}
	explicit operator bool() const noexcept
	{
		return static_cast<bool>(core_);
	}
	Backend &backend() const noexcept
	{
		return core_->backend;
	}
	/** For functions of mmunotify/rcache.h that have no member here. */
	::mmun_rcache *native_handle() const noexcept
	{
		return core_->cache;
	}

private:
	void leave() noexcept
	{
		if (close())
			(void)core_.release();
	}

	std::unique_ptr<core> core_;
};

} // namespace mmunotify

#endif
