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

	/* Before our constructor: made as the C library makes it. */
1:	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	%rdx, %rsi
	mov	%rcx, %rdx
	mov	%r8, %r10
	mov	%r9, %r8
	mov	8(%rsp), %r9
	syscall
	cmp	$-4095, %rax
	jae	4f
	ret
4:	push	%rax
	.cfi_adjust_cfa_offset 8
	call	__errno_location@PLT
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	neg	%edx
	mov	%edx, (%rax)
	mov	$-1, %rax
	ret

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
