/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The demo's device where io_uring is not to be had: a pipe that holds the
 * buffer's pages by reference.
 *
 * vmsplice(2) pins the pages that are mapped at that moment; a reader of the
 * pipe gets those pages later.  tee(2) duplicates the references, so the
 * registration survives a read.  A pipe never writes to the pages: one
 * direction only.  Tests: tests/system/demo.py.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "demo.h"

struct vmsplice {
	int pipe[2]; /* holds the pages while attached */
};

static int open_pipe(int ends[2], size_t size, struct demo_error *error)
{
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return demo_fail(error, errno, "cannot create a pipe");
	/* Best effort: a short vmsplice says it if the pipe stays too small. */
	if (fcntl(ends[0], F_GETPIPE_SZ) < (int)size)
		fcntl(ends[0], F_SETPIPE_SZ, (int)size);
	return 0;
}

static void close_pipe(int ends[2])
{
	close(ends[0]);
	close(ends[1]);
}

static int vmsplice_open(struct demo_device *dev)
{
	return 0;
}

static void vmsplice_close(struct demo_device *dev)
{
}

static int vmsplice_attach(struct demo_device *dev)
{
	struct vmsplice *v = dev->state;
	struct iovec iov = { .iov_base = dev->buffer, .iov_len = dev->size };
	ssize_t taken;
	int result = open_pipe(v->pipe, dev->size, dev->error);

	if (result)
		return result;
	taken = vmsplice(v->pipe[1], &iov, 1, SPLICE_F_NONBLOCK);
	if (taken == (ssize_t)dev->size)
		return 0;
	if (taken < 0)
		result = demo_fail(dev->error, errno, "vmsplice of the buffer failed");
	else
		result = demo_fail(dev->error, 0, "the pipe took %zd of %zu bytes", taken,
				   dev->size);
	close_pipe(v->pipe);
	return result;
}

static void vmsplice_detach(struct demo_device *dev)
{
	close_pipe(((struct vmsplice *)dev->state)->pipe);
}

static int read_all(struct demo_device *dev, int fd, unsigned char *out)
{
	size_t done = 0;

	while (done < dev->size) {
		ssize_t got = read(fd, out + done, dev->size - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return demo_fail(dev->error, got ? errno : 0,
					 "the pipe gave %zu of %zu bytes", done, dev->size);
		done += (size_t)got;
	}
	return 0;
}

static int vmsplice_fetch(struct demo_device *dev, unsigned char *out)
{
	struct vmsplice *v = dev->state;
	int copy[2];
	ssize_t taken;
	int result = open_pipe(copy, dev->size, dev->error);

	if (result)
		return result;
	taken = tee(v->pipe[0], copy[1], dev->size, SPLICE_F_NONBLOCK);
	if (taken < 0)
		result = demo_fail(dev->error, errno, "tee of the pipe failed");
	else
		result = read_all(dev, copy[0], out);
	close_pipe(copy);
	return result;
}

const struct demo_device_ops demo_vmsplice_device = {
	.name = "vmsplice",
	.story =
		"a pipe that holds its pages by reference (vmsplice).\n"
		"Then the program puts other pages behind the same addresses, and the pipe is read.\n"
		"A pipe only reads memory: the other direction is not tested.",
	.delivers = false,
	.state_size = sizeof(struct vmsplice),
	.open = vmsplice_open,
	.close = vmsplice_close,
	.attach = vmsplice_attach,
	.detach = vmsplice_detach,
	.fetch = vmsplice_fetch,
};
