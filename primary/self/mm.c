/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The mm of this process: how it is made, and what a forked child finds.
 *
 * Invariants:
 *  I1  *mmun_self_armed is not 0 only in the process that set it: it lies in
 *      memory that the kernel zeroes in a forked child (MADV_WIPEONFORK).
 *  I2  Each mm has a word of its own there; the words of earlier ones stay 0.
 * Locks: wiped->beginning, in the same memory, orders the threads that make one.  The mm is made
 * with none of our locks held.
 * Not here: what the child does between fork and its first call (process.c); start and stop
 * (self.c).
 * Tests: tests/contract/fork.c, tests/contract/secondary/gru.c, tests/torture/self.c.
 */
#include "mmunotify/self.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "lock.h"
#include "state.h"

/* A page that fork wipes: not 0 only in the process that wrote it. */
struct wiped {
	/* The hooks act. */
	unsigned int armed;
	/* Held by the thread that makes the mm; in a forked child by none. */
	struct mmun_mutex beginning;
	/* One for each mm, see mmun_mm_params.fork_word. */
	unsigned int words[];
};

#define NR_WORDS ((MMUN_PAGE_SIZE - sizeof(struct wiped)) / sizeof(unsigned int))

static unsigned int never_armed;
unsigned int *mmun_self_armed = &never_armed;

static struct {
	/* The first of these pages, and the one that words are taken from. */
	struct wiped *wiped, *page;
	unsigned int words_used;
	/* That of the mm. */
	unsigned int *word;
	long pid;
	/* Kept when it is renewed. */
	struct mm_struct *last;
} own;

bool mmun_self_is_owner(void)
{
	return mmun_syscall3(SYS_getpid, 0, 0, 0) == own.pid;
}

long mmun_self_pid(void)
{
	return own.pid;
}

static struct wiped *map_wiped(void)
{
	long page = mmun_syscall6(SYS_mmap, 0, MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);

	if (page < 0)
		return NULL;
	if (mmun_syscall3(SYS_madvise, page, MMUN_PAGE_SIZE, MADV_WIPEONFORK)) {
		mmun_syscall3(SYS_munmap, page, MMUN_PAGE_SIZE, 0);
		return NULL;
	}
	return (struct wiped *)page;
}

static struct wiped *get_wiped(void)
{
	struct wiped *wiped = mmun_load_acquire(&own.wiped), *none = NULL;

	if (wiped)
		return wiped;
	wiped = map_wiped();
	if (wiped && !mmun_cas_full(&own.wiped, &none, wiped)) {
		mmun_syscall3(SYS_munmap, (unsigned long)wiped, MMUN_PAGE_SIZE, 0);
		return none;
	}
	return wiped;
}

/* A word that no mm has had; the words of earlier ones stay 0 in a forked child. */
static unsigned int *new_word(void)
{
	if (!own.page || own.words_used == NR_WORDS) {
		struct wiped *page = own.page ? map_wiped() : own.wiped;

		if (!page)
			return NULL;
		own.page = page;
		own.words_used = 0;
	}
	return &own.page->words[own.words_used++];
}

/* One that none has had after all. */
static void give_word_back(struct wiped *wiped, unsigned int *word)
{
	mmun_store_release(word, 0);
	mmun_mutex_lock(&wiped->beginning);
	own.words_used -= word == &own.page->words[own.words_used - 1];
	mmun_mutex_unlock(&wiped->beginning);
}

/*
 * A new life: the first in a process, a forked child's, or that after an
 * execve() that failed.  In a forked child the locks may be held by threads that
 * do not exist here, and the text may be patched, not, or in part: the fork may
 * have come in the middle of a start or stop, so the child's start looks again.
 */
static void begin_epoch(struct mm_struct *mm, unsigned int *word)
{
	if (own.word && !mmun_load_acquire(own.word)) {
		mmun_mm_shrink_copy(own.last);
		mmun_self_forget();
	}
	/* No other thread may take the parent's mm for one of this epoch. */
	mmun_store_release(&mmun_self_shared.mm, NULL);
	own.word = word;
	own.pid = mmun_syscall3(SYS_getpid, 0, 0, 0);
	own.last = mm;
	mmun_self_releases(mm);
	mmun_store_release(&mmun_self_shared.mm, mm);
	mmun_store_release(&mmun_self_armed, &own.wiped->armed);
}

extern void *dlopen(const char *file, int mode) __attribute__((weak));
extern int dladdr1(const void *address, Dl_info *info, void **extra, int flags)
	__attribute__((weak));
/* Of the object that this code is in; of a static program none. */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((weak, visibility("hidden")));

/* A program (only there linkers make DT_DEBUG), or an object that is marked. */
static bool stays_by_itself(void)
{
	for (const ElfW(Dyn) *entry = _DYNAMIC; entry && entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_DEBUG)
			return true;
		if (entry->d_tag == DT_FLAGS_1 && entry->d_un.d_val & (DF_1_NODELETE | DF_1_PIE))
			return true;
	}
	return !_DYNAMIC;
}

/*
 * The C library will jump into this code.  Where it is part of a plug-in, the plug-in
 * must not be unloaded; the shared library is marked so when it is linked.  With none
 * of our locks held, because the loader takes its own.  Not by dl_iterate_phdr(): in a
 * forked child its lock may be held for ever by a thread of the parent.
 */
static void stay_loaded(void)
{
	static bool done;
	struct link_map *map;
	Dl_info info;

	if (mmun_load_relaxed(&done))
		return;
	if (!stays_by_itself() && dladdr1 && dlopen &&
	    dladdr1(_DYNAMIC, &info, (void **)&map, RTLD_DL_LINKMAP) && map->l_name[0])
		dlopen(map->l_name, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
	mmun_store_relaxed(&done, true);
}

static bool is_begun(void)
{
	const struct mm_struct *mm = mmun_self_mm();

	return mm && !mmun_mm_is_stale(mm);
}

/*
 * Makes an mm, with none of our locks held: the allocator, or a library that has redirected
 * what it calls, may ask for the mm as well.  Of those that do so at the same time one begins.
 */
static int begin(struct mm_struct **mm)
{
	struct mmun_mm_params params = { .ops = &mmun_primary_self };
	struct wiped *wiped = get_wiped();
	unsigned int *word;
	int ret;

	if (!wiped)
		return -ENOMEM;
	stay_loaded();
	mmun_mutex_lock(&wiped->beginning);
	params.fork_word = word = new_word();
	/* What a fork or a failed exec leaves behind may still be in use, and stays: within
	 * reach, so that nobody takes it for lost memory. */
	params.priv = own.last;
	mmun_mutex_unlock(&wiped->beginning);
	if (!word)
		return -ENOMEM;
	mmun_store_release(word, 1);
	ret = mmun_mm_create(&params, mm);
	if (ret) {
		give_word_back(wiped, word);
		return ret;
	}
	mmun_mutex_lock(&wiped->beginning);
	if (!is_begun()) {
		begin_epoch(*mm, word);
		mmun_mutex_unlock(&wiped->beginning);
		return 0;
	}
	mmun_mutex_unlock(&wiped->beginning);
	mmput(*mm);
	*mm = mmun_self_mm();
	return 0;
}

struct mm_struct *mmun_self(void)
{
	struct mm_struct *mm = mmun_self_mm();
	int ret;

	/* Asked of that mm: another thread may be beginning the next. */
	if (mmun_likely(mm && !mmun_mm_is_stale(mm)))
		return mm;
	ret = begin(&mm);
	if (ret) {
		errno = -ret;
		return NULL;
	}
	return mm;
}

/* The mm was released for an execve() that has not happened yet. */
void mmun_self_renew(void)
{
	/* Sections of other threads may still hold the old one: it stays. */
	mmun_store_release(&mmun_self_shared.mm, NULL);
}
