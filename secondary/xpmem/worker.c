/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device's thread: does what needs an importer's mmap lock, or may end an
 * address space, where no lock is held.
 *
 * I1  A callback that waits for the thread holds locks of an exporter; the thread
 *     waits for locks of importers only.  No importer is an exporter, so
 *     nobody waits in a circle.
 * I2  The thread never waits for itself: when its own mmput() is the last one of an
 *     exporter, ->release runs on it and does the work at once.
 * I3  An exporter is on the list of users to put at most once, and stays allocated
 *     until it is off: ->busy says so.
 *
 * Tests: tests/contract/secondary/xpmem.c.
 */
#include "segment.h"

#include <errno.h>

static void do_zap(struct mmun_xpmem *x, struct xp_zap *zap)
{
	pthread_mutex_unlock(&x->lock);
	mmun_xpmem_attachment_zap(zap->attachment, zap->first, zap->last);
	pthread_mutex_lock(&x->lock);
	zap->done = true;
	pthread_cond_broadcast(&x->changed);
}

static void do_put(struct mmun_xpmem *x, struct xp_exporter *exporter)
{
	struct mm_struct *mm = exporter->mm;
	unsigned int users = exporter->users_to_put;

	/* From here on the exporter may be freed by who waits for ->busy; the users
	 * that are ours to put keep the mm. */
	x->putting = true;
	exporter->users_to_put = 0;
	exporter->busy -= users;
	pthread_cond_broadcast(&x->changed);
	pthread_mutex_unlock(&x->lock);
	while (users--)
		mmput(mm);
	pthread_mutex_lock(&x->lock);
	x->putting = false;
	pthread_cond_broadcast(&x->changed);
}

static bool do_something(struct mmun_xpmem *x)
{
	struct xp_exporter *exporter = x->to_put;
	struct xp_zap *zap = x->zaps;

	if (zap) {
		x->zaps = zap->next;
		if (!x->zaps)
			x->last_zap = &x->zaps;
		do_zap(x, zap);
		return true;
	}
	if (exporter) {
		x->to_put = exporter->next_to_put;
		do_put(x, exporter);
		return true;
	}
	return false;
}

static void *work(void *arg)
{
	struct mmun_xpmem *x = arg;

	pthread_mutex_lock(&x->lock);
	for (;;) {
		if (do_something(x))
			continue;
		if (x->stopping)
			break;
		pthread_cond_wait(&x->work, &x->lock);
	}
	pthread_mutex_unlock(&x->lock);
	return NULL;
}

int mmun_xpmem_worker_start(struct mmun_xpmem *x)
{
	x->last_zap = &x->zaps;
	return -pthread_create(&x->thread, NULL, work, x);
}

void mmun_xpmem_worker_stop(struct mmun_xpmem *x)
{
	pthread_mutex_lock(&x->lock);
	x->stopping = true;
	pthread_cond_signal(&x->work);
	pthread_mutex_unlock(&x->lock);
	pthread_join(x->thread, NULL);
}

void mmun_xpmem_worker_zap(struct mmun_xpmem *x, struct xp_attachment *attachment,
			   unsigned long first, unsigned long last)
{
	struct xp_zap zap = { .attachment = attachment, .first = first, .last = last };

	if (pthread_equal(pthread_self(), x->thread)) {
		do_zap(x, &zap);
		return;
	}
	*x->last_zap = &zap;
	x->last_zap = &zap.next;
	pthread_cond_signal(&x->work);
	while (!zap.done)
		pthread_cond_wait(&x->changed, &x->lock);
}

void mmun_xpmem_worker_mmput(struct mmun_xpmem *x, struct xp_exporter *exporter)
{
	if (exporter->users_to_put++ == 0) {
		exporter->next_to_put = x->to_put;
		x->to_put = exporter;
	}
	pthread_cond_signal(&x->work);
}
