/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The demo's device on real kernel I/O: an io_uring with one registered buffer
 * and an unlinked temporary file.
 *
 * IORING_REGISTER_BUFFERS is the registration: the kernel pins the pages that
 * are mapped at that moment and WRITE_FIXED / READ_FIXED use those pages until
 * they are unregistered, wherever the addresses lead meanwhile.  Nothing here
 * looks at the memory itself; what the device read is what the file holds.
 * Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "demo.h"

#ifdef MMUN_HAVE_LIBURING

#include <liburing.h>

struct uring {
	struct io_uring ring;
	int file;
};

/* A file of its own that nobody else can see. */
static int open_file(struct demo_error *error)
{
	const char *folder = getenv("TMPDIR");
	char path[512];
	int fd;

	if (!folder || !*folder)
		folder = "/tmp";
	fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	/* Not every file system has O_TMPFILE. */
	if (snprintf(path, sizeof(path), "%s/mmunotify-demo-XXXXXX", folder) >= (int)sizeof(path))
		return demo_fail(error, ENAMETOOLONG, "cannot create a file in $TMPDIR");
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return demo_fail(error, errno, "cannot create a file in %s", folder);
	unlink(path);
	return fd;
}

/* Pinned pages and rings count against RLIMIT_MEMLOCK; the soft limit is ours to raise. */
static unsigned long raise_memlock(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit))
		return 0;
	if (limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_MEMLOCK, &limit);
	}
	return limit.rlim_max;
}

/* -ENOMEM is nearly always the limit: say that instead of "out of memory". */
static int fail_setup(struct demo_error *error, int errnum, unsigned long limit)
{
	if (errnum == ENOMEM)
		return demo_fail(error, 0,
				 "io_uring may not lock enough memory here, the hard "
				 "limit is %lu bytes (ulimit -H -l)",
				 limit);
	if (errnum == EPERM || errnum == EACCES || errnum == ENOSYS)
		return demo_fail(error, errnum, "io_uring is not permitted here");
	return demo_fail(error, errnum, "io_uring cannot be set up here");
}

static int uring_open(struct demo_device *dev)
{
	struct uring *u = dev->state;
	unsigned long limit = raise_memlock();
	int result;

	u->file = open_file(dev->error);
	if (u->file < 0)
		return u->file;
	result = io_uring_queue_init(4, &u->ring, 0);
	if (result < 0) {
		close(u->file);
		return fail_setup(dev->error, -result, limit);
	}
	return 0;
}

static void uring_close(struct demo_device *dev)
{
	struct uring *u = dev->state;

	io_uring_queue_exit(&u->ring);
	close(u->file);
}

static int uring_attach(struct demo_device *dev)
{
	struct uring *u = dev->state;
	struct iovec iov = { .iov_base = dev->buffer, .iov_len = dev->size };
	int result = io_uring_register_buffers(&u->ring, &iov, 1);

	if (result == -ENOMEM)
		return fail_setup(dev->error, ENOMEM, raise_memlock());
	if (result)
		return demo_fail(dev->error, -result, "cannot register the buffer with io_uring");
	return 0;
}

static void uring_detach(struct demo_device *dev)
{
	io_uring_unregister_buffers(&((struct uring *)dev->state)->ring);
}

/* One request, waited for; the whole buffer or nothing. */
static int transfer(struct demo_device *dev, bool to_file)
{
	const char *name = to_file ? "IORING_OP_WRITE_FIXED" : "IORING_OP_READ_FIXED";
	struct uring *u = dev->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	struct io_uring_cqe *cqe;
	int result;

	if (!sqe)
		return demo_fail(dev->error, 0, "the submission queue of io_uring is full");
	if (to_file)
		io_uring_prep_write_fixed(sqe, u->file, dev->buffer, dev->size, 0, 0);
	else
		io_uring_prep_read_fixed(sqe, u->file, dev->buffer, dev->size, 0, 0);
	result = io_uring_submit(&u->ring);
	if (result < 0)
		return demo_fail(dev->error, -result, "%s could not be submitted", name);
	do {
		result = io_uring_wait_cqe(&u->ring, &cqe);
	} while (result == -EINTR);
	if (result)
		return demo_fail(dev->error, -result, "waiting for %s failed", name);
	result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	if (result < 0)
		return demo_fail(dev->error, -result, "%s failed", name);
	if ((size_t)result != dev->size)
		return demo_fail(dev->error, 0, "%s moved %d of %zu bytes", name, result,
				 dev->size);
	return 0;
}

static int uring_fetch(struct demo_device *dev, unsigned char *out)
{
	struct uring *u = dev->state;
	int result = transfer(dev, true);

	if (result)
		return result;
	if (pread(u->file, out, dev->size, 0) != (ssize_t)dev->size)
		return demo_fail(dev->error, errno, "cannot read the temporary file back");
	return 0;
}

static int uring_deliver(struct demo_device *dev, const unsigned char *in)
{
	struct uring *u = dev->state;

	if (pwrite(u->file, in, dev->size, 0) != (ssize_t)dev->size)
		return demo_fail(dev->error, errno, "cannot fill the temporary file");
	return transfer(dev, false);
}

#else /* built without liburing: say so when asked */

struct uring {
	int unused;
};

static int uring_open(struct demo_device *dev)
{
	return demo_fail(dev->error, 0, "this build is without io_uring (liburing was not found)");
}

#define uring_close   NULL
#define uring_attach  NULL
#define uring_detach  NULL
#define uring_fetch   NULL
#define uring_deliver NULL

#endif

const struct demo_device_ops demo_uring_device = {
	.name = "io_uring",
	.story =
		"io_uring (IORING_REGISTER_BUFFERS).  Then the\n"
		"program puts other pages behind the same addresses, and the device writes the buffer\n"
		"to a file (WRITE_FIXED) and reads a file into the buffer (READ_FIXED).",
	.delivers = true,
	.state_size = sizeof(struct uring),
	.open = uring_open,
	.close = uring_close,
	.attach = uring_attach,
	.detach = uring_detach,
	.fetch = uring_fetch,
	.deliver = uring_deliver,
};
