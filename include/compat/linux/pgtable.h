/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A driver's page protections are kept and mean nothing: rights are those of the VMA. */
#ifndef MMUN_COMPAT_LINUX_PGTABLE_H
#define MMUN_COMPAT_LINUX_PGTABLE_H

#include <linux/mm_types.h>

#define pgprot_val(prot) ((prot).pgprot)
#define __pgprot(value) ((pgprot_t){ (value) })
#define pgprot_noncached(prot) (prot)
#define pgprot_writecombine(prot) (prot)
#define pgprot_device(prot) (prot)
#define vm_get_page_prot(flags) ((void)(flags), __pgprot(0))

#endif
