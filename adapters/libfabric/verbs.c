/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The moment at which a provider takes pages, seen when this object is preloaded: the calls
 * of libibverbs that register memory are passed on, and the thread knows since when the pages
 * are those (monitor.h, M2).
 *
 * The inline functions of its headers end in these four.  The function that a call is passed on
 * to is the one that its caller would have had without us: the next one in the program, which
 * may be another wrapper, or of the caller's own dependencies, whatever they are called.
 *
 * Tests: tests/contract/adapters/fi.c, tests/contract/adapters/fi_loaded.c.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>

#include "atomic.h"
#include "monitor.h"

struct ibv_mr;
struct ibv_pd;

#define EXPORTED __attribute__((visibility("default")))

/* Per function: what was found for the objects that call it. */
struct passed_on {
	const char *name;
	struct {
		void *object, *function;
	} known[8];
};

/* What is remembered here must not be unloaded. */
static void keep_loaded(void *function)
{
	struct link_map *map;
	Dl_info info;

	if (dladdr1(function, &info, (void **)&map, RTLD_DL_LINKMAP) && *map->l_name)
		dlopen(map->l_name, RTLD_NOLOAD | RTLD_NODELETE | RTLD_LAZY);
}

static void *of_object(const char *file, const char *name)
{
	void *handle = dlopen(file, RTLD_NOLOAD | RTLD_LAZY);
	void *function = handle ? dlsym(handle, name) : NULL;

	if (handle)
		dlclose(handle);
	return function;
}

static void *look_up(const char *name, void *caller, void *mine)
{
	void *function = dlsym(RTLD_NEXT, name);
	struct link_map *map;
	Dl_info info;

	/* In the order of the dynamic linker: what the program has comes before what the caller
	 * has loaded. */
	if ((!function || function == mine) &&
	    dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) && *map->l_name)
		function = of_object(map->l_name, name);
	if (!function || function == mine)
		function = of_object("libibverbs.so.1", name);
	if (!function || function == mine)
		return NULL;
	keep_loaded(function);
	return function;
}

static void *find(struct passed_on *passed, void *caller, void *mine)
{
	void *object = NULL, *function, *none;
	Dl_info info;
	int i;

	if (dladdr(caller, &info))
		object = info.dli_fbase;
	for (i = 0; i < 8 && (none = mmun_load_acquire(&passed->known[i].object)); i++) {
		function = mmun_load_acquire(&passed->known[i].function);
		if (none == object && function)
			return function;
	}
	function = look_up(passed->name, caller, mine);
	for (i = 0; object && function && i < 8; i++) {
		none = NULL;
		if (mmun_cas_full(&passed->known[i].object, &none, object)) {
			mmun_store_release(&passed->known[i].function, function);
			break;
		}
	}
	if (!function)
		errno = ENOSYS;
	return function;
}

EXPORTED struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);
EXPORTED struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
					int access);
EXPORTED struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length,
					 uint64_t iova, unsigned int access);
EXPORTED struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length,
					  uint64_t iova, int fd, int access);

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	static struct passed_on passed = { .name = "ibv_reg_mr" };
	struct ibv_mr *(*real)(struct ibv_pd *, void *, size_t, int) =
		find(&passed, __builtin_return_address(0), ibv_reg_mr);

	lf_pages_taken(addr, length);
	return real ? real(pd, addr, length, access) : NULL;
}

struct ibv_mr *ibv_reg_mr_iova(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
			       int access)
{
	static struct passed_on passed = { .name = "ibv_reg_mr_iova" };
	struct ibv_mr *(*real)(struct ibv_pd *, void *, size_t, uint64_t, int) =
		find(&passed, __builtin_return_address(0), ibv_reg_mr_iova);

	lf_pages_taken(addr, length);
	return real ? real(pd, addr, length, iova, access) : NULL;
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				unsigned int access)
{
	static struct passed_on passed = { .name = "ibv_reg_mr_iova2" };
	struct ibv_mr *(*real)(struct ibv_pd *, void *, size_t, uint64_t, unsigned int) =
		find(&passed, __builtin_return_address(0), ibv_reg_mr_iova2);

	lf_pages_taken(addr, length);
	return real ? real(pd, addr, length, iova, access) : NULL;
}

/* Its pages are another driver's; @iova is where the memory is mapped, if it is. */
struct ibv_mr *ibv_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
				 int fd, int access)
{
	static struct passed_on passed = { .name = "ibv_reg_dmabuf_mr" };
	struct ibv_mr *(*real)(struct ibv_pd *, uint64_t, size_t, uint64_t, int, int) =
		find(&passed, __builtin_return_address(0), ibv_reg_dmabuf_mr);

	lf_pages_taken((void *)(uintptr_t)iova, length);
	return real ? real(pd, offset, length, iova, fd, access) : NULL;
}
