/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A driver of CUDA without a device: its interface, strict about everything that the
 * documentation of the real one forbids, and with real staleness.
 *
 * What is registered is held by reference in a pipe (vmsplice(2)), so that a copy from a
 * registered address reads the pages that were there at the registration, as a device does.
 */
#ifndef MMUN_TESTS_CUDA_STUB_H
#define MMUN_TESTS_CUDA_STUB_H

#include <stdbool.h>
#include <stddef.h>

struct stub {
	/* What the next calls answer, that many of them. */
	int register_result, nr_register_results;
	int unregister_result, nr_unregister_results;
	int pointer_result, nr_pointer_results;
	/* What cuInit() answers. */
	int init_result;
	/* As after the driver's own exit handler. */
	bool ended;
	/* What the device can. */
	bool registers, maps, read_only;
	/* What cuPointerGetAttributes() answers for memory that it does not know. */
	int unknown_result;
	/* Called inside cuMemHostRegister(), before the pages are taken. */
	void (*while_registering)(void *start, size_t length);

	/* Read by tests: registrations now, and calls that succeeded. */
	long registered, bytes, registers_done, unregisters_done;
	/* Calls that a correct user does not make; the first is in @mistake. */
	long mistakes;
	const char *mistake;
	/* Contexts: retained ones, pushed ones of this thread. */
	long retained;
};

/* Found by its name. */
struct stub *mmun_stub(void);
/* Of the calling thread. */
int mmun_stub_pushed(void);

#endif
