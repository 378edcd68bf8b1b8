/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists, counts, trees, arrays and bitmaps of kernel code, against naive ones. */
#include "part.h"

#include <asm/byteorder.h>
#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/count_zeros.h>
#include <linux/hashtable.h>
#include <linux/idr.h>
#include <linux/interval_tree.h>
#include <linux/interval_tree_generic.h>
#include <linux/kref.h>
#include <linux/llist.h>
#include <linux/math64.h>
#include <linux/moduleparam.h>
#include <linux/radix-tree.h>
#include <linux/rculist.h>
#include <linux/sort.h>
#include <linux/xarray.h>
#include <mmunotify/compat.h>

static u64 state = 1;

static u64 random_number(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return state >> 33;
}

struct item {
	int value;
	struct list_head link;
	struct hlist_node hash;
};

struct flexible {
	int count;
	long values[];
};

static void test_lists(void)
{
	struct item items[4] = { { .value = 0 }, { .value = 1 }, { .value = 2 }, { .value = 3 } };
	struct item *item, *next;
	LIST_HEAD(list);
	LIST_HEAD(other);
	int sum = 0, n = 0;

	for (int i = 0; i < 4; i++)
		list_add_tail(&items[i].link, &list);
	list_for_each_entry(item, &list, link)
		sum = sum * 10 + item->value;
	is(sum, 123, "a list has the order of list_add_tail()");
	list_move(&items[3].link, &list);
	is(list_first_entry(&list, struct item, link)->value, 3, "list_move() puts in front");
	list_for_each_entry_safe(item, next, &list, link) {
		if (item->value & 1)
			list_del_init(&item->link);
	}
	list_for_each_entry_rcu(item, &list, link)
		n++;
	is(n, 2, "entries can be removed in a safe loop");
	ok(list_empty(&items[1].link), "list_del_init() leaves an empty entry");
	list_splice_init(&list, &other);
	ok(list_empty(&list) && list_count_nodes(&other) == 2, "splicing moves everything");
	list_replace_init(&other, &list);
	ok(list_empty(&other) && !list_empty(&list), "so does list_replace_init()");
	list_replace_init(&other, &list);
	ok(list_empty(&other) && list_empty(&list), "of an empty list too");
}

struct llisted {
	int number;
	struct llist_node node;
};

static void test_llist(void)
{
	struct llisted items[3] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
	struct llisted *item, *next;
	struct llist_node *all;
	LLIST_HEAD(list);
	int sum = 0;

	ok(llist_empty(&list) && !llist_del_all(&list), "a list without a lock is empty");
	ok(llist_add(&items[0].node, &list), "the first one sees that");
	ok(!llist_add(&items[1].node, &list) && !llist_add(&items[2].node, &list), "not others");
	all = llist_del_all(&list);
	ok(llist_empty(&list), "all are taken at once");
	is(llist_entry(all, struct llisted, node)->number, 2, "the newest first");
	all = llist_reverse_order(all);
	is(llist_entry(all, struct llisted, node)->number, 0, "or last");
	llist_for_each_entry_safe(item, next, all, node)
	{
		sum = sum * 10 + item->number;
		item->node.next = NULL;
	}
	is(sum, 12, "each is met, and may go");
	llist_for_each_entry(item, llist_del_all(&list), node) sum = -1;
	is(sum, 12, "none in an empty list");
}

static void test_hash(void)
{
	DECLARE_HASHTABLE(table, 4);
	struct item items[32], *item;
	int found = 0;

	hash_init(table);
	for (int i = 0; i < 32; i++) {
		items[i].value = i;
		hash_add(table, &items[i].hash, i);
	}
	hash_del(&items[5].hash);
	ok(hlist_unhashed(&items[5].hash), "a removed entry is unhashed");
	for (int i = 0; i < 32; i++) {
		hash_for_each_possible(table, item, hash, i)
			found += item->value == i;
	}
	is(found, 31, "a hash table finds what is in it");
}

static int released;

static void release(struct kref *kref)
{
	released++;
}

static void test_kref(void)
{
	struct kref kref;

	kref_init(&kref);
	kref_get(&kref);
	is(kref_put(&kref, release), 0, "not the last reference");
	is(released, 0, "nothing is released");
	is(kref_put(&kref, release), 1, "the last reference");
	is(released, 1, "releases");
	ok(!kref_get_unless_zero(&kref), "and cannot be taken again");
	is(mmun_compat_warnings(), 0, "no warning so far");
	mmun_compat_set_loglevel(0);
	kref_get(&kref);
	is(mmun_compat_warnings(), 1, "kref_get() of a released object warns");
	mmun_compat_set_loglevel(5);
}

#define NODES 200

/* Of the test's own; no semicolon follows. */
struct span {
	struct rb_node rb;
	int first, last, last_below;
};
#define FIRST(span) ((span)->first)
#define LAST(span)  ((span)->last)
/* clang-format off */
INTERVAL_TREE_DEFINE(struct span, rb, int, last_below, FIRST, LAST, static, span)
/* clang-format on */

static void test_own_interval_tree(void)
{
	struct rb_root_cached root = RB_ROOT_CACHED;
	struct span a = { .first = 1, .last = 9 }, b = { .first = 3, .last = 4 };

	span_insert(&a, &root);
	span_insert(&b, &root);
	ok(span_iter_first(&root, 5, 6) == &a && !span_iter_next(&a, 5, 6), "a tree of one's own");
	span_remove(&a, &root);
	ok(!span_iter_first(&root, 5, 6), "forgets what is removed");
}

static void test_interval_tree(void)
{
	static struct interval_tree_node nodes[NODES];
	struct rb_root_cached root = RB_ROOT_CACHED;
	bool in[NODES] = { false };
	long wrong = 0;

	for (int round = 0; round < 20000; round++) {
		int i = (int)(random_number() % NODES), expected = 0, got = 0;
		unsigned long start = random_number() % 1000, last = start + random_number() % 50;
		struct interval_tree_node *node;

		if (in[i]) {
			interval_tree_remove(&nodes[i], &root);
		} else {
			nodes[i].start = random_number() % 1000;
			nodes[i].last = nodes[i].start + random_number() % 100;
			interval_tree_insert(&nodes[i], &root);
		}
		in[i] = !in[i];
		for (int j = 0; j < NODES; j++)
			expected += in[j] && nodes[j].start <= last && nodes[j].last >= start;
		for (node = interval_tree_iter_first(&root, start, last); node;
		     node = interval_tree_iter_next(node, start, last))
			got += node->start <= last && node->last >= start;
		wrong += got != expected;
		wrong += rb_first_cached(&root) != rb_first(&root.rb_root);
	}
	is(wrong, 0, "an interval tree finds what a scan finds");
}

static bool by_address(struct rb_node *a, const struct rb_node *b)
{
	return a < b;
}

static void test_rbtree(void)
{
	static struct rb_node nodes[NODES];
	struct rb_root root = RB_ROOT;
	struct rb_node *node;
	int n = 0, back = 0, post = 0;

	for (int i = 0; i < NODES; i++)
		rb_add(&nodes[(i * 77) % NODES], &root, by_address);
	for (node = rb_first(&root); node; node = rb_next(node))
		n += node == &nodes[n];
	is(n, NODES, "a tree has the order of its nodes");
	for (node = rb_last(&root); node; node = rb_prev(node))
		back++;
	for (node = rb_first_postorder(&root); node; node = rb_next_postorder(node))
		post++;
	ok(back == NODES && post == NODES, "backwards and postorder see each node");
	for (int i = 0; i < NODES; i++)
		rb_erase(&nodes[i], &root);
	ok(RB_EMPTY_ROOT(&root), "and can be emptied");
}

static void test_xarray(void)
{
	DEFINE_XARRAY(xa);
	unsigned long naive[64] = { 0 }, index;
	long wrong = 0;
	void *entry;

	for (int round = 0; round < 20000; round++) {
		unsigned long at = random_number() % 64, value = random_number() % 3, n = 0, m = 0;

		entry = xa_store(&xa, at, value ? xa_mk_value(value) : NULL, GFP_KERNEL);
		wrong += (entry ? xa_to_value(entry) : 0) != naive[at];
		naive[at] = value;
		xa_for_each_range(&xa, index, entry, 10, 40)
			n += xa_to_value(entry) == naive[index];
		for (unsigned long i = 10; i <= 40; i++)
			m += naive[i] != 0;
		wrong += n != m;
	}
	is(wrong, 0, "an xarray stores and finds what an array does");
	xa_destroy(&xa);
	ok(xa_empty(&xa), "destroying empties it");
	is(xa_insert(&xa, 5, &xa, GFP_KERNEL), 0, "insert");
	is(xa_insert(&xa, 5, &xa, GFP_KERNEL), -EBUSY, "where something is: -EBUSY");
	ok(xa_cmpxchg(&xa, 5, &wrong, NULL, GFP_KERNEL) == &xa, "cmpxchg returns what it found");
	ok(xa_load(&xa, 5) == &xa, "and left");
	ok(xa_erase(&xa, 5) == &xa && !xa_load(&xa, 5), "erase returns what was there");
	ok(xa_untag_pointer(xa_tag_pointer(&xa, 1)) == &xa, "pointers can be tagged");
}

static void test_cyclic(void)
{
	struct xarray xa;
	u32 id = 0, next = 3;

	xa_init_flags(&xa, XA_FLAGS_ALLOC1);
	is(xa_alloc_cyclic(&xa, &id, &xa, XA_LIMIT(1, 3), &next, GFP_KERNEL), 0,
	   "an index in turn");
	ok(id == 3 && next == 4, "from the one that is next");
	is(xa_alloc_cyclic(&xa, &id, &xa, XA_LIMIT(1, 3), &next, GFP_KERNEL), 1,
	   "after the last begins again");
	is(id, 1, "with the first");
	is(xa_alloc_cyclic(&xa, &id, &xa, XA_LIMIT(1, 3), &next, GFP_KERNEL), 0, "goes on");
	is(xa_alloc_cyclic(&xa, &id, &xa, XA_LIMIT(1, 3), &next, GFP_KERNEL), -EBUSY,
	   "until all are in use");
	xa_destroy(&xa);
}

static void test_radix_tree(void)
{
	struct radix_tree_root tree;
	int item;

	INIT_RADIX_TREE(&tree, GFP_KERNEL);
	is(radix_tree_insert(&tree, 7, &item), 0, "radix_tree_insert()");
	is(radix_tree_insert(&tree, 7, &tree), -EEXIST, "not where something is");
	ok(radix_tree_lookup(&tree, 7) == &item && !radix_tree_lookup(&tree, 8),
	   "radix_tree_lookup()");
	ok(radix_tree_delete(&tree, 7) == &item && !radix_tree_lookup(&tree, 7),
	   "radix_tree_delete()");
}

static void test_counts(void)
{
	atomic_t count = ATOMIC_INIT(1);

	is(atomic_dec_if_positive(&count), 0, "atomic_dec_if_positive()");
	ok(atomic_dec_if_positive(&count) == -1 && !atomic_read(&count), "not below zero");
}

static void test_idr(void)
{
	DEFINE_IDR(idr);
	DEFINE_IDA(ida);
	int id, sum = 0, values[3];
	int *value;

	for (int i = 0; i < 3; i++)
		is(idr_alloc(&idr, &values[i], 1, 4, GFP_KERNEL), i + 1, "idr gives %d", i + 1);
	is(idr_alloc(&idr, &values[0], 1, 4, GFP_KERNEL), -ENOSPC, "until there is no more");
	ok(idr_find(&idr, 2) == &values[1], "and finds");
	idr_remove(&idr, 2);
	idr_for_each_entry(&idr, value, id)
		sum += id;
	is(sum, 4, "what is left");
	idr_destroy(&idr);
	is(ida_alloc(&ida, GFP_KERNEL), 0, "ida starts at 0");
	is(ida_alloc(&ida, GFP_KERNEL), 1, "goes on");
	ida_free(&ida, 0);
	is(ida_alloc(&ida, GFP_KERNEL), 0, "and takes what is free");
	ida_destroy(&ida);
}

static void test_bits(void)
{
	DECLARE_BITMAP(map, 200);
	unsigned long bit;
	int n = 0;

	bitmap_zero(map, 200);
	bitmap_set(map, 60, 10);
	set_bit(199, map);
	for_each_set_bit(bit, map, 200)
		n++;
	is(n, 11, "a bitmap finds its bits");
	is(find_next_zero_bit(map, 200, 60), 70, "and what is clear");
	ok(test_and_clear_bit(199, map) && !test_bit(199, map), "test_and_clear_bit()");
	is(bitmap_weight(map, 200), 10, "and counts them");
	is(fls(0x10), 5, "fls() counts from 1");
	is(ilog2(4096), 12, "ilog2()");
	ok(bits_per(0) == 1 && bits_per(1) == 1 && bits_per(4) == 3, "bits_per()");
	ok(count_trailing_zeros(8) == 3 && count_leading_zeros(1) == 63, "zero bits at both ends");
	is(roundup_pow_of_two(5), 8, "roundup_pow_of_two()");
	is(max(0, fls(3) - 1), 1, "max()");
	is(min_t(int, 3, 2ul), 2, "min_t()");
	is(clamp(7, 1, 5), 5, "clamp()");
	is(DIV_ROUND_UP(5, 2), 3, "DIV_ROUND_UP()");
	is(struct_size((struct flexible *)NULL, values, 3), sizeof(struct flexible) + 24,
	   "struct_size()");
	ok(array_size(SIZE_MAX, 2) == SIZE_MAX, "sizes saturate");
	ok(IS_ENABLED(CONFIG_MMU_NOTIFIER) && !IS_ENABLED(CONFIG_UNKNOWN), "IS_ENABLED()");
}

static int compare(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? -1 : *(const int *)a > *(const int *)b;
}

static int exchanges;

static void exchange(void *a, void *b, int size)
{
	swap(*(int *)a, *(int *)b);
	exchanges++;
}

static void test_fields(void)
{
	u64 word = FIELD_PREP(GENMASK_ULL(47, 40), 0x1a5) | FIELD_PREP(GENMASK_ULL(3, 0), 9);

	is(word, 0xa50000000009, "FIELD_PREP() puts a value under its mask, and no more of it");
	is(FIELD_GET(GENMASK_ULL(47, 40), word), 0xa5, "FIELD_GET() gets it");
	is(FIELD_MAX(GENMASK_ULL(47, 40)), 0xff, "FIELD_MAX()");
	ok(FIELD_FIT(0xf0u, 15) && !FIELD_FIT(0xf0u, 16), "FIELD_FIT()");
#ifdef __BIG_ENDIAN
	ok(false, "the order of bytes has one name");
#else
	is(le64_to_cpu(cpu_to_le64(word)), word, "the order of bytes has one name");
#endif
}

static void test_sort(void)
{
	int values[200], bad = 0;
	long sum = 0;

	for (int n = 0; n <= 200; n++) {
		for (int i = 0; i < n; i++) {
			values[i] = (int)(random_number() % 100);
			sum += values[i];
		}
		sort(values, (size_t)n, sizeof(int), compare, n % 2 ? exchange : NULL);
		for (int i = 0; i < n; i++) {
			bad += i && values[i - 1] > values[i];
			sum -= values[i];
		}
	}
	is(bad, 0, "arrays are sorted");
	is(sum, 0, "of the same values");
	ok(exchanges > 0, "by the caller's exchange");
}

static void test_overflow(void)
{
	unsigned int small;

	ok(overflows_type(1ul << 32, small) && !overflows_type(UINT_MAX, small),
	   "a value that does not fit a variable");
	ok(overflows_type(-1, u8) && !overflows_type(255, u8), "or a type");
	is(cpu_to_be32(0x12345678), 0x78563412, "the other order of bytes");
}

static int length = 3;
static u8 tiny;
static unsigned long address;
static bool on;
static char *name = "none";
module_param(length, int, 0644);
module_param(tiny, byte, 0);
module_param_named(where, address, ulong, 0);
module_param(on, bool, 0);
module_param(name, charp, 0);

static void test_parameters(void)
{
	is(mmun_compat_set_param("length", "-0x10"), 0, "a parameter is set");
	is(length, -16, "to its value");
	is(mmun_compat_set_param("length", "0x80000000"), -EINVAL, "not to what it cannot hold");
	is(mmun_compat_set_param("length", "3x"), -EINVAL, "nor to what is no number");
	is(mmun_compat_set_param("length", ""), -EINVAL, "nor to nothing");
	is(length, -16, "it is as it was");
	ok(!mmun_compat_set_param("tiny", "255") && tiny == 255, "a byte");
	is(mmun_compat_set_param("tiny", "256"), -EINVAL, "of eight bits");
	is(mmun_compat_set_param("tiny", "-1"), -EINVAL, "without a sign");
	ok(!mmun_compat_set_param("where", "0xffffffffffffffff") && address == ~0ul,
	   "by another name than the variable's");
	is(mmun_compat_set_param("address", "0"), -ENOENT, "and not by that");
	ok(!mmun_compat_set_param("on", "y") && on, "yes");
	ok(!mmun_compat_set_param("on", "0") && !on, "no");
	is(mmun_compat_set_param("on", "maybe"), -EINVAL, "or neither");
	ok(!mmun_compat_set_param("name", "new") && !strcmp(name, "new"), "a string");
}

int main(void)
{
	test_lists();
	test_llist();
	test_hash();
	test_kref();
	test_interval_tree();
	test_own_interval_tree();
	test_rbtree();
	test_xarray();
	test_cyclic();
	test_radix_tree();
	test_counts();
	test_idr();
	test_bits();
	test_fields();
	test_sort();
	test_overflow();
	test_parameters();
	is(mmun_compat_allocated(), 0, "nothing is left");
	return tap_done();
}
