/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory regions of RDMA: ibv_reg_mr(3) and its relatives.
 *
 * The beginning of struct ibv_mr is part of libibverbs' binary interface, so its headers are
 * not needed here.  Regions with paging on demand follow the program's memory by
 * themselves.  Regions of a dmabuf or of a device's memory are not the program's pages.
 *
 * Programs post requests by a pointer in the device's context (ibv_post_send() is inline).  It
 * is replaced by ours when a region of that context has become stale, and not before.  Posted
 * by other means, or used by a peer with the remote key, a region's use is not seen.
 * Tests: tests/system/audit.py, tests/vm/audit.py.
 */
#include <errno.h>
#include <string.h>

#include "watch.h"

/* The beginnings of libibverbs' structs. */
struct context {
	void *device;
	void *before[20];
	void *post_srq_recv;
	void *between[4];
	void *post_send, *post_recv;
};
struct region {
	struct context *context;
	void *pd, *address;
	size_t length;
	uint32_t handle, lkey;
};
/* A queue pair, or a shared receive queue. */
struct queue {
	struct context *context;
};
struct piece {
	uint64_t address;
	uint32_t length, lkey;
};
/* Of both directions; flags are of sends. */
struct request {
	uint64_t id;
	struct request *next;
	struct piece *pieces;
	int nr, opcode;
	unsigned int flags;
};
/* IBV_SEND_INLINE: the processor has copied the bytes before the post returns. */
#define IS_INLINE (1u << 3)

#define LIBRARY "libibverbs.so.1"
/* IBV_ACCESS_ON_DEMAND */
#define ON_DEMAND (1u << 6)
/* IBV_REREG_MR_CHANGE_TRANSLATION */
#define CHANGES_TRANSLATION (1u << 0)

static void *real_ibv_reg_mr, *real_ibv_reg_mr_iova, *real_ibv_reg_mr_iova2, *real_ibv_rereg_mr,
	*real_ibv_dereg_mr, *real_ibv_close_device;

static struct known_by known_as(const struct region *mr)
{
	return (struct known_by){ AUDIT_VERBS, (unsigned long)mr, mr->lkey,
				  (unsigned long)mr->context };
}

static struct registration *begin(const void *address, size_t length, unsigned int access,
				  struct caller caller)
{
	if (access & ON_DEMAND || !watch_wants(AUDIT_VERBS))
		return NULL;
	return watch_begin(AUDIT_VERBS, (unsigned long)address, length, caller);
}

static void *done(struct registration *reg, void *mr)
{
	struct known_by name;

	if (mr) {
		name = known_as(mr);
		watch_done(reg, &name);
	} else {
		watch_failed(reg);
	}
	return mr;
}

REPLACES void *ibv_reg_mr(void *pd, void *address, size_t length, int access);
REPLACES void *ibv_reg_mr(void *pd, void *address, size_t length, int access)
{
	typedef void *function(void *, void *, size_t, int);
	function *real = (function *)library_function(&real_ibv_reg_mr, LIBRARY, "ibv_reg_mr");
	struct registration *reg;

	if (!real) {
		errno = ENOSYS;
		return NULL;
	}
	reg = begin(address, length, (unsigned int)access, CALLER);
	return done(reg, real(pd, address, length, access));
}

typedef void *iova_function(void *, void *, size_t, uint64_t, unsigned int);

static void *reg_iova(void **cache, const char *name, void *pd, void *address, size_t length,
		      uint64_t iova, unsigned int access, struct caller caller)
{
	iova_function *real = (iova_function *)library_function(cache, LIBRARY, name);
	struct registration *reg;

	if (!real) {
		errno = ENOSYS;
		return NULL;
	}
	reg = begin(address, length, access, caller);
	return done(reg, real(pd, address, length, iova, access));
}

REPLACES iova_function ibv_reg_mr_iova, ibv_reg_mr_iova2;

REPLACES void *ibv_reg_mr_iova(void *pd, void *address, size_t length, uint64_t iova,
			       unsigned int access)
{
	return reg_iova(&real_ibv_reg_mr_iova, "ibv_reg_mr_iova", pd, address, length, iova, access,
			CALLER);
}

REPLACES void *ibv_reg_mr_iova2(void *pd, void *address, size_t length, uint64_t iova,
				unsigned int access)
{
	return reg_iova(&real_ibv_reg_mr_iova2, "ibv_reg_mr_iova2", pd, address, length, iova,
			access, CALLER);
}

REPLACES int ibv_rereg_mr(void *mr, int flags, void *pd, void *address, size_t length, int access);
REPLACES int ibv_rereg_mr(void *mr, int flags, void *pd, void *address, size_t length, int access)
{
	typedef int function(void *, int, void *, void *, size_t, int);
	function *real = (function *)library_function(&real_ibv_rereg_mr, LIBRARY, "ibv_rereg_mr");
	struct known_by name = known_as(mr);
	struct registration *reg = NULL;
	int result;

	if (!real)
		return ENOSYS;
	if ((unsigned int)flags & CHANGES_TRANSLATION)
		reg = begin(address, length, 0, CALLER);
	result = real(mr, flags, pd, address, length, access);
	if (!result && reg) {
		/* It may have another key now. */
		watch_dropped(&name, 1, CALLER);
		name = known_as(mr);
		watch_done(reg, &name);
	} else {
		watch_failed(reg);
	}
	return result;
}

REPLACES int ibv_dereg_mr(void *mr);
REPLACES int ibv_dereg_mr(void *mr)
{
	typedef int function(void *);
	function *real = (function *)library_function(&real_ibv_dereg_mr, LIBRARY, "ibv_dereg_mr");
	struct known_by name;

	if (!real)
		return ENOSYS;
	/* Before: the address of the struct may be another's at once. */
	if (watch_wants(AUDIT_VERBS)) {
		name = known_as(mr);
		watch_dropped(&name, 1, CALLER);
	}
	return real(mr);
}

typedef int post_function(struct queue *, struct request *, struct request **);

/* What stood in a context before ours. */
static struct hooked {
	struct context *context;
	post_function *send, *receive, *receive_shared;
} hooked[64];
static unsigned int nr_hooked;

static const struct hooked *find_hooked(const struct context *context)
{
	unsigned int nr = mmun_load_acquire(&nr_hooked);

	for (unsigned int i = 0; i < nr; i++)
		if (hooked[i].context == context)
			return &hooked[i];
	return NULL;
}

static void note_post(const struct queue *queue, const struct request *request, bool sends,
		      struct caller caller)
{
	struct known_by name = { AUDIT_VERBS, 0, 0, (unsigned long)queue->context };

	for (; request && watch_has_stale(AUDIT_VERBS); request = request->next)
		for (int i = 0; i < request->nr && !(sends && request->flags & IS_INLINE); i++) {
			name.index = request->pieces[i].lkey;
			watch_used_at(&name, request->pieces[i].address,
				      request->pieces[i].address + request->pieces[i].length,
				      caller);
		}
}

static int post_send(struct queue *queue, struct request *request, struct request **bad)
{
	note_post(queue, request, true, CALLER);
	return find_hooked(queue->context)->send(queue, request, bad);
}

static int post_receive(struct queue *queue, struct request *request, struct request **bad)
{
	note_post(queue, request, false, CALLER);
	return find_hooked(queue->context)->receive(queue, request, bad);
}

static int post_shared(struct queue *queue, struct request *request, struct request **bad)
{
	note_post(queue, request, false, CALLER);
	return find_hooked(queue->context)->receive_shared(queue, request, bad);
}

/* What stands there is kept before ours may be called. */
void verbs_watch_posts(unsigned long address)
{
	struct context *context = (struct context *)address;
	struct hooked *at = (struct hooked *)find_hooked(context);

	if (context->post_send == post_send)
		return;
	if (!at) {
		if (nr_hooked == sizeof(hooked) / sizeof(hooked[0]))
			return;
		at = &hooked[nr_hooked];
	}
	*at = (struct hooked){ context, (post_function *)context->post_send,
			       (post_function *)context->post_recv,
			       (post_function *)context->post_srq_recv };
	if (at == &hooked[nr_hooked])
		mmun_store_full(&nr_hooked, nr_hooked + 1);
	if (at->send)
		mmun_store_full(&context->post_send, (void *)post_send);
	if (at->receive)
		mmun_store_full(&context->post_recv, (void *)post_receive);
	if (at->receive_shared)
		mmun_store_full(&context->post_srq_recv, (void *)post_shared);
}

/* Its regions go with it, those that nobody has dropped too. */
REPLACES int ibv_close_device(void *context);
REPLACES int ibv_close_device(void *context)
{
	typedef int function(void *);
	function *real =
		(function *)library_function(&real_ibv_close_device, LIBRARY, "ibv_close_device");

	if (!real)
		return ENOSYS;
	if (watch_wants(AUDIT_VERBS))
		watch_dropped_owner(AUDIT_VERBS, (unsigned long)context, CALLER);
	return real(context);
}

const struct replacement verbs_replacements[] = {
	{ "ibv_reg_mr", ibv_reg_mr, &real_ibv_reg_mr },
	{ "ibv_reg_mr_iova", ibv_reg_mr_iova, &real_ibv_reg_mr_iova },
	{ "ibv_reg_mr_iova2", ibv_reg_mr_iova2, &real_ibv_reg_mr_iova2 },
	{ "ibv_rereg_mr", ibv_rereg_mr, &real_ibv_rereg_mr },
	{ "ibv_dereg_mr", ibv_dereg_mr, &real_ibv_dereg_mr },
	{ "ibv_close_device", ibv_close_device, &real_ibv_close_device },
	{ NULL, NULL, NULL },
};
