/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: in a program that has the library in itself a first registration asks the loader
 * nothing.  The thread that holds the loader's lock may be waiting for that registration, in
 * the constructor of a library that is being loaded.
 */
#include <dlfcn.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

#include "../tap.h"

static const struct mmu_notifier_ops ops;
static struct mmu_notifier mn = { .ops = &ops };
static int asked;

/* In place of the C library's. */
int dladdr1(const void *address, Dl_info *info, void **extra, int flags);
int dladdr1(const void *address, Dl_info *info, void **extra, int flags)
{
	asked++;
	return 0;
}

int main(void)
{
	is(mmu_notifier_register(&mn, mmun_self()), 0, "a program registers");
	is(asked, 0, "and the loader is not asked whose code that is");
	return tap_done();
}
