/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/self/known.c: a survey says of a C library what a look at it says, and nothing is taken
 * of one that is not sealed, not of this build, or of a file that has changed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/lib-names.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mmunotify/self.h"

#include "known.h"
#include "tap.h"

#define MAX_SITES 512

struct list {
	struct mmun_finding at[MAX_SITES];
	unsigned int nr;
};

static struct mmun_object object;
static struct mmun_identity identity;
static struct list looked, given;

static int add(const struct mmun_finding *finding, void *arg)
{
	struct list *list = arg;

	if (finding->verdict == MMUN_VERDICT_SITE && list->nr < MAX_SITES)
		list->at[list->nr++] = *finding;
	return 0;
}

static const char *library_path(void)
{
	void *library = dlopen(LIBC_SO, RTLD_LAZY | RTLD_NOLOAD);
	static struct link_map *map;

	if (!library || dlinfo(library, RTLD_DI_LINKMAP, &map))
		bail_out("no C library");
	return map->l_name;
}

static void open_library(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat file;
	void *map;

	if (fd < 0 || fstat(fd, &file))
		bail_out("the C library cannot be opened");
	map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	mmun_identify(&file, &identity);
	if (map == MAP_FAILED || mmun_object_open_file(&object, map, (size_t)file.st_size))
		bail_out("the C library cannot be read");
}

static void name_survey(int fd)
{
	char name[40];

	snprintf(name, sizeof(name), "/proc/%d/fd/%d", getpid(), fd);
	setenv(MMUN_SURVEY_VARIABLE, name, 1);
}

/* What a start would be given. */
static int ask(void)
{
	int ret;

	given.nr = 0;
	mmun_known_open();
	ret = mmun_known_sites(&object, &identity, add, &given);
	mmun_known_close();
	return ret;
}

static bool same_sites(void)
{
	bool same = looked.nr == given.nr;

	for (unsigned int i = 0; same && i < looked.nr; i++) {
		const struct mmun_finding *a = &looked.at[i], *b = &given.at[i];

		same = a->form == b->form && a->address == b->address && a->at == b->at &&
		       a->pad == b->pad && a->nr == b->nr && a->at_entry == b->at_entry &&
		       a->function.start == b->function.start;
	}
	return same;
}

static void test_library(void)
{
	struct mmun_identity right;

	is(ask(), 0, "the C library is known");
	mmun_scan(&object, mmun_object_is_c_library(&object), add, &looked);
	ok(looked.nr > 20 && same_sites(), "by the sites that a look finds (%u)", looked.nr);
	is(mmun_known_sites(&object, &identity, add, &given), -ENOENT,
	   "outside of a start nothing is known");
	right = identity;
	identity.changed_ns++;
	is(ask(), -ENOENT, "a file that has changed since is not");
	identity = right;
	identity.modified++;
	is(ask(), -ENOENT, "nor one that was modified");
	identity = right;
	identity.inode++;
	is(ask(), -ENOENT, "nor another file");
	identity = right;
	identity.size--;
	is(ask(), -ENOENT, "nor one of another size");
	identity = right;
}

static unsigned char bytes[65536];

static const char *forged_name = "mmunotify-survey";

/* A survey like @original, of which @byte is another, sealed or not. */
static int forge(int original, ssize_t byte, bool sealed, ssize_t missing)
{
	int fd = memfd_create(forged_name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t size = pread(original, bytes, sizeof(bytes), 0);

	if (byte >= 0)
		bytes[byte] ^= 1;
	if (fd < 0 || write(fd, bytes, (size_t)(size - missing)) != size - missing)
		bail_out("no memory for another survey");
	if (sealed)
		fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	return fd;
}

static int ask_forged(int original, ssize_t byte, bool sealed, ssize_t missing)
{
	int fd = forge(original, byte, sealed, missing), ret;

	name_survey(fd);
	ret = ask();
	close(fd);
	return ret;
}

static void test_forgeries(int survey)
{
	ssize_t size = pread(survey, bytes, sizeof(bytes), 0);
	int refused = 0;

	is(ask_forged(survey, -1, true, 0), 0, "a sealed copy is a survey");
	is(ask_forged(survey, -1, false, 0), -ENOENT, "what could still be changed is none");
	is(ask_forged(survey, 0, true, 0), -ENOENT, "nor is what begins otherwise");
	is(ask_forged(survey, 8, true, 0), -ENOENT, "nor that of another build");
	is(ask_forged(survey, -1, true, 1), -ENOENT, "nor one that ends too early");
	is(ask_forged(survey, -1, true, size - 3), -ENOENT, "or has hardly begun");
	/* The call of the last site: there is no such instruction beside it. */
	is(ask_forged(survey, size - 20, true, 0), -ENOENT,
	   "one whose sites are none is not taken");
	for (ssize_t i = 0; i < size; i++)
		refused += ask_forged(survey, i, true, 0) == -ENOENT;
	ok(refused > 0, "no wrong byte hurts (%d of %zd are noticed)", refused, size);
	/* Perhaps another process has the number by now, and this is its own. */
	forged_name = "else";
	is(ask_forged(survey, -1, true, 0), -ENOENT, "what is called otherwise is not opened");
}

static void test_names(void)
{
	static const char *const names[] = {
		"",           "/dev/zero",     "/proc/self/mem", "/proc/self/maps",
		"/proc/self", "/proc/nothing", "survey"
	};
	bool none = true;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		setenv(MMUN_SURVEY_VARIABLE, names[i], 1);
		none &= ask() == -ENOENT;
	}
	unsetenv(MMUN_SURVEY_VARIABLE);
	ok(none && ask() == -ENOENT, "names of something else name no survey");
}

int main(void)
{
	const char *paths[] = { "/nowhere", library_path(), NULL };
	const char *const nothing[] = { "/nowhere", "/dev/null", "/proc/self/maps", NULL };
	int survey = mmun_self_survey(paths);

	if (survey == -ENOTSUP) {
		skip("a survey", "this linker gives no build-id");
		return tap_done();
	}
	if (!ok(survey >= 0, "a survey is made"))
		return tap_done();
	open_library(paths[1]);
	name_survey(survey);
	test_library();
	test_forgeries(survey);
	test_names();
	close(survey);
	survey = mmun_self_survey(nothing);
	ok(survey >= 0, "of files that cannot be looked at it says nothing");
	name_survey(survey);
	is(ask(), -ENOENT, "and nothing is known");
	return tap_done();
}
