/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/self/patch.c and swap.c: text that is replaced, and text that has become something else
 * between the look at it and the move of a copy.
 */
#include <fcntl.h>
#include <unistd.h>

#include "../../../primary/self/text.c"

static int look(struct mmun_image *image);
#define mmun_self_look look
#include "../../../primary/self/refusal.c"
#include "../../../primary/self/swap.c"
#include "../../../primary/self/breakpoint.c"
#include "../../../primary/self/patch.c"
#undef mmun_self_look
#include "tap.h"

/* What they need of others, for an image without a file and with stubs. */

long mmun_self_open(const char *path)
{
	return -ENOENT;
}

void mmun_self_close(int fd)
{
}

int mmun_self_check_image(struct mmun_image *image, struct mmun_refusal *refusal)
{
	return 0;
}

int mmun_self_make_stubs(struct mmun_image *image)
{
	return 0;
}

void mmun_self_free_stubs(struct mmun_image *image)
{
}

static const unsigned char call[7] = { 0xb8, 11, 0, 0, 0, 0x0f, 0x05 };
static const unsigned char jump[7] = { 0xe9, 1, 2, 3, 4, 0x90, 0x90 };

#define AT 64

static unsigned char *page;
static struct mmun_site site;
static struct mmun_image image;

static void begin(void)
{
	page = mmap(NULL, MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	memcpy(page + AT, call, sizeof(call));
	mprotect(page, MMUN_PAGE_SIZE, PROT_READ | PROT_EXEC);
	site = (struct mmun_site){ .at = page + AT, .length = sizeof(call), .stub = page };
	memcpy(site.saved, call, sizeof(call));
	memcpy(site.bytes, jump, sizeof(jump));
	image = (struct mmun_image){ .used = true,
				     .prot = PROT_READ | PROT_EXEC,
				     .sites = &site,
				     .nr_sites = 1,
				     .stubs_ready = true };
	image.text_start = (unsigned long)page;
	image.text_end = (unsigned long)page + MMUN_PAGE_SIZE;
}

static bool stands_there(const unsigned char *bytes)
{
	return !memcmp(page + AT, bytes, sizeof(call));
}

/* The kernel writes there, or says that it may not. */
static bool is_writable(void)
{
	int fd = open("/dev/zero", O_RDONLY);
	bool is = read(fd, page + AT, 1) == 1;

	close(fd);
	return is;
}

/* Once, after a look: the library goes, and data of another comes. */
static bool goes;

static int look(struct mmun_image *which)
{
	int ret = mmun_self_look(which);

	if (goes) {
		mmap(page, MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		memset(page, 0x5a, MMUN_PAGE_SIZE);
	}
	goes = false;
	return ret;
}

static void test_there_and_back(void)
{
	begin();
	ok(mmun_self_patch(&image) == 0 && stands_there(jump) && site.patched,
	   "a site is replaced");
	ok(!is_writable(), "text has the rights of text");
	ok(mmun_self_unpatch(&image) == 0 && stands_there(call) && !site.patched, "and put back");
}

static void test_gone_before_patch(void)
{
	begin();
	goes = true;
	ok(mmun_self_patch(&image) == 0 && !goes && page[0] == 0x5a && page[AT] == 0x5a,
	   "what has come to the place of a library is left alone");
	ok(is_writable(), "B14 and can be written");
	ok(!site.patched, "no site is patched there");
}

static void test_gone_before_unpatch(void)
{
	begin();
	ok(mmun_self_patch(&image) == 0 && site.patched, "a site is replaced");
	goes = true;
	ok(mmun_self_unpatch(&image) == 0 && !goes && page[AT] == 0x5a,
	   "what has come to the place of a library is left alone when it is to be put back");
	ok(is_writable(), "B14 and can be written");
}

int main(void)
{
	test_there_and_back();
	test_gone_before_patch();
	test_gone_before_unpatch();
	return tap_done();
}
