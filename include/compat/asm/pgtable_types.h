/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Entries of page tables, and what of the library's own headers depends on them and on the kernel
 * that is meant: before the first of those. */
#ifndef MMUN_COMPAT_ASM_PGTABLE_TYPES_H
#define MMUN_COMPAT_ASM_PGTABLE_TYPES_H

#include <stdbool.h>

#include <linux/version.h>

struct mm_struct;

typedef struct {
	unsigned long pte;
} pte_t;

/* The value comes first in each: of a huge page's, a pte_t can be read. */
typedef struct {
	unsigned long pmd;
	struct mm_struct *mm;
} pmd_t;

typedef struct {
	struct mm_struct *mm;
} pud_t;

typedef struct {
	struct mm_struct *mm;
} p4d_t;

typedef struct {
	struct mm_struct *mm;
} pgd_t;

#define MMUN_PTE pte_t
/* What callbacks for young bits return. */
#if MMUN_COMPAT_LINUX >= 0x0700
typedef bool mmun_young_t;
#define MMUN_YOUNG_INT(name)  name##_int
#define MMUN_YOUNG_BOOL(name) name
#else
typedef int mmun_young_t;
#endif

#endif
