/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory regions of RDMA: ibv_reg_mr(3) and its relatives.
 *
 * The beginning of struct ibv_mr is part of libibverbs' binary interface, so its headers are
 * not needed here.  Regions with paging on demand follow the program's memory by
 * themselves.  Regions of a dmabuf or of a device's memory are not the program's pages.
 * Whether a device uses a region is not seen.  Tests: tests/system/audit.py.
 */
#include <errno.h>
#include <string.h>

#include "watch.h"

#define LIBRARY "libibverbs.so.1"
/* IBV_ACCESS_ON_DEMAND */
#define ON_DEMAND (1u << 6)
/* IBV_REREG_MR_CHANGE_TRANSLATION */
#define CHANGES_TRANSLATION (1u << 0)

static void *real_ibv_reg_mr, *real_ibv_reg_mr_iova, *real_ibv_reg_mr_iova2, *real_ibv_rereg_mr,
	*real_ibv_dereg_mr;

static struct known_by known_as(const void *mr)
{
	return (struct known_by){ AUDIT_VERBS, (unsigned long)mr, 0 };
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
	struct known_by name = known_as(mr);

	if (mr)
		watch_done(reg, &name);
	else
		watch_failed(reg);
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
	if (!result && reg)
		watch_done(reg, &name);
	else
		watch_failed(reg);
	return result;
}

REPLACES int ibv_dereg_mr(void *mr);
REPLACES int ibv_dereg_mr(void *mr)
{
	typedef int function(void *);
	function *real = (function *)library_function(&real_ibv_dereg_mr, LIBRARY, "ibv_dereg_mr");
	struct known_by name = known_as(mr);

	if (!real)
		return ENOSYS;
	/* Before: the address of the struct may be another's at once. */
	if (watch_wants(AUDIT_VERBS))
		watch_dropped(&name, 1, CALLER);
	return real(mr);
}

const struct replacement verbs_replacements[] = {
	{ "ibv_reg_mr", ibv_reg_mr, &real_ibv_reg_mr },
	{ "ibv_reg_mr_iova", ibv_reg_mr_iova, &real_ibv_reg_mr_iova },
	{ "ibv_reg_mr_iova2", ibv_reg_mr_iova2, &real_ibv_reg_mr_iova2 },
	{ "ibv_rereg_mr", ibv_rereg_mr, &real_ibv_rereg_mr },
	{ "ibv_dereg_mr", ibv_dereg_mr, &real_ibv_dereg_mr },
	{ NULL, NULL, NULL },
};
