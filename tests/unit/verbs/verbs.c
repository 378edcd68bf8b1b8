/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The cache of a protection domain, from its creation to its end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../contract/sanitizer.h"
#include "../tap.h"
#include "domain.h"
#include "stub.h"

#define PAGE 4096ul

static struct mmun_verbs *verbs;
static char *memory;

/* Other memory, at the same address. */
static void replace(size_t length)
{
	if (mmap(memory, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		 -1, 0) != memory)
		bail_out("mmap");
}

static void create(const struct mmun_verbs_options *options)
{
	is(mmun_verbs_create(&stub.pd, options, &verbs), 0, "a cache is created");
}

static void destroy(void)
{
	is(mmun_verbs_destroy(verbs), 0, "a cache is destroyed");
	is(stub.live, 0, "without a region left");
	is(stub.wrong, 0, "and without a call that libibverbs would not survive");
}

static struct mmun_verbs_registration *get(size_t length, unsigned int access)
{
	struct mmun_verbs_registration *reg = mmun_verbs_get(verbs, memory, length, access);

	if (mmun_is_err(reg))
		bail_out("a get failed");
	return reg;
}

static void test_options(void)
{
	struct mmun_rcache_options cache = { .registration_size =
						     sizeof(struct mmun_registration) };
	struct mmun_verbs_options options = { .cache = &cache };

	stub_reset();
	is(mmun_verbs_create(&stub.pd, &options, &verbs), -EINVAL, "options: too small a struct");
	options = (struct mmun_verbs_options){ .flags = 0x80 };
	is(mmun_verbs_create(&stub.pd, &options, &verbs), -EINVAL, "options: unknown flags");
	options.flags = 0;
	stub.query_error = EIO;
	is(mmun_verbs_create(&stub.pd, &options, &verbs), -EIO, "options: a device that is gone");
	stub.query_error = 0;
	stub.attributes.odp_caps.general_caps = IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT;
	stub.attributes.odp_caps.per_transport_caps.rc_odp_caps = IBV_ODP_SUPPORT_SEND;
	cache = (struct mmun_rcache_options){ .alignment = 3 };
	options = (struct mmun_verbs_options){ .cache = &cache, .on_demand = IBV_ODP_SUPPORT_SEND };
	is(mmun_verbs_create(&stub.pd, &options, &verbs), -EINVAL, "options: the cache's own");
	is(stub.registered, 1, "options: after a region of everything");
	is(stub.live, 0, "options: which is taken back");
}

static void test_get(void)
{
	struct {
		struct mmun_verbs_registration region;
		char users[100];
	} * larger;
	struct mmun_rcache_options cache = { .registration_size = sizeof(*larger),
					     .flags = MMUN_RCACHE_DEBUG };
	struct mmun_verbs_registration *first, *second;
	struct mmun_rcache_stats stats;

	stub_reset();
	stub.attributes.orig_attr.max_mr_size = 6 * PAGE;
	create(&(struct mmun_verbs_options){ .cache = &cache });
	first = get(4 * PAGE, MMUN_RCACHE_WRITE);
	larger = (void *)first;
	is(larger->users[0] | larger->users[99], 0, "get: the user's part is zero");
	second = get(100, MMUN_RCACHE_READ | MMUN_VERBS_ORDERED);
	ok(first == second, "get: a region with more serves less");
	mmun_verbs_put(verbs, second);
	mmun_verbs_put(verbs, first);
	mmun_verbs_put(verbs, NULL);
	mmun_verbs_put(verbs, mmun_err_ptr(-ENOMEM));
	is(stub.registered, 1, "get: registered once");

	replace(4 * PAGE);
	mmun_verbs_put(verbs, get(4 * PAGE, MMUN_RCACHE_WRITE));
	is(stub.registered, 2, "get: registered anew when the memory was replaced");
	mmun_rcache_flush(mmun_verbs_rcache(verbs));
	mmun_rcache_stats(mmun_verbs_rcache(verbs), &stats);
	is(stats.hits, 1, "get: the cache counts");
	is(mmun_ptr_err(mmun_verbs_get(verbs, memory, 7 * PAGE, MMUN_RCACHE_READ)), -EMSGSIZE,
	   "get: more than the device can");
	first = get(PAGE, MMUN_VERBS_REMOTE_WRITE);
	is(mmun_verbs_destroy(verbs), -EBUSY, "destroy: not while one is in use");
	mmun_verbs_put(verbs, first);
	destroy();
}

static void test_memory(void)
{
	int said[2], terminal = dup(STDERR_FILENO);
	char text[1024] = "";

	stub_reset();
	create(NULL);
	for (int i = 0; i < 8; i++)
		mmun_verbs_put(verbs,
			       mmun_verbs_get(verbs, memory + i * PAGE, PAGE, MMUN_RCACHE_READ));
	stub.register_error = ENOMEM;
	stub.register_failures = 1;
	mmun_verbs_put(verbs, get(8 * PAGE, MMUN_RCACHE_WRITE));
	ok(stub.live < 9, "memory: idle regions make room");
	mmun_rcache_flush(mmun_verbs_rcache(verbs));
	if (pipe2(said, O_NONBLOCK | O_CLOEXEC) || dup2(said[1], STDERR_FILENO) < 0)
		bail_out("pipe");
	for (int i = 0; i < 2; i++) {
		stub.register_failures = 1000;
		is(mmun_ptr_err(mmun_verbs_get(verbs, memory, PAGE, MMUN_RCACHE_READ)), -ENOMEM,
		   "memory: there is none");
	}
	stub.register_failures = 0;
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	ok(read(said[0], text, sizeof(text) - 1) > 0 &&
		   strchr(text, '\n') == text + strlen(text) - 1,
	   "memory: said once: %.*s", (int)strcspn(text, "\n"), text);
	close(said[0]);
	close(said[1]);
	destroy();
}

static void offer_on_demand(uint64_t general)
{
	stub_reset();
	stub.attributes.odp_caps.general_caps = general;
	stub.attributes.odp_caps.per_transport_caps.rc_odp_caps = IBV_ODP_SUPPORT_SEND |
								  IBV_ODP_SUPPORT_WRITE;
}

static struct mmun_verbs_info info_of(struct mmun_verbs *of)
{
	struct mmun_verbs_info info;

	mmun_verbs_info(of, &info);
	return info;
}

static void test_on_demand(void)
{
	const struct mmun_verbs_options options = { .on_demand = IBV_ODP_SUPPORT_WRITE };

	offer_on_demand(0);
	create(&options);
	ok(!info_of(verbs).on_demand, "on demand: not offered");
	mmun_verbs_put(verbs, get(PAGE, MMUN_RCACHE_READ));
	is(stub.flags, 0, "on demand: pinned then");
	destroy();

	offer_on_demand(IBV_ODP_SUPPORT);
	create(&options);
	ok(info_of(verbs).on_demand && !info_of(verbs).implicit, "on demand: of ranges");
	mmun_verbs_put(verbs, get(PAGE, MMUN_RCACHE_READ));
	is(stub.flags, IBV_ACCESS_ON_DEMAND, "on demand: each region is");
	ok(stub.address == memory && stub.length == PAGE, "on demand: a range of its own");
	destroy();

	offer_on_demand(IBV_ODP_SUPPORT);
	create(NULL);
	ok(!info_of(verbs).on_demand, "on demand: not if nobody asks");
	destroy();
}

static void test_implicit(void)
{
	const struct mmun_rcache_options cache = { .flags = MMUN_RCACHE_DEBUG };
	const struct mmun_verbs_options options = { .on_demand = IBV_ODP_SUPPORT_WRITE,
						    .flags = MMUN_VERBS_RELAXED_ORDERING,
						    .cache = &cache };
	struct mmun_verbs_registration *first, *second;

	offer_on_demand(IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT);
	create(&options);
	ok(info_of(verbs).on_demand && info_of(verbs).implicit, "implicit: of everything");
	is(stub.flags, IBV_ACCESS_ON_DEMAND | IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_RELAXED_ORDERING,
	   "implicit: for local access");
	ok(!stub.address && stub.length == SIZE_MAX, "implicit: in the way that it is asked for");
	first = get(PAGE, MMUN_RCACHE_READ | MMUN_RCACHE_WRITE);
	replace(PAGE);
	second = get(2 * PAGE, MMUN_RCACHE_READ | MMUN_RCACHE_UNCACHED);
	ok(first == second && first->lkey == first->mr->lkey, "implicit: one region for all gets");
	mmun_verbs_put(verbs, first);
	mmun_verbs_put(verbs, second);
	is(stub.registered, 1, "implicit: registered once");
	is(mmun_ptr_err(mmun_verbs_get(verbs, memory, 0, MMUN_RCACHE_READ)), -EINVAL,
	   "implicit: no bytes are an error still");
	ok(mmun_is_err(mmun_verbs_get(verbs, NULL, 0, MMUN_RCACHE_READ)), "implicit: nowhere too");
	is(mmun_ptr_err(mmun_verbs_get(verbs, memory, SIZE_MAX, MMUN_RCACHE_READ)), -EINVAL,
	   "implicit: and too many");
	first = get(PAGE, MMUN_VERBS_REMOTE_READ);
	ok(first->registration.start == (unsigned long)memory &&
		   first->registration.end == (unsigned long)memory + PAGE,
	   "implicit: a key for others is one to a range");
	mmun_verbs_put(verbs, first);
	first = get(PAGE, MMUN_RCACHE_WRITE | MMUN_VERBS_ORDERED);
	ok(!(stub.flags & IBV_ACCESS_RELAXED_ORDERING) && first->registration.start,
	   "implicit: one in order is another");
	mmun_verbs_put(verbs, first);
	destroy();

	offer_on_demand(IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT);
	stub.register_error = EINVAL;
	stub.register_failures = 1;
	create(&options);
	ok(info_of(verbs).on_demand && !info_of(verbs).implicit, "implicit: refused, so of ranges");
	destroy();

	offer_on_demand(IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT);
	create(&(struct mmun_verbs_options){ .on_demand = IBV_ODP_SUPPORT_SEND });
	first = get(PAGE, MMUN_RCACHE_WRITE | MMUN_VERBS_ORDERED);
	ok(!first->registration.start, "implicit: nothing relaxed, so everything is in order");
	mmun_verbs_put(verbs, first);
	destroy();

	offer_on_demand(IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT);
	create(NULL);
	is(stub.registered, 0, "implicit: not if nobody asks");
	destroy();
}

static void test_stuck(void)
{
	int terminal = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	stub_reset();
	create(NULL);
	mmun_verbs_put(verbs, get(PAGE, MMUN_RCACHE_READ));
	dup2(null, STDERR_FILENO);
	stub.deregister_error = EIO;
	mmun_rcache_flush(mmun_verbs_rcache(verbs));
	is(info_of(verbs).stuck, 1, "gone: a region that is not deregistered is counted");
	is(mmun_verbs_destroy(verbs), 0, "gone: the cache can be destroyed all the same");
	dup2(terminal, STDERR_FILENO);
	close(terminal);
	close(null);
}

static int child(void)
{
	struct mmun_verbs_registration *reg = mmun_verbs_get(verbs, memory, PAGE, MMUN_RCACHE_READ);

	if (mmun_ptr_err(reg) != -EPERM)
		return 1;
	reg = mmun_verbs_get(verbs, memory, PAGE, MMUN_VERBS_REMOTE_READ);
	if (mmun_ptr_err(reg) != -EPERM)
		return 2;
	if (mmun_verbs_destroy(verbs))
		return 3;
	return stub.registered != 2 || stub.deregistered != 0 ? 4 : 0;
}

static void test_child(void)
{
	struct mmun_verbs_registration *reg;
	int status;
	pid_t pid;

	if (THREAD_SANITIZED) {
		skip("fork", "ThreadSanitizer holds its own locks around a fork with callbacks");
		return;
	}
	offer_on_demand(IBV_ODP_SUPPORT | IBV_ODP_SUPPORT_IMPLICIT);
	create(&(struct mmun_verbs_options){ .on_demand = IBV_ODP_SUPPORT_WRITE });
	reg = get(PAGE, MMUN_VERBS_REMOTE_READ);
	pid = fork();
	if (!pid)
		_exit(child());
	if (waitpid(pid, &status, 0) != pid)
		bail_out("waitpid");
	is(status, 0, "fork: the child gets nothing, and leaves the device alone");
	ok(get(PAGE, MMUN_VERBS_REMOTE_READ) == reg, "fork: the parent's regions are as they were");
	mmun_verbs_put(verbs, reg);
	mmun_verbs_put(verbs, reg);
	destroy();
}

int main(void)
{
	memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		bail_out("mmap");
	test_options();
	test_get();
	test_memory();
	test_on_demand();
	test_implicit();
	test_stuck();
	test_child();
	return tap_done();
}
