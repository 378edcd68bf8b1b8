/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Finds the C libraries and the dynamic linker of this process, and in each the
 * system call instructions that become sites.
 *
 * Images are recognised by file name in /proc/self/maps, which also shows the
 * libraries of other linker namespaces.  Sites are recognised by their seven
 * bytes: the number is part of the pattern, so a match by accident would need
 * the same 56 bits.  That nothing is missed is checked by name: the functions
 * every C library must have are looked up in the image's own symbol table and
 * each must hold a site.  The bytes come from the file, so that a function that
 * another library has redirected already is known too; it is patched when that
 * library puts the bytes back.  Reads only, changes nothing.
 * Tests: tests/contract (patching), tests/unit/image.c.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "atomic.h"
#include "state.h"
#include "vma.h"

void mmun_self_refuse(struct mmun_refusal *refusal, int error,
		      const char *reason, const char *remedy)
{
	refusal->error = error;
	strncpy(refusal->reason, reason, sizeof(refusal->reason) - 1);
	strncpy(refusal->remedy, remedy, sizeof(refusal->remedy) - 1);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_c_library(const char *name)
{
	return !strncmp(name, "libc.so.6", 9) || !strncmp(name, "libc-2.", 7);
}

static bool is_linker(const char *name)
{
	return !strncmp(name, "ld-linux-x86-64.so", 18) || !strncmp(name, "ld-2.", 5);
}

/* The machine word at @at, as the unaligned bytes of an instruction. */
static int immediate(const unsigned char *at)
{
	int value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/* The text as it is in the file, and how far that is from where it runs. */
struct text {
	const unsigned char *start, *end;
	unsigned long delta;
	bool mapped;
};

static unsigned char *in_process(const struct text *text, const unsigned char *at)
{
	return (unsigned char *)((unsigned long)at + text->delta);
}

static const unsigned char *in_file(const struct text *text, unsigned long at)
{
	return (const unsigned char *)(at - text->delta);
}

/* A file that was replaced or deleted leaves what is in memory. */
static void open_text(const struct mmun_image *image, struct text *text)
{
	unsigned long size = image->text_end - image->text_start;
	struct stat file;
	long map = -1;
	int fd = mmun_syscall6(SYS_openat, AT_FDCWD, (long)image->path, O_RDONLY | O_CLOEXEC,
			       0, 0, 0);

	if (fd >= 0) {
		if (!mmun_syscall3(SYS_fstat, fd, (long)&file, 0) &&
		    file.st_ino == image->inode)
			map = mmun_syscall6(SYS_mmap, 0, size, PROT_READ, MAP_PRIVATE, fd,
					    image->text_offset);
		mmun_syscall3(SYS_close, fd, 0, 0);
	}
	text->mapped = map > 0;
	text->start = (const unsigned char *)(text->mapped ? map : (long)image->text_start);
	text->end = text->start + size;
	text->delta = image->text_start - (unsigned long)text->start;
}

static void close_text(const struct text *text)
{
	if (text->mapped)
		mmun_syscall3(SYS_munmap, (unsigned long)text->start, text->end - text->start, 0);
}

/*
 * Does a branch of this text lead to @target?  Compilers branch within a
 * function, so a neighbourhood is searched, at every byte: a false hit only
 * makes us keep two bytes that could have been replaced.
 */
static bool is_branch_target(const struct text *text, const unsigned char *target)
{
	const unsigned char *from = target - 4096, *to = target + 4096;

	if (from < text->start)
		from = text->start;
	if (to > text->end - 6)
		to = text->end - 6;
	for (const unsigned char *p = from; p < to; p++) {
		bool is_short = *p == 0xeb || *p == 0xe3 || (*p & 0xf0) == 0x70;
		bool is_near = *p == 0xe9 || (p[0] == 0x0f && (p[1] & 0xf0) == 0x80);
		int opcode = *p == 0x0f ? 2 : 1;

		if (is_short && p + 2 + (signed char)p[1] == target)
			return true;
		if (is_near && p + opcode + 4 + immediate(p + opcode) == target)
			return true;
	}
	return false;
}

static struct mmun_site *add_site(struct mmun_image *image, const struct text *text,
				  const unsigned char *at, enum mmun_site_kind kind, int nr)
{
	struct mmun_site *site;

	if (image->nr_sites == image->room)
		return NULL;
	site = &image->sites[image->nr_sites++];
	memset(site, 0, sizeof(*site));
	site->at = in_process(text, at);
	site->kind = kind;
	site->nr = nr;
	site->in_linker = image->is_linker;
	site->resume = site->at + (kind == MMUN_SITE_EXIT ? 5 : 7);
	memcpy(site->saved, at, 7);
	/* Where a branch leads to the system call instruction itself, it stays. */
	site->length = kind == MMUN_SITE_EXIT || is_branch_target(text, at + 5) ? 5 : 7;
	return site;
}

/* mov 0x8(%rsp),%r9; syscall: the seventh argument ends libc's syscall(). */
static const unsigned char syscall_pattern[] = { 0x4c, 0x8b, 0x4c, 0x24, 0x08, 0x0f, 0x05 };

/* In front of a function's first instruction stands padding or nothing. */
static bool is_function_entry(const unsigned char *at)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	if (!memcmp(at - 4, endbr64, 4))
		at -= 4;
	return ((unsigned long)at & 15) == 0 && (at[-1] == 0x00 || at[-1] == 0x90 ||
						 at[-1] == 0xcc || at[-1] == 0xc3);
}

/* @at points to a syscall instruction in the file. */
static int examine(struct mmun_image *image, const struct text *text, const unsigned char *at)
{
	int nr = immediate(at - 4);
	struct mmun_site *site;

	if (!memcmp(at - 5, syscall_pattern, sizeof(syscall_pattern))) {
		site = add_site(image, text, at - 5, MMUN_SITE_SYSCALL, -1);
		if (site)
			site->vectors_dead = true;
		return site ? 0 : -ENOSPC;
	}
	if (at[-5] != 0xb8 || !mmun_self_wants(nr))
		return 0;
	site = add_site(image, text, at - 5,
			nr == SYS_clone ? MMUN_SITE_CLONES : MMUN_SITE_FIXED, nr);
	if (site)
		site->vectors_dead = is_function_entry(at - 5);
	return site ? 0 : -ENOSPC;
}

static int find_sites(struct mmun_image *image, const struct text *text)
{
	const unsigned char *p = text->start + 8, *end = text->end - 8;

	while ((p = memchr(p, 0x0f, end - p))) {
		int ret = p[1] == 0x05 ? examine(image, text, p) : 0;

		if (ret)
			return ret;
		p++;
	}
	return 0;
}

/* The image's own dynamic symbols, read from memory. */
struct symbols {
	unsigned long base;
	const Elf64_Sym *table;
	const char *names;
	unsigned int count;
};

/* The linker replaces the offsets by addresses once it has loaded the file. */
static const void *dynamic_pointer(unsigned long base, unsigned long value)
{
	return (const void *)(value < base ? base + value : value);
}

/* The number of symbols is the end of the last chain of the hash table. */
static unsigned int count_symbols(const unsigned int *hash)
{
	unsigned int nr_buckets = hash[0], first = hash[1], bloom = hash[2], last = 0;
	const unsigned int *buckets = hash + 4 + bloom * 2, *chains = buckets + nr_buckets;

	for (unsigned int i = 0; i < nr_buckets; i++)
		if (buckets[i] > last)
			last = buckets[i];
	if (last < first)
		return first;
	while (!(chains[last - first] & 1))
		last++;
	return last + 1;
}

static bool find_symbols(const struct mmun_image *image, struct symbols *symbols)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->base;
	const Elf64_Phdr *program = (const Elf64_Phdr *)(image->base + header->e_phoff);
	const Elf64_Dyn *dynamic = NULL;
	const unsigned int *hash = NULL;

	memset(symbols, 0, sizeof(*symbols));
	symbols->base = image->base;
	for (int i = 0; i < header->e_phnum; i++)
		if (program[i].p_type == PT_DYNAMIC)
			dynamic = (const Elf64_Dyn *)(image->base + program[i].p_vaddr);
	for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
		const void *pointer = dynamic_pointer(image->base, dynamic->d_un.d_ptr);

		if (dynamic->d_tag == DT_SYMTAB)
			symbols->table = pointer;
		else if (dynamic->d_tag == DT_STRTAB)
			symbols->names = pointer;
		else if (dynamic->d_tag == DT_GNU_HASH)
			hash = pointer;
	}
	if (!symbols->table || !symbols->names || !hash)
		return false;
	symbols->count = count_symbols(hash);
	return true;
}

static const Elf64_Sym *find_symbol(const struct symbols *symbols, const char *name)
{
	for (unsigned int i = 0; i < symbols->count; i++)
		if (symbols->table[i].st_value &&
		    !strcmp(symbols->names + symbols->table[i].st_name, name))
			return &symbols->table[i];
	return NULL;
}

/*
 * _exit() takes its number from a register, in a loop; the instruction that
 * loads it is as long as our jump: mov $231,%reg.
 */
static int find_exit(struct mmun_image *image, const struct text *text,
		     const struct symbols *symbols)
{
	const Elf64_Sym *symbol = find_symbol(symbols, "_exit");
	const unsigned char *p, *end;

	if (!symbol)
		return -ENOENT;
	p = in_file(text, symbols->base + symbol->st_value);
	for (end = p + symbol->st_size - 5; p < end; p++) {
		if ((*p & 0xf8) != 0xb8 || immediate(p + 1) != SYS_exit_group)
			continue;
		/* The ordinary form has been found already. */
		if (p[5] == 0x0f && p[6] == 0x05)
			return 0;
		return add_site(image, text, p, MMUN_SITE_EXIT, SYS_exit_group) ? 0 : -ENOSPC;
	}
	return -ENOENT;
}

static const char *const required[] = {
	"munmap", "mmap", "mremap", "madvise", "mprotect", "brk", "shmat", "shmdt",
	"syscall", "_Fork",
};

/* Each of the functions above must hold a site; marks it. */
static bool mark_required(struct mmun_image *image, const struct symbols *symbols)
{
	for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
		const Elf64_Sym *symbol = find_symbol(symbols, required[i]);
		const unsigned char *start, *end;
		bool found = false;

		if (!symbol)
			return false;
		start = (unsigned char *)symbols->base + symbol->st_value;
		end = start + symbol->st_size;
		for (int j = 0; j < image->nr_sites; j++) {
			struct mmun_site *site = &image->sites[j];

			if (site->at < start || site->at >= end)
				continue;
			found = site->required = true;
			site->function = (unsigned char *)start;
		}
		if (!found)
			return false;
	}
	return true;
}

static bool is_jump_to_stub(const struct mmun_site *site)
{
	return site->stub && site->at[0] == 0xe9 &&
	       site->at + 5 + immediate(site->at + 1) == (unsigned char *)site->stub;
}

/* A jump with our short jump behind it, but not to our stub. */
static bool is_copys_patch(const struct mmun_site *site)
{
	return site->at[0] == 0xe9 && site->at[5] == 0xeb && site->at[6] == 0xf9;
}

/* Ways in which other libraries redirect a function at its entry. */
static bool is_foreign_patch(const unsigned char *at)
{
	return at[0] == 0xe9 || (at[0] == 0xff && at[1] == 0x25) ||
	       ((at[0] == 0x49 || at[0] == 0x48) && (at[1] & 0xf8) == 0xb8);
}

/*
 * Can the required sites be patched, or are they redirected by a library that
 * makes the call through syscall(), where we see it?
 */
int mmun_self_check_image(const struct mmun_image *image, struct mmun_refusal *refusal)
{
	for (int i = 0; i < image->nr_sites; i++) {
		const struct mmun_site *site = &image->sites[i];

		if (!site->required || site->patched || is_jump_to_stub(site) ||
		    mmun_site_is_original(site))
			continue;
		if (is_copys_patch(site)) {
			mmun_self_refuse(refusal, -EBUSY,
				"another copy of libmmunotify has patched this process",
				"link or preload one shared libmmunotify.so instead of several copies");
			return -EBUSY;
		}
		if (!is_foreign_patch(site->function)) {
			mmun_self_refuse(refusal, -ENOTSUP,
				"the C library's text in memory is not that of its file",
				"find out which library or tool rewrites it (mmunotify(7), Limits)");
			return -ENOTSUP;
		}
	}
	return 0;
}

/* Room for a site per system call instruction and the one of _exit(). */
static int make_room(struct mmun_image *image, const struct text *text)
{
	const unsigned char *p = text->start + 8, *end = text->end - 8;
	int room = 1;
	long map;

	while ((p = memchr(p, 0x0f, end - p)))
		room += *++p == 0x05;
	if (room <= image->room)
		return 0;
	map = mmun_syscall6(SYS_mmap, 0, mmun_page_up(room * sizeof(struct mmun_site)),
			    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return map;
	/* A smaller table stays where it is: a hook may be looking at it. */
	image->sites = (struct mmun_site *)map;
	image->room = room;
	return 0;
}

static int examine_image(struct mmun_image *image, struct mmun_refusal *refusal)
{
	struct symbols symbols;
	struct text text;
	int ret;

	open_text(image, &text);
	ret = make_room(image, &text);
	if (!ret)
		ret = find_sites(image, &text);
	if (ret || image->is_linker)
		goto out;
	if (!find_symbols(image, &symbols) || !mark_required(image, &symbols)) {
		mmun_self_refuse(refusal, -ENOTSUP,
			"the C library's memory functions have no system call instruction where expected",
			"use the GNU C library 2.34 or later on x86-64");
		ret = -ENOTSUP;
		goto out;
	}
	find_exit(image, &text, &symbols);
	ret = mmun_self_check_image(image, refusal);
out:
	close_text(&text);
	return ret;
}

static struct mmun_image *known_image(struct mmun_image *images, unsigned long text_start)
{
	for (struct mmun_image *image = images; image; image = image->next)
		if (image->used && text_start >= image->text_start && text_start < image->text_end)
			return image;
	return NULL;
}

/* One that is not used, or a new one at the end of the list. */
static struct mmun_image *free_image(struct mmun_image **images)
{
	struct mmun_image **end = images;
	long map;

	for (; *end; end = &(*end)->next)
		if (!(*end)->used)
			return *end;
	map = mmun_syscall6(SYS_mmap, 0, mmun_page_up(sizeof(struct mmun_image)),
			    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	mmun_store_release(end, (struct mmun_image *)map);
	return *end;
}

void mmun_self_free_images(struct mmun_image **images)
{
	struct mmun_image *image = *images, *next;

	for (; image; image = next) {
		next = image->next;
		if (image->sites)
			mmun_syscall3(SYS_munmap, (unsigned long)image->sites,
				      mmun_page_up(image->room * sizeof(struct mmun_site)), 0);
		mmun_syscall3(SYS_munmap, (unsigned long)image,
			      mmun_page_up(sizeof(struct mmun_image)), 0);
	}
	*images = NULL;
}

/* The executable segment, whatever its mapping has been split into since. */
static bool find_text(struct mmun_image *image)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image->base;
	const Elf64_Phdr *program = (const Elf64_Phdr *)(image->base + header->e_phoff);

	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		return false;
	for (int i = 0; i < header->e_phnum; i++) {
		if (program[i].p_type != PT_LOAD || !(program[i].p_flags & PF_X))
			continue;
		image->text_start = (image->base + program[i].p_vaddr) & MMUN_PAGE_MASK;
		image->text_end = mmun_page_up(image->base + program[i].p_vaddr +
					       program[i].p_memsz);
		image->text_offset = program[i].p_offset & MMUN_PAGE_MASK;
		return true;
	}
	return false;
}

static int add_image(struct mmun_image **images, const struct mmun_vma *text,
		     unsigned long base, struct mmun_refusal *refusal)
{
	struct mmun_image *image = known_image(*images, text->start);
	int ret;

	if (image) {
		image->seen = true;
		return 0;
	}
	image = free_image(images);
	if (!image)
		return -ENOMEM;
	image->nr_sites = 0;
	image->stubs_ready = false;
	image->base = base;
	image->is_linker = is_linker(base_name(text->name));
	image->inode = text->inode;
	image->prot = PROT_READ | PROT_EXEC;
	memcpy(image->path, text->name, sizeof(image->path));
	if (!find_text(image))
		return 0;
	ret = examine_image(image, refusal);
	if (ret)
		return ret;
	image->used = image->seen = true;
	return 0;
}

bool mmun_self_is_library_file(int fd)
{
	char link[32] = "/proc/self/fd/", path[256];
	int at = 14;
	long n;

	for (int unit = 1000000000; unit; unit /= 10)
		if (fd >= unit || unit == 1)
			link[at++] = '0' + fd / unit % 10;
	n = mmun_syscall6(SYS_readlink, (long)link, (long)path, sizeof(path) - 1, 0, 0, 0);
	path[n > 0 ? n : 0] = 0;
	return is_c_library(base_name(path));
}

int mmun_self_find_images(struct mmun_image **images, struct mmun_refusal *refusal)
{
	struct mmun_vma_walk walk;
	struct mmun_vma vma;
	unsigned long base = 0, inode = 0;
	int found = 0, ret;

	ret = mmun_vma_walk_start(&walk, 0, true);
	if (ret) {
		mmun_self_refuse(refusal, -ENOTSUP, "/proc/self/maps cannot be read",
				 "mount /proc, or raise the limit of open files");
		return -ENOTSUP;
	}
	for (struct mmun_image *image = *images; image; image = image->next)
		image->seen = false;
	while (mmun_vma_walk_next(&walk, &vma)) {
		const char *name = base_name(vma.name);

		if (vma.offset == 0) {
			base = vma.start;
			inode = vma.inode;
		}
		if (!(vma.prot & PROT_EXEC) || vma.inode != inode)
			continue;
		found += is_c_library(name);
		if (is_c_library(name) || is_linker(name))
			ret = add_image(images, &vma, base, refusal);
		if (ret)
			break;
	}
	mmun_vma_walk_end(&walk);
	/* Unloaded since. */
	for (struct mmun_image *image = *images; !ret && image; image = image->next)
		image->used &= image->seen;
	if (!ret && !found) {
		mmun_self_refuse(refusal, -ENOTSUP,
			"this process has no GNU C library to patch (a static program or another C library)",
			"link the program dynamically against the GNU C library");
		return -ENOTSUP;
	}
	return ret;
}
