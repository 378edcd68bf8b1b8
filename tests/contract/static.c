/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: a program without a shared C library.
 *
 * Linked statically with everything.  There is nothing to redirect: the probe
 * says so in one sentence, registration is refused with -ENOTSUP, and not a
 * byte of the program's text has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>
#include <mmunotify/self.h>

#include "../tap.h"

static bool is_one_sentence(const char *text)
{
	size_t len = strlen(text);

	return len > 10 && !strchr(text, '\n') && !strstr(text, ". ");
}

/* A hash of all executable memory of the process. */
static uint64_t text_hash(void)
{
	static char maps[1 << 16];
	int fd = open("/proc/self/maps", O_RDONLY);
	ssize_t size = read(fd, maps, sizeof(maps) - 1);
	uint64_t hash = 1469598103934665603ULL;
	char *save = NULL;

	close(fd);
	maps[size > 0 ? size : 0] = 0;
	for (char *line = strtok_r(maps, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long from, to;
		char perms[8];

		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) != 3 ||
		    strncmp(perms, "r-x", 3) || strstr(line, "[v"))
			continue;
		for (const unsigned char *p = (void *)from; p < (unsigned char *)to; p++)
			hash = (hash ^ *p) * 1099511628211ULL;
	}
	return hash;
}

int main(void)
{
	static const struct mmu_notifier_ops ops;
	struct mmu_notifier mn = { .ops = &ops };
	uint64_t before = text_hash();
	struct mmun_probe probe;
	void *at;

	mmun_source_at(0)->probe(&probe);
	ok(!probe.available, "the probe says that it is not available");
	if (!ok(is_one_sentence(probe.reason), "the reason is one sentence"))
		diag("%s", probe.reason);
	ok(probe.remedy[0], "there is a remedy");
	ok(mmun_self() != NULL, "mmun_self() works");
	is(mmun_self_start(), -ENOTSUP, "start is refused");
	is(mmu_notifier_register(&mn, mmun_self()), -ENOTSUP, "registration is refused");
	is(mmun_self_stop(), 0, "stop has nothing to do");
	ok(text_hash() == before, "not a byte of text has changed");
	at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	is(munmap(at, 4096), 0, "memory calls work");
	return tap_done();
}
