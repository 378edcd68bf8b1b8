/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The system calls of a test program that lives in a software address space.
 *
 * Linked into the program, it takes the place of libc's functions.  A program becomes a user of
 * the kernel when it opens a device; before that, and for what is not the kernel's, calls
 * go to the host.  Memory that it maps then is, for the host, a reservation without access: the
 * first access faults, the kernel says which frame is there, and the thread maps it.
 *
 * I1  The kernel waits until a frame is mapped that it has named to a thread, and until it is
 *     taken away by the mapper thread, so that it always knows what is mapped.
 * I2  A forked child does nothing before the frames that were mapped at the fork are hidden.
 * I3  Connections have descriptors of their own range, so that a child closes its parent's:
 *     the kernel sees the end of each program by the end of its connections.
 *
 * Not here: system calls other than those below with addresses of such memory (read(2),
 * write(2)...): the host refuses them by EFAULT.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "../wire.h"

#define MAX_FD 1024
/* I3 */
#define FIRST_WIRE 900
#define PAGE       4096ul
#define HUGE       (2ul << 20)
/* The times of tests are for a processor and its kernel. */
#define SLOWER 20

static long program; /* 0: not a user yet */
static int memory = -1;
static __thread int wire = -1;
static pthread_key_t wires;
static int handles[MAX_FD]; /* handle + 1 */

static void lost(const char *what)
{
	static const char text[] = "client: no kernel: ";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
	    write(STDERR_FILENO, what, strlen(what)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(126);
	_exit(125);
}

static int connect_kernel(void)
{
	const char *name = getenv(WIRE_SOCKET);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int low = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), fd;

	if (!name || low < 0)
		lost("socket");
	fd = fcntl(low, F_DUPFD_CLOEXEC, FIRST_WIRE);
	syscall(SYS_close, low);
	memcpy(address.sun_path + 1, name, strlen(name));
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&address,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))))
		lost("connect");
	return fd;
}

static void ask_for(int fd, const struct wire_request *request, void *answer, size_t size)
{
	ssize_t n;

	if (send(fd, request, sizeof(*request), MSG_NOSIGNAL) != sizeof(*request))
		lost("send");
	do {
		n = recv(fd, answer, size, 0);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)size)
		lost("receive");
}

static long ask_on(int fd, const struct wire_request *request)
{
	long answer;

	ask_for(fd, request, &answer, sizeof(answer));
	return answer;
}

#define ASK_ON(fd, number, ...) \
	ask_on(fd, &(const struct wire_request){ number, { __VA_ARGS__ }, "" })

static void set_wire(int fd)
{
	wire = fd;
	pthread_setspecific(wires, (void *)(long)fd);
}

static void hello(void)
{
	int fd = connect_kernel();

	program = ASK_ON(fd, WIRE_HELLO, (unsigned long)program);
	if (program <= 0)
		lost("hello");
	set_wire(fd);
}

static long ask(const struct wire_request *request)
{
	if (wire < 0)
		hello();
	return ask_on(wire, request);
}

#define CALL(number, ...) ask(&(const struct wire_request){ number, { __VA_ARGS__ }, "" })

static void thread_ends(void *fd)
{
	syscall(SYS_close, (int)(long)fd);
	wire = -1;
}

/* For the host: nothing is there, and nothing else comes there. */
static void *reserve(void *address, size_t length, int flags)
{
	return (void *)syscall(SYS_mmap, address, length, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

/* I1 */
static void *obey(void *arg)
{
	const int fd = (int)(long)arg;
	struct wire_hide m;
	long done = 0;

	while (recv(fd, &m, sizeof(m), 0) == sizeof(m)) {
		if (reserve((void *)m.address, m.length, MAP_FIXED) != (void *)m.address)
			lost("hiding");
		if (send(fd, &done, sizeof(done), MSG_NOSIGNAL) != sizeof(done))
			break;
	}
	return NULL;
}

/* The frames that lie one behind the other as their addresses do, from @first on. */
static unsigned long run_of(const struct wire_frames *frames, unsigned long first)
{
	unsigned long n = 1;

	while (first + n < frames->count &&
	       frames->physical[first + n] == frames->physical[first] + n * PAGE)
		n++;
	return n;
}

/* I1 */
static void map_frames(int fd, const struct wire_frames *frames)
{
	unsigned long n, physical;
	long done = 0;
	void *address;

	for (unsigned long i = 0; i < frames->count; i += n) {
		n = run_of(frames, i);
		physical = frames->physical[i];
		address = (void *)(frames->address + i * PAGE);
		if ((void *)syscall(SYS_mmap, address, n * PAGE,
				    PROT_READ | (physical & WIRE_WRITABLE ? PROT_WRITE : 0),
				    MAP_SHARED | MAP_FIXED, memory,
				    physical & ~WIRE_WRITABLE) != address)
			lost("mapping");
	}
	if (send(fd, &done, sizeof(done), MSG_NOSIGNAL) != sizeof(done))
		lost("mapped");
}

static void start_mapper(void)
{
	int fd = connect_kernel();
	sigset_t all, old;
	pthread_t thread;

	if (ASK_ON(fd, WIRE_MAPPER, (unsigned long)program) < 0)
		lost("mapper");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&thread, NULL, obey, (void *)(long)fd))
		lost("thread");
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_detach(thread);
	/* I2 */
	CALL(WIRE_READY, 0);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *uc = context;
	const unsigned long write = uc->uc_mcontext.gregs[REG_ERR] & 2;
	const struct wire_request request = { WIRE_FAULT,
					      { (unsigned long)info->si_addr, write },
					      "" };
	struct wire_frames frames;
	int saved = errno;

	if (wire < 0)
		hello();
	ask_for(wire, &request, &frames, sizeof(frames));
	if (!frames.signal)
		map_frames(wire, &frames);
	errno = saved;
	if (!frames.signal)
		return;
	fprintf(stderr, "client: signal %ld at %p\n", frames.signal, info->si_addr);
	/* Again, and this time for good. */
	sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
}

static void become_user(void)
{
	const struct sigaction action = { .sa_sigaction = on_fault,
					  .sa_flags = SA_SIGINFO | SA_NODEFER | SA_RESTART };
	const char *path = getenv(WIRE_MEMORY);

	if (program)
		return;
	if (!path)
		lost("environment");
	memory = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
	if (memory < 0)
		lost(path);
	pthread_key_create(&wires, thread_ends);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	hello();
	start_mapper();
}

static long host(long ret)
{
	if (ret >= 0)
		return ret;
	errno = (int)-ret;
	return -1;
}

/* A descriptor that the host knows, too. */
static int describe(long handle)
{
	int fd;

	if (handle < 0)
		return (int)host(handle);
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR, 0);
	if (fd < 0 || fd >= FIRST_WIRE)
		lost("descriptor");
	handles[fd] = (int)handle + 1;
	return fd;
}

static long handle_of(int fd)
{
	return fd >= 0 && fd < MAX_FD && handles[fd] ? handles[fd] - 1 : -1;
}

/* The name under which the kernel knows what @path is, or NULL. */
static const char *device_name(const char *path)
{
	static const char devices[] = "/dev/", debugfs[] = "/sys/kernel/debug/";

	if (!strncmp(path, debugfs, sizeof(debugfs) - 1))
		return path + sizeof(debugfs) - 1;
	return strncmp(path, "/dev/hmm_", 9) ? NULL : path + sizeof(devices) - 1;
}

int open(const char *path, int flags, ...)
{
	struct wire_request request = { WIRE_OPEN, { (unsigned long)flags }, "" };
	const char *name = device_name(path);
	unsigned int mode = 0;
	va_list args;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(args, flags);
		mode = va_arg(args, unsigned int);
		va_end(args);
	}
	if (name) {
		become_user();
		strncpy(request.text, name, sizeof(request.text) - 1);
		return describe(ask(&request));
	}
	if (program && (flags & O_TMPFILE) == O_TMPFILE)
		return describe(CALL(WIRE_CREATE, 0));
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

int close(int fd)
{
	if (handle_of(fd) >= 0) {
		CALL(WIRE_CLOSE, (unsigned long)handle_of(fd));
		handles[fd] = 0;
	}
	return (int)syscall(SYS_close, fd);
}

int ioctl(int fd, unsigned long command, ...)
{
	unsigned long argument;
	va_list args;

	va_start(args, command);
	argument = va_arg(args, unsigned long);
	va_end(args);
	if (handle_of(fd) < 0)
		return (int)syscall(SYS_ioctl, fd, command, argument);
	return (int)host(CALL(WIRE_IOCTL, (unsigned long)handle_of(fd), command, argument));
}

int ftruncate(int fd, off_t size)
{
	if (handle_of(fd) < 0)
		return (int)syscall(SYS_ftruncate, fd, size);
	return (int)host(CALL(WIRE_TRUNCATE, (unsigned long)handle_of(fd), (unsigned long)size));
}

ssize_t pread(int fd, void *buffer, size_t length, off_t offset)
{
	if (handle_of(fd) < 0)
		return syscall(SYS_pread64, fd, buffer, length, offset);
	return host(CALL(WIRE_PREAD, (unsigned long)handle_of(fd), (unsigned long)buffer, length,
			 (unsigned long)offset));
}

ssize_t pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
	if (handle_of(fd) < 0)
		return syscall(SYS_pwrite64, fd, buffer, length, offset);
	return host(CALL(WIRE_PWRITE, (unsigned long)handle_of(fd), (unsigned long)buffer, length,
			 (unsigned long)offset));
}

/* A place that is @alignment-aligned and free, reserved. */
static char *find_place(size_t length, size_t alignment)
{
	char *place = reserve(NULL, length + alignment, 0), *start;

	if (place == MAP_FAILED)
		return place;
	start = (char *)(((unsigned long)place + alignment - 1) & ~(alignment - 1));
	if (start > place)
		syscall(SYS_munmap, place, start - place);
	if (place + alignment > start)
		syscall(SYS_munmap, start + length, place + alignment - start);
	return start;
}

static void *failed(long error)
{
	errno = (int)-error;
	return MAP_FAILED;
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	const long handle = fd < 0 ? -1 : handle_of(fd);
	const size_t whole = (length + PAGE - 1) & ~(PAGE - 1);
	const int fixed = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
	char *place = address;
	long ret;

	if (!program || (fd >= 0 && handle < 0))
		return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
	if (fixed)
		place = reserve(address, whole, fixed);
	else
		place = flags & MAP_HUGETLB ? find_place((whole + HUGE - 1) & ~(HUGE - 1), HUGE)
					    : reserve(NULL, whole, 0);
	if (place == MAP_FAILED)
		return place;
	ret = CALL(WIRE_MMAP, (unsigned long)place, length, (unsigned long)protection,
		   (unsigned long)(flags | MAP_FIXED), (unsigned long)handle,
		   (unsigned long)offset);
	if (ret == (long)place)
		return place;
	syscall(SYS_munmap, place, whole);
	return failed(ret);
}

/* The kernel does not choose a place: another one is reserved here. */
static void *move(char *old, size_t old_length, size_t length, int flags, char *place)
{
	long ret;

	if (place == MAP_FAILED)
		return place;
	ret = CALL(WIRE_MREMAP, (unsigned long)old, old_length, length,
		   (unsigned long)(flags | MREMAP_MAYMOVE | MREMAP_FIXED), (unsigned long)place);
	if (ret < 0)
		return failed(ret);
	if (!(flags & MREMAP_DONTUNMAP))
		syscall(SYS_munmap, old, old_length);
	return place;
}

void *mremap(void *old, size_t old_length, size_t length, int flags, ...)
{
	char *place = NULL;
	va_list args;
	long ret;

	if (flags & MREMAP_FIXED) {
		va_start(args, flags);
		place = va_arg(args, char *);
		va_end(args);
	}
	if (!program)
		return (void *)syscall(SYS_mremap, old, old_length, length, flags, place);
	if (flags & MREMAP_FIXED)
		return move(old, old_length, length, flags, reserve(place, length, MAP_FIXED));
	if (length > old_length || flags & MREMAP_DONTUNMAP)
		return flags & MREMAP_MAYMOVE
			       ? move(old, old_length, length, flags, reserve(NULL, length, 0))
			       : failed(-ENOMEM);
	ret = CALL(WIRE_MREMAP, (unsigned long)old, old_length, length, (unsigned long)flags);
	if (ret < 0)
		return failed(ret);
	if (length < old_length)
		syscall(SYS_munmap, (char *)old + length, old_length - length);
	return old;
}

int munmap(void *address, size_t length)
{
	long ret = program ? CALL(WIRE_MUNMAP, (unsigned long)address, length) : -ESRCH;

	if (ret && ret != -ESRCH)
		return (int)host(ret);
	return (int)syscall(SYS_munmap, address, length);
}

int mprotect(void *address, size_t length, int protection)
{
	long ret = program ? CALL(WIRE_MPROTECT, (unsigned long)address, length,
				  (unsigned long)protection)
			   : -ESRCH;

	if (ret == -ESRCH)
		return (int)syscall(SYS_mprotect, address, length, protection);
	return (int)host(ret);
}

int madvise(void *address, size_t length, int advice)
{
	long ret =
		program ? CALL(WIRE_MADVISE, (unsigned long)address, length, (unsigned long)advice)
			: -ESRCH;

	if (ret == -ESRCH)
		return (int)syscall(SYS_madvise, address, length, advice);
	return (int)host(ret);
}

/* What libc's is. */
static void *next(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		lost(name);
	return function;
}

/* I2, I3 */
static void begin_child(long child, int fd)
{
	for (int i = FIRST_WIRE; i < MAX_FD; i++) {
		if (i != fd)
			syscall(SYS_close, i);
	}
	/* Some wait for their parent in a loop. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	program = child;
	set_wire(fd);
	start_mapper();
}

pid_t fork(void)
{
	pid_t (*host_fork)(void) = (pid_t(*)(void))next("fork");
	long child;
	pid_t pid;
	int fd;

	if (!program)
		return host_fork();
	child = CALL(WIRE_FORK, 0);
	if (child < 0)
		return (pid_t)host(child);
	fd = connect_kernel();
	if (ASK_ON(fd, WIRE_HELLO, (unsigned long)child) != child)
		lost("child");
	pid = host_fork();
	if (!pid) {
		begin_child(child, fd);
		return 0;
	}
	if (pid > 0)
		CALL(WIRE_NAME, (unsigned long)child, (unsigned long)pid);
	syscall(SYS_close, fd);
	return pid;
}

/* The kernel's part of an end comes before the host says that somebody has ended. */
static void settle(pid_t pid)
{
	int saved = errno, fd;

	if (!getenv(WIRE_SOCKET))
		return;
	fd = connect_kernel();
	ASK_ON(fd, WIRE_WAIT, (unsigned long)pid);
	syscall(SYS_close, fd);
	errno = saved;
}

pid_t waitpid(pid_t pid, int *status, int options)
{
	int own;
	pid_t ret = (pid_t)syscall(SYS_wait4, pid, &own, options, NULL);

	if (ret <= 0)
		return ret;
	if (WIFEXITED(own) || WIFSIGNALED(own))
		settle(ret);
	if (status)
		*status = own;
	return ret;
}

pid_t wait(int *status)
{
	return waitpid(-1, status, 0);
}

unsigned int alarm(unsigned int seconds)
{
	return (unsigned int)syscall(SYS_alarm, seconds * SLOWER) / SLOWER;
}
