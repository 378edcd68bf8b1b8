/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A survey: the sites of some files in memory that can no longer change, made by one process
 * (mmun_self_survey()) and used by those that it starts.
 *
 * Why it may be trusted: the environment names it, like the libraries that are preloaded,
 * and a set-user-ID program looks at neither.  Its memory is sealed, and belongs to this
 * user or root; so no program that is watched can change what another one gets.  It was
 * made by this very build of the library (the build-id), of this very file (inode, size, times).
 * A file in which anything is in doubt is not in it, and one that is not in it is looked at
 * as always.  That the bytes in memory are those of the file is found out afterwards as
 * always (image.c).
 * Tests: tests/unit/self/known.c, tests/system/trace_survey.py.
 */
#include "known.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "mmunotify/self.h"

#include "state.h"

#define NAME     "mmunotify-survey"
#define MAGIC    0x79657672757375ull
#define BUILD_ID 20
#define SEALS    (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
/* Enough for some twenty C libraries. */
#define MAX_SIZE (64ul << 10)
#define NR_FILES 16

struct known_site {
	unsigned int address, at, pad, function;
	short nr;
	unsigned char form, at_entry;
};

struct known_file {
	struct mmun_identity identity;
	unsigned int first, nr;
};

struct survey {
	unsigned long magic;
	unsigned char build_id[BUILD_ID];
	unsigned int nr_files, nr_sites;
	struct known_file files[NR_FILES];
	struct known_site sites[];
};

#define MAX_SITES ((MAX_SIZE - sizeof(struct survey)) / sizeof(struct known_site))

/* Protected by the source's lock. */
static const struct survey *known;

void mmun_identify(const struct stat *file, struct mmun_identity *identity)
{
	*identity = (struct mmun_identity){
		.device = file->st_dev,
		.inode = file->st_ino,
		.size = (unsigned long)file->st_size,
		.changed = file->st_ctim.tv_sec,
		.changed_ns = file->st_ctim.tv_nsec,
		.modified = file->st_mtim.tv_sec,
		.modified_ns = file->st_mtim.tv_nsec,
	};
}

static bool is_same(const struct mmun_identity *a, const struct mmun_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->size == b->size &&
	       a->changed == b->changed && a->changed_ns == b->changed_ns &&
	       a->modified == b->modified && a->modified_ns == b->modified_ns;
}

extern const Elf64_Ehdr __ehdr_start __attribute__((weak, visibility("hidden")));

/* Of the object that this code lies in; NULL: it has none. */
static const unsigned char *own_build_id(void)
{
	const char *start = (const char *)&__ehdr_start;
	const Elf64_Phdr *program;

	if (!start)
		return NULL;
	program = (const void *)(start + __ehdr_start.e_phoff);
	for (int i = 0; i < __ehdr_start.e_phnum; i++) {
		/* It lies in the segment that the headers lie in. */
		const char *at = start + program[i].p_offset, *end = at + program[i].p_filesz;

		while (program[i].p_type == PT_NOTE && at + sizeof(Elf64_Nhdr) < end) {
			const Elf64_Nhdr *note = (const void *)at;

			at += sizeof(*note) + ((note->n_namesz + 3) & ~3u);
			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
			    !memcmp(note + 1, "GNU", 4) && note->n_descsz == BUILD_ID)
				return (const unsigned char *)at;
			at += (note->n_descsz + 3) & ~3u;
		}
	}
	return NULL;
}

/* Before anything is opened: the number may be another process's by now, and what it has
 * there a FIFO that somebody waits to write to, or a terminal. */
static bool names_a_survey(const char *path)
{
	static const char expected[] = "/memfd:" NAME;
	char target[sizeof(expected)];

	return !strncmp(path, "/proc/", 6) &&
	       mmun_syscall3(SYS_readlink, (unsigned long)path, (unsigned long)target,
			     sizeof(expected) - 1) == sizeof(expected) - 1 &&
	       !memcmp(target, expected, sizeof(expected) - 1);
}

static bool has_seals(int fd)
{
	long seals = mmun_syscall3(SYS_fcntl, fd, F_GET_SEALS, 0);

	return seals >= 0 && (seals & SEALS) == SEALS;
}

static bool is_ours(int fd, const struct stat *file)
{
	return S_ISREG(file->st_mode) && (unsigned long)file->st_size <= MAX_SIZE &&
	       (unsigned long)file->st_size >= sizeof(struct survey) &&
	       (!file->st_uid || file->st_uid == mmun_syscall3(SYS_geteuid, 0, 0, 0)) &&
	       has_seals(fd);
}

static bool is_sound(const struct survey *survey, unsigned long size)
{
	const unsigned char *build_id = own_build_id();
	bool sound;

	sound = survey->magic == MAGIC && build_id &&
		!memcmp(survey->build_id, build_id, BUILD_ID) && survey->nr_files <= NR_FILES &&
		survey->nr_sites <= MAX_SITES &&
		size >= sizeof(*survey) + survey->nr_sites * sizeof(survey->sites[0]);
	for (unsigned int i = 0; sound && i < survey->nr_files; i++)
		sound = survey->files[i].first <= survey->nr_sites &&
			survey->files[i].nr <= survey->nr_sites - survey->files[i].first;
	return sound;
}

void mmun_known_open(void)
{
	const char *path = secure_getenv(MMUN_SURVEY_VARIABLE);
	struct stat file;
	long map = -1;
	int fd;

	known = NULL;
	if (!path || !names_a_survey(path))
		return;
	fd = (int)mmun_self_open(path);
	if (fd < 0)
		return;
	if (!mmun_syscall3(SYS_fstat, fd, (unsigned long)&file, 0) && is_ours(fd, &file))
		map = mmun_syscall6(SYS_mmap, 0, MAX_SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	mmun_self_close(fd);
	if (map < 0 && map > -4096)
		return;
	if (is_sound((const struct survey *)map, file.st_size))
		known = (const struct survey *)map;
	else
		mmun_syscall3(SYS_munmap, map, MAX_SIZE, 0);
}

void mmun_known_close(void)
{
	if (known)
		mmun_syscall3(SYS_munmap, (unsigned long)known, MAX_SIZE, 0);
	known = NULL;
}

static void find(const struct known_site *site, struct mmun_finding *finding)
{
	*finding = (struct mmun_finding){
		.verdict = MMUN_VERDICT_SITE,
		.form = (enum mmun_form)site->form,
		.address = site->address,
		.function = { .start = site->function },
		.nr = site->nr,
		.at = site->at,
		.pad = site->pad,
		.at_entry = site->at_entry,
	};
}

/* Is there what the site says, as far as that can be seen from the bytes alone? */
static bool fits(const struct mmun_object *object, const struct mmun_finding *finding)
{
	const unsigned char *call = mmun_object_at(object, finding->address, 2);
	const struct mmun_site *site = NULL;
	bool fits = call && finding->form <= MMUN_FORM_CALL &&
		    mmun_object_at(object, finding->at, 5) && finding->nr >= -1 &&
		    finding->nr < 512;

	if (finding->form == MMUN_FORM_CALL)
		return fits;
	if (finding->form == MMUN_FORM_PAD)
		fits = fits && mmun_object_at(object, finding->pad, 5);
	if (finding->form == MMUN_FORM_BACK || finding->form == MMUN_FORM_WINDOW)
		fits = fits && finding->address + 2 - finding->at <= sizeof(site->saved);
	return fits && call[0] == 0x0f && call[1] == 0x05 && finding->at <= finding->address &&
	       finding->address - finding->at <= sizeof(site->run) &&
	       mmun_object_at(object, finding->at, finding->address + 2 - finding->at);
}

static const struct known_file *find_file(const struct mmun_object *object,
					  const struct mmun_identity *identity)
{
	const struct known_file *file = NULL;
	struct mmun_finding finding;

	for (unsigned int i = 0; known && !file && i < known->nr_files; i++)
		if (is_same(&known->files[i].identity, identity))
			file = &known->files[i];
	for (unsigned int i = 0; file && i < file->nr; i++) {
		find(&known->sites[file->first + i], &finding);
		if (!fits(object, &finding))
			return NULL;
	}
	return file;
}

int mmun_known_sites(const struct mmun_object *object, const struct mmun_identity *identity,
		     mmun_finding_fn fn, void *arg)
{
	const struct known_file *file = find_file(object, identity);
	struct mmun_finding finding;
	int ret = 0;

	if (!file)
		return -ENOENT;
	for (unsigned int i = 0; !ret && i < file->nr; i++) {
		find(&known->sites[file->first + i], &finding);
		ret = fn(&finding, arg);
	}
	return ret;
}

/* Being made. */
struct making {
	struct survey *survey;
	bool is_c_library;
};

static int add(const struct mmun_finding *finding, void *arg)
{
	const struct making *making = arg;
	struct survey *survey = making->survey;

	if (finding->verdict == MMUN_VERDICT_UNKNOWN && making->is_c_library)
		return -ENOTSUP;
	if (finding->verdict != MMUN_VERDICT_SITE)
		return 0;
	if (survey->nr_sites == MAX_SITES || (finding->address | finding->at | finding->pad) >> 32)
		return -E2BIG;
	survey->sites[survey->nr_sites++] = (struct known_site){
		.address = (unsigned int)finding->address,
		.at = (unsigned int)finding->at,
		.pad = (unsigned int)finding->pad,
		.function = (unsigned int)finding->function.start,
		.nr = (short)finding->nr,
		.form = (unsigned char)finding->form,
		.at_entry = finding->at_entry,
	};
	return 0;
}

static bool look_at(int fd, const struct stat *file, struct making *making)
{
	struct mmun_object object;
	struct stat after;
	bool done = false;
	long map = mmun_syscall6(SYS_mmap, 0, file->st_size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (map < 0 && map > -4096)
		return false;
	if (!mmun_object_open_file(&object, (const unsigned char *)map, file->st_size)) {
		making->is_c_library = mmun_object_is_c_library(&object);
		done = !mmun_scan(&object, making->is_c_library, add, making);
	}
	mmun_syscall3(SYS_munmap, map, file->st_size, 0);
	return done && !mmun_syscall3(SYS_fstat, fd, (unsigned long)&after, 0) &&
	       after.st_ctim.tv_sec == file->st_ctim.tv_sec &&
	       after.st_ctim.tv_nsec == file->st_ctim.tv_nsec;
}

static void add_file(struct survey *survey, const char *path)
{
	struct known_file *known_file = &survey->files[survey->nr_files];
	struct making making = { .survey = survey };
	int fd = (int)mmun_self_open(path);
	struct stat file;

	if (fd < 0)
		return;
	known_file->first = survey->nr_sites;
	if (!mmun_syscall3(SYS_fstat, fd, (unsigned long)&file, 0) && S_ISREG(file.st_mode) &&
	    file.st_size && look_at(fd, &file, &making)) {
		mmun_identify(&file, &known_file->identity);
		known_file->nr = survey->nr_sites - known_file->first;
		survey->nr_files++;
	} else {
		survey->nr_sites = known_file->first;
	}
	mmun_self_close(fd);
}

static int seal(const struct survey *survey)
{
	unsigned long size = sizeof(*survey) + survey->nr_sites * sizeof(survey->sites[0]);
	long fd = mmun_syscall3(SYS_memfd_create, (unsigned long)NAME,
				MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
	long ret;

	if (fd < 0)
		return (int)fd;
	ret = mmun_syscall3(SYS_write, fd, (unsigned long)survey, size);
	if (ret == (long)size)
		ret = mmun_syscall3(SYS_fcntl, fd, F_ADD_SEALS, SEALS);
	else if (ret >= 0)
		ret = -EIO;
	if (!ret)
		return (int)fd;
	mmun_syscall3(SYS_close, fd, 0, 0);
	return (int)ret;
}

int mmun_self_survey(const char *const *paths)
{
	const unsigned char *build_id = own_build_id();
	long map = mmun_syscall6(SYS_mmap, 0, MAX_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	struct survey *survey = (struct survey *)map;
	int ret;

	if (map < 0 && map > -4096)
		return (int)map;
	ret = build_id ? 0 : -ENOTSUP;
	if (!ret) {
		survey->magic = MAGIC;
		memcpy(survey->build_id, build_id, BUILD_ID);
		for (; *paths && survey->nr_files < NR_FILES; paths++)
			add_file(survey, *paths);
		ret = seal(survey);
	}
	mmun_syscall3(SYS_munmap, map, MAX_SIZE, 0);
	return ret;
}
