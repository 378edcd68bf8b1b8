/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One blade with two chiplets.  Their segments are mapped by the test. */
#ifndef MMUN_TEST_UV_HUB_H
#define MMUN_TEST_UV_HUB_H

#include <linux/mm.h>

#define uv_numa_blade_id()               0
#define uv_blade_processor_id()          0
#define uv_blade_nr_possible_cpus(blade) 1
#define for_each_possible_blade(blade)   for ((blade) = 0; (blade) < 1; (blade)++)
#define uv_soc_phys_ram_to_gpa(paddr)    (paddr)
#define cpu_physical_id(cpu)             (cpu)

int map_segment(struct vm_area_struct *vma, unsigned long address, unsigned long pfn);
#define remap_pfn_range(vma, address, pfn, size, prot) map_segment(vma, address, pfn)

#endif
