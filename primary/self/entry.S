/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a redirected site into C and back, x86-64.
 *
 * A stub arrives here with r11 = its struct mmun_site and everything else as
 * the program had it at the system call.  The system call instruction changes
 * rax, rcx and r11 only, so those three are free and all others are restored;
 * vector registers are the business of the C side, which uses none itself.
 * The red zone of the program's frame is stepped over.
 *
 * The unwind tables say what the program would say: the frame below returns
 * behind the site in the C library.
 */
#include "site.h"

/* r11 points to the site, whose first word is where the program goes on: the
 * return address is saved at 0(r11). */
#if MMUN_SITE_RESUME != 0
#error "the unwind expression below says offset 0"
#endif
.macro CFI_RETURNS_BEHIND_SITE
	.cfi_escape 0x10, 16, 2, 0x7b, 0
.endm

#define CLONE_VM 0x100
#define CLONE_VFORK 0x4000
#define CLONE_SETTLS 0x80000
#define FRAME_TO_RBP 64		/* offsetof(struct mmun_regs, rbp) */

/* With the mark that says it is ours, see base/raw_syscall.h. */
.macro OWN_SYSCALL
	syscall
	.byte 0x0f, 0x1f, 0x80, 0x6d, 0x6d, 0x75, 0x6e
.endm

	.text
	.hidden mmun_self_armed
	.hidden mmun_self_classes
	.hidden mmun_self_before
	.hidden mmun_self_before_walk
	.hidden mmun_self_after
	.hidden mmun_self_plain_before
	.hidden mmun_self_plain_refused
	.hidden mmun_self_plain_after
	.hidden mmun_self_fork_before
	.hidden mmun_self_fork_after
	.hidden mmun_self_fork_child
	.hidden mmun_self_exit
	.hidden mmun_strict_on
	.hidden mmun_strict_notified
	.hidden mmun_strict_forked

/* Run unnoticed unless this process (not a fork of it) has armed the hooks. */
.macro RAW_UNLESS_ARMED
	movq	mmun_self_armed(%rip), %rcx
	cmpl	$0, (%rcx)
	je	.Lraw\@
	.pushsection .text.unlikely,"ax",@progbits
.Lraw\@:
	jmp	*MMUN_SITE_RAW(%r11)
	.popsection
.endm

.macro SAVE
	leaq	-128(%rsp), %rsp
	.cfi_adjust_cfa_offset 128
	pushq	MMUN_SITE_RESUME(%r11)
	.cfi_adjust_cfa_offset 8
	.cfi_offset rip, -136
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset rbp, -144
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	pushq	%r11
	pushq	%r9
	pushq	%r8
	pushq	%r10
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rax
	movq	%rsp, %rdi
	andq	$-16, %rsp
.endm

/* All but rax; leaves r11 = site and the stack as the program had it. */
.macro RESTORE
	leaq	-FRAME_TO_RBP+8(%rbp), %rsp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%r10
	popq	%r8
	popq	%r9
	popq	%r11
	popq	%rbp
	.cfi_def_cfa rsp, 136
	.cfi_same_value rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	CFI_RETURNS_BEHIND_SITE
	leaq	128(%rsp), %rsp
	.cfi_def_cfa rsp, 0
.endm

/* In strict mode the call is made where it does not trap, which comes back behind it. */
.macro KERNEL_CALL name
	cmpb	$0, mmun_strict_on(%rip)
	jne	.Lstrict\@
	OWN_SYSCALL
	.globl	mmun_strict_\name\()_return
	.hidden	mmun_strict_\name\()_return
mmun_strict_\name\()_return:
	.pushsection .text.unlikely,"ax",@progbits
.Lstrict\@:
	jmp	*mmun_strict_\name(%rip)
	.popsection
.endm

.macro ENTRY name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	.cfi_def_cfa rsp, 0
	CFI_RETURNS_BEHIND_SITE
.endm

/* What the program had at the site, from the frame; r11 and rcx are lost. */
.macro LOAD_CALL
	movq	-FRAME_TO_RBP(%rbp), %rax
	movq	-FRAME_TO_RBP+8(%rbp), %rdi
	movq	-FRAME_TO_RBP+16(%rbp), %rsi
	movq	-FRAME_TO_RBP+24(%rbp), %rdx
	movq	-FRAME_TO_RBP+32(%rbp), %r10
	movq	-FRAME_TO_RBP+40(%rbp), %r8
	movq	-FRAME_TO_RBP+48(%rbp), %r9
.endm

/* In the frame, as the code behind a RESTORE does not know. */
.macro CFI_FRAME
	.cfi_def_cfa rbp, 144
	.cfi_offset rip, -136
	.cfi_offset rbp, -144
.endm

.macro END name
	.cfi_endproc
	.size	\name, . - \name
.endm

/*
 * The program's own call, unnoticed.  Here and not in the stub for calls that
 * block and are cancellation points: somebody will unwind through them.
 */
ENTRY mmun_self_raw
	leaq	-128(%rsp), %rsp
	.cfi_adjust_cfa_offset 128
	pushq	MMUN_SITE_RESUME(%r11)
	.cfi_adjust_cfa_offset 8
	.cfi_offset rip, -136
	movl	MMUN_SITE_NR(%r11), %eax
	OWN_SYSCALL
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	leaq	128(%rsp), %rsp
	.cfi_adjust_cfa_offset -128
	jmp	*%rcx
END mmun_self_raw

/* An ordinary call, made here between two calls into C. */
ENTRY mmun_self_entry
	RAW_UNLESS_ARMED
.Lordinary:
.Lcancellable:
	SAVE
	subq	$MMUN_SECTION_SIZE, %rsp
.Lsaved:
	movq	%rsp, %rsi
	call	mmun_self_before
	cmpl	$MMUN_NOTIFIED, %eax
	jne	.Lnot_notified
.Lcall:
	LOAD_CALL
	KERNEL_CALL notified
	movq	%rax, -FRAME_TO_RBP(%rbp)
	leaq	-FRAME_TO_RBP(%rbp), %rdi
	movq	%rsp, %rsi
	call	mmun_self_after
.Lanswer:
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*%rcx
.Lnot_notified:
	CFI_FRAME
	cmpl	$MMUN_WALKS, %eax
	jne	.Lnot_walking
	subq	$(MMUN_WALK_SECTION_SIZE - MMUN_SECTION_SIZE), %rsp
	leaq	-FRAME_TO_RBP(%rbp), %rdi
	movq	%rsp, %rsi
	call	mmun_self_before_walk
	cmpl	$MMUN_NOTIFIED, %eax
	je	.Lcall
.Lnot_walking:
	cmpl	$MMUN_REFUSED, %eax
	je	.Lanswer
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*MMUN_SITE_RAW(%r11)
END mmun_self_entry

/* Where the last indirect jump was not in the same line of code as the last target of a branch
 * all this took 6 ns more, measured at four places: docs/PERFORMANCE.md. */
	.p2align 6
/* The same for a call of plain.c.  Strict mode has one place for both. */
ENTRY mmun_self_plain_entry
	cmpb	$0, mmun_strict_on(%rip)
	jne	mmun_self_entry
	RAW_UNLESS_ARMED
	SAVE
	subq	$MMUN_SECTION_SIZE, %rsp
	movq	%rsp, %rsi
	call	mmun_self_plain_before
	testl	%eax, %eax
	jnz	.Lnot_called
.Lcall_plain:
	LOAD_CALL
	OWN_SYSCALL
	movq	%rax, -FRAME_TO_RBP(%rbp)
	leaq	-FRAME_TO_RBP(%rbp), %rdi
	movq	%rsp, %rsi
	call	mmun_self_plain_after
.Lplain_answer:
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*%rcx
.Lnot_called:
	CFI_FRAME
	leaq	-FRAME_TO_RBP(%rbp), %rdi
	cmpl	$MMUN_NOT_PLAIN, %eax
	je	.Lsaved
	movq	%rsp, %rsi
	call	mmun_self_plain_refused
	cmpl	$MMUN_NOTIFIED, %eax
	je	.Lcall_plain
	jmp	.Lplain_answer
END mmun_self_plain_entry

/* mmap(): most calls replace nothing and need no look from C. */
#define MAP_FIXED 0x10
ENTRY mmun_self_mmap_entry
	testl	$MAP_FIXED, %r10d
	jnz	mmun_self_entry
	jmp	*MMUN_SITE_RAW(%r11)
END mmun_self_mmap_entry

/*
 * A call that may return in a child, perhaps on another stack.  Threads and vfork
 * share the memory and change nothing: unnoticed.  A child that does not share it has
 * a copy of this frame, wherever its own stack is: C runs there on the copy, and then
 * the child goes on with its own stack pointer.
 */
ENTRY mmun_self_clone_entry
	testl	$CLONE_VM, %edi
	jz	.Lforks
	testl	$(CLONE_VFORK | CLONE_SETTLS), %edi
	jz	.Lshares_tls
	jmp	*MMUN_SITE_RAW(%r11)
	/* Two that run at once with one thread-local storage. */
.Lshares_tls:
	RAW_UNLESS_ARMED
	SAVE
	call	mmun_thread_shares_tls
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*MMUN_SITE_RAW(%r11)
.Lforks:
	RAW_UNLESS_ARMED
	SAVE
	subq	$MMUN_FORK_SECTION_SIZE, %rsp
	movq	%rsp, %rsi
	call	mmun_self_fork_before
	cmpq	$0, %rax
	jne	.Lnot_forking
	LOAD_CALL
	KERNEL_CALL forked
	testq	%rax, %rax
	jz	.Lchild
	movq	%rax, -FRAME_TO_RBP(%rbp)
	leaq	-FRAME_TO_RBP(%rbp), %rdi
	movq	%rsp, %rsi
	call	mmun_self_fork_after
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*%rcx
.Lchild:
	CFI_FRAME
	movq	%rsp, %rcx
	leaq	-FRAME_TO_RBP(%rbp), %rsp
	andq	$-16, %rsp
	subq	$MMUN_FORK_SECTION_SIZE, %rsp
	/* Of both: 0 where the child goes on with the stack that it has. */
	subq	%rsp, %rcx
	jz	.Lsame_stack
	addq	%rsp, %rcx
.Lsame_stack:
	/* Not wiped: the memory is shared against all that its flags had said. */
	movq	mmun_self_armed(%rip), %rdx
	cmpl	$0, (%rdx)
	jne	.Lchild_done
	movq	%rsp, %rdi
	pushq	%rcx
	pushq	%rcx
	call	mmun_self_fork_child
	popq	%rcx
	popq	%rcx
.Lchild_done:
	movq	%rcx, %rax
	RESTORE
	testq	%rax, %rax
	jz	.Lchild_returns
	movq	%rax, %rsp
	xorl	%eax, %eax
.Lchild_returns:
	jmp	*%rcx
.Lnot_forking:
	CFI_FRAME
	js	.Lrefused
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*MMUN_SITE_RAW(%r11)
.Lrefused:
	CFI_FRAME
	RESTORE
	jmp	*%rcx
END mmun_self_clone_entry

/*
 * rax = number, as in libc's syscall(); most are none of our business.  Made here
 * and not in the stub, where nobody could unwind from a call that blocks, but for
 * those that return twice: vfork() may leave nothing on the stack.  Strict mode has
 * its own place for them.
 */
#define SYS_VFORK 58
ENTRY mmun_self_syscall_entry
	cmpq	$512, %rax
	jae	.Lunwatched
	leaq	mmun_self_classes(%rip), %rcx
	movzbl	(%rcx,%rax), %ecx
	testl	%ecx, %ecx
	jz	.Lunwatched
	cmpl	$2, %ecx
	jb	.Lwatched
	je	mmun_self_clone_entry
	jmp	.Lforks
.Lwatched:
	RAW_UNLESS_ARMED
	jmp	.Lordinary
.Lunwatched:
	cmpq	$SYS_VFORK, %rax
	je	.Lin_stub
	cmpb	$0, mmun_strict_on(%rip)
	jne	.Lin_stub
	leaq	-128(%rsp), %rsp
	.cfi_adjust_cfa_offset 128
	pushq	MMUN_SITE_RESUME(%r11)
	.cfi_adjust_cfa_offset 8
	.cfi_offset rip, -136
	OWN_SYSCALL
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	leaq	128(%rsp), %rsp
	.cfi_adjust_cfa_offset -128
	jmp	*%rcx
.Lin_stub:
	.cfi_def_cfa rsp, 0
	CFI_RETURNS_BEHIND_SITE
	jmp	*MMUN_SITE_RAW(%r11)
END mmun_self_syscall_entry

/*
 * Instead of __syscall_cancel_arch(flag, number, six arguments): glibc sends all
 * cancellation points there since 2.41.  A number that is not ours goes to the
 * function with everything as it was: between its look at the flag and its system
 * call instruction a signal handler decides by the program counter, so nothing of
 * us may lie between.  So does ours where a cancellation is pending, or nobody
 * listens.  Otherwise what the function does until its instruction is done here,
 * and the call returns behind that instruction.
 */
#define CANCELED 8
ENTRY mmun_self_cancel_entry
	.cfi_def_cfa rsp, 8
	.cfi_offset rip, -8
	cmpq	$512, %rsi
	jae	.Lfunction
	leaq	mmun_self_classes(%rip), %rax
	cmpb	$1, (%rax,%rsi)
	jne	.Lfunction
	movq	mmun_self_armed(%rip), %rax
	cmpl	$0, (%rax)
	je	.Lfunction
	testb	$CANCELED, (%rdi)
	jnz	.Lfunction
	movq	%rsi, %rax
	movq	8(%rsp), %r10
	movq	%rdi, 8(%rsp)
	movq	%rdx, %rdi
	movq	%rcx, %rsi
	movq	%r8, %rdx
	movq	%r10, %r8
	movq	%r9, %r10
	movq	16(%rsp), %r9
	jmp	.Lcancellable
.Lfunction:
	jmp	*MMUN_SITE_CALLED(%r11)
END mmun_self_cancel_entry

/* The same backwards: to the function with its own arguments. */
ENTRY mmun_self_cancel_raw
	movq	8(%rsp), %rcx
	movq	%r8, 8(%rsp)
	movq	%rdx, %r8
	movq	%r10, %r9
	movq	%rdi, %rdx
	movq	%rcx, %rdi
	movq	%rsi, %rcx
	movq	%rax, %rsi
	jmp	*MMUN_SITE_CALLED(%r11)
END mmun_self_cancel_raw

/*
 * long mmun_self_vectors_saved(long (*fn)(void *), void *arg, void *area)
 *
 * Calls fn(arg) with the x87, SSE, AVX and AVX-512 state kept in @area (aligned to
 * 64), or on the stack if that is NULL: for sites in the middle of a function, where
 * the compiler may hold values there.
 */
	.hidden mmun_self_xsave_size
	.hidden mmun_self_xsave_mask
ENTRY mmun_self_vectors_saved
	.cfi_def_cfa rsp, 8
	.cfi_offset rip, -8
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	pushq	%rbx
	pushq	%r12
	.cfi_offset rbx, -24
	.cfi_offset r12, -32
	movq	%rdi, %r12
	movq	%rdx, %rbx
	testq	%rbx, %rbx
	jnz	.Larea
	subq	mmun_self_xsave_size(%rip), %rsp
	andq	$-64, %rsp
	movq	%rsp, %rbx
.Larea:
	xorl	%eax, %eax
	/* The header must be zero for a later restore. */
	movq	%rax, 512(%rbx)
	movq	%rax, 520(%rbx)
	movq	%rax, 528(%rbx)
	movq	%rax, 536(%rbx)
	movq	%rax, 544(%rbx)
	movq	%rax, 552(%rbx)
	movq	%rax, 560(%rbx)
	movq	%rax, 568(%rbx)
	movl	mmun_self_xsave_mask(%rip), %eax
	xorl	%edx, %edx
	xsave	(%rbx)
	movq	%rsi, %rdi
	call	*%r12
	movq	%rax, %r12
	movl	mmun_self_xsave_mask(%rip), %eax
	xorl	%edx, %edx
	xrstor	(%rbx)
	movq	%r12, %rax
	leaq	-16(%rbp), %rsp
	popq	%r12
	popq	%rbx
	popq	%rbp
	.cfi_def_cfa rsp, 8
	ret
END mmun_self_vectors_saved

/*
 * long mmun_self_on_stack(long (*fn)(void *), void *arg, void *top)
 *
 * Calls fn(arg) on the stack that ends at @top (aligned to 16).
 */
ENTRY mmun_self_on_stack
	.cfi_def_cfa rsp, 8
	.cfi_offset rip, -8
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	movq	%rdi, %rax
	movq	%rsi, %rdi
	movq	%rdx, %rsp
	call	*%rax
	leave
	.cfi_def_cfa rsp, 8
	ret
END mmun_self_on_stack

	.section .note.GNU-stack,"",@progbits
