/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page lock, among drivers.
 *
 * I1  Who unlocks need not be who locked; a page that is not locked must not be unlocked.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/pagemap.h>

struct locked_page {
	struct list_head link;
	struct page *page;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t unlocked = PTHREAD_COND_INITIALIZER;
static LIST_HEAD(locked);

static struct locked_page *find(const struct page *page)
{
	struct locked_page *one;

	list_for_each_entry(one, &locked, link) {
		if (one->page == page)
			return one;
	}
	return NULL;
}

static void add_locked(struct page *page)
{
	struct locked_page *one = (struct locked_page *)malloc(sizeof(*one));

	if (!one)
		mmun_compat_broken("no memory for a page lock");
	one->page = page;
	list_add(&one->link, &locked);
}

bool mmun_compat_page_trylock(struct page *page)
{
	bool taken;

	pthread_mutex_lock(&lock);
	taken = !find(page);
	if (taken)
		add_locked(page);
	pthread_mutex_unlock(&lock);
	return taken;
}

void mmun_compat_page_lock(struct page *page)
{
	might_sleep();
	pthread_mutex_lock(&lock);
	while (find(page))
		pthread_cond_wait(&unlocked, &lock);
	add_locked(page);
	pthread_mutex_unlock(&lock);
}

/* I1 */
void mmun_compat_page_unlock(struct page *page)
{
	struct locked_page *one;

	pthread_mutex_lock(&lock);
	one = find(page);
	if (!one)
		mmun_compat_broken("a page is unlocked that is not locked");
	list_del(&one->link);
	free(one);
	pthread_cond_broadcast(&unlocked);
	pthread_mutex_unlock(&lock);
}

bool mmun_compat_page_locked(struct page *page)
{
	bool found;

	pthread_mutex_lock(&lock);
	found = find(page);
	pthread_mutex_unlock(&lock);
	return found;
}
