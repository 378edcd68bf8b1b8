/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Keeps libgcc's unwinder from reading where nothing is.
 *
 * For code without an unwind table it looks at the instructions themselves,
 * which may be signal trampolines.  A return address out of a hand-made stack
 * (coroutines, other languages' run-times) may be no address at all, and the
 * traced program must not die of a trace.  The linker hands its look-ups to us
 * (--wrap); such an address gets the table of a function that nobody called.
 */
#include <stdint.h>
#include <sys/uio.h>

#include <raw_syscall.h>

/* struct dwarf_eh_bases of libgcc. */
struct bases {
	void *tbase, *dbase, *func;
};

const void *__real__Unwind_Find_FDE(void *pc, struct bases *bases);
const void *__wrap__Unwind_Find_FDE(void *pc, struct bases *bases);
extern const char mmun_trace_outermost[] __attribute__((visibility("hidden")));

__asm__(".pushsection .text\n"
	"mmun_trace_outermost:\n"
	"	.cfi_startproc\n"
	"	.cfi_undefined rip\n"
	"	nop\n"
	"	nop\n"
	"	.cfi_endproc\n"
	".popsection\n");

static int is_readable(const void *address)
{
	char bytes[16];
	struct iovec to = { bytes, sizeof(bytes) }, from = { (void *)address, sizeof(bytes) };
	long pid = mmun_syscall3(SYS_getpid, 0, 0, 0);

	return mmun_syscall6(SYS_process_vm_readv, (unsigned long)pid, (unsigned long)&to, 1,
			     (unsigned long)&from, 1, 0) == sizeof(bytes);
}

const void *__wrap__Unwind_Find_FDE(void *pc, struct bases *bases)
{
	const void *table = __real__Unwind_Find_FDE(pc, bases);

	if (table || is_readable(pc))
		return table;
	table = __real__Unwind_Find_FDE((void *)(mmun_trace_outermost + 1), bases);
	/* So that the whole table applies, wherever the address lies. */
	bases->func = NULL;
	return table;
}
