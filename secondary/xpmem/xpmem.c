/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device as a whole.  Tests: tests/contract/secondary/xpmem.c.
 */
#include <errno.h>

#include "alloc.h"
#include "segment.h"

static void device_free(struct mmun_xpmem *x)
{
	pthread_cond_destroy(&x->changed);
	pthread_cond_destroy(&x->work);
	pthread_mutex_destroy(&x->lock);
	mmun_free(x);
}

int mmun_xpmem_create(struct mmun_soft *soft, const struct mmun_xpmem_params *params,
		      struct mmun_xpmem **out)
{
	struct mmun_xpmem *x = mmun_alloc(sizeof(*x));
	int ret;

	if (!x)
		return -ENOMEM;
	x->soft = soft;
	if (params)
		x->params = *params;
	x->ops = mmun_xpmem_notifier_ops;
	pthread_mutex_init(&x->lock, NULL);
	pthread_cond_init(&x->work, NULL);
	pthread_cond_init(&x->changed, NULL);
	ret = mmun_xpmem_worker_start(x);
	if (ret)
		device_free(x);
	else
		*out = x;
	return ret;
}

void mmun_xpmem_synchronize(struct mmun_xpmem *x)
{
	pthread_mutex_lock(&x->lock);
	while (x->to_put || x->putting)
		pthread_cond_wait(&x->changed, &x->lock);
	pthread_mutex_unlock(&x->lock);
}

int mmun_xpmem_destroy(struct mmun_xpmem *x)
{
	unsigned int segments;

	mmun_xpmem_synchronize(x);
	pthread_mutex_lock(&x->lock);
	segments = x->nr_segments;
	pthread_mutex_unlock(&x->lock);
	if (segments)
		return -EBUSY;
	mmun_xpmem_worker_stop(x);
	/* The last put only scheduled the end of its notifier. */
	mmu_notifier_synchronize();
	device_free(x);
	return 0;
}

void mmun_xpmem_stats(struct mmun_xpmem *x, struct mmun_xpmem_stats *out)
{
	pthread_mutex_lock(&x->lock);
	*out = x->stats;
	pthread_mutex_unlock(&x->lock);
}
