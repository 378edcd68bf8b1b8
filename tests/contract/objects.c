/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: system calls of objects that are no C library.
 *
 * The program, a library that it is linked with and libraries that it loads while
 * the source runs (with and without a segment that is read-only after relocation)
 * make memory calls with instructions of their own.  Where the number is proved the
 * call is notified; where it is not, the instruction is listed and left, and strict
 * mode sees it.  Bytes that look like a system call and are none stay as they are.
 * After the stop every byte is back.  A thread may take its own stack away.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <mmunotify/self.h>

#include "object_code.h"
#include "operations.h"
#include "sanitizer.h"
#include "scene.h"

#define MAX_TEXT 1024

extern const struct object_code program_code, linked_code;

static struct watch watch;

/* Its bytes before anything is redirected. */
struct text {
	const struct object_code *code;
	const char *name;
	unsigned char bytes[MAX_TEXT];
};

static size_t text_size(const struct text *text)
{
	return (size_t)(text->code->last - text->code->first);
}

static bool is_unchanged(const struct text *text, const void *from, size_t size)
{
	size_t at = (size_t)((const unsigned char *)from - text->code->first);

	return at + size <= text_size(text) && !memcmp(from, text->bytes + at, size);
}

/* The bytes of the file: that is what the linker has mapped. */
static void note_text(struct text *text, const char *name, const struct object_code *code)
{
	text->name = name;
	text->code = code;
	if (!check(text_size(text) <= MAX_TEXT, "%s: its text fits", name))
		_exit(1);
	memcpy(text->bytes, code->first, text_size(text));
}

static char *arm(void)
{
	char *at = mmap(NULL, 4 * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	struct watch_area area = { (unsigned long)at, PAGE_BYTES, 4, 0 };

	region_fill(at, 4 * PAGE_BYTES, 1);
	watch_arm(&watch, &area);
	return at;
}

static bool is_notified(const char *at)
{
	watch_disarm(&watch);
	return watch_find(&watch, (unsigned long)at, (unsigned long)at + 4 * PAGE_BYTES) >= 0;
}

static void check_proved_calls(const struct text *text, bool expected)
{
	const struct object_code *code = text->code;
	const char *name = text->name, *is = expected ? "is" : "is not";
	char *at = arm(), *moved;

	check(code->madvise(at, 4 * PAGE_BYTES, MADV_DONTNEED) == 0 && !*at &&
		      is_notified(at) == expected,
	      "%s: its own madvise works and %s notified", name, is);
	at = arm();
	check(code->mprotect(at, 4 * PAGE_BYTES, PROT_READ) == 0 && is_notified(at) == expected,
	      "%s: its own mprotect works and %s notified", name, is);
	munmap(at, 4 * PAGE_BYTES);
	at = arm();
	check(code->mprotect(at, 4 * PAGE_BYTES, PROT_NONE) == 0 && is_notified(at) == expected,
	      "%s: and so on the other way to the same instruction", name);
	munmap(at, 4 * PAGE_BYTES);
	at = arm();
	moved = code->mremap(at, 4 * PAGE_BYTES, 8 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_DONTUNMAP,
			     NULL);
	check((long)moved == -EINVAL && !is_notified(moved), "%s: its own mremap can fail", name);
	moved = region_room(4 * PAGE_BYTES, PAGE_BYTES);
	at = arm();
	check(code->mremap(at, 4 * PAGE_BYTES, 4 * PAGE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			   moved) == moved &&
		      is_notified(at) == expected,
	      "%s: its own mremap works and %s notified", name, is);
	munmap(moved, 4 * PAGE_BYTES);
	at = arm();
	check(code->munmap(at, 4 * PAGE_BYTES) == 0 && is_notified(at) == expected,
	      "%s: its own munmap works and %s notified", name, is);
	check(code->munmap((void *)1, 1) == -EINVAL, "%s: its own munmap can fail", name);
}

/* By a window of instructions, from each place in it. */
static void check_window(const struct text *text, bool expected)
{
	const struct object_code *code = text->code;
	unsigned long args[3] = { 0, 0, 4 * PAGE_BYTES };
	char *at = arm();

	args[1] = (unsigned long)at;
	check(code->window(args) == 0 && is_notified(at) == expected,
	      "%s: a call behind short instructions works and %s notified", text->name,
	      expected ? "is" : "is not");
	for (int i = 0; i < 4; i++) {
		at = arm();
		args[1] = (unsigned long)at;
		check(code->window_at(args, code->window_places[i]) == 0 &&
			      is_notified(at) == expected,
		      "%s: so it is for a thread that stands at its place %d", text->name, i);
	}
	args[1] = 1;
	check(code->window(args) == -EINVAL, "%s: and it can fail", text->name);
}

static bool any_is_notified(const struct text *text)
{
	char *at = arm();
	bool is;

	check(text->code->any(at, 4 * PAGE_BYTES, MADV_DONTNEED, SYS_madvise) == 0 && !*at,
	      "%s: a call with its number in a register works", text->name);
	is = is_notified(at);
	munmap(at, 4 * PAGE_BYTES);
	return is;
}

static void check_false_calls(const struct text *text)
{
	const struct object_code *code = text->code;
	const unsigned char *immediate = (const unsigned char *)code->immediate;

	check(code->immediate() == 0x050f000b + 0x50f && code->hidden() == 0x050f0000000bb8 &&
		      code->data() == 5 && is_unchanged(text, code->table, 8),
	      "%s: what looks like a system call has kept its value", text->name);
	check(is_unchanged(text, immediate, (size_t)(code->table + 8 - immediate)),
	      "%s: and every byte of its instructions", text->name);
}

static void check_running(const struct text *text)
{
	check_proved_calls(text, true);
	check_window(text, true);
	check(!any_is_notified(text), "%s: and is not notified", text->name);
	check_false_calls(text);
	check(!is_unchanged(text, (const void *)text->code->munmap, 7),
	      "%s: its instruction is redirected", text->name);
}

static void check_stopped(const struct text *text)
{
	check(is_unchanged(text, text->code->first, text_size(text)),
	      "%s: after the stop every byte is back", text->name);
	check_proved_calls(text, false);
	check_window(text, false);
}

static void play(const char *const *paths, const char *const *names, int count)
{
	static struct text texts[4];
	int nr = 0;

	note_text(&texts[nr++], "program", &program_code);
	note_text(&texts[nr++], "linked library", &linked_code);
	if (!check(watch_register(&watch) == 0, "registers"))
		return;
	for (int i = 0; i < count; i++) {
		void *handle = dlopen(paths[i], RTLD_NOW | RTLD_LOCAL);
		const struct object_code *code = handle ? dlsym(handle, "loaded_code") : NULL;

		if (!check(code, "%s loads", names[i]))
			return;
		texts[nr].code = code;
		texts[nr].name = names[i];
		/* The same code: what is redirected already is taken from the other one. */
		memcpy(texts[nr].bytes, texts[1].bytes, MAX_TEXT);
		nr++;
	}
	for (int i = 0; i < nr; i++)
		check_running(&texts[i]);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
	for (int i = 0; i < nr; i++)
		check_stopped(&texts[i]);
}

static void of_the_start(void)
{
	play(NULL, NULL, 0);
}

static void loaded_later(void)
{
	static const char *const path = TEST_OBJECT, *const name = "loaded library";

	play(&path, &name, 1);
}

static void loaded_later_without_relro(void)
{
	static const char *const path = TEST_OBJECT_NORELRO, *const name =
								     "loaded library without relro";

	play(&path, &name, 1);
}

static void loaded_later_with_text_first(void)
{
	static const char *const path = TEST_OBJECT_TOGETHER,
				 *const name = "loaded library with its text first";

	play(&path, &name, 1);
}

static void loaded_later_from_high(void)
{
	static const char *const path = TEST_OBJECT_HIGH,
				 *const name = "loaded library with high addresses";

	play(&path, &name, 1);
}

/* Loaded from @path; *@base: where. */
static void *load(const char *path, struct text *text, void **base)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	Dl_info info = { 0 };

	text->code = handle ? dlsym(handle, "loaded_code") : NULL;
	if (!check(text->code && dladdr(text->code, &info), "%s loads", text->name))
		_exit(1);
	*base = info.dli_fbase;
	return handle;
}

/* While nothing is heard of it one library goes and another comes to its place. */
static void replaced_while_stopped(void)
{
	struct text first = { .name = "first library" }, second = { .name = "second library" };
	void *base, *handle, *second_base;

	check(watch_register(&watch) == 0, "registers");
	handle = load(TEST_OBJECT, &first, &base);
	check_proved_calls(&first, true);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
	dlclose(handle);
	load(TEST_OBJECT_SHIFTED, &second, &second_base);
	check(second_base == base, "it lies where the first one was");
	check(watch_register(&watch) == 0, "registers again");
	check_proved_calls(&second, true);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops again");
}

static void in_strict_mode(void)
{
	static struct text text;
	int ret = mmun_self_start_strict();

	note_text(&text, "program", &program_code);
	if (ret == -ENOTSUP) {
		check(true, "strict mode is not possible here");
		return;
	}
	check(ret == 0 && watch_register(&watch) == 0, "strict mode starts");
	check(any_is_notified(&text), "and is notified");
	check_proved_calls(&text, true);
	check_false_calls(&text);
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
}

/* A thread that asks for a stack of the library's own ends here. */
static void forbid_own_stack(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_sigaltstack, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), filter };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "filters");
}

/* Memory is mostly there, where the program has sites. */
static void between_texts(void)
{
	char *at;

	check(watch_register(&watch) == 0, "registers");
	at = arm();
	forbid_own_stack();
	check(at > (char *)program_code.last && at < (char *)dlsym(RTLD_DEFAULT, "malloc") &&
		      munmap(at, 4 * PAGE_BYTES) == 0 && is_notified(at),
	      "an unmap between two texts asks the kernel for nothing else");
}

/* The text of a library on other pages, as programs have it that want huge ones there. */
static void put_elsewhere_and_back(char *text, size_t size)
{
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memcpy(copy, text, size);
	munmap(text, size);
	mmap(text, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memcpy(text, copy, size);
	mprotect(text, size, PROT_READ | PROT_EXEC);
	munmap(copy, size);
}

static void forbid_to_read(char *text, size_t size)
{
	mprotect(text, size, PROT_EXEC);
}

/* What was made for it must stay, whatever comes after it. */
static void play_strange_text(void (*change)(char *text, size_t size))
{
	void *handle = dlopen(TEST_OBJECT, RTLD_NOW | RTLD_LOCAL), *other = NULL;
	const struct object_code *code = handle ? dlsym(handle, "loaded_code") : NULL;
	char *at, *text;

	if (!check(watch_register(&watch) == 0 && code, "registers and loads"))
		return;
	text = (char *)((unsigned long)code->first & ~(PAGE_BYTES - 1));
	change(text, (size_t)((char *)code->last - text + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1));
	for (int i = 0; i < 4; i++) {
		other = dlmopen(LM_ID_NEWLM, TEST_OBJECT_NORELRO, RTLD_NOW);
		if (i < 3)
			dlclose(other);
	}
	at = arm();
	check(code->munmap(at, 4 * PAGE_BYTES) == 0 && is_notified(at),
	      "its munmap works as before when others have come and gone");
	dlclose(other);
	watch_unregister(&watch);
	mmun_self_stop();
	at = arm();
	check(code->munmap(at, 4 * PAGE_BYTES) == 0 && !is_notified(at), "and after the stop");
}

static void text_on_other_pages(void)
{
	play_strange_text(put_elsewhere_and_back);
}

static void text_not_readable(void)
{
	play_strange_text(forbid_to_read);
}

#define STACK_BYTES (16 * PAGE_BYTES)

/* The end of a thread that is nobody's: its stack, which begins at the argument, and then
 * itself, with instructions that need no stack. */
int leave_without_stack(void *stack);
__asm__(".text\n"
	".type leave_without_stack, @function\n"
	"leave_without_stack:\n"
	"	mov $61441, %esi\n"
	"	jmp unmap_and_leave\n"
	"	.size leave_without_stack, . - leave_without_stack\n"
	"	.balign 16\n"
	"	.type unmap_and_leave, @function\n"
	"unmap_and_leave:\n"
	"	mov $11, %eax\n"
	"	syscall\n"
	"	xor %edi, %edi\n"
	"	mov $60, %eax\n"
	"	syscall\n"
	"	.size unmap_and_leave, . - unmap_and_leave\n");
/* The kernel rounds the size up. */
_Static_assert(STACK_BYTES - PAGE_BYTES + 1 == 61441 && SYS_munmap == 11 && SYS_exit == 60,
	       "as it says");

static void run_without_stack(const char *mode)
{
	char *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct watch_area area = { (unsigned long)stack, PAGE_BYTES, STACK_BYTES / PAGE_BYTES, 0 };
	int alive = 1, flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			       CLONE_SYSVSEM | CLONE_CHILD_CLEARTID;

	watch_arm(&watch, &area);
	clone(leave_without_stack, stack + STACK_BYTES, flags, stack, NULL, NULL, &alive);
	while (__atomic_load_n(&alive, __ATOMIC_SEQ_CST))
		syscall(SYS_futex, &alive, FUTEX_WAIT, 1, NULL, NULL, 0);
	watch_disarm(&watch);
	check(watch_find(&watch, (unsigned long)stack, (unsigned long)stack + STACK_BYTES) >= 0,
	      "%s: is notified", mode);
	check(msync(stack, PAGE_BYTES, MS_ASYNC) == -1, "%s: its stack is gone", mode);
}

static void without_stack(void)
{
	check(watch_register(&watch) == 0, "registers");
	run_without_stack("redirected");
	if (mmun_self_start_strict() == 0)
		run_without_stack("strict");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "nothing is left open: stops");
}

static struct listed {
	int redirected, left, harmless, unknown_number;
} listed;

static int count_site(const struct mmun_site_info *info, void *arg)
{
	struct listed *list = arg;

	if (!info->function || strncmp(info->function, "own_", 4))
		return 0;
	list->redirected += info->redirected;
	list->harmless += info->harmless;
	list->left += !info->redirected && !info->harmless && info->why;
	list->unknown_number += !strcmp(info->function, "own_any") && info->nr < 0 &&
				!info->redirected && info->why;
	return 0;
}

static int count_own_site(const char *object, const struct mmun_site_info *info, void *arg)
{
	return strstr(object, "contract-objects") ? count_site(info, arg) : 0;
}

static int stop_at_first(const char *object, const struct mmun_site_info *info, void *arg)
{
	return 7;
}

/* Of this process: before the start what would be redirected, then what is. */
static void listed_of_process(void)
{
	for (int started = 0; started < 2; started++) {
		listed = (struct listed){ 0 };
		check(mmun_self_sites(count_own_site, &listed) == 0, "the process is read");
		check(listed.redirected == 5, "five instructions %s redirected (%d)",
		      started ? "are" : "would be", listed.redirected);
		check(listed.unknown_number == 1 && listed.left == 2,
		      "the one with its number in a register is listed as left");
		check(mmun_self_start() == 0, "starts");
	}
	check(mmun_self_sites(stop_at_first, NULL) == 7, "a caller that has seen enough ends it");
	check(mmun_self_stop() == 0, "stops");
}

/* By the same code, of a file. */
static void listed_by_file(void)
{
	check(mmun_file_sites("/proc/self/exe", count_site, &listed) == 0, "the file is read");
	check(listed.redirected == 5, "five instructions would be redirected (%d)",
	      listed.redirected);
	check(listed.unknown_number == 1,
	      "the one with its number in a register is listed as left");
	/* That one, and data in a function. */
	check(listed.left == 2 && !listed.harmless, "and of the others data only (%d left)",
	      listed.left);
}

/* Where a window's jump would have to lead to. */
static void take_room(const struct object_code *code)
{
	unsigned long text = (unsigned long)code->first, step = 1 << 16;
	unsigned long at = (text - 0x15000000 - (1 << 20)) & -step;

	for (; at < text - 0x14000000 + (1 << 20); at += step)
		mmap((void *)at, step, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
}

static void without_room(void)
{
	static struct text text;

	note_text(&text, "program", &program_code);
	take_room(&program_code);
	check(watch_register(&watch) == 0, "registers without room for a window");
	check_proved_calls(&text, true);
	check_window(&text, false);
	listed = (struct listed){ 0 };
	check(mmun_self_sites(count_own_site, &listed) == 0 && listed.redirected == 4 &&
		      listed.left == 3,
	      "it is listed as left");
	watch_unregister(&watch);
	check(mmun_self_stop() == 0, "stops");
}

int main(void)
{
	if (SANITIZED)
		skip_all("a sanitizer loads libraries and maps memory on its own");
	scene("a file", listed_by_file);
	scene("a process", listed_of_process);
	scene("at the start", of_the_start);
	scene("loaded later", loaded_later);
	scene("loaded later without relro", loaded_later_without_relro);
	scene("loaded later with its text first", loaded_later_with_text_first);
	scene("without room", without_room);
	scene("loaded later with high addresses", loaded_later_from_high);
	scene("replaced while stopped", replaced_while_stopped);
	scene("strict", in_strict_mode);
	scene("between texts", between_texts);
	scene("text on other pages", text_on_other_pages);
	scene("text that cannot be read", text_not_readable);
	scene("a thread unmaps its stack", without_stack);
	return tap_done();
}
