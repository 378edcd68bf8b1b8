/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * File descriptors that the library has open for a moment (descriptor.h of base/).
 *
 * I1  An opening is counted before the descriptor exists, a closing after it is gone: of
 *     whatever the library opens, in a hook or not.  Then a forked child knows whether to look
 *     for what it has inherited (inherited.h of base/).
 * Tests: tests/contract/fork.c.
 */
#include "descriptor.h"

#include "state.h"

long mmun_self_open_at(int dir, const char *path)
{
	return mmun_descriptor_open_at(dir, path);
}

long mmun_self_open(const char *path)
{
	return mmun_descriptor_open_at(AT_FDCWD, path);
}

void mmun_self_close(int fd)
{
	mmun_descriptor_close(fd);
}
