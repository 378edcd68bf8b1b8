/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flags of regions, errors, what is said of them, and forks. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../secondary/say.h"
#include "../tap.h"
#include "domain.h"
#include "stub.h"

#define PAGE 4096ul

static char mine = 1;
static struct mmun_verbs verbs;
static struct mmun_verbs_registration region;
static char *memory;
static int said[2], terminal;

static void reset(void)
{
	stub_reset();
	mine = 1;
	verbs = (struct mmun_verbs){ .pd = &stub.pd, .device = "stub0", .mine = &mine };
}

static int register_as(unsigned int access)
{
	region = (struct mmun_verbs_registration){
		.registration = { .start = (unsigned long)memory,
				  .end = (unsigned long)memory + 2 * PAGE,
				  .access = access },
	};
	return mmun_verbs_register(&verbs, &region.registration);
}

static void deregister(void)
{
	mmun_verbs_deregister(&verbs, &region.registration);
}

/* What is written to stderr until heard(). */
static void listen_to_stderr(void)
{
	if (pipe2(said, O_NONBLOCK | O_CLOEXEC) || dup2(said[1], STDERR_FILENO) < 0)
		bail_out("pipe");
	close(said[1]);
}

static const char *heard(void)
{
	static char text[2048];
	ssize_t length = read(said[0], text, sizeof(text) - 1);

	text[length > 0 ? length : 0] = 0;
	close(said[0]);
	dup2(terminal, STDERR_FILENO);
	return text;
}

static int lines(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void test_flags(void)
{
	static const struct {
		unsigned int access, flags;
	} rows[] = {
		{ MMUN_RCACHE_READ, 0 },
		{ MMUN_RCACHE_WRITE, IBV_ACCESS_LOCAL_WRITE },
		{ MMUN_RCACHE_READ | MMUN_RCACHE_WRITE, IBV_ACCESS_LOCAL_WRITE },
		{ MMUN_VERBS_REMOTE_READ, IBV_ACCESS_REMOTE_READ },
		{ MMUN_VERBS_REMOTE_WRITE, IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_LOCAL_WRITE },
		{ MMUN_RCACHE_ATOMIC, IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_LOCAL_WRITE },
	};

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		reset();
		is(register_as(rows[i].access), 0, "access %#x: registered", rows[i].access);
		is(stub.flags, rows[i].flags, "access %#x: its flags", rows[i].access);
		ok((region.registration.access & rows[i].access) == rows[i].access,
		   "access %#x: is what the region has", rows[i].access);
		ok(!(rows[i].flags & IBV_ACCESS_LOCAL_WRITE) ||
			   region.registration.access & MMUN_RCACHE_WRITE,
		   "access %#x: writing is known of", rows[i].access);
		ok(region.registration.access & MMUN_VERBS_ORDERED &&
			   region.registration.access & MMUN_RCACHE_READ,
		   "access %#x: to be read, and in order, as nobody wanted otherwise",
		   rows[i].access);
		ok(stub.address == memory && stub.length == 2 * PAGE, "access %#x: the whole range",
		   rows[i].access);
		ok(region.lkey == region.mr->lkey && region.rkey == region.mr->rkey,
		   "access %#x: the keys", rows[i].access);
		deregister();
		is(stub.live, 0, "access %#x: deregistered", rows[i].access);
	}
}

static void test_ordering(void)
{
	reset();
	verbs.unordered = IBV_ACCESS_RELAXED_ORDERING;
	verbs.always = IBV_ACCESS_ON_DEMAND;
	is(register_as(MMUN_RCACHE_WRITE), 0, "relaxed: registered");
	is(stub.flags, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_RELAXED_ORDERING | IBV_ACCESS_ON_DEMAND,
	   "relaxed: and on demand");
	ok(!(region.registration.access & MMUN_VERBS_ORDERED), "relaxed: is not ordered");
	deregister();
	is(register_as(MMUN_RCACHE_WRITE | MMUN_VERBS_ORDERED), 0, "ordered: registered");
	is(stub.flags, IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_ON_DEMAND, "ordered: and not relaxed");
	deregister();
}

static void test_errors(void)
{
	static const int errors[] = { ENOMEM, EFAULT, EAGAIN, EINVAL, EIO };

	for (unsigned int i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		reset();
		stub.register_error = errors[i];
		stub.register_failures = 1;
		is(register_as(MMUN_RCACHE_READ), -errors[i], "error %d is returned", errors[i]);
	}
	reset();
	stub.register_failures = 1;
	errno = EFAULT;
	is(register_as(MMUN_RCACHE_READ), -ENOMEM, "an error without a number");
}

static void test_stuck(void)
{
	const char *text;

	reset();
	listen_to_stderr();
	stub.deregister_error = EIO;
	for (int i = 0; i < 3; i++) {
		register_as(MMUN_RCACHE_READ);
		deregister();
	}
	text = heard();
	is(verbs.stuck, 3, "stuck: counted");
	is(lines(text), 1, "stuck: said once");
	ok(strstr(text, "mmunotify: verbs: stub0: ") == text && strstr(text, "Input/output error"),
	   "stuck: of which device, and why: %.*s", (int)strcspn(text, "\n"), text);
	is(stub.deregistered, 3, "stuck: each was tried once");
}

static void test_memory(void)
{
	struct rlimit limit, low;
	const char *text;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	low = limit;
	low.rlim_cur = low.rlim_max < 8192 * 1024 ? low.rlim_max : 8192 * 1024;
	reset();
	listen_to_stderr();
	setrlimit(RLIMIT_MEMLOCK, &low);
	mmun_verbs_say_memory(&verbs, 1234567);
	mmun_verbs_say_memory(&verbs, 7654321);
	setrlimit(RLIMIT_MEMLOCK, &limit);
	text = heard();
	is(lines(text), 1, "memory: said once");
	ok(strstr(text, "1234567 bytes") && strstr(text, "RLIMIT_MEMLOCK"),
	   "memory: how much, and what it may be: %.*s", (int)strcspn(text, "\n"), text);
}

static void test_say(void)
{
	char longer[2000];
	const char *text;
	int broken[2];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	listen_to_stderr();
	mmun_backend_say("%s", longer);
	text = heard();
	is(lines(text), 1, "say: a text that is too long");
	is(strlen(text), 511, "say: is cut");

	if (pipe(broken) || dup2(broken[1], STDERR_FILENO) < 0)
		bail_out("pipe");
	close(broken[0]);
	close(broken[1]);
	errno = 77;
	mmun_backend_say("to nobody");
	is(errno, 77, "say: errno is left alone");
	dup2(terminal, STDERR_FILENO);
	ok(true, "say: nobody reads, and no signal came");
}

/* "dc": not in children; see proc_pid_smaps(5). */
static bool is_kept_from_children(const void *address)
{
	FILE *file = fopen("/proc/self/smaps", "re");
	unsigned long start = 0, end = 0, at = (unsigned long)address;
	bool kept = false;
	char line[512];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned long s, e;

		if (sscanf(line, "%lx-%lx ", &s, &e) == 2) {
			start = s;
			end = e;
		} else if (!strncmp(line, "VmFlags:", 8) && start <= at && at < end) {
			kept = strstr(line, " dc");
		}
	}
	if (file)
		fclose(file);
	return kept;
}

static void test_fork_init(void)
{
	reset();
	register_as(MMUN_RCACHE_READ);
	ok(!is_kept_from_children(memory), "fork: regions are copied where the kernel copies them");
	deregister();
	stub.fork = IBV_FORK_DISABLED;
	register_as(MMUN_RCACHE_READ);
	ok(!is_kept_from_children(memory), "fork: and where nobody wanted it otherwise");
	deregister();
	stub.fork = IBV_FORK_ENABLED;
	verbs.always = IBV_ACCESS_ON_DEMAND;
	register_as(MMUN_RCACHE_READ);
	ok(!is_kept_from_children(memory), "fork: and where they are not pinned");
	deregister();
	verbs.always = 0;
	register_as(MMUN_RCACHE_READ);
	ok(is_kept_from_children(memory), "fork: ibv_fork_init() keeps new memory from children, "
					  "though an old region has the address");
	deregister();
	madvise(memory, 2 * PAGE, MADV_DOFORK);
}

static void test_child(void)
{
	reset();
	register_as(MMUN_RCACHE_READ);
	mine = 0;
	deregister();
	is(stub.deregistered, 0, "child: the parent's region is left alone");
	is(register_as(MMUN_RCACHE_READ), -EPERM, "child: nothing is registered");
	is(stub.registered, 1, "child: nor tried");
}

int main(void)
{
	signal(SIGPIPE, SIG_DFL);
	terminal = dup(STDERR_FILENO);
	memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || terminal < 0)
		bail_out("mmap");
	test_flags();
	test_ordering();
	test_errors();
	test_stuck();
	test_memory();
	test_say();
	test_fork_init();
	test_child();
	return tap_done();
}
