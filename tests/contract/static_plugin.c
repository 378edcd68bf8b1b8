/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A plug-in that is linked with the static library and is unloaded: see static_host.c. */
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/self.h>

static const struct mmu_notifier_ops ops;
static struct mmu_notifier mn = { .ops = &ops };

int plugin_begin(void);
void plugin_end(void);

int plugin_begin(void)
{
	return mmu_notifier_register(&mn, mmun_self());
}

void plugin_end(void)
{
	mmu_notifier_unregister(&mn, mmun_self());
}
