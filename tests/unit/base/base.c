/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* base/: allocation, lists, reports, raw system calls, futexes, signal masks. */
#include "fake.h"

#include "bug.h"
#include "futex.h"
#include "number.h"

static void test_alloc(void)
{
	long live = mmun_alloc_live();
	unsigned char *block = mmun_alloc(1000);
	bool zero = true;

	for (int i = 0; i < 1000; i++)
		zero &= !block[i];
	ok(zero, "allocated memory is zeroed");
	is((unsigned long)block % MMUN_ALLOC_ALIGN, 0, "and aligned to a pair of cache lines");
	is(mmun_alloc_live(), live + 1, "a live block is counted");
	mmun_free(block);
	is(mmun_alloc_live(), live, "and no longer after its free");
	mmun_free(NULL);
	is(mmun_alloc_live(), live, "free of NULL counts nothing");
	fail_allocation(2);
	block = mmun_alloc(8);
	ok(block && !mmun_alloc(8), "the second allocation fails when asked to");
	fail_allocation(0);
	mmun_free(block);
}

static void test_pages(void)
{
	const size_t size = 2ul << 20;
	long live = mmun_alloc_live();
	unsigned char *block = mmun_alloc_pages(size);

	ok(block && !block[0] && !block[size - 1] && (unsigned long)block % 4096 == 0,
	   "whole pages of zeroes");
	is(mmun_alloc_live(), live + 1, "counted as a live block");
	block[size - 1] = 1;
	mmun_free_pages(block, size);
	mmun_free_pages(NULL, 0);
	is(mmun_alloc_live(), live, "and no longer after their free");
	ok(!mmun_alloc_pages(1ul << 60), "NULL when the kernel has no room");
	fail_allocation(1);
	ok(!mmun_alloc_pages(4096), "or when asked to");
	fail_allocation(0);
	is(mmun_alloc_live(), live, "which leaves nothing behind");
}

static void test_list(void)
{
	struct mmun_list_head head = { NULL };
	struct mmun_list_node a = { 0 }, b = { 0 }, c = { 0 };

	ok(mmun_list_empty(&head) && mmun_list_unhashed(&a), "an empty list, an unhashed node");
	mmun_list_add_head(&head, &a);
	mmun_list_add_head(&head, &b);
	mmun_list_add_head(&head, &c);
	ok(mmun_list_first(&head) == &c && mmun_list_next(&c) == &b && mmun_list_next(&b) == &a &&
		   !mmun_list_next(&a),
	   "each add goes to the head");
	mmun_list_del_init(&b);
	ok(mmun_list_next(&c) == &a && mmun_list_unhashed(&b), "a deleted node is off the list");
	ok(mmun_list_next(&b) == &a, "but a reader that stands on it finds the rest");
	mmun_list_del_init(&b);
	ok(mmun_list_first(&head) == &c && mmun_list_next(&c) == &a,
	   "U7 a second delete does nothing");
	mmun_list_del_init(&c);
	mmun_list_del_init(&a);
	ok(mmun_list_empty(&head), "the list is empty again");
}

static void report(void *arg)
{
	errno = 77;
	mmun_report("one sentence");
	if (errno != 77)
		_exit(1);
}

static void bug(void *arg)
{
	mmun_bug("x == 0", "file.c", 1234);
}

static void test_dlist(void)
{
	struct mmun_dlist head, a, b, *node;
	unsigned int nr = 0;

	mmun_dlist_init(&head);
	mmun_dlist_init(&a);
	ok(mmun_dlist_empty(&head) && mmun_dlist_empty(&a), "an empty circular list");
	mmun_dlist_add_tail(&a, &head);
	mmun_dlist_add_tail(&b, &head);
	mmun_dlist_for_each(node, &head)
		nr++;
	ok(nr == 2 && head.next == &a && a.next == &b && head.prev == &b,
	   "nodes added at its end are there in order");
	mmun_dlist_del(&a);
	ok(mmun_dlist_empty(&a) && head.next == &b && b.prev == &head, "one goes");
	mmun_dlist_add(&a, &head);
	ok(head.next == &a && a.next == &b, "and comes back in front");
	mmun_dlist_del(&a);
	mmun_dlist_del(&b);
	ok(mmun_dlist_empty(&head), "the circular list is empty again");
}

static void test_report(void)
{
	char text[256];
	int status = run_in_child(report, NULL, text, sizeof(text));

	ok(exited_well(status), "a report leaves errno alone");
	ok(!strcmp(text, "mmunotify: one sentence\n"), "a report is one line");
	status = run_in_child(bug, NULL, text, sizeof(text));
	ok(aborted(status), "a bug aborts");
	ok(!strcmp(text, "mmunotify: bug: x == 0 at file.c:1234\n"), "and says where");
}

static void test_raw_syscall(void)
{
	errno = 77;
	is(mmun_syscall3(SYS_getpid, 0, 0, 0), getpid(), "a raw system call returns its result");
	is(mmun_syscall3(SYS_close, (unsigned long)-1, 0, 0), -EBADF, "or -errno");
	is(errno, 77, "and leaves errno alone");
}

static unsigned int word;

static void *sleeper(void *arg)
{
	while (!mmun_load_full(&word))
		mmun_futex_wait(&word, 0);
	return NULL;
}

static void test_futex(void)
{
	pthread_t thread = spawn(sleeper, NULL);

	let_others_run();
	mmun_store_full(&word, 1);
	mmun_futex_wake_all(&word);
	pthread_join(thread, NULL);
	ok(true, "a futex sleeper is woken");
	mmun_futex_wait(&word, 0);
	ok(true, "waiting for a value that has gone returns at once");
}

static long handled;

static void handler(int sig)
{
	handled++;
}

static void test_sigmask(void)
{
	mmun_sigmask saved;
	sigset_t now;

	signal(SIGUSR1, handler);
	mmun_signals_block(&saved);
	raise(SIGUSR1);
	is(handled, 0, "no handler runs while signals are blocked");
	mmun_signals_restore(&saved);
	wait_for_handler(&handled);
	is(handled, 1, "the pending one runs when they are restored");
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	is(sigismember(&now, SIGUSR1), 0, "and the mask is the old one");
}

static void test_number(void)
{
	char text[MMUN_NUMBER_SIZE];

	is(mmun_put_number(text, 0, 10), 1, "a zero has a digit");
	ok(!strcmp(text, "0"), "which is 0");
	is(mmun_put_number(text, -1ul, 10), MMUN_NUMBER_SIZE - 1, "the longest number fits");
	ok(!strcmp(text, "18446744073709551615"), "with all its digits");
	mmun_put_number(text, 1000, 10);
	ok(!strcmp(text, "1000"), "zeroes at the end stay");
	is(mmun_put_number(text, 0xdeadbeef0ul, 16), 9, "nine digits");
	ok(!strcmp(text, "deadbeef0"), "in hexadecimal");
	is(mmun_decimal("1000 and more"), 1000, "a number ends at its last digit");
	is(mmun_decimal("18446744073709551615"), -1ul, "the longest is read");
	is(mmun_decimal(".."), 0, "a text that does not begin with a digit is 0");
}

int main(void)
{
	test_alloc();
	test_pages();
	test_list();
	test_dlist();
	test_number();
	test_report();
	test_raw_syscall();
	test_futex();
	test_sigmask();
	return tap_done();
}
