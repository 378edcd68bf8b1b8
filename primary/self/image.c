/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds what this process executes, and in it the system call instructions that
 * become sites.
 *
 * Objects are found in /proc/self/maps, those of other linker namespaces too, and recognised
 * by their contents (loaded.c).  In a C library and in the dynamic linker every system call
 * instruction is accounted for (scan.c), or nothing is patched.  Elsewhere what can be proven
 * is patched and the rest is left.  The bytes come from the file, so that a function that
 * another library has redirected already is known too; it is patched when that library puts
 * the bytes back.  Reads only, changes nothing.
 * Tests: tests/contract, tests/glibc.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "loaded.h"
#include "scan.h"
#include "state.h"
#include "vma.h"

static unsigned char *in_process(const struct mmun_image *image, unsigned long address)
{
	return (unsigned char *)(image->bias + address);
}

/* What one look at an object works with. */
struct look {
	struct mmun_image *image;
	const struct mmun_object *object;
	struct mmun_refusal *refusal;
};

/* "libc.so.6: the system call in fexecve+0x4e cannot be redirected: why" */
static void refuse_finding(const struct look *look, const struct mmun_finding *finding)
{
	char reason[sizeof(look->refusal->reason)];
	unsigned long offset = finding->address;
	const char *name = mmun_object_name(look->object, finding->address, &offset);
	size_t at = mmun_append(reason, 0, sizeof(reason), mmun_object_soname(look->object));

	at = mmun_append(reason, at, sizeof(reason), ": the system call in ");
	at = mmun_append(reason, at, sizeof(reason), name ? name : "");
	at = mmun_append(reason, at, sizeof(reason), name ? "+0x" : "0x");
	at = mmun_append_hex(reason, at, sizeof(reason), offset);
	at = mmun_append(reason, at, sizeof(reason), " cannot be redirected: ");
	mmun_append(reason, at, sizeof(reason), finding->why);
	mmun_self_refuse(look->refusal, -ENOTSUP, reason,
			 "use another version of the GNU C library and report this one");
}

/* The bytes that are replaced. */
static void note_bytes(struct mmun_site *site, const struct look *look,
		       const struct mmun_finding *finding)
{
	const struct mmun_image *image = look->image;

	site->at = in_process(image, finding->at);
	switch (finding->form) {
	case MMUN_FORM_BACK:
	case MMUN_FORM_WINDOW:
		site->length = finding->address + 2 - finding->at;
		break;
	case MMUN_FORM_PAD:
		site->length = 2;
		site->pad = in_process(image, finding->pad);
		site->pad_length = 5;
		memcpy(site->saved_pad, mmun_object_at(look->object, finding->pad, 5), 5);
		break;
	case MMUN_FORM_RUN:
	case MMUN_FORM_CALL:
		site->length = 5;
		break;
	}
	memcpy(site->saved, mmun_object_at(look->object, finding->at, site->length), site->length);
	if (finding->form == MMUN_FORM_PAD || finding->form == MMUN_FORM_CALL)
		return;
	site->run_length = finding->address - finding->at;
	memcpy(site->run, mmun_object_at(look->object, finding->at, site->run_length),
	       site->run_length);
}

static enum mmun_site_kind kind_of(const struct mmun_finding *finding)
{
	if (finding->form == MMUN_FORM_CALL)
		return MMUN_SITE_CANCEL;
	if (finding->nr < 0)
		return MMUN_SITE_SYSCALL;
	return finding->nr == SYS_clone ? MMUN_SITE_CLONES : MMUN_SITE_FIXED;
}

/* Twice the room; nobody has the address of a site yet. */
static int grow(struct mmun_image *image)
{
	unsigned long old = mmun_page_up(image->room * sizeof(struct mmun_site));
	unsigned long size = old ? 2 * old : 4 * MMUN_PAGE_SIZE;
	long map = old ? mmun_syscall6(SYS_mremap, (unsigned long)image->sites, old, size,
				       MREMAP_MAYMOVE, 0, 0)
		       : mmun_syscall6(SYS_mmap, 0, size, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map < 0 && map > -4096)
		return (int)map;
	image->sites = (struct mmun_site *)map;
	image->room = (int)(size / sizeof(struct mmun_site));
	return 0;
}

static int add_site(const struct look *look, const struct mmun_finding *finding)
{
	struct mmun_image *image = look->image;
	struct mmun_site *site;
	int ret = image->nr_sites == image->room ? grow(image) : 0;

	if (ret)
		return ret;
	site = &image->sites[image->nr_sites++];
	memset(site, 0, sizeof(*site));
	site->kind = kind_of(finding);
	site->form = finding->form;
	site->nr = finding->nr;
	site->in_linker = image->is_linker;
	site->vectors_dead = finding->at_entry || finding->form == MMUN_FORM_CALL;
	site->is_plain = mmun_self_is_plain(site);
	site->resume = in_process(image, finding->address + 2);
	site->function = in_process(image, finding->function.start);
	note_bytes(site, look, finding);
	return 0;
}

static int take_finding(const struct mmun_finding *finding, void *arg)
{
	const struct look *look = arg;

	if (finding->verdict == MMUN_VERDICT_SITE)
		return add_site(look, finding);
	if (finding->verdict != MMUN_VERDICT_UNKNOWN || !look->image->is_c_library)
		return 0;
	refuse_finding(look, finding);
	return -ENOTSUP;
}

/* Where the five bytes of a jump or a call at @at lead to. */
static unsigned long target_of(const unsigned char *bytes, const unsigned char *at)
{
	int distance;

	if (bytes[0] != 0xe9 && bytes[0] != 0xe8)
		return 0;
	memcpy(&distance, bytes + 1, sizeof(distance));
	return (unsigned long)at + 5 + distance;
}

/*
 * The entry code of another copy of this library, if that is what @site leads to: its
 * stub loads two addresses (stub.c), of which the second is that.
 */
static unsigned long copys_entry(const struct mmun_site *site)
{
	bool is_pad = site->form == MMUN_FORM_PAD && site->now[0] == 0xeb;
	unsigned long stub = is_pad ? target_of(site->now_pad, site->pad)
				    : target_of(site->now, site->at),
		      entry;
	unsigned char code[MMUN_STUB_SIZE];

	if (!stub || mmun_self_read(code, stub, sizeof(code)))
		return 0;
	for (size_t i = 0; i + 20 <= sizeof(code); i++) {
		if (code[i] != 0x49 || code[i + 1] != 0xbb || code[i + 10] != 0x48 ||
		    (code[i + 11] & 0xfe) != 0xb8)
			continue;
		memcpy(&entry, code + i + 12, sizeof(entry));
		return entry;
	}
	return 0;
}

static int refuse_copy(unsigned long entry, struct mmun_refusal *refusal)
{
	char reason[sizeof(refusal->reason)];
	struct mmun_vma_walk walk;
	struct mmun_vma vma;
	size_t at = mmun_append(reason, 0, sizeof(reason),
				"another copy of libmmunotify has patched this process");

	if (!mmun_vma_walk_start(&walk, entry, true)) {
		if (mmun_vma_walk_next(&walk, &vma) && vma.start <= entry && vma.name[0]) {
			at = mmun_append(reason, at, sizeof(reason), ": ");
			mmun_append(reason, at, sizeof(reason), vma.name);
		}
		mmun_vma_walk_end(&walk);
	}
	mmun_self_refuse(refusal, -EBUSY, reason,
			 "link or preload one shared libmmunotify.so instead of several copies");
	return -EBUSY;
}

/* Ways in which other libraries redirect a function at its entry. */
static bool is_foreign_patch(const struct mmun_site *site)
{
	unsigned char at[2];

	if (mmun_self_read(at, (unsigned long)site->function, sizeof(at)))
		return false;
	return at[0] == 0xe9 || (at[0] == 0xff && at[1] == 0x25) ||
	       ((at[0] == 0x49 || at[0] == 0x48) && (at[1] & 0xf8) == 0xb8);
}

/*
 * Can the C library's sites be patched, or are they redirected by a library that
 * makes the call through syscall(), where we see it?
 */
static int check_image(const struct mmun_image *image, struct mmun_refusal *refusal)
{
	for (int i = 0; image->is_c_library && i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];
		unsigned long entry;

		if (site->patched || mmun_site_is_ours(site) || mmun_site_is_original(site))
			continue;
		/* int3 */
		if (site->now[0] == 0xcc)
			return mmun_self_refuse_breakpoint(image, (unsigned long)site->at, refusal);
		entry = copys_entry(site);
		if (entry)
			return refuse_copy(entry, refusal);
		if (!is_foreign_patch(site)) {
			mmun_self_refuse(
				refusal, -ENOTSUP,
				"the C library's text in memory is not that of its file",
				"find out which library or tool rewrites it (mmunotify(7), Limits)");
			return -ENOTSUP;
		}
	}
	return 0;
}

/* Something else may lie there by now. */
static bool is_still_loaded(const struct mmun_image *image)
{
	struct mmun_headers headers;

	return mmun_headers_read(&headers, image->base) && headers.bias == image->bias &&
	       mmun_headers_are_loaded(&headers, image->inode);
}

int mmun_self_check_image(struct mmun_image *image, struct mmun_refusal *refusal)
{
	int ret = 0;

	for (int look = 0; look < 3; look++) {
		image->used = !mmun_self_look(image);
		ret = image->used ? check_image(image, refusal) : 0;
		if (!ret)
			return 0;
		if (!is_still_loaded(image)) {
			image->used = false;
			return 0;
		}
	}
	return ret;
}

/* Of an image that nobody uses, or no longer: nothing leads to its stubs. */
static void forget_sites(struct mmun_image *image)
{
	if (image->sites)
		mmun_syscall3(SYS_munmap, (unsigned long)image->sites,
			      mmun_page_up(image->room * sizeof(struct mmun_site)), 0);
	image->sites = NULL;
	image->nr_sites = image->room = 0;
}

/* Finds its sites. */
static int scan_image(struct mmun_image *image, struct mmun_opened *opened,
		      struct mmun_refusal *refusal)
{
	struct look look = { image, &opened->object, refusal };
	int ret;

	mmun_self_free_stubs(image);
	forget_sites(image);
	ret = opened->is_file
		      ? mmun_known_sites(&opened->object, &opened->identity, take_finding, &look)
		      : -ENOENT;
	if (ret == -ENOENT)
		ret = mmun_scan(&opened->object, image->is_c_library, take_finding, &look);
	if (ret)
		forget_sites(image);
	return ret;
}

static struct mmun_image *known_image(struct mmun_image *images, unsigned long text_start)
{
	for (struct mmun_image *image = images; image; image = image->next)
		if (image->used && text_start >= image->text_start && text_start < image->text_end)
			return image;
	return NULL;
}

#define IMAGES_PER_PAGE (MMUN_PAGE_SIZE / sizeof(struct mmun_image))

/* A page of images that nobody uses. */
static struct mmun_image *map_images(void)
{
	long map = mmun_syscall6(SYS_mmap, 0, MMUN_PAGE_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mmun_image *images = (struct mmun_image *)map;

	if (map < 0 && map > -4096)
		return NULL;
	for (size_t i = 0; i + 1 < IMAGES_PER_PAGE; i++)
		images[i].next = &images[i + 1];
	return images;
}

static bool is_mapped(unsigned long at)
{
	return mmun_syscall3(SYS_msync, at & MMUN_PAGE_MASK, 1, MS_ASYNC) != -ENOMEM;
}

/* Is our jump there, or text that cannot be read? */
static bool may_lead_to_stub(struct mmun_site *site)
{
	int ret = mmun_self_read(site->now, (unsigned long)site->at, site->length);

	if (!ret && site->pad)
		ret = mmun_self_read(site->now_pad, (unsigned long)site->pad, site->pad_length);
	return ret ? is_mapped((unsigned long)mmun_site_start(site)) : mmun_site_is_ours(site);
}

/*
 * Text that was taken for unloaded may be there all the same: somebody has put it
 * elsewhere and back (onto huge pages), or forbidden to read it.
 */
static bool may_lead_to_stubs(const struct mmun_image *image)
{
	for (int i = 0; image->stubs && i < image->nr_sites; i++)
		if (may_lead_to_stub(&image->sites[i]))
			return true;
	return false;
}

/* One that nobody uses, if need be of a new page at the end of the list. */
static struct mmun_image *free_image(struct mmun_image **images)
{
	struct mmun_image **end = images, *page;

	for (; *end; end = &(*end)->next)
		if (!(*end)->used && !may_lead_to_stubs(*end))
			return *end;
	page = map_images();
	if (page)
		mmun_store_release(end, page);
	return page;
}

void mmun_self_free_images(struct mmun_image **images)
{
	struct mmun_image *page = *images, *next;

	for (; page; page = next) {
		for (size_t i = 0; i < IMAGES_PER_PAGE; i++)
			forget_sites(&page[i]);
		next = page[IMAGES_PER_PAGE - 1].next;
		mmun_syscall3(SYS_munmap, (unsigned long)page, MMUN_PAGE_SIZE, 0);
	}
	*images = NULL;
}

/*
 * The executable segment that @text is of, whatever its mapping has been split into
 * since.  A file that was mapped by other means than loading has none there.
 */
static bool find_text(struct mmun_image *image, const struct mmun_headers *headers,
		      const struct mmun_vma *text)
{
	const Elf64_Phdr *program = headers->program;

	for (int i = 0; i < headers->file.e_phnum; i++) {
		unsigned long start, end;

		if (program[i].p_type != PT_LOAD || !(program[i].p_flags & PF_X))
			continue;
		start = (image->bias + program[i].p_vaddr) & MMUN_PAGE_MASK;
		end = mmun_page_up(image->bias + program[i].p_vaddr + program[i].p_filesz);
		if (text->start < start || text->start >= end ||
		    text->start - start != text->offset - (program[i].p_offset & MMUN_PAGE_MASK))
			continue;
		image->text_start = start;
		image->text_end = end;
		image->text_offset = program[i].p_offset & MMUN_PAGE_MASK;
		return true;
	}
	return false;
}

static bool is_named(const struct mmun_object *object, const char *prefix)
{
	return !strncmp(mmun_object_soname(object), prefix, strlen(prefix));
}

/*
 * ThreadSanitizer's runtime makes memory calls with its own locks held, and what it has
 * instrumented takes those locks again.  Callbacks are not instrumented (mmunotify(7));
 * where the core is, in a build that tests it, the runtime's calls are left alone.
 */
static bool must_not_be_entered(const struct mmun_object *object)
{
	return MMUN_CORE_IS_INSTRUMENTED && mmun_object_defines(object, "__tsan_init");
}

static int add_image(struct mmun_image **images, const struct mmun_vma *text, unsigned long base,
		     struct mmun_refusal *refusal)
{
	struct mmun_image *image = known_image(*images, text->start);
	struct mmun_opened opened;
	int ret = 0;

	if (image && image->base == base && image->inode == text->inode) {
		image->seen = true;
		return 0;
	}
	/* Another has taken its place. */
	if (image)
		image->used = false;
	if (mmun_loaded_open(&opened, text, base, false))
		return 0;
	if (must_not_be_entered(&opened.object))
		goto out;
	image = free_image(images);
	if (!image) {
		ret = -ENOMEM;
		goto out;
	}
	image->stubs_ready = false;
	image->base = base;
	image->bias = opened.headers.bias;
	image->is_linker = is_named(&opened.object, "ld-linux-x86-64.so");
	image->is_c_library = mmun_object_is_c_library(&opened.object);
	image->inode = text->inode;
	image->prot = PROT_READ | PROT_EXEC;
	memcpy(image->path, text->name, sizeof(image->path));
	if (!find_text(image, &opened.headers, text))
		goto out;
	ret = scan_image(image, &opened, refusal);
	if (ret == -ENOMEM) {
		mmun_self_refuse(refusal, ret, "there is no memory to look at its code",
				 "raise the memory limit of this process or its control group");
		mmun_self_name_refusal(refusal, image->path);
	}
	image->used = image->seen = !ret;
	if (!ret)
		ret = mmun_self_check_image(image, refusal);
	if (ret)
		image->used = false;
out:
	mmun_loaded_close(&opened);
	return ret;
}

/* The pages that we have replaced show no file: of a small object that is all its text.
 * What cannot be asked is still there. */
static bool is_still_patched(const struct mmun_image *image)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];
		unsigned long start = (unsigned long)mmun_site_start(site);
		struct mmun_vma_place place;
		struct mmun_vma_walk walk;
		bool is_text;

		if (!site->patched)
			continue;
		if (mmun_vma_walk_start(&walk, start, false))
			return true;
		is_text = mmun_vma_walk_next_place(&walk, &place, NULL, 0) &&
			  place.start <= start && place.end >= (unsigned long)mmun_site_end(site) &&
			  place.prot == image->prot;
		return mmun_vma_walk_end(&walk) || (is_text && mmun_site_is_ours(site));
	}
	return false;
}

static int refuse_maps(struct mmun_refusal *refusal)
{
	long fd = mmun_self_open("/proc/self/maps");

	if (fd >= 0)
		mmun_self_close((int)fd);
	if (fd == -ENOENT)
		mmun_self_refuse(refusal, -ENOTSUP,
				 "/proc/self/maps is not there: /proc is not mounted",
				 "mount -t proc proc /proc");
	else if (fd == -EMFILE || fd == -ENFILE)
		mmun_self_refuse(
			refusal, -ENOTSUP,
			"/proc/self/maps cannot be opened: as many files are open as may be",
			"raise the limit of open files (ulimit -n)");
	else
		mmun_self_refuse(
			refusal, -ENOTSUP,
			"/proc/self/maps cannot be read (a seccomp filter, a security module)",
			"let this process read it");
	return -ENOTSUP;
}

int mmun_self_find_images(struct mmun_image **images, struct mmun_refusal *refusal)
{
	struct mmun_vma_walk walk;
	struct mmun_refusal other;
	struct mmun_vma vma;
	unsigned long base = 0, inode = 0;
	bool found = false;
	int ret;

	if (mmun_vma_walk_start(&walk, 0, true))
		return refuse_maps(refusal);
	ret = 0;
	for (struct mmun_image *image = *images; image; image = image->next)
		image->seen = false;
	while (mmun_vma_walk_next(&walk, &vma)) {
		int one = 0;

		if (vma.offset == 0) {
			base = vma.start;
			inode = vma.prot & PROT_READ ? vma.inode : 0;
		}
		/* One that fails does not hide the others. */
		if (vma.prot & PROT_EXEC && inode && vma.inode == inode)
			one = add_image(images, &vma, base, ret ? &other : refusal);
		ret = ret ? ret : one;
	}
	/* An object that was not shown may be there all the same. */
	if (mmun_vma_walk_end(&walk))
		return refuse_maps(refusal);
	/* Unloaded since. */
	for (struct mmun_image *image = *images; image; image = image->next) {
		image->used = image->used && (image->seen || is_still_patched(image));
		found |= image->used && image->is_c_library && !image->is_linker;
	}
	if (!ret && !found) {
		mmun_self_refuse(
			refusal, -ENOTSUP,
			"this process has no GNU C library to patch (a static program or another C library)",
			"link the program dynamically against the GNU C library");
		return -ENOTSUP;
	}
	return ret;
}

static struct mmun_image *image_of(struct mmun_image *images, unsigned long base)
{
	for (struct mmun_image *image = images; image; image = image->next)
		if (image->used && image->base == base)
			return image;
	return NULL;
}

int mmun_self_each_object(struct mmun_image *images,
			  int (*fn)(const struct mmun_loaded *loaded, void *arg), void *arg)
{
	struct mmun_vma_walk walk;
	struct mmun_opened opened;
	struct mmun_vma vma;
	int ret = mmun_vma_walk_start(&walk, 0, true), error;

	if (ret)
		return ret;
	while (!ret && mmun_vma_walk_next(&walk, &vma)) {
		struct mmun_loaded loaded = { .object = &opened.object };

		if (vma.offset || !vma.inode || !(vma.prot & PROT_READ))
			continue;
		loaded.image = image_of(images, vma.start);
		if (mmun_loaded_open(&opened, &vma, vma.start, loaded.image))
			continue;
		loaded.path = vma.name[0] ? vma.name : mmun_object_soname(&opened.object);
		loaded.bias = opened.headers.bias;
		ret = fn(&loaded, arg);
		mmun_loaded_close(&opened);
	}
	error = mmun_vma_walk_end(&walk);
	return ret ? ret : error;
}
