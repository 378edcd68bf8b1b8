/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * syscall(2) and dlsym(3) in front of the C library's: what is not of interest goes on there
 * by a jump, with the registers, the stack and the return address that the caller has made.
 */
	.text

#define NR_VMSPLICE	278
#define NR_MLOCK	149
#define NR_MUNLOCKALL	152
#define NR_MLOCK2	325
#define NR_URING_ENTER	426
#define NR_URING_REG	427

	.globl	syscall
	.type	syscall, @function
syscall:
	.cfi_startproc
syscall_again:
	lea	-NR_URING_ENTER(%rdi), %rax
	cmp	$1, %rax
	jbe	2f
	lea	-NR_MLOCK(%rdi), %rax
	cmp	$(NR_MUNLOCKALL - NR_MLOCK), %rax
	jbe	2f
	cmp	$NR_VMSPLICE, %rdi
	je	2f
	cmp	$NR_MLOCK2, %rdi
	je	2f
	mov	audit_real_syscall(%rip), %rax
	test	%rax, %rax
	jz	1f
	jmp	*%rax

	/* The first call ever, perhaps before our constructor. */
1:	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	push	%rcx
	.cfi_adjust_cfa_offset 8
	push	%r8
	.cfi_adjust_cfa_offset 8
	push	%r9
	.cfi_adjust_cfa_offset 8
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	audit_find_syscall
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%r9
	.cfi_adjust_cfa_offset -8
	pop	%r8
	.cfi_adjust_cfa_offset -8
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	jmp	syscall_again

	/* The seven arguments as an array, the last of them from the caller's stack. */
2:	cmpq	$0, audit_real_syscall(%rip)
	je	1b
	push	8(%rsp)
	.cfi_adjust_cfa_offset 8
	push	%r9
	.cfi_adjust_cfa_offset 8
	push	%r8
	.cfi_adjust_cfa_offset 8
	push	%rcx
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	push	%rdi
	.cfi_adjust_cfa_offset 8
	mov	%rsp, %rdi
	mov	56(%rsp), %rsi
	lea	64(%rsp), %rdx
	call	audit_syscall
	add	$56, %rsp
	.cfi_adjust_cfa_offset -56
	ret
	.cfi_endproc
	.size	syscall, . - syscall

	.globl	dlsym
	.type	dlsym, @function
dlsym:
	.cfi_startproc
	push	%rdi
	.cfi_adjust_cfa_offset 8
	push	%rsi
	.cfi_adjust_cfa_offset 8
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	audit_dlsym
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	pop	%rsi
	.cfi_adjust_cfa_offset -8
	pop	%rdi
	.cfi_adjust_cfa_offset -8
	test	%rax, %rax
	jnz	3f
	mov	audit_real_dlsym(%rip), %rax
	jmp	*%rax
3:	ret
	.cfi_endproc
	.size	dlsym, . - dlsym

	.bss
	.hidden	audit_real_syscall
	.globl	audit_real_syscall
	.balign	8
audit_real_syscall:
	.zero	8
	.section .note.GNU-stack, "", @progbits
