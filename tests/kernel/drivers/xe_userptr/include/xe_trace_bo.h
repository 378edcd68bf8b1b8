/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define trace_xe_vma_userptr_invalidate(vma)          ((void)(vma))
#define trace_xe_vma_userptr_invalidate_complete(vma) ((void)(vma))
