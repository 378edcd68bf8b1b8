/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* primary/soft/frame/bytes.c: frames in a memfd, which another process maps. */
#include <fcntl.h>
#include <sys/wait.h>

#include "soft.h"

#define VALUE 0x5eed5eed5eedul

static int empty_memfd(unsigned int flags)
{
	int fd = memfd_create("frames", MFD_CLOEXEC | flags);

	if (fd < 0)
		bail_out("cannot make a memfd");
	return fd;
}

static int create(int fd, struct mmun_soft **out)
{
	const struct mmun_soft_params params = { .memory = 64 * PAGE, .memory_fd = fd };

	return mmun_soft_create(&params, out);
}

/* In the other process: the frame has VALUE, and gets another one. */
static int meet(int fd, unsigned long pfn)
{
	unsigned long *word = mmap(NULL, PAGE, RW, MAP_SHARED, fd, (off_t)(pfn * PAGE));

	if (word == MAP_FAILED || *word != VALUE)
		return 1;
	*word = VALUE + 1;
	return 0;
}

static void test_other_process(void)
{
	const int fd = empty_memfd(0);
	struct mmun_soft *soft = NULL;
	long live = mmun_alloc_live();
	struct mm_struct *mm;
	unsigned long at, pfn;
	int status = -1;
	pid_t pid;

	is(create(fd, &soft), 0, "a machine whose frames lie in a memfd");
	mm = soft_new_mm(soft);
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	soft_poke(mm, at + PAGE, VALUE);
	pfn = soft_entry(mm, at + PAGE).pfn;
	pid = fork();
	if (!pid)
		_exit(meet(fd, pfn));
	waitpid(pid, &status, 0);
	is(status, 0, "another process finds a task's bytes at the frame's physical address");
	is(soft_peek(mm, at + PAGE), VALUE + 1, "the task sees what that wrote");
	is(soft_peek(mm, at), 1, "and nothing else");
	mmput(mm);
	soft_gone(soft, live);
	close(fd);
}

static void test_own_fd(void)
{
	const int fd = empty_memfd(0);
	struct mmun_soft *soft = NULL;
	struct mm_struct *mm;
	unsigned long at;

	is(create(fd, &soft), 0, "a machine");
	close(fd);
	mm = soft_new_mm(soft);
	at = soft_map(mm, 0, 32, RW, PRIVATE, NULL);
	soft_tag(mm, at, 32, 7);
	is(soft_tagged(mm, at, 32, 7), 32, "needs the caller's descriptor no more");
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "it ends");
}

static void test_refused(void)
{
	struct mmun_soft *soft = NULL;
	long live = mmun_alloc_live();
	int fd = empty_memfd(0);

	is(ftruncate(fd, 1), 0, "a byte");
	is(create(fd, &soft), -EINVAL, "is too much: the machine does not overwrite it");
	close(fd);
	is(create(fd, &soft), -EBADF, "a closed descriptor");
	fd = empty_memfd(MFD_ALLOW_SEALING);
	is(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), 0, "one that must not grow");
	is(create(fd, &soft), -EPERM, "is refused");
	close(fd);
	is(create(-1, &soft), 0, "a negative one is none");
	is(mmun_soft_destroy(soft), 0, "it ends");
	is(mmun_alloc_live(), live, "nothing is left behind");
}

static bool failing_now;
static long failing_after;

static bool fail_later(size_t size)
{
	return failing_now && failing_after-- <= 0;
}

static void test_failures(void)
{
	struct mmun_soft *soft = NULL;
	long live = mmun_alloc_live();
	int ret = -ENOMEM, fd = empty_memfd(0);
	long n = 0;

	for (; ret == -ENOMEM && n < 100; n++) {
		close(fd);
		fd = empty_memfd(0);
		failing_after = n;
		failing_now = true;
		mmun_store_release(&mmun_alloc_fail, fail_later);
		ret = create(fd, &soft);
		mmun_store_release(&mmun_alloc_fail, NULL);
		failing_now = false;
	}
	is(ret, 0, "after each allocation has failed once");
	ok(n > 3, "and not before");
	is(mmun_soft_destroy(soft), 0, "there is a machine");
	is(mmun_alloc_live(), live, "and nothing is left of the others");
	close(fd);
}

int main(void)
{
	test_other_process();
	test_own_fd();
	test_refused();
	test_failures();
	return tap_done();
}
