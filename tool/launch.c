/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Starting the program of `mmunotify trace`, `mmunotify probe` and `mmunotify run`.
 *
 * A program that the preloaded library would not reach (static, set-user-ID,
 * another word size, another C library) is refused by the first two with the reason instead
 * of running untraced.  What is checked is the file that the kernel will load: for
 * a script its interpreter.  Tests: tests/system/trace_errors.py, tests/system/run.py.
 */
#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "command.h"
#include "launch.h"

#define MAX_SCRIPTS 5

/* The command of mmunotify(1) that runs. */
static const char *speaker = "trace";

/* Why the program cannot be run or watched: "FILE: why". */
static char obstacle[2 * PATH_MAX];
static const char *obstacle_why;

static int cannot(const char *path, const char *why)
{
	int used = snprintf(obstacle, sizeof(obstacle), "%s: ", path);

	obstacle_why = obstacle + used;
	snprintf(obstacle + used, sizeof(obstacle) - (size_t)used, "%s", why);
	return MMUNOTIFY_EXIT_CANNOT;
}

/* Return: 0, ENOENT, or EACCES for a file that is there and may not be run. */
static int try_path(struct launch *launch, const char *directory, size_t length, const char *name)
{
	struct stat file;

	if (snprintf(launch->path, sizeof(launch->path), "%.*s%s%s", (int)length, directory,
		     length ? "/" : "", name) >= (int)sizeof(launch->path))
		return ENOENT;
	if (stat(launch->path, &file) < 0)
		return errno == EACCES ? EACCES : ENOENT;
	if (!S_ISREG(file.st_mode) || access(launch->path, X_OK) < 0)
		return EACCES;
	return 0;
}

/* As shells do: a folder that may not be searched, or one of that name, is no hit. */
static int try_folder(struct launch *launch, const char *directory, size_t length, const char *name)
{
	struct stat file;
	int result = try_path(launch, directory, length, name);

	return result == EACCES && (stat(launch->path, &file) < 0 || S_ISDIR(file.st_mode))
		       ? ENOENT
		       : result;
}

static int search_path(struct launch *launch, const char *name)
{
	const char *at = getenv("PATH"), *end;
	int error = ENOENT, result;

	if (!*name)
		return ENOENT;
	if (strchr(name, '/'))
		/* There is something, but no folder in which it could be. */
		return try_path(launch, "", 0, name) && errno == ENOTDIR
			       ? EACCES
			       : try_path(launch, "", 0, name);
	if (!at)
		at = "/usr/local/bin:/usr/bin:/bin";
	for (;; at = end + 1) {
		end = strchrnul(at, ':');
		/* An empty element is the current directory. */
		result = end == at ? try_folder(launch, ".", 1, name)
				   : try_folder(launch, at, (size_t)(end - at), name);
		if (!result)
			return 0;
		if (result == EACCES)
			error = EACCES;
		if (!*end)
			return error;
	}
}

int launch_find(struct launch *launch, const char *command, char **argv)
{
	const char *name = argv[0], *why = "it may not be executed";
	struct stat file;

	speaker = command;
	launch->argv = argv;
	switch (search_path(launch, name)) {
	case 0:
		return 0;
	case EACCES:
		if (strchr(name, '/') && stat(name, &file) < 0)
			why = strerror(errno);
		else if (strchr(name, '/') && S_ISDIR(file.st_mode))
			why = "it is a directory";
		mmunotify_error(speaker, "%s: %s", name, why);
		return MMUNOTIFY_EXIT_CANNOT;
	}
	if (!*name)
		mmunotify_error(speaker, "the command's name is empty");
	else if (strchr(name, '/'))
		mmunotify_error(speaker, "%s: there is no such file", name);
	else
		mmunotify_error(speaker, "%s: command not found", name);
	return MMUNOTIFY_EXIT_MISSING;
}

/* Would the kernel give the program other rights than ours?  Then the dynamic
 * linker ignores LD_PRELOAD. */
static int check_rights(const char *path)
{
	struct statvfs fs;
	struct stat file;

	if (stat(path, &file) < 0)
		return cannot(path, strerror(errno));
	if (!statvfs(path, &fs) && fs.f_flag & ST_NOSUID)
		return 0;
	if (file.st_mode & S_ISUID && file.st_uid != getuid())
		return cannot(path, "it is a set-user-ID program, into which no library can be "
				    "preloaded; run it as its owner");
	if (file.st_mode & S_ISGID && file.st_mode & S_IXGRP && file.st_gid != getgid())
		return cannot(path, "it is a set-group-ID program, into which no library can be "
				    "preloaded");
	if (getuid() && getxattr(path, "security.capability", NULL, 0) > 0)
		return cannot(path, "it has file capabilities, so no library can be preloaded; "
				    "run it as root");
	return 0;
}

/* The interpreter's name from PT_INTERP; empty if there is none. */
static int read_interpreter(int fd, const Elf64_Ehdr *header, char *out, size_t size)
{
	Elf64_Phdr segment;

	*out = '\0';
	for (unsigned int i = 0; i < header->e_phnum; i++) {
		off_t at = (off_t)(header->e_phoff + i * sizeof(segment));

		if (pread(fd, &segment, sizeof(segment), at) != (ssize_t)sizeof(segment))
			return -EINVAL;
		if (segment.p_type != PT_INTERP)
			continue;
		if (!segment.p_filesz || segment.p_filesz >= size ||
		    pread(fd, out, segment.p_filesz, (off_t)segment.p_offset) !=
			    (ssize_t)segment.p_filesz)
			return -EINVAL;
		out[segment.p_filesz] = '\0';
		return 0;
	}
	return 0;
}

static int check_elf(const char *path, int fd, const Elf64_Ehdr *header)
{
	char interpreter[PATH_MAX], sentence[PATH_MAX + 128];

	if (header->e_ident[EI_CLASS] != ELFCLASS64)
		return cannot(path,
			      "it is a 32-bit program, and mmunotify is built for 64-bit ones");
	if (header->e_machine != EM_X86_64)
		return cannot(path, "it is built for another processor");
	if (header->e_phentsize != sizeof(Elf64_Phdr) ||
	    read_interpreter(fd, header, interpreter, sizeof(interpreter)))
		return cannot(path, "its program headers are damaged");
	if (!*interpreter)
		return cannot(path, "it is statically linked: no library can be preloaded, and its "
				    "system calls do not pass the C library");
	if (strstr(interpreter, "ld-musl"))
		return cannot(path,
			      "it uses the C library musl; only programs of the GNU C library "
			      "can be watched");
	if (access(interpreter, F_OK) < 0) {
		snprintf(sentence, sizeof(sentence), "its dynamic linker %s is not there",
			 interpreter);
		return cannot(path, sentence);
	}
	if (!strstr(interpreter, "ld-linux-x86-64.so")) {
		snprintf(sentence, sizeof(sentence),
			 "its dynamic linker %s is not that of the GNU "
			 "C library",
			 interpreter);
		return cannot(path, sentence);
	}
	return 0;
}

/* The interpreter's path out of "#! /bin/sh -e". */
static const char *script_interpreter(char *line)
{
	char *at = line + 2 + strspn(line + 2, " \t");

	at[strcspn(at, " \t\n")] = '\0';
	return at;
}

static int check_file(const char *path, int scripts)
{
	union {
		Elf64_Ehdr elf;
		char line[256];
	} head = { .line = "" };
	int status, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t length;

	/* May be run but not be read: then the kernel has the last word. */
	if (fd < 0)
		return errno == EACCES ? check_rights(path) : cannot(path, strerror(errno));
	length = read(fd, &head, sizeof(head) - 1);
	if (length > 2 && !memcmp(head.line, "#!", 2)) {
		close(fd);
		if (scripts == MAX_SCRIPTS)
			return cannot(path, "its interpreters are scripts of scripts");
		head.line[length] = '\0';
		path = script_interpreter(head.line);
		if (access(path, X_OK) < 0)
			return cannot(path, "the script's interpreter cannot be run");
		return check_file(path, scripts + 1);
	}
	if (length < (ssize_t)sizeof(head.elf) || memcmp(head.elf.e_ident, ELFMAG, SELFMAG))
		status = cannot(path, "it is neither an ELF program nor a script with a #! line");
	else
		status = check_elf(path, fd, &head.elf);
	close(fd);
	return status ? status : check_rights(path);
}

const char *launch_obstacle(const struct launch *launch)
{
	return check_file(launch->path, 0) ? obstacle : NULL;
}

const char *launch_file_obstacle(const char *path)
{
	return check_file(path, 0) ? obstacle_why : NULL;
}

int launch_check(struct launch *launch, const char *command, char **argv)
{
	int status = launch_find(launch, command, argv);

	if (status || !launch_obstacle(launch))
		return status;
	mmunotify_error(speaker, "%s", obstacle);
	return MMUNOTIFY_EXIT_CANNOT;
}

static bool take_library(struct launch *launch, const char *directory, const char *name)
{
	char path[3 * PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return realpath(path, launch->library);
}

int launch_need_proc(const char *command)
{
	if (!access("/proc/self/exe", F_OK))
		return 0;
	mmunotify_error(command, "/proc is not mounted (mount -t proc proc /proc), and without it "
				 "no process can be watched");
	return MMUNOTIFY_EXIT_TOOL;
}

int launch_find_library(struct launch *launch, const char *part)
{
	char variable[64], name[64], exe[PATH_MAX], beside[2 * PATH_MAX];
	const char *named;

	if (launch_need_proc(speaker))
		return MMUNOTIFY_EXIT_TOOL;
	snprintf(name, sizeof(name), "mmunotify-%s.so", part);
	snprintf(variable, sizeof(variable), "MMUNOTIFY_%s_LIBRARY", part);
	for (char *at = variable; *at; at++)
		*at = (char)toupper(*at);
	named = getenv(variable);
	if (named) {
		if (!realpath(named, launch->library)) {
			mmunotify_error(speaker, "%s names %s: %s", variable, named,
					strerror(errno));
			return MMUNOTIFY_EXIT_TOOL;
		}
	} else {
		if (!realpath("/proc/self/exe", exe))
			strcpy(exe, "/");
		*strrchr(exe, '/') = '\0';
		snprintf(beside, sizeof(beside), "%s/../" TRACE_LIBDIR "/mmunotify", exe);
		/* Beside us in the build tree; else where the install put it,
		 * relative to us first because the tree may have been moved. */
		if (!take_library(launch, exe, name) && !take_library(launch, beside, name) &&
		    !take_library(launch, TRACE_PREFIX "/" TRACE_LIBDIR "/mmunotify", name)) {
			mmunotify_error(speaker, "%s is not installed; %s can name it", name,
					variable);
			return MMUNOTIFY_EXIT_TOOL;
		}
	}
	if (strpbrk(launch->library, " :")) {
		mmunotify_error(speaker,
				"%s: LD_PRELOAD cannot name a path with a space or a colon",
				launch->library);
		return MMUNOTIFY_EXIT_TOOL;
	}
	return 0;
}

static void set_environment(const struct launch *launch)
{
	const char *old = getenv("LD_PRELOAD");
	char *value = NULL;

	if (!launch->variable)
		return;
	if (!old || !*old)
		setenv("LD_PRELOAD", launch->library, 1);
	else if (asprintf(&value, "%s:%s", launch->library, old) > 0)
		setenv("LD_PRELOAD", value, 1);
	free(value);
	setenv(launch->variable, launch->value, 1);
}

void launch_ignore(struct launch *launch, int signal)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	launch->ignored = signal;
	sigaction(signal, &ignore, &launch->before);
}

static void run_program(const struct launch *launch, const struct sigaction *on_child,
			const sigset_t *mask, int report)
{
	int error;

	set_environment(launch);
	sigaction(SIGCHLD, on_child, NULL);
	if (launch->ignored)
		sigaction(launch->ignored, &launch->before, NULL);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execv(launch->path, launch->argv);
	error = errno;
	if (write(report, &error, sizeof(error)) < 0)
		_exit(MMUNOTIFY_EXIT_TOOL);
	_exit(MMUNOTIFY_EXIT_CANNOT);
}

/* Nothing comes through the pipe if the program runs: exec closed it. */
static int exec_error(int report)
{
	ssize_t length;
	int error = 0;

	do
		length = read(report, &error, sizeof(error));
	while (length < 0 && errno == EINTR);
	close(report);
	return length == (ssize_t)sizeof(error) ? error : 0;
}

int launch_start(const struct launch *launch, pid_t *child, void (*started)(void))
{
	struct sigaction on_child, as_usual = { .sa_handler = SIG_DFL };
	int report[2], error;
	sigset_t all, mask;

	if (pipe2(report, O_CLOEXEC) < 0)
		goto failed;
	/* No handler of ours may run in the child before exec. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &mask);
	/* While it is ignored nobody can wait for a child, and its status is lost. */
	sigaction(SIGCHLD, &as_usual, &on_child);
	*child = fork();
	if (!*child)
		run_program(launch, &on_child, &mask, report[1]);
	error = errno;
	close(report[1]);
	started();
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (*child < 0) {
		close(report[0]);
		errno = error;
		goto failed;
	}
	error = exec_error(report[0]);
	if (!error)
		return 0;
	mmunotify_error(speaker, "%s: %s", launch->path, strerror(error));
	return error == ENOENT ? MMUNOTIFY_EXIT_MISSING : MMUNOTIFY_EXIT_CANNOT;

failed:
	mmunotify_error(speaker, "the program cannot be started: %s", strerror(errno));
	return MMUNOTIFY_EXIT_TOOL;
}

int launch_pass_on(int wait_status)
{
	struct rlimit no_core = { 0, 0 };
	sigset_t mask;
	int signal_number;

	if (!WIFSIGNALED(wait_status))
		return WEXITSTATUS(wait_status);
	signal_number = WTERMSIG(wait_status);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(signal_number, SIG_DFL);
	sigemptyset(&mask);
	sigaddset(&mask, signal_number);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	raise(signal_number);
	return 128 + signal_number;
}
