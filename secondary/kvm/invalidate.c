/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the guest's memory does about changes of the program's.
 *
 * Linux's protocol is a count of sections in progress and a sequence number that
 * grows at each end.  A fault reads the number, looks the page up, and under the
 * lock begins again if a section is in progress or the number has grown.  Taken
 * literally, sections anywhere in the program make every fault begin again.  So
 * both halves keep ranges here: which sections are open, and which were the last
 * KVM_ENDED to end; only those that cover the address count.
 *
 * I1  At its start a section drops the shadow entries of its range and every
 *     cached page in it; none is made of that range before its end (fault.c).
 * I2  At its end, in one step under the lock, it stops being open and becomes
 *     the last that ended: a look-up that began before sees it as one or the other.
 * I3  Counts depend on nothing but the sections: not on slots, which may change
 *     between a start and its end, and not on what was dropped.
 * I4  ->release drops everything and stops the guest for good.
 *
 * Nothing here sleeps, so sections that must not block are served like others.
 * Tests: tests/contract/secondary/kvm.c, kvm_races.c.
 */
#include "vm.h"

static struct mmun_kvm *kvm_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct mmun_kvm, mn);
}

static bool covers(const struct kvm_span *span, unsigned long address)
{
	return span->start <= address && address < span->end;
}

static unsigned int open_over(const struct kvm_invalidate *invalidate, unsigned long address)
{
	/* Those whose ranges are not kept may cover everything. */
	unsigned int n = invalidate->in_progress - invalidate->nr_open;

	for (unsigned int i = 0; i < invalidate->nr_open; i++)
		n += covers(&invalidate->open[i], address);
	return n;
}

static bool ended_since(const struct kvm_invalidate *invalidate, unsigned long seq,
			unsigned long address)
{
	if (invalidate->seq - seq > KVM_ENDED)
		return true;
	for (; seq != invalidate->seq; seq++) {
		if (covers(&invalidate->ended[seq % KVM_ENDED], address))
			return true;
	}
	return false;
}

bool mmun_kvm_seq_retry(struct mmun_kvm *kvm, unsigned long seq, unsigned long address)
{
	const struct kvm_invalidate *invalidate = &kvm->invalidate;

	if (open_over(invalidate, address)) {
		kvm_count(kvm, fault_retry_open);
		return true;
	}
	if (ended_since(invalidate, seq, address)) {
		kvm_count(kvm, fault_retry_ended);
		return true;
	}
	if (invalidate->seq != seq)
		kvm_count(kvm, fault_elsewhere);
	return false;
}

static void note_start(struct mmun_kvm *kvm, const struct kvm_span *span)
{
	struct kvm_invalidate *invalidate = &kvm->invalidate;

	invalidate->in_progress++;
	kvm_count(kvm, starts);
	if (invalidate->nr_open < KVM_MAX_OPEN)
		invalidate->open[invalidate->nr_open++] = *span;
	else
		kvm_count(kvm, starts_uncounted);
}

static void note_end(struct mmun_kvm *kvm, const struct kvm_span *span)
{
	struct kvm_invalidate *invalidate = &kvm->invalidate;

	invalidate->ended[invalidate->seq++ % KVM_ENDED] = *span;
	invalidate->in_progress--;
	kvm_count(kvm, ends);
	for (unsigned int i = 0; i < invalidate->nr_open; i++) {
		if (invalidate->open[i].start != span->start ||
		    invalidate->open[i].end != span->end)
			continue;
		invalidate->open[i] = invalidate->open[--invalidate->nr_open];
		return;
	}
}

typedef void (*kvm_visit)(struct mmun_kvm *kvm, unsigned long gfn, struct kvm_spte *spte,
			  void *arg);

/* Each shadow entry of [start, end) of the program, in every slot that shows it. */
static void for_each_at(struct mmun_kvm *kvm, unsigned long start, unsigned long end,
			kvm_visit visit, void *arg)
{
	unsigned long first, last;

	for (unsigned int i = 0; i < MMUN_KVM_SLOTS; i++) {
		if (mmun_kvm_slot_frames(&kvm->slots[i], start, end, &first, &last))
			mmun_kvm_for_each_spte(kvm, first, last, visit, arg);
	}
}

static void zap_of_range(struct mmun_kvm *kvm, unsigned long gfn, struct kvm_spte *spte, void *arg)
{
	mmun_kvm_spte_zap(kvm, spte);
}

static int kvm_range_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct kvm_span span = { range->start, range->end };
	struct mmun_kvm *kvm = kvm_of(mn);

	pthread_mutex_lock(&kvm->mmu_lock);
	note_start(kvm, &span);
	for_each_at(kvm, span.start, span.end, zap_of_range, NULL);
	mmun_kvm_caches_invalidate(kvm, span.start, span.end);
	pthread_mutex_unlock(&kvm->mmu_lock);
	return 0;
}

static void kvm_range_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	const struct kvm_span span = { range->start, range->end };
	struct mmun_kvm *kvm = kvm_of(mn);

	pthread_mutex_lock(&kvm->mmu_lock);
	note_end(kvm, &span);
	pthread_mutex_unlock(&kvm->mmu_lock);
}

struct young {
	bool clear;
	int found;
};

static void look_young(struct mmun_kvm *kvm, unsigned long gfn, struct kvm_spte *spte, void *arg)
{
	struct young *young = arg;

	if (!spte->young)
		return;
	young->found = 1;
	if (young->clear) {
		spte->young = false;
		kvm_count(kvm, aged);
	}
}

static int age(struct mmu_notifier *mn, unsigned long start, unsigned long end, bool clear)
{
	struct mmun_kvm *kvm = kvm_of(mn);
	struct young young = { .clear = clear };

	pthread_mutex_lock(&kvm->mmu_lock);
	for_each_at(kvm, start, end, look_young, &young);
	pthread_mutex_unlock(&kvm->mmu_lock);
	return young.found;
}

/* The guest looks at the entry at each access: there is nothing to flush. */
static int kvm_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
				 unsigned long end)
{
	return age(mn, start, end, true);
}

static int kvm_test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return age(mn, address & MMUN_SOFT_PAGE_MASK,
		   (address & MMUN_SOFT_PAGE_MASK) + MMUN_SOFT_PAGE_SIZE, false);
}

/*
 * The page at @address has just been replaced, inside the section of whoever did
 * it, whose start has dropped the entry.  If that is the only section here, the
 * new page can be entered at once: another section that begins will find it.
 * With two open, the other one may already be past its start: then not.
 */
static void change_slot(struct mmun_kvm *kvm, struct kvm_slot *slot, unsigned long address)
{
	struct mmun_soft_translation t;
	unsigned long gfn, last;
	struct kvm_leaf *leaf;
	struct kvm_spte *spte;

	if (!mmun_kvm_slot_frames(slot, address, address + 1, &gfn, &last))
		return;
	spte = mmun_kvm_spte(kvm, gfn);
	if (spte)
		mmun_kvm_spte_zap(kvm, spte);
	leaf = mmun_kvm_leaf(kvm, gfn);
	if (!leaf || open_over(&kvm->invalidate, address) != 1 || kvm->released ||
	    mmun_soft_translate_present(kvm->mm, address, &t)) {
		kvm_count(kvm, change_missed);
		return;
	}
	/* Read-only whatever the page says: a write asks for the right anew. */
	leaf->spte[gfn & KVM_TABLE_MASK] = (struct kvm_spte){ .t = t, .present = true };
	kvm_count(kvm, changed);
}

static void kvm_change_pte(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address,
			   unsigned long pte)
{
	struct mmun_kvm *kvm = kvm_of(mn);

	pthread_mutex_lock(&kvm->mmu_lock);
	for (unsigned int i = 0; i < MMUN_KVM_SLOTS; i++)
		change_slot(kvm, &kvm->slots[i], address & MMUN_SOFT_PAGE_MASK);
	pthread_mutex_unlock(&kvm->mmu_lock);
}

static void kvm_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mmun_kvm *kvm = kvm_of(mn);

	pthread_mutex_lock(&kvm->mmu_lock);
	kvm->released = true;
	mmun_kvm_zap_frames(kvm, 0, kvm_gfn(MMUN_KVM_GUEST_SIZE));
	mmun_kvm_caches_invalidate(kvm, 0, ~0ul);
	kvm_count(kvm, releases);
	pthread_mutex_unlock(&kvm->mmu_lock);
	if (kvm->params.in_release)
		kvm->params.in_release(kvm->params.arg);
}

const struct mmu_notifier_ops mmun_kvm_notifier_ops = {
	.release = kvm_release,
	.clear_flush_young = kvm_clear_flush_young,
	.clear_young = kvm_clear_flush_young,
	.test_young = kvm_test_young,
	.change_pte = kvm_change_pte,
	.invalidate_range_start = kvm_range_start,
	.invalidate_range_end = kvm_range_end,
};
