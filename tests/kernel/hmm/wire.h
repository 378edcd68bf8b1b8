/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a user's program and the process that is its kernel say to each other.
 *
 * Each thread of a program has a connection for its calls, and each program one more, on
 * which the kernel says to its mapper thread what to hide: the program's page tables are a
 * secondary MMU of its software address space.
 */
#ifndef MMUN_TESTS_KERNEL_WIRE_H
#define MMUN_TESTS_KERNEL_WIRE_H

/* Environment: an abstract socket, and a file whose offsets are physical addresses. */
#define WIRE_SOCKET "MMUN_KERNEL_SOCKET"
#define WIRE_MEMORY "MMUN_KERNEL_MEMORY"

/* The first request of a connection is one of the first three.  An answer is a long:
 * -errno, or what is said here after a colon, else 0. */
enum wire_call {
	WIRE_HELLO = 1, /* program, or 0 for a new one: program */
	WIRE_MAPPER,    /* program; the kernel sends orders on it from then on */
	WIRE_WAIT,      /* process: nothing is left of its program */
	WIRE_READY,     /* the mapper has hidden all that a copy of a program shows */
	WIRE_FAULT,     /* address, write: a struct wire_frames, which is answered by a long */
	WIRE_OPEN,      /* flags, name in ->text: handle */
	WIRE_CREATE,    /* a file without a name: handle */
	WIRE_CLOSE,     /* handle */
	WIRE_IOCTL,     /* handle, command, argument */
	WIRE_TRUNCATE,  /* handle, size */
	WIRE_PREAD,     /* handle, address, length, offset: bytes */
	WIRE_PWRITE,
	WIRE_MMAP,     /* address, length, protection, flags, handle or -1, offset: address */
	WIRE_MREMAP,   /* address, length, new length, flags, new address: address */
	WIRE_MUNMAP,   /* address, length; -ESRCH: nothing of the software address space */
	WIRE_MPROTECT, /* address, length, protection; the same */
	WIRE_MADVISE,  /* address, length, advice; the same */
	WIRE_PAGEMAP,  /* address: an entry of /proc/self/pagemap */
	WIRE_FORK,     /* : program */
	WIRE_NAME,     /* program, process */
};

struct wire_request {
	long call;
	unsigned long arg[6];
	char text[64];
};

/* What a faulting thread maps: one behind the other from @address on. */
#define WIRE_FRAMES   32
#define WIRE_WRITABLE 1ul

struct wire_frames {
	long signal; /* 0, or there are none */
	unsigned long address, count;
	unsigned long physical[WIRE_FRAMES]; /* address of a frame | WIRE_WRITABLE */
};

/* To a mapper, which answers by a long when nothing is mapped there any more. */
struct wire_hide {
	unsigned long address, length;
};

#endif
