/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Shadow page tables: guest frame -> translation, three levels.
 *
 * I1  A present entry holds no reference of its page: the notifier drops it
 *     before the page goes.
 * I2  An entry that the guest wrote through says so to its page when it is
 *     dropped, inside the section, while the page is still mapped.
 * I3  Under the lock nothing is allocated: tables come from the vcpu's spare.
 *     Tables live as long as the guest.
 *
 * Not here: when entries are made (fault.c) and dropped (invalidate.c, slots.c).
 * Tests: tests/contract/secondary/kvm.c.
 */
#include "vm.h"

#include <errno.h>
#include <string.h>

#include "alloc.h"

int mmun_kvm_spare_fill(struct kvm_spare *spare)
{
	if (!spare->middle)
		spare->middle = mmun_alloc(sizeof(*spare->middle));
	if (!spare->leaf)
		spare->leaf = mmun_alloc(sizeof(*spare->leaf));
	return spare->middle && spare->leaf ? 0 : -ENOMEM;
}

void mmun_kvm_spare_free(struct kvm_spare *spare)
{
	mmun_free(spare->middle);
	mmun_free(spare->leaf);
}

static struct kvm_middle **middle_link(struct mmun_kvm *kvm, unsigned long gfn)
{
	return &kvm->root[gfn >> 2 * KVM_TABLE_BITS];
}

static struct kvm_leaf **leaf_link(struct kvm_middle *middle, unsigned long gfn)
{
	return &middle->leaf[gfn >> KVM_TABLE_BITS & KVM_TABLE_MASK];
}

struct kvm_leaf *mmun_kvm_leaf(struct mmun_kvm *kvm, unsigned long gfn)
{
	struct kvm_middle *middle = *middle_link(kvm, gfn);

	return middle ? *leaf_link(middle, gfn) : NULL;
}

struct kvm_spte *mmun_kvm_spte(struct mmun_kvm *kvm, unsigned long gfn)
{
	struct kvm_leaf *leaf = mmun_kvm_leaf(kvm, gfn);
	struct kvm_spte *spte = leaf ? &leaf->spte[gfn & KVM_TABLE_MASK] : NULL;

	return spte && spte->present ? spte : NULL;
}

struct kvm_spte *mmun_kvm_spte_make(struct mmun_kvm *kvm, unsigned long gfn,
				    struct kvm_spare *spare)
{
	struct kvm_middle **middle = middle_link(kvm, gfn);
	struct kvm_leaf **leaf;

	if (!*middle) {
		*middle = spare->middle;
		spare->middle = NULL;
	}
	leaf = leaf_link(*middle, gfn);
	if (!*leaf) {
		*leaf = spare->leaf;
		spare->leaf = NULL;
	}
	return &(*leaf)->spte[gfn & KVM_TABLE_MASK];
}

void mmun_kvm_spte_zap(struct mmun_kvm *kvm, struct kvm_spte *spte)
{
	if (spte->dirty)
		mmun_soft_set_page_dirty(spte->t.page);
	memset(spte, 0, sizeof(*spte));
	kvm_count(kvm, zapped);
}

void mmun_kvm_for_each_spte(struct mmun_kvm *kvm, unsigned long first, unsigned long last,
			    void (*visit)(struct mmun_kvm *kvm, unsigned long gfn,
					  struct kvm_spte *spte, void *arg),
			    void *arg)
{
	unsigned long gfn = first;
	struct kvm_leaf *leaf;
	struct kvm_spte *spte;

	while (gfn < last) {
		leaf = mmun_kvm_leaf(kvm, gfn);
		if (!leaf) {
			gfn = (gfn | KVM_TABLE_MASK) + 1;
			continue;
		}
		spte = &leaf->spte[gfn & KVM_TABLE_MASK];
		if (spte->present)
			visit(kvm, gfn, spte, arg);
		gfn++;
	}
}

static void zap_entry(struct mmun_kvm *kvm, unsigned long gfn, struct kvm_spte *spte, void *arg)
{
	mmun_kvm_spte_zap(kvm, spte);
}

void mmun_kvm_zap_frames(struct mmun_kvm *kvm, unsigned long first, unsigned long last)
{
	mmun_kvm_for_each_spte(kvm, first, last, zap_entry, NULL);
}

static void middle_free(struct kvm_middle *middle)
{
	if (!middle)
		return;
	for (unsigned int i = 0; i < KVM_TABLE_ENTRIES; i++)
		mmun_free(middle->leaf[i]);
	mmun_free(middle);
}

void mmun_kvm_tables_free(struct mmun_kvm *kvm)
{
	for (unsigned int i = 0; i < KVM_TABLE_ENTRIES; i++)
		middle_free(kvm->root[i]);
}
