/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#define drm_clflush_virt_range(address, length) ((void)(address), (void)(length))
#define drm_clflush_pages(pages, n)             ((void)(pages), (void)(n))
