/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * System calls that an object makes itself, in the shapes that compilers and people
 * write; and bytes that only look like one.  See object_code.h.
 */
#include <sys/syscall.h>

#include "object_code.h"

	.macro begin name
	.balign 16
	.type \name, @function
\name:	.cfi_startproc
	.endm
	.macro end name
	.cfi_endproc
	.size \name, . - \name
	.endm

	.text
	.globl OBJECT_FIRST
	.hidden OBJECT_FIRST
OBJECT_FIRST:

/* The same at other places. */
#ifdef OBJECT_SHIFT
	.skip OBJECT_SHIFT, 0xcc
#endif

/* The number right in front. */
	begin own_munmap
	mov $SYS_munmap, %eax
	syscall
	ret
	end own_munmap

/* Instructions between. */
	begin own_mremap
	mov $SYS_mremap, %eax
	mov %rcx, %r10
	syscall
	ret
	end own_mremap

/* Through another register; padding follows. */
	begin own_madvise
	push %rbx
	.cfi_adjust_cfa_offset 8
	mov $SYS_madvise, %ebx
	test %rdi, %rdi
	mov %ebx, %eax
	syscall
	pop %rbx
	.cfi_adjust_cfa_offset -8
	ret
	end own_madvise

/* One number on two ways. */
	begin own_mprotect
	test %edx, %edx
	je 1f
	mov $SYS_mprotect, %eax
	jmp 2f
1:	mov $SYS_mprotect, %eax
2:	syscall
	ret
	end own_mprotect

/* Whatever the caller says. */
	begin own_any
	mov %rcx, %rax
	syscall
	ret
	end own_any

/* Nothing near it can be used but instructions of four bytes and less. */
	begin filler_before
	.fill 160, 1, 0xc3
	end filler_before
	.type own_window, @function
own_window:
	.cfi_startproc
	mov $SYS_munmap, %r8d
	mov %rdi, %rdx
	test %rdi, %rdi
	jne own_window_start
	xor %edx, %edx
own_window_start:
	mov 8(%rdx), %rdi
own_window_second:
	mov 16(%rdx), %rsi
own_window_third:
	mov %r8d, %eax
own_window_fourth:
	syscall
	ret
	end own_window
	begin filler_behind
	.fill 160, 1, 0xc3
	end filler_behind

/* As a thread that stands there: everything in front of it has run. */
	begin own_window_at
	mov %rdi, %rdx
	mov %rsi, %r9
	mov $SYS_munmap, %r8d
	mov 8(%rdx), %rdi
	mov 16(%rdx), %rsi
	mov %r8d, %eax
	jmp *%r9
	end own_window_at

/* In an immediate and in a displacement. */
	begin own_immediate
	mov $0x050f000b, %eax
	mov $0x0000050f, %ecx
	cmpl $0x12345678, 0x050f(%rsp)
	add %ecx, %eax
	ret
	end own_immediate

/* In front of the true instruction, the bytes of a whole call in one of its own. */
	begin own_hidden
	movabs $0x050f0000000bb8, %rax
	ret
	end own_hidden

/* Data between instructions of a function: never executed. */
	begin own_data
	lea 1f(%rip), %rax
	jmp 2f
1:	mov $SYS_munmap, %eax
	syscall
	ret
2:	movzbl 6(%rax), %eax
	ret
	end own_data

/* Data of no function. */
	.balign 16
own_table:
	mov $SYS_munmap, %eax
	syscall
	ret
	.balign 16
	.globl OBJECT_LAST
	.hidden OBJECT_LAST
OBJECT_LAST:

	.section .data.rel.ro, "aw"
	.balign 8
	.globl OBJECT_NAME
	.type OBJECT_NAME, @object
OBJECT_NAME:
	.quad OBJECT_FIRST, OBJECT_LAST
	.quad own_munmap, own_mremap, own_madvise, own_mprotect, own_any
	.quad own_immediate, own_hidden, own_data, own_table
	.quad own_window, own_window_at
	.quad own_window_start, own_window_second, own_window_third, own_window_fourth
	.size OBJECT_NAME, . - OBJECT_NAME

	.section .note.GNU-stack, "", @progbits
