/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which VMAs may map an anonymous page: anon_vmas and their chains.
 *
 * I1  A VMA's chain leads to its own anon_vma first and then to those of its
 *     ancestors; all of them have one root, whose lock protects their trees
 *     and counts.
 * I2  An anon_vma lives while somebody counts on it: its chains, its pages, and
 *     for a root its descendants.  ->parent is looked at only while a VMA is
 *     attached; that VMA is attached to the parent too, so the parent lives.
 * I3  A child of fork is entered after its parent: equal keys stay in the order
 *     of insertion, so a walk that missed an entry in the parent because fork
 *     had not copied it yet, finds what became of it in the child.
 * I4  A fault gives a VMA its anon_vma with the mmap lock held for read only.
 *     It changes ->anon_vma and ->anon_chain under the page_table_lock, once,
 *     and looks at its neighbours' under the same lock.
 *
 * Not here: walks (rmap.c); which VMAs may merge otherwise (vma/vma.c).
 * Tests: tests/unit/soft/anon_vma.c, tests/unit/soft/rmap.c.
 */
#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "rmap/rmap.h"

static struct anon_vma *alloc_anon_vma(void)
{
	struct anon_vma *anon_vma = mmun_alloc(sizeof(*anon_vma));

	if (!anon_vma)
		return NULL;
	mmun_rwlock_init(&anon_vma->lock.lock, MMUN_RANK_SOFT_ANON);
	anon_vma->root = anon_vma->parent = anon_vma;
	return anon_vma;
}

static void free_anon_vma(struct anon_vma *anon_vma)
{
	mmun_rwlock_destroy(&anon_vma->lock.lock);
	mmun_free(anon_vma);
}

void mmun_soft_anon_get(struct anon_vma *anon_vma)
{
	(void)mmun_add_full(&anon_vma->refcount, 1);
}

void mmun_soft_anon_put(struct anon_vma *anon_vma)
{
	struct anon_vma *root = anon_vma->root;

	if (mmun_sub_full(&anon_vma->refcount, 1))
		return;
	free_anon_vma(anon_vma);
	if (root != anon_vma)
		mmun_soft_anon_put(root);
}

static inline struct mmun_rwlock *root_lock(const struct anon_vma *anon_vma)
{
	return &anon_vma->root->lock.lock;
}

/* Chains. */

static inline struct anon_vma_chain *chain_of(struct mmun_dlist *node)
{
	return mmun_container_of(node, struct anon_vma_chain, same_vma);
}

static bool in_tree(const struct anon_vma_chain *chain)
{
	return chain->interval.start <= chain->interval.last;
}

/* Root lock held, here and below. */
static void chain_insert(struct anon_vma_chain *chain)
{
	const struct soft_vma *vma = chain->vma;

	if (vma->v.vm_start == vma->v.vm_end)
		return;
	chain->interval.start = vma->v.vm_pgoff;
	chain->interval.last = vma->v.vm_pgoff + soft_vma_pages(vma) - 1;
	mmun_interval_insert(&chain->anon_vma->chains, &chain->interval);
}

static void chain_remove(struct anon_vma_chain *chain)
{
	if (!in_tree(chain))
		return;
	mmun_interval_remove(&chain->anon_vma->chains, &chain->interval);
	chain->interval.start = 1;
	chain->interval.last = 0;
}

/* @after: the list's head, or its last node. */
static void chain_link(struct anon_vma_chain *chain, struct soft_vma *vma,
		       struct anon_vma *anon_vma, struct mmun_dlist *after)
{
	chain->vma = vma;
	chain->anon_vma = anon_vma;
	chain->interval.start = 1;
	mmun_soft_anon_get(anon_vma);
	mmun_dlist_add(&chain->same_vma, after);
	chain_insert(chain);
}

static void free_chains(struct mmun_dlist *chains)
{
	struct anon_vma_chain *chain;

	while (!mmun_dlist_empty(chains)) {
		chain = chain_of(chains->next);
		mmun_dlist_del(&chain->same_vma);
		mmun_free(chain);
	}
}

/* As many as @from has. */
static int alloc_chains(struct mmun_dlist *chains, const struct soft_vma *from)
{
	struct mmun_dlist *node;
	struct anon_vma_chain *chain;

	mmun_dlist_init(chains);
	mmun_dlist_for_each(node, &from->anon_chain) {
		chain = mmun_alloc(sizeof(*chain));
		if (!chain) {
			free_chains(chains);
			return -ENOMEM;
		}
		mmun_dlist_add(&chain->same_vma, chains);
	}
	return 0;
}

static bool is_singular(const struct mmun_dlist *head)
{
	return !mmun_dlist_empty(head) && head->next == head->prev;
}

/* The first anonymous page of a VMA. */

static bool continues(const struct soft_vma *a, const struct soft_vma *b)
{
	const unsigned long ignored = VM_READ | VM_WRITE | VM_EXEC | VM_SOFTDIRTY;

	return a->v.vm_end == b->v.vm_start && a->v.vm_file == b->v.vm_file &&
	       !((a->v.vm_flags ^ b->v.vm_flags) & ~ignored) &&
	       b->v.vm_pgoff == a->v.vm_pgoff + soft_vma_pages(a);
}

/* What @vma's neighbour @from offers: one that is its own, not inherited.  page_table_lock held. */
static struct anon_vma *own_anon_vma(const struct soft_vma *from)
{
	return from->anon_vma && is_singular(&from->anon_chain) ? from->anon_vma : NULL;
}

/* A neighbour's anon_vma if the two differ in access rights at most: an mprotect
 * may then merge them later.  With a reference. */
static struct anon_vma *find_mergeable(struct soft_vma *vma)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_vma *next = mmun_soft_vma_next(vma), *prev = mmun_soft_vma_prev(vma);
	struct anon_vma *found = NULL;

	mmun_mutex_lock(&mm->page_table_lock);
	if (next && continues(vma, next))
		found = own_anon_vma(next);
	if (!found && prev && continues(prev, vma))
		found = own_anon_vma(prev);
	if (found)
		mmun_soft_anon_get(found);
	mmun_mutex_unlock(&mm->page_table_lock);
	return found;
}

/* Another thread's fault may have been faster.  Takes over @chain if not. */
static bool install(struct soft_vma *vma, struct anon_vma *anon_vma, struct anon_vma_chain *chain)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	bool first;

	mmun_rwlock_write_lock(root_lock(anon_vma));
	mmun_mutex_lock(&mm->page_table_lock);
	first = !vma->anon_vma;
	if (first) {
		chain_link(chain, vma, anon_vma, &vma->anon_chain);
		anon_vma->active_vmas++;
		mmun_store_release(&vma->anon_vma, anon_vma);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_rwlock_write_unlock(root_lock(anon_vma));
	return first;
}

int mmun_soft_anon_prepare(struct soft_vma *vma)
{
	struct anon_vma *anon_vma;
	struct anon_vma_chain *chain;

	if (mmun_likely(mmun_load_acquire(&vma->anon_vma)))
		return 0;
	chain = mmun_alloc(sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	anon_vma = find_mergeable(vma);
	if (!anon_vma) {
		anon_vma = alloc_anon_vma();
		if (!anon_vma)
			goto free_chain;
		/* A root counts as its own child, so it is never reused. */
		anon_vma->children = 1;
		mmun_soft_anon_get(anon_vma);
	}
	if (!install(vma, anon_vma, chain))
		mmun_free(chain);
	mmun_soft_anon_put(anon_vma);
	return 0;
free_chain:
	mmun_free(chain);
	return -ENOMEM;
}

/* Split, move, fork. */

/* May a child of fork take over @anon_vma instead of a new one?  Nobody's pages go
 * there any more and it has at most one descendant: without this, a process that forks
 * and exits at each step would lengthen the chain without end. */
static bool reusable(const struct anon_vma *anon_vma)
{
	return anon_vma->children < 2 && !anon_vma->active_vmas;
}

/* Enters @to, with @chains, into all that @from is in.  @reuse: finds @to->anon_vma
 * among them, NULL if none is fit; else it is @from's. */
static void link_chains(struct soft_vma *to, const struct soft_vma *from, struct mmun_dlist *chains,
			bool reuse)
{
	struct mmun_rwlock *lock = root_lock(from->anon_vma);
	struct anon_vma *chosen = reuse ? NULL : from->anon_vma;
	struct mmun_dlist *node;

	mmun_rwlock_write_lock(lock);
	for (node = from->anon_chain.prev; node != &from->anon_chain; node = node->prev) {
		struct anon_vma *anon_vma = chain_of(node)->anon_vma;
		struct anon_vma_chain *chain = chain_of(chains->next);

		mmun_dlist_del(&chain->same_vma);
		chain_link(chain, to, anon_vma, &to->anon_chain);
		if (!chosen && reusable(anon_vma))
			chosen = anon_vma;
	}
	if (chosen)
		chosen->active_vmas++;
	mmun_store_release(&to->anon_vma, chosen);
	mmun_rwlock_write_unlock(lock);
}

int mmun_soft_anon_clone(struct soft_vma *to, struct soft_vma *from)
{
	struct mmun_dlist chains;

	MMUN_BUG_ON(!mmun_dlist_empty(&to->anon_chain));
	to->anon_vma = NULL;
	if (!from->anon_vma)
		return 0;
	if (alloc_chains(&chains, from))
		return -ENOMEM;
	link_chains(to, from, &chains, false);
	return 0;
}

static void add_descendant(struct anon_vma *anon_vma, struct anon_vma *parent,
			   struct soft_vma *child, struct anon_vma_chain *chain)
{
	anon_vma->root = parent->root;
	anon_vma->parent = parent;
	mmun_soft_anon_get(parent->root);
	mmun_rwlock_write_lock(root_lock(parent));
	chain_link(chain, child, anon_vma, &child->anon_chain);
	anon_vma->active_vmas = 1;
	parent->children++;
	mmun_store_release(&child->anon_vma, anon_vma);
	mmun_rwlock_write_unlock(root_lock(parent));
}

int mmun_soft_anon_fork(struct soft_vma *child, struct soft_vma *parent)
{
	struct anon_vma_chain *chain;
	struct anon_vma *anon_vma;
	struct mmun_dlist chains;

	MMUN_BUG_ON(!mmun_dlist_empty(&child->anon_chain));
	child->anon_vma = NULL;
	if (!parent->anon_vma)
		return 0;
	/* Everything first: a child that was linked half way would have to be
	 * taken out of trees that walks look at. */
	chain = mmun_alloc(sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	anon_vma = alloc_anon_vma();
	if (!anon_vma)
		goto free_chain;
	if (alloc_chains(&chains, parent))
		goto free_anon_vma;
	link_chains(child, parent, &chains, true);
	if (!child->anon_vma) {
		add_descendant(anon_vma, parent->anon_vma, child, chain);
		return 0;
	}
	free_anon_vma(anon_vma);
	mmun_free(chain);
	return 0;
free_anon_vma:
	free_anon_vma(anon_vma);
free_chain:
	mmun_free(chain);
	return -ENOMEM;
}

/* All leave the trees before the first reference is dropped: I2. */
static void leave_trees(struct soft_vma *vma)
{
	struct mmun_dlist *node;

	mmun_dlist_for_each(node, &vma->anon_chain) {
		struct anon_vma_chain *chain = chain_of(node);
		struct anon_vma *anon_vma = chain->anon_vma;

		if (!in_tree(chain))
			continue;
		chain_remove(chain);
		if (!anon_vma->chains.tree.root)
			anon_vma->parent->children--;
	}
}

void mmun_soft_anon_unlink(struct soft_vma *vma)
{
	struct anon_vma_chain *chain;
	struct mmun_rwlock *lock;

	if (mmun_dlist_empty(&vma->anon_chain))
		return;
	lock = root_lock(chain_of(vma->anon_chain.next)->anon_vma);
	mmun_rwlock_write_lock(lock);
	leave_trees(vma);
	vma->anon_vma->active_vmas--;
	vma->anon_vma = NULL;
	mmun_rwlock_write_unlock(lock);
	while (!mmun_dlist_empty(&vma->anon_chain)) {
		chain = chain_of(vma->anon_chain.next);
		mmun_dlist_del(&chain->same_vma);
		mmun_soft_anon_put(chain->anon_vma);
		mmun_free(chain);
	}
}

bool mmun_soft_anon_mergeable(const struct soft_vma *a, const struct soft_vma *b)
{
	const struct soft_vma *has;

	if (!a || !a->anon_vma)
		has = b;
	else if (!b || !b->anon_vma)
		has = a;
	else
		return a->anon_vma == b->anon_vma;
	return !has || !has->anon_vma || is_singular(&has->anon_chain);
}

/* Pages. */

void mmun_soft_page_set_anon(struct page *page, struct soft_vma *vma, unsigned long address)
{
	struct anon_vma *anon_vma = mmun_load_acquire(&vma->anon_vma);

	MMUN_BUG_ON(!anon_vma || soft_page_test(page, SOFT_PAGE_ANON));
	mmun_soft_anon_get(anon_vma);
	page->anon_vma = anon_vma;
	page->index = soft_vma_index(vma, address);
	soft_page_set(page, SOFT_PAGE_ANON | SOFT_PAGE_SWAPBACKED);
}

/* A change of a linked VMA's place. */

static struct address_space *mapping_of(const struct soft_vma *vma, const struct soft_vma *next)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	MMUN_BUG_ON(next && soft_vma_mapping(next) != mapping);
	return mapping;
}

static struct mmun_rwlock *anon_lock_of(const struct soft_vma *vma, const struct soft_vma *next)
{
	const struct soft_vma *has = vma->anon_vma ? vma : next;

	if (!has || !has->anon_vma)
		return NULL;
	MMUN_BUG_ON(next && next->anon_vma && next->anon_vma->root != has->anon_vma->root);
	return root_lock(has->anon_vma);
}

static void for_each_chain(struct soft_vma *vma, void (*change)(struct anon_vma_chain *chain))
{
	struct mmun_dlist *node;

	if (!vma)
		return;
	mmun_dlist_for_each(node, &vma->anon_chain)
		change(chain_of(node));
}

void mmun_soft_rmap_change_begin(struct soft_vma *vma, struct soft_vma *next)
{
	struct address_space *mapping = mapping_of(vma, next);
	struct mmun_rwlock *anon_lock = anon_lock_of(vma, next);

	if (mapping) {
		mmun_rwlock_write_lock(&mapping->i_mmap_lock.lock);
		mmun_soft_mapping_unlink(mapping, vma);
		mmun_soft_mapping_unlink(mapping, next);
	}
	if (anon_lock) {
		mmun_rwlock_write_lock(anon_lock);
		for_each_chain(vma, chain_remove);
		for_each_chain(next, chain_remove);
	}
}

void mmun_soft_rmap_change_end(struct soft_vma *vma, struct soft_vma *next)
{
	struct address_space *mapping = mapping_of(vma, next);
	struct mmun_rwlock *anon_lock = anon_lock_of(vma, next);

	if (anon_lock) {
		for_each_chain(vma, chain_insert);
		for_each_chain(next, chain_insert);
		mmun_rwlock_write_unlock(anon_lock);
	}
	if (mapping) {
		mmun_soft_mapping_link(mapping, vma);
		mmun_soft_mapping_link(mapping, next);
		mmun_rwlock_write_unlock(&mapping->i_mmap_lock.lock);
	}
}

void mmun_soft_rmap_lock(struct soft_vma *vma)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	if (mapping)
		mmun_rwlock_write_lock(&mapping->i_mmap_lock.lock);
	if (vma->anon_vma)
		mmun_rwlock_write_lock(root_lock(vma->anon_vma));
}

void mmun_soft_rmap_unlock(struct soft_vma *vma)
{
	struct address_space *mapping = soft_vma_mapping(vma);

	if (vma->anon_vma)
		mmun_rwlock_write_unlock(root_lock(vma->anon_vma));
	if (mapping)
		mmun_rwlock_write_unlock(&mapping->i_mmap_lock.lock);
}
