/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Into the next program: whatever environment it is given, this object is preloaded into it
 * and finds its way.  The tool hears of each such call, and whether it failed.
 *
 * The environment belongs to the program and is never written to.  Where something is missing
 * in it, the array is copied, with two strings of ours; the strings of the program are not.
 * The copy lies in memory of our own: after a vfork() the kernel still reads it while this
 * memory is the parent's, who goes on afterwards.
 *
 * I1  A loan belongs to the thread whose number is in it.  Of a vfork child the kernel takes
 *     the number out when the memory is no longer the child's: it has executed or ended.
 * I2  A loan whose thread is gone is free again.
 * I3  A program of another C library or word size, or from where this object is not to be
 *     found, is given nothing of ours: its dynamic linker would not load this object, and some
 *     end the program for that.
 * I4  What the program points to is asked of the kernel before it is read: a wrong pointer
 *     is an EFAULT of the program's call, and no fault here.
 * Tests: tests/system/trace_lost.py.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <mmunotify/self.h>

#include <atomic.h>
#include <descriptor.h>
#include <number.h>
#include <raw_syscall.h>

#include "tracer.h"

#define PRELOAD   "LD_PRELOAD="
#define PAGE_SIZE 4096ul
/* The kernel refuses longer ones: MAX_ARG_STRLEN. */
#define MAX_STRING (32 * PAGE_SIZE)
/* Of variables, beyond which the kernel would refuse the call whatever their length. */
#define MAX_VARIABLES (1ul << 20)

/* An environment lent to a program's call. */
struct loan {
	int owner;
	void *memory;
	size_t size;
	/* The kernel has been asked for I1. */
	bool is_taken_back;
	/* What the program gave. */
	char *const *envp;
};

#define NR_LOANS 64

static struct loan loans[NR_LOANS];
/* The path of this object, and "NAME=value" for each of those that want to be followed. */
#define NR_FOLLOWERS 2

static char library[PATH_MAX];
static char variables[NR_FOLLOWERS][96];
static unsigned int nr_variables;
static bool by_ring;
static int self_pid;

/* The last page that was found to be readable. */
struct reader {
	unsigned long page;
	bool bad;
};

/* The kernel copies a set of signals before it refuses what is to be done with it. */
static bool is_readable(struct reader *reader, unsigned long address)
{
	unsigned long page = address & -PAGE_SIZE;

	if (reader->bad || page == reader->page)
		return !reader->bad;
	reader->page = page;
	reader->bad = mmun_syscall4(SYS_rt_sigprocmask, ~0ul, page, 0, 8) != -EINVAL;
	return !reader->bad;
}

/* The character, or the end where nothing can be read. */
static char char_at(struct reader *reader, const char *text, size_t i)
{
	return is_readable(reader, (unsigned long)text + i) ? *(const volatile char *)(text + i)
							    : '\0';
}

static size_t length_of(struct reader *reader, const char *text)
{
	size_t length = 0;

	while (length < MAX_STRING && char_at(reader, text, length))
		length++;
	return length;
}

/* What follows @prefix in @text; NULL: another beginning. */
static const char *behind(struct reader *reader, const char *text, const char *prefix)
{
	size_t i = 0;

	for (; prefix[i]; i++)
		if (char_at(reader, text, i) != prefix[i])
			return NULL;
	return text + i;
}

/* Up to and with the "=". */
static bool is_named(struct reader *reader, const char *text, const char *variable)
{
	for (size_t i = 0; variable[i]; i++) {
		if (char_at(reader, text, i) != variable[i])
			return false;
		if (variable[i] == '=')
			return true;
	}
	return false;
}

/* Which of ours it is; nr_variables: none. */
static unsigned int find_variable(struct reader *reader, const char *text)
{
	unsigned int i = 0;

	while (i < nr_variables && !is_named(reader, text, variables[i]))
		i++;
	return i;
}

/* Is the library named in a list whose separators are colons and spaces? */
static bool names_library(struct reader *reader, const char *list)
{
	for (;;) {
		const char *rest = behind(reader, list, library);
		char c = rest ? char_at(reader, rest, 0) : 'x';

		if (!c || c == ':' || c == ' ')
			return true;
		while ((c = char_at(reader, list, 0)) && c != ':' && c != ' ')
			list++;
		if (!c)
			return false;
		list++;
	}
}

/* What an environment is like. */
struct look {
	size_t nr;
	/* The last value of LD_PRELOAD, which counts for the dynamic linker; or NULL. */
	const char *preload;
	bool is_preloaded;
	/* A bit for each of ours. */
	unsigned int has;
	/* It leads to another trace, inside this one. */
	bool is_anothers;
};

/* One of our variables: the first one of a name counts. */
static void note_variable(struct look *look, struct reader *text, const char *entry, unsigned int i)
{
	const char *value = behind(text, entry, variables[i]);

	if (!(look->has & 1u << i))
		look->is_anothers |= !value || char_at(text, value, 0);
	look->has |= 1u << i;
}

/* Return: false where the kernel will find no environment either. */
static bool look_at(char *const *envp, struct look *look)
{
	struct reader array = { .page = 1 }, text = { .page = 1 };

	*look = (struct look){ .nr = 0 };
	for (; envp && look->nr < MAX_VARIABLES; look->nr++) {
		const char *entry, *value;
		unsigned int i;

		if (!is_readable(&array, (unsigned long)&envp[look->nr]))
			return false;
		entry = envp[look->nr];
		if (!entry)
			break;
		value = behind(&text, entry, PRELOAD);
		if (value) {
			look->preload = value;
			look->is_preloaded = names_library(&text, value);
		} else if ((i = find_variable(&text, entry)) < nr_variables) {
			note_variable(look, &text, entry, i);
		}
		if (text.bad)
			return false;
	}
	return look->nr < MAX_VARIABLES;
}

/*
 * Of a child that shares the memory the kernel shall take the number out.  One that was made
 * with a place for that of its own keeps it, and so does one of which the kernel does not say;
 * then I2 has to do.
 */
static void take_back_at_exec(struct loan *loan)
{
	unsigned long place = 0;

	loan->is_taken_back = false;
	if (mmun_syscall3(SYS_getpid, 0, 0, 0) == self_pid)
		return;
	if (mmun_syscall3(SYS_prctl, PR_GET_TID_ADDRESS, (unsigned long)&place, 0) || place)
		return;
	loan->is_taken_back = true;
	mmun_syscall3(SYS_set_tid_address, (unsigned long)&loan->owner, 0, 0);
}

static void take_back_now(struct loan *loan)
{
	if (loan->is_taken_back)
		mmun_syscall3(SYS_set_tid_address, 0, 0, 0);
	mmun_store_release(&loan->owner, 0);
}

static bool is_gone(int thread)
{
	return mmun_syscall3(SYS_tkill, (unsigned long)thread, 0, 0) == -ESRCH;
}

static bool resize(struct loan *loan, size_t size)
{
	long memory;

	if (size <= loan->size)
		return true;
	size = (size + PAGE_SIZE - 1) & -PAGE_SIZE;
	memory = mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0);
	if (memory < 0 && memory >= -4095)
		return false;
	if (loan->memory)
		mmun_syscall3(SYS_munmap, (unsigned long)loan->memory, loan->size, 0);
	loan->memory = (void *)memory;
	loan->size = size;
	return true;
}

/* Room for @size bytes; NULL: there is none. */
static struct loan *take_loan(size_t size)
{
	int thread = (int)mmun_syscall3(SYS_gettid, 0, 0, 0);

	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < NR_LOANS; i++) {
			int owner = mmun_load_relaxed(&loans[i].owner);

			if (owner && (!pass || !is_gone(owner)))
				continue;
			if (!mmun_cas_full(&loans[i].owner, &owner, thread))
				continue;
			if (resize(&loans[i], size))
				return &loans[i];
			mmun_store_release(&loans[i].owner, 0);
			return NULL;
		}
	}
	return NULL;
}

static char *append(char *to, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		*to++ = text[i];
	return to;
}

/* What is in the list but this object; the length of the whole list is enough room. */
static char *append_others(char *to, const char *list, size_t length)
{
	const char *end = list + length, *item = list;
	struct reader text = { .page = 1 };
	bool first = true;

	for (const char *at = list; at <= end; at++) {
		if (at < end && *at != ':' && *at != ' ')
			continue;
		if (at > item && behind(&text, item, library) != at) {
			if (!first)
				*to++ = ':';
			to = append(to, item, (size_t)(at - item));
			first = false;
		}
		item = at + 1;
	}
	return to;
}

/*
 * The array, then the string: "LD_PRELOAD=" this object ":" what the program wanted.  For a
 * program that is not reached: without us.
 */
static void fill(struct loan *loan, char *const *envp, const struct look *look, size_t old,
		 bool is_reached)
{
	char **array = loan->memory;
	char *string = (char *)(array + look->nr + NR_FOLLOWERS + 2), *at, *value;
	struct reader text = { .page = 1 };
	size_t used = 0;

	value = at = append(string, PRELOAD, sizeof(PRELOAD) - 1);
	if (is_reached) {
		at = append(at, library, strlen(library));
		*at++ = ':';
		while (used < nr_variables) {
			array[used] = variables[used];
			used++;
		}
	}
	at = append_others(at, look->preload, old);
	if (at > value && at[-1] == ':')
		at--;
	*at = '\0';
	if (at > value)
		array[used++] = string;
	for (size_t i = 0; i < look->nr; i++)
		if (!behind(&text, envp[i], PRELOAD) &&
		    find_variable(&text, envp[i]) == nr_variables)
			array[used++] = envp[i];
	array[used] = NULL;
}

/*
 * Return: 0, or the positive errno for which the environment stays as it is; EBUSY where it
 * leads to another trace.
 */
static int amend(struct mmun_exec *exec, bool is_reached)
{
	struct reader text = { .page = 1 };
	size_t old = 0, size;
	struct loan *loan;
	struct look look;

	if (!look_at(exec->envp, &look))
		return EFAULT;
	if (look.is_anothers)
		return EBUSY;
	if (is_reached ? look.is_preloaded && look.has == (1u << nr_variables) - 1
		       : !look.is_preloaded && !look.has)
		return 0;
	if (look.preload)
		old = length_of(&text, look.preload);
	size = (look.nr + NR_FOLLOWERS + 2) * sizeof(char *) + sizeof(PRELOAD) + strlen(library) +
	       1 + old + 1;
	loan = take_loan(size);
	if (!loan)
		return ENOMEM;
	loan->envp = exec->envp;
	fill(loan, exec->envp, &look, old, is_reached);
	exec->envp = loan->memory;
	take_back_at_exec(loan);
	return 0;
}

static struct loan *find_loan(const struct mmun_exec *exec)
{
	for (int i = 0; i < NR_LOANS; i++)
		if (loans[i].memory && loans[i].memory == (void *)exec->envp)
			return &loans[i];
	return NULL;
}

/* Nothing waits here, nor becomes a terminal's. */
static long open_at(unsigned long dir, const char *path, unsigned long flags)
{
	long fd;

	(void)mmun_add_full(&mmun_descriptors.openings, 1);
	fd = mmun_syscall4(SYS_openat, dir, (unsigned long)path,
			   flags | O_CLOEXEC | O_NOCTTY | MMUN_DESCRIPTOR_MARK, 0);
	if (fd < 0)
		(void)mmun_add_full(&mmun_descriptors.closings, 1);
	return fd;
}

/* The file as it will be executed; below 0: it cannot be read. */
static long open_file(const struct mmun_exec *exec, unsigned long flags)
{
	unsigned long dir = (unsigned long)exec->dir;
	char link[40] = "/proc/self/fd/";
	struct reader text = { .page = 1 };

	if (!(exec->flags & AT_EMPTY_PATH) || char_at(&text, exec->path, 0))
		return open_at(dir, exec->path, flags);
	mmun_put_number(link + strlen(link), dir, 10);
	return open_at((unsigned long)AT_FDCWD, link, flags);
}

static void close_file(long fd)
{
	if (fd >= 0)
		mmun_descriptor_close(fd);
}

/* The whole name of the file, as this process sees it; or what it was called. */
static uint64_t name_of(const struct mmun_exec *exec, long fd)
{
	char name[RING_MAX_TEXT], link[40] = "/proc/self/fd/";
	struct reader text = { .page = 1 };
	long length = -1;

	if (fd >= 0) {
		mmun_put_number(link + strlen(link), (unsigned long)fd, 10);
		length = mmun_syscall3(SYS_readlink, (unsigned long)link, (unsigned long)name,
				       sizeof(name) - 1);
	}
	if (length <= 0) {
		for (length = 0; length < RING_MAX_TEXT - 1; length++)
			if (!(name[length] = char_at(&text, exec->path, (size_t)length)))
				break;
	}
	name[length] = '\0';
	return emit_text(name);
}

static bool read_at(long fd, void *to, size_t size, unsigned long offset)
{
	return mmun_syscall4(SYS_pread64, (unsigned long)fd, (unsigned long)to, size, offset) ==
	       (long)size;
}

/* Of a program without a dynamic linker, too: what it executes may be reached. */
static bool has_our_linker(long fd, const Elf64_Ehdr *header)
{
	static const char ours[] = "ld-linux-x86-64.so";
	Elf64_Phdr segment;
	char name[256];

	if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64)
		return false;
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		if (!read_at(fd, &segment, sizeof(segment), header->e_phoff + i * sizeof(segment)))
			return true;
		if (segment.p_type != PT_INTERP)
			continue;
		if (segment.p_filesz >= sizeof(name) ||
		    !read_at(fd, name, segment.p_filesz, segment.p_offset))
			return true;
		for (size_t at = 0; at + sizeof(ours) <= segment.p_filesz; at++) {
			size_t same = 0;

			while (ours[same] && name[at + same] == ours[same])
				same++;
			if (!ours[same])
				return true;
		}
		return false;
	}
	return true;
}

/* The interpreter's path out of "#! /bin/sh -e". */
static char *interpreter_of(char *line, size_t length)
{
	size_t at = 2, end;

	while (at < length && (line[at] == ' ' || line[at] == '\t'))
		at++;
	for (end = at; end < length && line[end] != ' ' && line[end] != '\t' && line[end] != '\n';)
		end++;
	line[end] = '\0';
	return line + at;
}

/* To open anything else may wait for ever, or do something.  The kernel executes none. */
static long open_regular(const char *path)
{
	unsigned long dir = (unsigned long)AT_FDCWD, name = (unsigned long)path;
	struct stat file;

	if (mmun_syscall4(SYS_newfstatat, dir, name, (unsigned long)&file, 0) ||
	    !S_ISREG(file.st_mode))
		return -EACCES;
	return open_at(dir, path, O_RDONLY);
}

/*
 * With another root, or other rights, the dynamic linker would complain that it is not.
 * Return: 0 or why, a positive errno.
 */
static int library_error(void)
{
	unsigned long path = (unsigned long)library;
	long ret = mmun_syscall4(SYS_faccessat2, (unsigned long)AT_FDCWD, path, R_OK, AT_EACCESS);

	return ret == -ENOENT || ret == -ENOTDIR || ret == -EACCES ? (int)-ret : 0;
}

/*
 * Another C library, or one of another word size, does not load this object without harm:
 * it complains, or gives up.  What cannot be read is taken for ours.
 */
static bool is_reachable(long fd)
{
	union {
		Elf64_Ehdr elf;
		char line[256];
	} head;
	long script = -1, length;
	bool reachable = true;

	for (int scripts = 0; fd >= 0 && scripts < 5; scripts++) {
		length = mmun_syscall4(SYS_pread64, (unsigned long)fd, (unsigned long)&head,
				       sizeof(head) - 1, 0);
		if (length > 2 && head.line[0] == '#' && head.line[1] == '!') {
			close_file(script);
			fd = script = open_regular(interpreter_of(head.line, (size_t)length));
			continue;
		}
		if (length >= (long)sizeof(head.elf) && head.line[0] == ELFMAG0 &&
		    head.line[1] == ELFMAG1 && head.line[2] == ELFMAG2 && head.line[3] == ELFMAG3)
			reachable = has_our_linker(fd, &head.elf);
		break;
	}
	close_file(script);
	return reachable;
}

static void before_exec(struct mmun_exec *exec)
{
	int error, missing;
	bool is_reached;
	long fd;

	if (by_ring && nr_variables == 1 && !emit_is_open())
		return;
	fd = open_file(exec, O_RDONLY);
	missing = library_error();
	is_reached = !missing && is_reachable(fd);
	/* One that may be executed and not be read. */
	if (fd < 0)
		fd = open_file(exec, O_PATH);
	error = amend(exec, is_reached);
	if (by_ring)
		emit_exec(RING_EXEC, is_reached ? 0 : RING_NOT_REACHED, error ? error : missing,
			  name_of(exec, fd));
	close_file(fd);
}

static bool exec_failed(struct mmun_exec *exec)
{
	struct loan *loan = find_loan(exec);
	bool again = loan && exec->error == E2BIG;
	long fd;

	if (loan) {
		exec->envp = loan->envp;
		take_back_now(loan);
	}
	if (!by_ring)
		return again;
	fd = open_file(exec, O_PATH);
	/* What does not fit with us has to do without. */
	if (again)
		emit_exec(RING_EXEC, 0, E2BIG, name_of(exec, fd));
	else
		emit_exec(RING_EXEC_FAILED, 0, exec->error, name_of(exec, fd));
	close_file(fd);
	return again;
}

void exec_forked(void)
{
	self_pid = (int)mmun_syscall3(SYS_getpid, 0, 0, 0);
	for (int i = 0; i < NR_LOANS; i++)
		mmun_store_relaxed(&loans[i].owner, 0);
}

void exec_follow(const char *name, const char *value)
{
	static struct mmun_exec_watch watch = { .before = before_exec, .failed = exec_failed };
	Dl_info info;
	char *at;

	if (nr_variables == NR_FOLLOWERS ||
	    strlen(name) + strlen(value) + 2 > sizeof(variables[0]) || !dladdr(library, &info) ||
	    strlen(info.dli_fname) >= sizeof(library))
		return;
	memcpy(library, info.dli_fname, strlen(info.dli_fname) + 1);
	at = append(variables[nr_variables], name, strlen(name));
	*at++ = '=';
	memcpy(at, value, strlen(value) + 1);
	by_ring |= emit_is_open();
	exec_forked();
	/* The watch is one for all. */
	if (!nr_variables++)
		mmun_self_watch_exec(&watch);
}
