/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Strict mode's part of the way from a trapped system call, or from one of the C
 * library's sites that only strict mode has, into C and back.  The conventions and the
 * frame are those of entry.S: r11 = the site; rax, rcx and r11 are free.
 */
#include "strict.h"

#define FRAME_TO_RBP 64		/* offsetof(struct mmun_regs, rbp) */

.macro ENTRY name
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	.cfi_def_cfa rsp, 0
	.cfi_escape 0x10, 16, 2, 0x7b, 0
.endm

.macro END name
	.cfi_endproc
	.size	\name, . - \name
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
	.cfi_escape 0x10, 16, 2, 0x7b, 0
	leaq	128(%rsp), %rsp
	.cfi_def_cfa rsp, 0
.endm

	.text
	.hidden mmun_self_armed
	.hidden mmun_strict_call
	.hidden mmun_strict_wait
	.hidden mmun_strict_classes
	.hidden mmun_strict_pid
	.hidden mmun_strict_prctl

/* rax = number, r11 = slot: no section is opened, make the call. */
ENTRY mmun_strict_last_entry
	cmpq	$512, %rax
	jae	.Lplain
	leaq	mmun_strict_classes(%rip), %rcx
	movzbl	(%rcx,%rax), %ecx
	testl	%ecx, %ecx
	jnz	.Lspecial
.Lplain:
	jmp	*MMUN_SLOT_LAST(%r11)
.Lspecial:
	cmpl	$MMUN_STRICT_THREAD, %ecx
	jne	mmun_strict_call_entry
	jmp	*MMUN_SLOT_THREAD(%r11)
END mmun_strict_last_entry

/* C makes the call. */
ENTRY mmun_strict_call_entry
	SAVE
	call	mmun_strict_call
	movq	-FRAME_TO_RBP(%rbp), %rax
	RESTORE
	jmp	*%rcx
END mmun_strict_call_entry

/* C changes an argument; then the C library's own instruction makes the call. */
ENTRY mmun_strict_wait_entry
	SAVE
	call	mmun_strict_wait
	RESTORE
	jmp	*MMUN_SITE_RAW(%r11)
END mmun_strict_wait_entry

/*
 * Instead of the function of all cancellation points (glibc 2.41), whose arguments are
 * a flag, the number, and six: where the call waits with a mask, C changes that argument.
 */
	.hidden mmun_strict_cancel
	.hidden mmun_strict_cancel_function
ENTRY mmun_strict_cancel_entry
	.cfi_def_cfa rsp, 8
	.cfi_offset rip, -8
	cmpq	$512, %rsi
	jae	.Lfunction
	leaq	mmun_strict_classes(%rip), %rax
	cmpb	$MMUN_STRICT_SIGNALS, (%rax,%rsi)
	jne	.Lfunction
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_offset rbp, -16
	movq	%rsp, %rbp
	.cfi_def_cfa_register rbp
	pushq	%rdi
	pushq	%rsi
	pushq	24(%rbp)
	pushq	16(%rbp)
	pushq	%r9
	pushq	%r8
	pushq	%rcx
	pushq	%rdx
	movl	%esi, %edi
	movq	%rsp, %rsi
	call	mmun_strict_cancel
	popq	%rdx
	popq	%rcx
	popq	%r8
	popq	%r9
	popq	16(%rbp)
	popq	24(%rbp)
	popq	%rsi
	popq	%rdi
	popq	%rbp
	.cfi_def_cfa rsp, 8
	.cfi_same_value rbp
.Lfunction:
	jmp	*mmun_strict_cancel_function(%rip)
END mmun_strict_cancel_entry

/*
 * A child has returned from clone(), rax = 0, r11 = slot: a thread of this process is
 * armed before its first instruction.  Not one that forked, whose armed word has been
 * wiped, nor one that borrows the memory until it calls execve().
 */
#define SYS_getpid 39
#define SYS_prctl 157
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON 1
ENTRY mmun_strict_child
	movq	mmun_self_armed(%rip), %rcx
	cmpl	$0, (%rcx)
	je	.Lunarmed
	SAVE
	movl	$SYS_getpid, %eax
	syscall
	cmpq	mmun_strict_pid(%rip), %rax
	jne	.Lother_process
	movl	$PR_SET_SYSCALL_USER_DISPATCH, %edi
	movl	$PR_SYS_DISPATCH_ON, %esi
	movq	mmun_strict_prctl(%rip), %rdx
	movq	mmun_strict_prctl+8(%rip), %r10
	movq	mmun_strict_prctl+16(%rip), %r8
	movl	$SYS_prctl, %eax
	syscall
.Lother_process:
	xorl	%eax, %eax
	RESTORE
.Lunarmed:
	jmp	*MMUN_SITE_RESUME(%r11)
END mmun_strict_child

/* Where a trapped call goes on when its address has no slot: the handler has
 * pushed it below the red zone. */
	.globl	mmun_strict_spare_resume
	.hidden	mmun_strict_spare_resume
	.type	mmun_strict_spare_resume, @function
	.cfi_startproc
	.cfi_def_cfa rsp, 136
	.cfi_offset rip, -136
	/* An unwinder looks up the address before the one it returns to. */
	nop
mmun_strict_spare_resume:
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	leaq	128(%rsp), %rsp
	.cfi_def_cfa rsp, 0
	jmp	*%rcx
	.cfi_endproc
	.size	mmun_strict_spare_resume, . - mmun_strict_spare_resume

	.section .note.GNU-stack,"",@progbits
