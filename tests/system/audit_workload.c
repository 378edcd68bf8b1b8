/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registers memory, changes it, and uses or drops the registration: for audit.py.
 *
 *     audit-workload KIND CHANGE STEP...
 *
 * Prints the addresses and the length; "skip: ..." where this machine cannot.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 65536ul
#define PAGE 4096ul

#undef ibv_reg_mr

/* audit_stub.c */
struct ibv_qp *stub_queue(void);

static char *buffer;
static size_t length = SIZE;
static int memfd = -1;

static void die(const char *what)
{
	printf("%s: %s: %s\n", errno == EPERM || errno == ENOSYS ? "skip" : "failed", what,
	       strerror(errno));
	exit(errno == EPERM || errno == ENOSYS ? 77 : 1);
}

/* Kinds of registrations. */

static struct io_uring ring;
static int ring_fd;

static void uring_register(void)
{
	struct iovec iov[2] = { { buffer, length / 2 }, { buffer + length / 2, length / 2 } };
	int error = io_uring_queue_init(8, &ring, 0);

	if (!error)
		error = io_uring_register_buffers(&ring, iov, 2);
	errno = -error;
	if (error)
		die("io_uring");
	ring_fd = ring.ring_fd;
}

static void uring_drop(void)
{
	io_uring_unregister_buffers(&ring);
}

static void uring_use(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	struct io_uring_cqe *cqe;
	int null = open("/dev/null", O_WRONLY);

	io_uring_prep_write_fixed(sqe, null, buffer, 100, 0, 0);
	io_uring_submit(&ring);
	io_uring_wait_cqe(&ring, &cqe);
	io_uring_cqe_seen(&ring, cqe);
	close(null);
}

/* By the plain system calls, as programs do that do without liburing. */
static void raw_register(void)
{
	struct iovec iov[2] = { { buffer, length / 2 }, { buffer + length / 2, length / 2 } };

	if (io_uring_queue_init(8, &ring, 0) < 0)
		die("io_uring");
	ring_fd = ring.ring_fd;
	if (syscall(SYS_io_uring_register, ring_fd, IORING_REGISTER_BUFFERS, iov, 2))
		die("io_uring_register");
}

static void raw_drop(void)
{
	syscall(SYS_io_uring_register, ring_fd, IORING_UNREGISTER_BUFFERS, NULL, 0);
}

static void raw_use(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	int null = open("/dev/null", O_WRONLY);

	io_uring_prep_write_fixed(sqe, null, buffer, 100, 0, 0);
	ring.sq.array[*ring.sq.ktail & *ring.sq.kring_mask] = 0;
	__atomic_store_n(ring.sq.ktail, *ring.sq.ktail + 1, __ATOMIC_RELEASE);
	syscall(SYS_io_uring_enter, ring_fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	close(null);
}

static struct ibv_mr *region;

static void verbs_register(void)
{
	region = ibv_reg_mr(stub_queue()->pd, buffer, length, IBV_ACCESS_LOCAL_WRITE);
}

static void verbs_drop(void)
{
	ibv_dereg_mr(region);
}

static void verbs_post(unsigned int flags)
{
	struct ibv_sge piece = { (uintptr_t)buffer, 100, region->lkey };
	struct ibv_send_wr request = { .sg_list = &piece, .num_sge = 1, .send_flags = flags }, *bad;

	if (ibv_post_send(stub_queue(), &request, &bad))
		die("ibv_post_send");
}

static void verbs_use(void)
{
	verbs_post(0);
}

/* On demand: the device follows the memory. */
static void odp_register(void)
{
	region = ibv_reg_mr(stub_queue()->pd, buffer, length, IBV_ACCESS_ON_DEMAND);
}

static int (*cu_register)(void *, size_t, unsigned int);
static int (*cu_unregister)(void *);

static void cuda_register(void)
{
	int (*get)(const char *, void **, int, uint64_t) = NULL;

	cu_register =
		(int (*)(void *, size_t, unsigned int))dlsym(RTLD_DEFAULT, "cuMemHostRegister_v2");
	get = (int (*)(const char *, void **, int, uint64_t))dlsym(RTLD_DEFAULT,
								   "cuGetProcAddress");
	if (get("cuMemHostUnregister", (void **)&cu_unregister, 12000, 0) ||
	    cu_register(buffer, length, 0))
		exit(1);
}

static void cuda_drop(void)
{
	cu_unregister(buffer);
}

static int pipes[2];

static void vmsplice_register(void)
{
	struct iovec iov = { buffer, length };

	if (pipe(pipes) || vmsplice(pipes[1], &iov, 1, 0) != (ssize_t)length)
		die("vmsplice");
}

static void vmsplice_use(void)
{
	char bytes[SIZE];

	for (size_t got = 0; got < length;)
		got += (size_t)read(pipes[0], bytes, sizeof(bytes));
}

/* The pipe holds something, but nothing of the buffer any more. */
static void vmsplice_refill(void)
{
	static char other[PAGE];
	struct iovec iov = { other, sizeof(other) };

	vmsplice_use();
	if (vmsplice(pipes[1], &iov, 1, 0) != (ssize_t)sizeof(other))
		die("vmsplice");
}

static long resident_pages(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	if (!statm || fscanf(statm, "%ld %ld", &size, &resident) != 2)
		exit(1);
	fclose(statm);
	return resident;
}

/* So much through a pipe that what is remembered of it would be seen. */
static void vmsplice_stream(void)
{
	struct iovec iov = { buffer, PAGE };
	long before = resident_pages();
	char bytes[PAGE];

	vmsplice_use();
	for (int i = 0; i < 40000; i++)
		if (vmsplice(pipes[1], &iov, 1, 0) != (ssize_t)PAGE ||
		    read(pipes[0], bytes, PAGE) != (ssize_t)PAGE)
			die("vmsplice");
	if (resident_pages() - before > (2 << 20) / (long)PAGE)
		exit(1);
}

static void mlock_register(void)
{
	if (mlock(buffer, length))
		die("mlock");
}

static void mlock_drop(void)
{
	munlock(buffer, length);
}

/* Changes of the memory. */

static void *map(void *at, int flags)
{
	return mmap(at, length, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_POPULATE | flags, -1,
		    0);
}

static void change_by(const char *how)
{
	int result = 0;

	if (!strcmp(how, "munmap"))
		result = munmap(buffer, length) ||
			 map(buffer, MAP_PRIVATE | MAP_FIXED_NOREPLACE) != buffer;
	else if (!strcmp(how, "half"))
		result = munmap(buffer + length / 2, length / 2);
	else if (!strcmp(how, "fixed"))
		result = map(buffer, MAP_PRIVATE | MAP_FIXED) != buffer;
	else if (!strcmp(how, "dontneed") || !strcmp(how, "dontneed-shared"))
		result = madvise(buffer, length, MADV_DONTNEED);
	else if (!strcmp(how, "lazyfree"))
		result = madvise(buffer, length, MADV_FREE);
	else if (!strcmp(how, "remove"))
		result = madvise(buffer, length, MADV_REMOVE);
	else if (!strcmp(how, "mremap-over"))
		result = mremap(map(NULL, MAP_PRIVATE), length, length,
				MREMAP_MAYMOVE | MREMAP_FIXED, buffer) != buffer;
	else if (!strcmp(how, "mremap-away"))
		result = mremap(buffer, length, length, MREMAP_MAYMOVE | MREMAP_FIXED,
				map(NULL, MAP_PRIVATE)) == MAP_FAILED;
	else if (!strcmp(how, "shrink"))
		result = mremap(buffer, length, length / 2, 0) == MAP_FAILED;
	else if (!strcmp(how, "punch"))
		result = fallocate(memfd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				   (off_t)length);
	else if (!strcmp(how, "truncate"))
		result = ftruncate(memfd, 0) || ftruncate(memfd, (off_t)length);
	else if (!strcmp(how, "shmdt"))
		result = shmdt(buffer);
	else if (!strcmp(how, "brk"))
		result = brk(buffer) || sbrk((intptr_t)length) == (void *)-1;
	else if (!strcmp(how, "free"))
		free(buffer);
	else if (!strcmp(how, "protect"))
		result = mprotect(buffer, length, PROT_READ) ||
			 mprotect(buffer, length, PROT_READ | PROT_WRITE);
	else if (!strcmp(how, "fails"))
		result = munmap(buffer + 1, length) != -1;
	else if (!strcmp(how, "elsewhere"))
		result = munmap(map(NULL, MAP_PRIVATE), length);
	if (result)
		die(how);
}

static void make_buffer(const char *how)
{
	int id;

	if (!strcmp(how, "punch") || !strcmp(how, "remove") || !strcmp(how, "truncate") ||
	    !strcmp(how, "dontneed-shared")) {
		memfd = memfd_create("audit", MFD_CLOEXEC);
		if (ftruncate(memfd, (off_t)length))
			die("memfd");
		buffer = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			      memfd, 0);
	} else if (!strcmp(how, "shmdt")) {
		id = shmget(IPC_PRIVATE, length, 0600);
		buffer = shmat(id, NULL, 0);
		shmctl(id, IPC_RMID, NULL);
	} else if (!strcmp(how, "brk")) {
		brk((void *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE));
		buffer = sbrk((intptr_t)length);
	} else if (!strcmp(how, "free")) {
		/* Large enough for a mapping of its own. */
		length = 1ul << 20;
		buffer = malloc(length);
	} else {
		buffer = map(NULL, MAP_PRIVATE);
	}
	if (buffer == MAP_FAILED)
		die("mmap");
	memset(buffer, 1, length);
}

static const struct kind {
	const char *name;
	void (*make)(void), (*drop)(void), (*use)(void);
} kinds[] = {
	{ "uring", uring_register, uring_drop, uring_use },
	{ "raw", raw_register, raw_drop, raw_use },
	{ "verbs", verbs_register, verbs_drop, verbs_use },
	{ "on-demand", odp_register, verbs_drop, verbs_use },
	{ "cuda", cuda_register, cuda_drop, NULL },
	{ "vmsplice", vmsplice_register, NULL, vmsplice_use },
	{ "mlock", mlock_register, mlock_drop, NULL },
};

static const struct kind *kind;
static const char *how;

__attribute__((noinline)) static void make_registration(void)
{
	kind->make();
	__asm__ volatile("");
}

__attribute__((noinline)) static void change_memory(void)
{
	change_by(how);
	__asm__ volatile("");
}

__attribute__((noinline)) static void use_registration(void)
{
	kind->use();
	__asm__ volatile("");
}

/* Threads that register, unmap and drop as they should, in every order; with signals that do too. */

static void one_round(void)
{
	char *at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct ibv_mr *mr = ibv_reg_mr(NULL, at, SIZE, 1);

	madvise(at + SIZE / 2, PAGE, MADV_FREE);
	ibv_dereg_mr(mr);
	munmap(at, SIZE);
}

static void on_alarm(int signal)
{
	munmap(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), PAGE);
}

static void *rounds(void *count)
{
	for (long i = 0; i < (long)count; i++)
		one_round();
	return NULL;
}

static void crowd(void)
{
	struct itimerval often = { { 0, 500 }, { 0, 500 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	pthread_t threads[4];
	int status;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, rounds, (void *)300);
	for (int i = 0; i < 10; i++) {
		if (!fork()) {
			rounds((void *)5);
			_exit(0);
		}
		wait(&status);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	setitimer(ITIMER_REAL, &never, NULL);
}

/* @count registrations side by side, all made stale by one call. */
static void many(long count, bool drop)
{
	struct ibv_mr **regions = calloc((size_t)count, sizeof(*regions));
	char *at = mmap(NULL, (size_t)count * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	for (long i = 0; i < count; i++)
		regions[i] = ibv_reg_mr(NULL, at + i * (long)PAGE, PAGE, 1);
	munmap(at, (size_t)count * PAGE);
	for (long i = 0; drop && i < count; i++)
		ibv_dereg_mr(regions[i]);
}

/* By an instruction of our own, which no library can stand in front of. */
static void register_unseen(void)
{
	struct iovec iov = { buffer, length };
	long result = SYS_io_uring_register;

	if (io_uring_queue_init(8, &ring, 0) < 0)
		die("io_uring");
	/* No call between this and the instruction. */
	register long r10 __asm__("r10") = 1;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"(ring.ring_fd), "S"(IORING_REGISTER_BUFFERS), "d"(&iov), "r"(r10)
			 : "rcx", "r11", "memory");
	if (result)
		exit(1);
}

/* It has the ring, and ends as programs do. */
static void empty_child(void)
{
	pid_t child = fork();

	if (!child)
		exit(0);
	waitpid(child, NULL, 0);
}

/* A child that no fork handler knows of. */
static void raw_fork(void)
{
	long child = syscall(SYS_fork);

	if (!child) {
		rounds((void *)3);
		_exit(0);
	}
	waitpid((pid_t)child, NULL, 0);
}

/* Buffers of two rings, one beside the other, and each unmapped by a call of its own. */
static void pieces(long count)
{
	struct iovec *iovs = calloc((size_t)count, sizeof(*iovs));
	struct io_uring rings[2];
	char *at = mmap(NULL, (size_t)count * 2 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (long j = 0; j < 2; j++) {
		for (long i = 0; i < count; i++)
			iovs[i] = (struct iovec){ at + (2 * i + j) * (long)PAGE, PAGE };
		if (io_uring_queue_init(8, &rings[j], 0) < 0 ||
		    io_uring_register_buffers(&rings[j], iovs, (unsigned int)count))
			die("io_uring");
	}
	for (long i = 0; i < 2 * count; i++)
		munmap(at + i * (long)PAGE, PAGE);
}

static void step(const char *word)
{
	if (!strcmp(word, "drop"))
		kind->drop();
	else if (!strcmp(word, "change"))
		change_memory();
	else if (!strcmp(word, "use"))
		use_registration();
	else if (!strcmp(word, "close"))
		close(ring_fd);
	else if (!strcmp(word, "exit-ring"))
		io_uring_queue_exit(&ring);
	else if (!strcmp(word, "inline"))
		verbs_post(IBV_SEND_INLINE);
	else if (!strcmp(word, "child"))
		empty_child();
	else if (!strcmp(word, "refill"))
		vmsplice_refill();
	else if (!strcmp(word, "stream"))
		vmsplice_stream();
	else if (!strcmp(word, "rereg"))
		ibv_rereg_mr(region, IBV_REREG_MR_CHANGE_TRANSLATION, NULL, buffer, length, 1);
	else if (!strcmp(word, "close-device"))
		ibv_close_device(stub_queue()->context);
	else if (!strcmp(word, "unseen"))
		register_unseen();
	else if (!strcmp(word, "raw-fork"))
		raw_fork();
	else if (!strcmp(word, "kill"))
		kill(getpid(), SIGKILL);
	else if (!strcmp(word, "sleep"))
		usleep(50000);
	else if (!strcmp(word, "crowd"))
		crowd();
	else if (!strcmp(word, "fork")) {
		if (fork())
			exit(wait(NULL) < 0);
		make_registration();
	} else if (!strncmp(word, "pieces=", 7))
		pieces(atol(word + 7));
	else if (!strncmp(word, "many=", 5))
		many(atol(word + 5), false);
	else if (!strncmp(word, "many-dropped=", 13))
		many(atol(word + 13), true);
	else if (!strncmp(word, "status=", 7))
		exit(atoi(word + 7));
	else
		exit(2);
}

int main(int argc, char **argv)
{
	for (kind = kinds; strcmp(kind->name, argv[1]); kind++)
		;
	how = argv[2];
	make_buffer(how);
	if (strcmp(how, "none"))
		make_registration();
	printf("%p %zu\n", (void *)buffer, length);
	fflush(stdout);
	for (int i = 3; i < argc; i++)
		step(argv[i]);
	return 0;
}
