/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The running process as an address space.
 *
 * Nothing is patched and nothing runs before the first registration.  It then
 * redirects the memory system calls of every loaded C library and dynamic
 * linker (docs/DESIGN.md, "The life of one munmap"); mmun_self_stop() puts the
 * bytes back.
 */
#ifndef MMUNOTIFY_SELF_H
#define MMUNOTIFY_SELF_H

#include <stdbool.h>

#include <mmunotify/mm.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

/** How long _exit(), exit_group and execve wait, in all, for what other threads hold or
 *  do: open sections, another release step.  Then they go on; every ->release has run. */
#define MMUN_SELF_EXIT_WAIT_MS 100

/**
 * mmun_self() - the address space of the running process.
 *
 * The same pointer every time, until fork (a child has a new address space
 * without notifiers) or until an execve() that failed after ->release ran.
 * The caller holds no reference; use mmgrab() to keep the struct.
 *
 * Context: the first call in a process allocates.
 * Return: the mm; NULL with errno ENOMEM.
 */
struct mm_struct *mmun_self(void);

/**
 * mmun_self_start() - redirect the system calls now instead of at the first registration.
 *
 * All or nothing: on error not a byte is changed and no mapping is left over; the
 * source's probe has the sentence.  When already started it tries again what could not be
 * redirected when it was loaded (mmun_stats.late_failed), and fails if that fails.
 *
 * Context: sleeps; not async-signal-safe.
 * Return: 0, also when already started and everything loaded is redirected;
 * -ENOTSUP: a static program, another C library, text that cannot be patched, no /proc;
 * -EBUSY: another copy of this library has patched this process, or a debugger or a
 * uprobe has a breakpoint in text that is to be replaced;
 * -ENOMEM: the limit of mappings (vm.max_map_count), RLIMIT_AS, no memory;
 * -EAGAIN: with mlockall(MCL_FUTURE), RLIMIT_MEMLOCK;
 * -EACCES: PR_SET_MDWE (MemoryDenyWriteExecute) or SELinux;
 * -EPERM, or what the filter answers: seccomp.
 */
int mmun_self_start(void);

/**
 * mmun_self_start_strict() - mmun_self_start(), and catch every other system call too.
 *
 * By Syscall User Dispatch, in every thread, whatever code makes it: inline assembly,
 * generated code, run-time systems without the C library.  Such a call costs about a
 * microsecond more, one of the C library a few nanoseconds.  The program keeps its
 * SIGSYS handler and masks (mmunotify(7), Strict mode).  With MMUNOTIFY_STRICT=1 in the
 * environment every start is strict.
 *
 * Context: sleeps; not async-signal-safe.  Threads that exist already get a signal,
 * which interrupts the calls that no signal handler lets restart.
 * Return: 0, also when strict mode is on already; as mmun_self_start(), or -ENOTSUP
 * (this kernel, or a seccomp rule, does not permit it), -ETIMEDOUT (a thread has
 * SIGSYS blocked).  On error strict mode is off, and a source that was started
 * before works on without it.
 */
int mmun_self_start_strict(void);

/**
 * mmun_self_stop() - put the C library's bytes back.
 *
 * Threads inside a redirected call finish it; calls after the return are not seen.
 * A later registration, or insertion of an interval notifier, starts again.
 * Context: sleeps.
 * Return: 0, also when not started: every byte is back; -EBUSY while notifiers are
 * registered or intervals inserted, or when another program's patch lies over ours (its
 * bytes are left alone, and so are ours under it); another error when the process may
 * no longer replace its text: then what is left of ours makes the program's own calls
 * and nothing else, and a later stop tries again.
 */
int mmun_self_stop(void);

/** struct mmun_exec - the program is about to execute another. */
struct mmun_exec {
	/** As execveat() has them; AT_FDCWD and 0 for execve(). */
	int dir, flags;
	/** A regular file that may be executed. */
	const char *path;
	/** The program's: nobody has looked yet whether there is memory.  What a watch puts
	 *  here stays valid until ->failed, and for ever if that is not called. */
	char *const *envp;
	/** For ->failed: why, a positive errno. */
	int error;
};

/**
 * struct mmun_exec_watch - who wants to know of execve() and execveat().
 *
 * Context of both: that of the program's call, in a vfork child with the memory and the
 * thread-local storage of its parent, in a signal handler: raw system calls only.
 */
struct mmun_exec_watch {
	/** Before ->release of the notifiers. */
	void (*before)(struct mmun_exec *exec);
	/** The call failed, and the program goes on.  Return: make it again, with ->envp. */
	bool (*failed)(struct mmun_exec *exec);
	/** The library's own. */
	struct mmun_exec_watch *next;
};

/**
 * mmun_self_watch_exec() - call @watch before each execve() of the running process.
 * @watch: stays for ever, in forked children too
 *
 * Calls are seen while the source is started, in vfork children as well.
 * Context: any.
 */
void mmun_self_watch_exec(struct mmun_exec_watch *watch);

/** The environment variable that names a survey: /proc/PID/fd/N. */
#define MMUN_SURVEY_VARIABLE "MMUNOTIFY_SURVEY"

/**
 * mmun_self_survey() - look at libraries once for many programs that are about to start.
 * @paths: files, ended by NULL; those that cannot be looked at are left out
 *
 * To look at a C library takes most of the time of the first registration.  A process that
 * finds in its environment (%MMUN_SURVEY_VARIABLE) a descriptor of its parent's that
 * this function has returned takes what it says of files that have not changed, if it
 * uses the same build of this library; of others it looks at the file itself.
 *
 * Context: sleeps; needs no running source.
 * Return: a descriptor of sealed memory, closed at exec, to be kept open while programs
 * start; or -errno: -ENOTSUP: this build of the library has no build-id.
 */
int mmun_self_survey(const char *const *paths);

/** One system call instruction of an ELF file. */
struct mmun_site_info {
	/** The symbol that it lies in and how far behind; NULL and its address. */
	const char *function;
	unsigned long offset;
	/** The number that it makes; -1: one in a register. */
	int nr;
	/** It would be redirected; or it needs not be, because its number is none that
	 *  changes memory or ends the process. */
	bool redirected, harmless;
	/** If neither: what is in the way. */
	const char *why;
};

/**
 * mmun_file_sites() - what the source would do about each system call of an ELF file.
 * @path: a program or library of this machine's architecture
 * @fn: called for each system call instruction; ends the walk by returning other than 0
 * @arg: handed to @fn
 *
 * Context: sleeps; needs no running source.
 * Return: 0, what @fn returned, or -errno; -ENOEXEC if that is no such file.
 */
int mmun_file_sites(const char *path, int (*fn)(const struct mmun_site_info *info, void *arg),
		    void *arg);

/**
 * mmun_self_sites() - each system call instruction of the objects of this process.
 * @fn: called with the file of the object; ends the walk by returning other than 0
 * @arg: handed to @fn
 *
 * Those that the library has marked as its own are left out.  Where the source is
 * started, redirected means that it is: of one that is not, although it could be, ->why
 * says so.  Where it is not started, that it would be.
 *
 * Context: sleeps; needs some 10 KiB of stack.  @fn must not register, start or stop.
 * Return: 0, what @fn returned, or -errno.
 */
int mmun_self_sites(int (*fn)(const char *object, const struct mmun_site_info *info, void *arg),
		    void *arg);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
