/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmunotify-audit.so: preloaded by `mmunotify audit`, it subscribes to the process it is in.
 *
 * A forked child begins with an empty table: pinned pages are its parent's.  Whatever
 * goes wrong here leaves the program running unwatched.  Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include <mmunotify/primary.h>

#include <maps_query.h>
#include <raw_syscall.h>

#include "watch.h"

/* Before Linux 6.11 the kernel cannot be asked; then the kind of the memory says it. */
bool memory_is_shared(unsigned long address)
{
	struct mmun_maps_query query = {
		.size = sizeof(query),
		.address = address,
	};
	struct mapping mapping;
	long maps, error;

	maps = mmun_syscall4(SYS_openat, (unsigned long)AT_FDCWD,
			     (unsigned long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (maps < 0)
		return false;
	error = mmun_syscall3(SYS_ioctl, (unsigned long)maps, MMUN_MAPS_QUERY,
			      (unsigned long)&query);
	mmun_syscall3(SYS_close, (unsigned long)maps, 0, 0);
	if (!error)
		return query.vma_flags & MMUN_MAPS_SHARED;
	mapping_find(address, address + 1, 0, &mapping);
	return mapping.kind == MAPPING_MEMFD || mapping.kind == MAPPING_SYSV ||
	       mapping.kind == MAPPING_SHARED_ANONYMOUS;
}

static int range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (emit_is_open())
		watch_section_start(range);
	return 0;
}

static void range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	watch_section_end(range);
}

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mmun_stats stats;

	mmun_mm_stats(mm, &stats);
	if (stats.late_failed)
		emit_unredirected(stats.late_failed);
	watch_release();
	emit_release();
}

static const struct mmu_notifier_ops ops = {
	.release = release,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

static void subscribe(unsigned int flags)
{
	int error = program_subscribe(&ops);

	watch_init(error ? 0 : emit_wants() >> RING_AUDIT_SHIFT);
	emit_process(flags, -error);
}

static void forked_child(void)
{
	int saved = errno;

	exec_forked();
	watch_forget();
	program_unsubscribe();
	if (emit_is_open())
		subscribe(0);
	errno = saved;
}

static void attach(void)
{
	const char *path = getenv(RING_ENV);

	if (!path || !emit_attach(path))
		return;
	/* That of `mmunotify trace` under an audit. */
	if (!(emit_wants() >> RING_AUDIT_SHIFT))
		return;
	program_attach(path, forked_child);
	subscribe(RING_AFTER_EXEC);
}

__attribute__((constructor)) static void construct(void)
{
	int saved = errno;

	plain_init();
	attach();
	errno = saved;
}
