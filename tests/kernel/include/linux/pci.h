/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A device on a bus, as far as drivers ask where it is. */
#ifndef MMUN_TESTS_KERNEL_LINUX_PCI_H
#define MMUN_TESTS_KERNEL_LINUX_PCI_H

#include <linux/device.h>

struct pci_bus {
	int domain;
	unsigned char number;
};

struct pci_dev {
	struct pci_bus *bus;
	unsigned int devfn;
	struct device dev;
};

#define to_pci_dev(device) container_of(device, struct pci_dev, dev)
#define PCI_SLOT(devfn)    (((devfn) >> 3) & 0x1f)
#define PCI_FUNC(devfn)    ((devfn)&7)

static inline int pci_domain_nr(struct pci_bus *bus)
{
	return bus->domain;
}

#endif
