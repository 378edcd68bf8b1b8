/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Conditions of a process and of the machine that scenes make, or look at. */
#ifndef MMUN_TESTS_CONTRACT_CONDITIONS_H
#define MMUN_TESTS_CONTRACT_CONDITIONS_H

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "../tap.h"

#define UNUSED __attribute__((unused))

/* Mappings of this process. */
static UNUSED long count_mappings(void)
{
	static char text[1 << 16];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	long count = 0;
	ssize_t got;

	while ((got = read(fd, text, sizeof(text))) > 0)
		for (ssize_t i = 0; i < got; i++)
			count += text[i] == '\n';
	close(fd);
	return count;
}

/* Some hugetlb pages for the time of the test, where the machine reserves none. */
static UNUSED void lend_hugetlb(const char *count, char *before, size_t size)
{
	int fd = open("/proc/sys/vm/nr_overcommit_hugepages", O_RDWR | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return;
	if (before)
		got = read(fd, before, size - 1);
	if (before)
		before[got > 0 ? got : 0] = 0;
	if (pwrite(fd, count, strlen(count), 0) < 0)
		diag("no hugetlb pages can be lent");
	close(fd);
}

/* From now on this call fails with EPERM if its third argument has one of @bits. */
static UNUSED bool forbid(int nr, unsigned int bits)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)nr, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

#endif
