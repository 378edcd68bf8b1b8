/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text that another thread may unload at the same time.
 *
 * The kernel copies it for us: where nothing is mapped that is an error and no signal.
 *
 * A page is moved over text only while the dynamic linker unmaps nothing, or it could
 * come into the hole, or over what is there next.  The mover says that he moves and then
 * asks whether an munmap() of the linker is under way; the linker's thread says that one
 * is and then asks for a mover: one of them sees the other.  The mover gives way.  The
 * linker's thread waits for the one system call of the mover, and not long: one that
 * has been stopped there is passed by.
 *
 * Limits: text that is unmapped by others than the linker; a munmap() that the linker
 * began before its own text, which comes first, was patched.
 * Tests: tests/contract/unload.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "atomic.h"
#include "clock.h"
#include "state.h"

/* Of the linker's thread: first it yields, then it sleeps, ten seconds in all: so long may a
 * mover be kept from a processor. */
#define YIELDS 64
#define NAPS   100000
#define NAP    100000UL
/* Of a mover in a hook, where the program waits; and of one that registers, starts or stops,
 * in all, ns. */
#define ROUNDS   200
#define PATIENCE (2 * MMUN_NSEC_PER_SEC)

/* Calls of munmap() by the linker that are under way, and movers. */
static unsigned int unmaps, movers;

/* Pieces that are read with one call. */
#define PIECES 32

static long read_pieces(const struct iovec *to, const struct iovec *from, int count)
{
	long id = mmun_syscall3(SYS_getpid, 0, 0, 0);

	return mmun_syscall6(SYS_process_vm_readv, id, (unsigned long)to, count,
			     (unsigned long)from, count, 0);
}

/* A seccomp filter forbids the call: without it text that is unloaded meanwhile is the
 * program's risk. */
static bool is_forbidden(long ret)
{
	return ret < 0 && ret != -EFAULT && ret != -ENOMEM;
}

static int read_all(const struct iovec *to, const struct iovec *from, int count)
{
	long ret = read_pieces(to, from, count), size = 0;

	for (int i = 0; i < count; i++)
		size += to[i].iov_len;
	for (int i = 0; is_forbidden(ret) && i < count; i++)
		memcpy(to[i].iov_base, from[i].iov_base, to[i].iov_len);
	return is_forbidden(ret) || ret == size ? 0 : ret == -ENOMEM ? -ENOMEM : -EFAULT;
}

int mmun_self_read(void *to, unsigned long from, size_t size)
{
	const struct iovec here = { to, size }, there = { (void *)from, size };

	return size ? read_all(&here, &there, 1) : 0;
}

int mmun_self_look(struct mmun_image *image)
{
	struct iovec here[PIECES], there[PIECES];
	int count = 0, ret = 0;

	for (int i = 0; !ret && i < image->nr_sites; i++) {
		struct mmun_site *site = &image->sites[i];

		here[count] = (struct iovec){ site->now, site->length };
		there[count++] = (struct iovec){ site->at, site->length };
		if (site->pad) {
			here[count] = (struct iovec){ site->now_pad, site->pad_length };
			there[count++] = (struct iovec){ site->pad, site->pad_length };
		}
		if (count + 2 > PIECES || i + 1 == image->nr_sites) {
			ret = read_all(here, there, count);
			count = 0;
		}
	}
	return ret;
}

/* Under the source's lock, as every move; 0: in a hook. */
static uint64_t deadline;

void mmun_self_move_may_wait(bool may)
{
	deadline = may ? mmun_now() + PATIENCE : 0;
}

int mmun_self_move_begin(void)
{
	for (int round = 0; round < ROUNDS || (deadline && !mmun_is_past(deadline)); round++) {
		mmun_add_full(&movers, 1);
		if (!mmun_load_full(&unmaps))
			return 0;
		mmun_sub_full(&movers, 1);
		mmun_nap(NAP);
	}
	return -EBUSY;
}

void mmun_self_move_end(void)
{
	mmun_sub_full(&movers, 1);
}

void mmun_self_unmap_begin(void)
{
	mmun_add_full(&unmaps, 1);
	for (int i = 0; mmun_load_full(&movers) && i < YIELDS + NAPS; i++) {
		if (i < YIELDS)
			mmun_syscall3(SYS_sched_yield, 0, 0, 0);
		else
			mmun_nap(NAP);
	}
}

void mmun_self_unmap_end(void)
{
	mmun_sub_full(&unmaps, 1);
}

void mmun_self_move_forget(void)
{
	mmun_store_full(&unmaps, 0);
	mmun_store_full(&movers, 0);
	deadline = 0;
}
