/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* No page is of another device: the state of its mapping is empty. */
#ifndef MMUN_COMPAT_LINUX_PCI_P2PDMA_H
#define MMUN_COMPAT_LINUX_PCI_P2PDMA_H

struct pci_p2pdma_map_state {
	char mmun_unused;
};

#endif
