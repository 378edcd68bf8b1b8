/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Merging of equal pages (KSM): one pass over all MADV_MERGEABLE memory.
 *
 * Merged pages stand in the stable table by contents.  Pages that were seen in
 * this pass and met no equal stand in the unstable table, by what they contained
 * when they were seen.  A page that meets its equal:
 *
 *   in the stable table    is write-protected, compared, replaced: two sections
 *   in the unstable table  that one is write-protected and becomes a merged page (one
 *                          section), then as above
 *   nowhere                is entered into the unstable table
 *
 * so n equal pages that were never merged are 2n - 1 sections of one page.
 *
 * I1  A merged page is never written: every entry is read-only and a write copies.
 * I2  Contents decide only after the page is write-protected and nobody but its
 *     mappings and this pass has a reference; what was compared before is a hint.
 * I3  The stable table holds no reference.  A page on it is alive until its last
 *     reference goes, which takes it off under the table's lock; a look-up gets a
 *     reference under that lock or passes by.  A page that moves to another frame
 *     has its place taken under that lock.
 * I4  Two mmap locks are never held at once: an item of the unstable table is a
 *     place (mm, address), which is looked up again when it is needed.
 * I5  Sections are outside the page_table_lock; change_pte is called inside the second
 *     section, when the entry says the new page and before anybody may write there.
 *
 * Not here: the write to a merged page (fault/cow.c).  Tests: tests/unit/soft/ksm.c.
 */
#include <errno.h>

#include "alloc.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "mm.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#define BUCKETS 1024

/* Where a page with these contents was seen. */
struct item {
	struct item *next;
	struct mm_struct *mm; /* a reference to the struct is held */
	unsigned long address;
	unsigned long hash;
};

struct soft_ksm {
	struct mmun_mutex scan;         /* MMUN_RANK_SOFT_SCAN: one pass at a time */
	struct item *unstable[BUCKETS]; /* under ->scan */
	struct mmun_mutex lock;         /* MMUN_RANK_SOFT_KSM */
	/* Under ->lock: soft_merged.link, by hash. */
	struct mmun_dlist stable[BUCKETS];
};

/* A page of the pass, with a reference. */
struct candidate {
	struct soft_ksm *ksm;
	struct mm_struct *mm;
	unsigned long address;
	struct page *page;
	unsigned long hash;
};

int mmun_soft_ksm_create(struct mmun_soft *soft)
{
	struct soft_ksm *ksm = mmun_alloc(sizeof(*ksm));

	if (!ksm)
		return -ENOMEM;
	mmun_mutex_init(&ksm->scan, MMUN_RANK_SOFT_SCAN);
	mmun_mutex_init(&ksm->lock, MMUN_RANK_SOFT_KSM);
	for (unsigned int i = 0; i < BUCKETS; i++)
		mmun_dlist_init(&ksm->stable[i]);
	soft->ksm = ksm;
	return 0;
}

void mmun_soft_ksm_destroy(struct mmun_soft *soft)
{
	struct soft_ksm *ksm = soft->ksm;

	if (!ksm)
		return;
	mmun_mutex_destroy(&ksm->lock);
	mmun_mutex_destroy(&ksm->scan);
	mmun_free(ksm);
	soft->ksm = NULL;
}

/* The page may be written meanwhile: any value will do then (I2). */
static unsigned long hash_contents(const struct page *page)
{
	const uint64_t *words = mmun_soft_page_address(page);
	uint64_t hash = 0;

	for (unsigned int i = 0; i < MMUN_SOFT_PAGE_SIZE / sizeof(*words); i++)
		hash = (hash ^ mmun_load_relaxed(&words[i])) * 0x9e3779b97f4a7c15ull + (hash >> 29);
	return hash ^ hash >> 32;
}

/* The stable table. */

void mmun_soft_ksm_forget(struct page *page)
{
	struct soft_ksm *ksm = page->soft->ksm;

	mmun_mutex_lock(&ksm->lock);
	mmun_dlist_del(&page->merged->link);
	mmun_mutex_unlock(&ksm->lock);
	mmun_soft_merged_free(page->merged);
	page->merged = NULL;
}

/* A look-up from now on finds the new frame; it is locked, so nothing joins it yet. */
void mmun_soft_ksm_move(struct page *old, struct page *new)
{
	struct soft_ksm *ksm = old->soft->ksm;
	struct soft_merged *merged = old->merged;

	new->merged = merged;
	soft_page_set(new, SOFT_PAGE_KSM);
	mmun_mutex_lock(&ksm->lock);
	merged->page = new;
	mmun_mutex_unlock(&ksm->lock);
	(void)soft_page_clear(old, SOFT_PAGE_KSM);
	old->merged = NULL;
}

static void stable_insert(struct soft_ksm *ksm, struct page *page, unsigned long hash)
{
	struct soft_merged *merged = page->merged;

	mmun_mutex_lock(&ksm->lock);
	merged->page = page;
	merged->hash = hash;
	mmun_dlist_add(&merged->link, &ksm->stable[hash % BUCKETS]);
	mmun_mutex_unlock(&ksm->lock);
}

/* With a reference, or NULL. */
static struct page *stable_find(const struct candidate *c)
{
	struct mmun_dlist *bucket = &c->ksm->stable[c->hash % BUCKETS], *link;
	struct soft_merged *merged;
	struct page *found = NULL;

	mmun_mutex_lock(&c->ksm->lock);
	for (link = bucket->next; link != bucket && !found; link = link->next) {
		merged = mmun_container_of(link, struct soft_merged, link);
		if (merged->hash == c->hash && mmun_soft_same_contents(merged->page, c->page) &&
		    mmun_soft_page_tryget(merged->page))
			found = merged->page;
	}
	mmun_mutex_unlock(&c->ksm->lock);
	return found;
}

/* Entries that name a page. */

static bool mergeable_entry(const struct soft_mm *mm, soft_pte value)
{
	const struct page *page;

	if (!(value & SOFT_PTE_PRESENT))
		return false;
	page = soft_pte_page(mm, value);
	return soft_page_test(page, SOFT_PAGE_ANON) &&
	       !soft_page_test(page, SOFT_PAGE_KSM | SOFT_PAGE_DEVICE) && !soft_page_pinned(page);
}

static bool maps(soft_pte value, const struct page *page)
{
	return (value & SOFT_PTE_PRESENT) && soft_pte_number(value) == mmun_soft_page_pfn(page);
}

/* mmap lock held. */
static struct soft_vma *mergeable_vma(struct mm_struct *mm, unsigned long address)
{
	struct soft_vma *vma = mmun_soft_vma_at(soft_mm(mm), address);

	return vma && vma->v.vm_flags & VM_MERGEABLE ? vma : NULL;
}

static bool nobody_else(const struct page *page)
{
	return !soft_page_pinned(page) &&
	       mmun_load_full(&page->refcount) == soft_page_mapcount(page) + 1;
}

/*
 * The entry of c->address stops to permit writes; *@value is what it says then.
 * -EAGAIN when it names another page by now, -EBUSY when others use the page.
 */
static int write_protect_page(const struct candidate *c, soft_pte *value)
{
	struct soft_mm *mm = soft_mm(c->mm);
	struct soft_section s;
	soft_pte *pte;
	int ret = -EAGAIN;

	mmun_soft_section_start(&s, c->mm, MMU_NOTIFY_CLEAR, MMUN_OP_KSM, c->address,
				c->address + MMUN_SOFT_PAGE_SIZE, false);
	mmun_mutex_lock(&mm->page_table_lock);
	pte = mmun_soft_pte(mm, c->address);
	if (pte && maps(*pte, c->page))
		ret = nobody_else(c->page) ? 0 : -EBUSY;
	if (!ret) {
		*value = *pte & ~(SOFT_PTE_WRITE | SOFT_PTE_EXCLUSIVE);
		mmun_soft_pte_set(mm, c->address, *value);
		mmun_soft_flush_page(mm, c->address);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_section_end(&s, ret != 0);
	return ret;
}

/* The entry still says @old, but for the bits that a processor sets. */
static bool replace_entry(const struct candidate *c, soft_pte old, soft_pte new,
			  struct page *merged)
{
	struct soft_mm *mm = soft_mm(c->mm);
	soft_pte *pte;
	bool same;

	mmun_mutex_lock(&mm->page_table_lock);
	pte = mmun_soft_pte(mm, c->address);
	same = pte && soft_pte_same(*pte, old);
	if (same) {
		mmun_soft_pte_set(mm, c->address, new);
		mmun_soft_flush_page(mm, c->address);
		soft_page_map(merged);
		soft_page_unmap(c->page);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return same;
}

static int replace_page(const struct candidate *c, soft_pte old, struct page *merged)
{
	const soft_pte kept = SOFT_PTE_YOUNG | SOFT_PTE_SOFT_DIRTY | SOFT_PTE_NO_ACCESS;
	const soft_pte new = soft_pte_make(merged, old & kept);
	struct soft_section s;
	bool replaced;

	mmun_soft_get_page(merged);
	mmun_soft_section_start(&s, c->mm, MMU_NOTIFY_CLEAR, MMUN_OP_KSM, c->address,
				c->address + MMUN_SOFT_PAGE_SIZE, false);
	replaced = replace_entry(c, old, new, merged);
	if (replaced)
		mmu_notifier_change_pte(c->mm, c->address, new);
	mmun_soft_section_end(&s, !replaced);
	/* The entry's reference: of the old page, or of the one that did not get in. */
	mmun_soft_put_page(replaced ? c->page : merged);
	return replaced ? 0 : -EAGAIN;
}

/* Both pages are locked. */
static int try_to_merge_one_page(const struct candidate *c, struct page *merged)
{
	soft_pte value;
	int ret = mmun_soft_merged_add(merged->merged, c->page);

	if (!ret)
		ret = write_protect_page(c, &value);
	if (ret)
		return ret;
	if (!mmun_soft_same_contents(c->page, merged))
		return -EAGAIN;
	return replace_page(c, value, merged);
}

/* c->page is locked.  @merged is alive by our reference; it may have moved to another
 * frame since it was found, and is no merged page then. */
static int merge_locked(const struct candidate *c, struct page *merged)
{
	int ret = -EAGAIN;

	if (!mmun_soft_page_trylock(merged))
		return -EBUSY;
	if (soft_page_test(merged, SOFT_PAGE_KSM))
		ret = try_to_merge_one_page(c, merged);
	mmun_soft_page_unlock(merged);
	return ret;
}

/* What MADV_FREE gave up is needed again. */
static void set_merged(const struct candidate *c, struct soft_merged *merged)
{
	struct anon_vma *anon_vma = c->page->anon_vma;

	soft_page_set(c->page, SOFT_PAGE_KSM | SOFT_PAGE_DIRTY | SOFT_PAGE_SWAPBACKED);
	(void)soft_page_clear(c->page, SOFT_PAGE_ANON);
	c->page->merged = merged;
	mmun_soft_anon_put(anon_vma);
	stable_insert(c->ksm, c->page, hash_contents(c->page));
}

/* c->page is off the LRU and locked: it becomes a merged page. */
static int become_merged(const struct candidate *c)
{
	struct soft_merged *merged = mmun_soft_merged_alloc();
	soft_pte value;
	int ret;

	if (!merged)
		return -ENOMEM;
	ret = mmun_soft_merged_add(merged, c->page);
	if (!ret)
		ret = write_protect_page(c, &value);
	if (!ret)
		set_merged(c, merged);
	else
		mmun_soft_merged_free(merged);
	return ret;
}

static int isolate_and_become_merged(const struct candidate *c)
{
	int ret;

	if (!mmun_soft_lru_isolate(c->page))
		return -EBUSY;
	ret = become_merged(c);
	mmun_soft_lru_putback(c->page, true);
	return ret;
}

/* @merged NULL: c->page becomes one.  The mmap lock is held for read. */
static int merge_in_vma(const struct candidate *c, struct page *merged)
{
	struct soft_vma *vma = mergeable_vma(c->mm, c->address);
	int ret;

	if (!vma)
		return -EAGAIN;
	ret = mmun_soft_split_huge(vma, c->address);
	if (ret)
		return ret;
	if (!mmun_soft_page_trylock(c->page))
		return -EBUSY;
	if (!soft_page_test(c->page, SOFT_PAGE_ANON))
		ret = -EAGAIN;
	else if (merged)
		ret = merge_locked(c, merged);
	else
		ret = isolate_and_become_merged(c);
	mmun_soft_page_unlock(c->page);
	return ret;
}

static int merge(const struct candidate *c, struct page *merged)
{
	int ret;

	mmap_read_lock(c->mm);
	ret = merge_in_vma(c, merged);
	mmap_read_unlock(c->mm);
	return ret;
}

/* The unstable table. */

static void item_free(struct item *item)
{
	mmdrop(item->mm);
	mmun_free(item);
}

/* No memory: the page meets no equal in this pass. */
static void unstable_insert(const struct candidate *c)
{
	struct item **bucket = &c->ksm->unstable[c->hash % BUCKETS];
	struct item *item = mmun_alloc(sizeof(*item));

	if (!item)
		return;
	mmgrab(c->mm);
	*item = (struct item){ *bucket, c->mm, c->address, c->hash };
	*bucket = item;
}

static void unstable_clear(struct soft_ksm *ksm)
{
	struct item *item, *next;

	for (unsigned int i = 0; i < BUCKETS; i++) {
		for (item = ksm->unstable[i]; item; item = next) {
			next = item->next;
			item_free(item);
		}
		ksm->unstable[i] = NULL;
	}
}

/* What is at the item's place now, with a reference; NULL when it cannot be merged. */
static struct page *item_page(const struct item *item)
{
	struct soft_mm *mm = soft_mm(item->mm);
	struct page *page = NULL;
	soft_pte value;

	mmap_read_lock(item->mm);
	if (mergeable_vma(item->mm, item->address)) {
		mmun_mutex_lock(&mm->page_table_lock);
		value = mmun_soft_pte_value(mm, item->address);
		if (mergeable_entry(mm, value)) {
			page = soft_pte_page(mm, value);
			mmun_soft_get_page(page);
		}
		mmun_mutex_unlock(&mm->page_table_lock);
	}
	mmap_read_unlock(item->mm);
	return page;
}

/* The item's page becomes a merged page if it still equals @c's; NULL, or it with a reference. */
static struct page *merge_first(const struct candidate *c, const struct item *item)
{
	struct candidate first = { c->ksm, item->mm, item->address, item_page(item), c->hash };

	if (!first.page)
		return NULL;
	if (first.page != c->page && mmun_soft_same_contents(first.page, c->page) &&
	    !merge(&first, NULL))
		return first.page;
	mmun_soft_put_page(first.page);
	return NULL;
}

static struct page *unstable_merge(const struct candidate *c)
{
	struct item **link = &c->ksm->unstable[c->hash % BUCKETS], *item;
	struct page *merged = NULL;

	for (; (item = *link) && !merged;) {
		if (item->hash == c->hash && mmget_not_zero(item->mm)) {
			merged = merge_first(c, item);
			mmput(item->mm);
		}
		if (merged) {
			*link = item->next;
			item_free(item);
		} else {
			link = &item->next;
		}
	}
	return merged;
}

/* The pass. */

struct pass {
	struct mmun_soft *soft;
	size_t merged;
};

static void cmp_and_merge_page(struct pass *pass, const struct candidate *c)
{
	struct page *merged = stable_find(c);

	if (!merged)
		merged = unstable_merge(c);
	if (!merged) {
		unstable_insert(c);
		return;
	}
	if (!merge(c, merged)) {
		pass->merged++;
		soft_stat_inc(pass->soft, ksm_merged);
	}
	mmun_soft_put_page(merged);
}

static int take_candidate(unsigned long address, soft_pte value, void *arg)
{
	struct candidate *c = arg;
	struct soft_mm *mm = soft_mm(c->mm);

	if (!mergeable_entry(mm, value))
		return 0;
	c->page = soft_pte_page(mm, value);
	c->address = address;
	mmun_soft_get_page(c->page);
	return 1;
}

/* The next one at or above c->address. */
static bool next_candidate(struct candidate *c)
{
	struct soft_mm *mm = soft_mm(c->mm);
	struct soft_vma *vma;
	bool found = false;

	mmap_read_lock(c->mm);
	for (vma = mmun_soft_vma_find(mm, c->address); vma && !found;
	     vma = mmun_soft_vma_next(vma)) {
		if (c->address < vma->v.vm_start)
			c->address = vma->v.vm_start;
		if (vma->v.vm_flags & VM_MERGEABLE)
			found = mmun_soft_for_each_entry(mm, c->address, vma->v.vm_end,
							 take_candidate, c);
	}
	mmap_read_unlock(c->mm);
	return found;
}

static bool scan_mm(struct mm_struct *mm, void *arg)
{
	struct pass *pass = arg;
	struct candidate c = { .ksm = pass->soft->ksm, .mm = mm };

	while (next_candidate(&c)) {
		c.hash = hash_contents(c.page);
		cmp_and_merge_page(pass, &c);
		mmun_soft_put_page(c.page);
		c.address += MMUN_SOFT_PAGE_SIZE;
	}
	return true;
}

size_t mmun_soft_ksm_scan(struct mmun_soft *soft)
{
	struct pass pass = { .soft = soft };

	mmun_mutex_lock(&soft->ksm->scan);
	mmun_soft_for_each_mm(soft, scan_mm, &pass);
	unstable_clear(soft->ksm);
	mmun_mutex_unlock(&soft->ksm->scan);
	return pass.merged;
}

/* MADV_UNMERGEABLE. */

static int find_merged(unsigned long address, soft_pte value, void *arg)
{
	struct candidate *c = arg;
	const struct page *page;

	if (!(value & SOFT_PTE_PRESENT))
		return 0;
	page = soft_pte_page(soft_mm(c->mm), value);
	c->address = address;
	return soft_page_test(page, SOFT_PAGE_KSM);
}

int mmun_soft_unmerge_range(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct candidate c = { .mm = vma->v.vm_mm, .address = start };
	int ret = 0;

	while (!ret && mmun_soft_for_each_entry(soft_vma_mm(vma), c.address, end, find_merged, &c))
		ret = mmun_soft_break_ksm(vma, c.address);
	return ret;
}
