/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: start is all or nothing, with the true error, and stop says 0 only when
 * every byte is back.
 *
 * Limits and rules of the process that forbid a step of patching: the limit of
 * mappings, of address space and of locked memory, PR_SET_MDWE, seccomp filters;
 * and a breakpoint in the text.  After each failed start the text is the file's,
 * no mapping is left over, and calls work.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "conditions.h"
#include "sanitizer.h"
#include "scene.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#define PAGE 4096UL

static const char *const functions[] = {
	"munmap", "mmap",  "mremap", "madvise",   "mprotect",
	"brk",    "shmat", "shmdt",  "fallocate", "ftruncate",
};

#define NR_FUNCTIONS (sizeof(functions) / sizeof(functions[0]))
#define BYTES        64

extern void *dlsym(void *handle, const char *name);

static unsigned char original[NR_FUNCTIONS][BYTES];

static const unsigned char *code_of(size_t i)
{
	return dlsym(NULL, functions[i]);
}

static void remember_text(void)
{
	for (size_t i = 0; i < NR_FUNCTIONS; i++)
		memcpy(original[i], code_of(i), BYTES);
}

/* Functions whose first bytes are not what they were. */
static int changed(void)
{
	int count = 0;

	for (size_t i = 0; i < NR_FUNCTIONS; i++)
		count += memcmp(original[i], code_of(i), BYTES) != 0;
	return count;
}

static bool probe_says(const char *word)
{
	struct mmun_probe probe;

	mmun_source_at(0)->probe(&probe);
	if (!probe.available && strstr(probe.reason, word) && probe.remedy[0])
		return true;
	printf("# the probe says: %d '%s' '%s'\n", probe.available, probe.reason, probe.remedy);
	return false;
}

static bool calls_work(void)
{
	char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page != MAP_FAILED && !madvise(page, PAGE, MADV_DONTNEED) && !munmap(page, PAGE);
}

/* A start that must fail so, and change nothing; @word: of the probe's sentence. */
static void refused(int error, const char *word)
{
	struct mmu_notifier_ops nothing = { 0 };
	struct mmu_notifier mn = { .ops = &nothing };
	struct mm_struct *mm = mmun_self();
	long before = count_mappings();
	int ret = mmun_self_start();

	check(ret == error, "start fails with %d (%d)", error, ret);
	check(changed() == 0, "not a byte has changed");
	check(count_mappings() == before, "no mapping is left over");
	ret = mmu_notifier_register(&mn, mm);
	check(ret == error && !changed(), "so does registration (%d)", ret);
	check(probe_says(word), "the probe says why: %s", word);
	check(mmun_self_stop() == 0, "there is nothing to stop");
}

static void allowed_again(void)
{
	check(mmun_self_start() == 0 && changed() > 0, "it starts once that is lifted");
	check(mmun_self_stop() == 0 && changed() == 0, "and stops");
	check(calls_work(), "calls work");
}

/* The limit of mappings. */

static char *area;
static long used, most;

static void fill_map(void)
{
	while (used < most && !mprotect(area + used * 2 * PAGE, PAGE, PROT_READ))
		used++;
}

static void give_back(void)
{
	if (used)
		mprotect(area + --used * 2 * PAGE, PAGE, PROT_NONE);
}

static bool can_fill_map(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);

	if (read(fd, text, sizeof(text) - 1) > 0)
		most = strtol(text, NULL, 0);
	close(fd);
	if (most < 1000 || most > 1 << 20)
		return false;
	area = mmap(NULL, (size_t)most * 2 * PAGE, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return area != MAP_FAILED;
}

static void near_the_limit_of_mappings(void)
{
	long half_done = 0, left_over = 0, wrong = 0, room = 0, before;
	int ret = -1;

	remember_text();
	if (!can_fill_map()) {
		check(true, "vm.max_map_count cannot be reached here");
		return;
	}
	check(mmun_self() != NULL, "mmun_self()");
	fill_map();
	refused(-ENOMEM, "mappings");
	/* At each distance from the limit. */
	for (; ret && room < 200; room++) {
		before = count_mappings();
		ret = mmun_self_start();
		wrong += ret != 0 && ret != -ENOMEM;
		half_done += ret && changed();
		left_over += ret && count_mappings() != before;
		if (ret)
			give_back();
	}
	check(ret == 0, "with room for %ld mappings it starts", 2 * room);
	check(wrong == 0, "until then the error is ENOMEM");
	check(half_done == 0, "until then not a byte has changed (%ld times)", half_done);
	check(left_over == 0, "until then no mapping is left over (%ld times)", left_over);
	fill_map();
	ret = mmun_self_stop();
	check(ret == 0 && changed() == 0, "it stops at the limit (%d, %d)", ret, changed());
}

/* Limits of memory. */

static void address_space(void)
{
	struct rlimit old, limit = { .rlim_cur = 1 << 20, .rlim_max = RLIM_INFINITY };

	remember_text();
	check(mmun_self() != NULL, "mmun_self()");
	getrlimit(RLIMIT_AS, &old);
	limit.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_AS, &limit);
	refused(-ENOMEM, "RLIMIT_AS");
	setrlimit(RLIMIT_AS, &old);
	allowed_again();
}

static int notified;

static bool invalidate(struct mmu_interval_notifier *sub, const struct mmu_notifier_range *range,
		       unsigned long seq)
{
	mmu_interval_set_seq(sub, seq);
	__atomic_fetch_add(&notified, 1, __ATOMIC_RELAXED);
	return true;
}

static const struct mmu_interval_notifier_ops interval_ops = { .invalidate = invalidate };

static void no_mm(void)
{
	struct mmu_notifier_ops nothing = { 0 };
	struct mmu_notifier mn = { .ops = &nothing };
	struct mmu_interval_notifier sub = { 0 };

	check(mmu_notifier_register(&mn, NULL) == -ESRCH, "no address space: ESRCH");
	check(mmu_notifier_register(NULL, NULL) == -ESRCH, "nor a notifier: ESRCH");
	check((long)mmu_notifier_get(&nothing, NULL) == -EINVAL &&
		      (long)mmu_notifier_get(NULL, NULL) == -EINVAL,
	      "get: EINVAL without operations");
	check(mmu_interval_notifier_insert(&sub, NULL, 0, PAGE, &interval_ops) == -ESRCH,
	      "an interval in no address space: ESRCH");
	check(mmu_interval_notifier_insert(NULL, mmun_self(), 0, PAGE, &interval_ops) == -EINVAL,
	      "no interval: EINVAL");
	check(mmu_notifier_register(&mn, mmun_self()) == 0, "none of these has changed anything");
	mmu_notifier_unregister(&mn, mmun_self());
}

static void locked_memory(void)
{
	struct rlimit limit = { 0 };

	remember_text();
	check(mmun_self() != NULL, "mmun_self()");
	/* Root may lock what it likes. */
	if (!geteuid() && setuid(65534)) {
		check(false, "gives up the capability");
		return;
	}
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ 4 << 20, 4 << 20 });
	if (mlockall(MCL_FUTURE)) {
		check(true, "mlockall is not allowed here");
		return;
	}
	setrlimit(RLIMIT_MEMLOCK, &limit);
	refused(-EAGAIN, "RLIMIT_MEMLOCK");
}

/* Rules. */

static void write_and_execute(void)
{
	remember_text();
	if (prctl(PR_SET_MDWE, 1, 0, 0, 0)) {
		check(true, "this kernel has no PR_SET_MDWE");
		return;
	}
	refused(-EACCES, "PR_SET_MDWE");
}

static void no_mprotect(void)
{
	remember_text();
	check(forbid(SYS_mprotect, PROT_EXEC), "a filter refuses mprotect(PROT_EXEC)");
	refused(-EPERM, "mprotect");
}

static void no_mremap(void)
{
	remember_text();
	check(forbid(SYS_mremap, -1u), "a filter refuses mremap");
	refused(-EPERM, "mremap");
}

static void right_is_lost(void)
{
	int ret;

	remember_text();
	check(mmun_self_start() == 0 && changed() > 0, "starts");
	check(forbid(SYS_mremap, -1u), "a filter refuses mremap");
	ret = mmun_self_stop();
	check(ret == 0 && changed() == 0, "it stops all the same (%d, %d)", ret, changed());
	check(calls_work(), "calls work");
}

static void nothing_is_allowed(void)
{
	int ret;

	remember_text();
	check(mmun_self_start() == 0, "starts");
	check(forbid(SYS_mremap, -1u) && forbid(SYS_mmap, PROT_EXEC),
	      "filters refuse mremap, and mmap of text");
	ret = mmun_self_stop();
	check(ret == -EPERM && changed() > 0, "stop says that the bytes are not back (%d, %d)", ret,
	      changed());
	check(mmun_self_stop() == -EPERM, "and says so again");
	check(calls_work(), "calls work");
	check(mmun_self_start() == 0, "starting again is no problem");
	check(calls_work(), "calls still work");
}

/* A breakpoint, as a debugger or the kernel writes it. */

static bool poke(const unsigned char *at, unsigned char byte)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	bool done = fd >= 0 && pwrite(fd, &byte, 1, (off_t)(unsigned long)at) == 1;

	close(fd);
	return done;
}

/* Nobody calls this one; it has a site. */
static const char victim[] = "remap_file_pages";

static void try_breakpoint(const unsigned char *at)
{
	unsigned char byte = *at;

	remember_text();
	if (!poke(at, 0xcc)) {
		check(true, "/proc/self/mem cannot be written here");
		return;
	}
	refused(-EBUSY, "breakpoint");
	check(*at == 0xcc, "the breakpoint is still there");
	poke(at, byte);
	allowed_again();
	check(*at == byte, "and so is what it stood on");
}

static void breakpoint_at_a_site(void)
{
	const unsigned char *at = dlsym(NULL, victim);

	while (memcmp(at, "\xb8\xd8\x00\x00\x00\x0f\x05", 7))
		at++;
	try_breakpoint(at);
}

static void breakpoint_beside_a_site(void)
{
	const unsigned char *at = dlsym(NULL, victim);

	/* Behind the call, in the same page for certain. */
	while (memcmp(at, "\xb8\xd8\x00\x00\x00\x0f\x05", 7))
		at++;
	try_breakpoint(((unsigned long)at & (PAGE - 1)) < PAGE / 2 ? at + 9 : at - 9);
}

static void breakpoint_after_the_start(void)
{
	const unsigned char *at = dlsym(NULL, victim);
	unsigned char byte;

	remember_text();
	check(mmun_self_start() == 0, "starts");
	while (memcmp(at, "\x48\x3d", 2))
		at++;
	byte = *at;
	if (!poke(at, 0xcc)) {
		check(true, "/proc/self/mem cannot be written here");
		return;
	}
	check(mmun_self_stop() == 0 && changed() == 0, "stops");
	check(*at == 0xcc, "a breakpoint that was set meanwhile stays");
	poke(at, byte);
	check(calls_work(), "calls work");
}

/* Stop and interval notifiers. */

static void intervals(void)
{
	struct mmu_interval_notifier sub;
	char *page;

	remember_text();
	for (int round = 0; round < 3; round++) {
		page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(&sub, 0, sizeof(sub));
		check(mmu_interval_notifier_insert(&sub, mmun_self(), (unsigned long)page, PAGE,
						   &interval_ops) == 0 &&
			      changed() > 0,
		      "an insertion starts the source, round %d", round);
		check(mmun_self_stop() == -EBUSY && changed() > 0,
		      "it cannot be stopped while an interval is inserted");
		__atomic_store_n(&notified, 0, __ATOMIC_RELAXED);
		munmap(page, PAGE);
		check(__atomic_load_n(&notified, __ATOMIC_RELAXED) == 1,
		      "the interval is notified");
		mmu_interval_notifier_remove(&sub);
		check(mmun_self_stop() == 0 && changed() == 0, "after its removal it can");
	}
	check(mmu_interval_notifier_insert(&sub, mmun_self(), 0, 0, &interval_ops) == -EOVERFLOW &&
		      mmun_self_start() == 0 && mmun_self_stop() == 0,
	      "a failed insertion does not count");
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer's own memory does not fit into these limits");
	scene("mappings", near_the_limit_of_mappings);
	scene("RLIMIT_AS", address_space);
	scene("no mm", no_mm);
	scene("mlockall", locked_memory);
	scene("PR_SET_MDWE", write_and_execute);
	scene("seccomp, mprotect", no_mprotect);
	scene("seccomp, mremap", no_mremap);
	scene("stop without mremap", right_is_lost);
	scene("stop without anything", nothing_is_allowed);
	scene("breakpoint at a site", breakpoint_at_a_site);
	scene("breakpoint beside a site", breakpoint_beside_a_site);
	scene("breakpoint after the start", breakpoint_after_the_start);
	scene("intervals", intervals);
	return tap_done();
}
