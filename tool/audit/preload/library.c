/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The functions that ours stand in front of, and dlsym(3), by which programs may look for
 * them past us.
 *
 * A library that is there only because a plug-in needs it is not among those that the
 * program's names are looked up in: it is asked for by its name.  Whatever is called stays
 * loaded from then on.  Tests: tests/system/audit.py.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include "watch.h"

typedef void *dlsym_function(void *, const char *);

/* For syscall.S, which goes on there. */
extern dlsym_function *audit_real_dlsym __attribute__((visibility("hidden")));
dlsym_function *audit_real_dlsym;
void *audit_dlsym(void *handle, const char *name);

static dlsym_function *find_dlsym(void)
{
	dlsym_function *found = mmun_load_acquire(&audit_real_dlsym);

	if (found)
		return found;
	found = (dlsym_function *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
	if (!found)
		found = (dlsym_function *)dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
	mmun_store_release(&audit_real_dlsym, found);
	return found;
}

static void keep_loaded(void *function)
{
	struct link_map *map = NULL;
	Dl_info info;

	if (dladdr1(function, &info, (void **)&map, RTLD_DL_LINKMAP) && map && *map->l_name)
		dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
}

/* Paths of what is loaded: copied, for nothing may be opened while the list is held. */
struct paths {
	char *text;
	size_t used, size;
};

static int add_path(struct dl_phdr_info *info, size_t unused, void *arg)
{
	size_t length = strlen(info->dlpi_name) + 1;
	struct paths *paths = arg;
	char *more;

	if (length == 1)
		return 0;
	if (paths->used + length + 1 > paths->size) {
		more = realloc(paths->text, 2 * (paths->size + length));
		if (!more)
			return 1;
		paths->text = more;
		paths->size = 2 * (paths->size + length);
	}
	memcpy(paths->text + paths->used, info->dlpi_name, length);
	paths->used += length;
	return 0;
}

/* Is it defined by the object that we asked, or by one that it needs? */
static bool is_ours(const void *function)
{
	Dl_info info, own;

	return !dladdr(function, &info) || !dladdr((void *)library_function, &own) ||
	       info.dli_fbase == own.dli_fbase;
}

static void *in_library(const char *path, const char *name)
{
	void *library = dlopen(path, RTLD_LAZY | RTLD_NOLOAD), *found = NULL;

	if (library)
		found = find_dlsym()(library, name);
	if (found && !is_ours(found))
		return found;
	if (library)
		dlclose(library);
	return NULL;
}

/* In a plug-in's library that is called otherwise. */
static void *in_any_library(const char *name)
{
	struct paths paths = { 0 };
	void *found = NULL;

	dl_iterate_phdr(add_path, &paths);
	for (size_t at = 0; !found && at < paths.used; at += strlen(paths.text + at) + 1)
		found = in_library(paths.text + at, name);
	free(paths.text);
	return found;
}

void *libc_function(void **real, const char *name)
{
	void *found = mmun_load_acquire(real);
	int saved = errno;

	if (found)
		return found;
	found = find_dlsym()(RTLD_NEXT, name);
	errno = saved;
	mmun_store_release(real, found);
	return found;
}

void *library_function(void **real, const char *soname, const char *name)
{
	void *found = mmun_load_acquire(real);
	int saved;

	if (found)
		return found;
	saved = errno;
	/* From here: the next one behind this object. */
	found = find_dlsym()(RTLD_NEXT, name);
	if (found)
		keep_loaded(found);
	if (!found)
		found = in_library(soname, name);
	if (!found)
		found = in_any_library(name);
	errno = saved;
	mmun_store_release(real, found);
	return found;
}

void *replacement_for(const struct replacement *ours, void *found)
{
	void *none = NULL;

	if (!ours || !found || is_ours(found))
		return found;
	if (mmun_cas_full(ours->real, &none, found))
		keep_loaded(found);
	/* A second library of that kind is not watched. */
	return mmun_load_acquire(ours->real) == found ? ours->function : found;
}

const struct replacement *replacement_in(const struct replacement *list, const char *name)
{
	for (; list->name; list++)
		if (!strcmp(list->name, name))
			return list;
	return NULL;
}

static const struct replacement *replacement_of(const char *name)
{
	const struct replacement *found;

	/* Most names end here. */
	if (name[0] == 'c' && name[1] == 'u')
		return replacement_in(cuda_replacements, name);
	if (name[0] != 'i')
		return NULL;
	found = replacement_in(verbs_replacements, name);
	return found ? found : replacement_in(uring_replacements, name);
}

/* Return: what the program gets; NULL: what the C library finds. */
void *audit_dlsym(void *handle, const char *name)
{
	const struct replacement *ours;
	dlsym_function *real = find_dlsym();
	void *found;

	/* The caller asks for the next one because it stands in front of others as we do. */
	if (handle == RTLD_NEXT || !name)
		return NULL;
	ours = replacement_of(name);
	if (!ours)
		return NULL;
	found = real(handle, name);
	if (found == ours->function)
		found = real(RTLD_NEXT, name);
	return replacement_for(ours, found);
}
