/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sorting: a heap in the array itself.
 *
 * Tests: tests/contract/compat/data.c.
 */
#include <linux/sort.h>

static void swap_bytes(char *a, char *b, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		char byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

struct heap {
	char *base;
	size_t size;
	cmp_func_t cmp;
	swap_func_t swap;
};

static void exchange(const struct heap *heap, size_t i, size_t j)
{
	char *a = heap->base + i * heap->size, *b = heap->base + j * heap->size;

	if (heap->swap)
		heap->swap(a, b, (int)heap->size);
	else
		swap_bytes(a, b, heap->size);
}

static bool element_less(const struct heap *heap, size_t i, size_t j)
{
	return heap->cmp(heap->base + i * heap->size, heap->base + j * heap->size) < 0;
}

/* [i + 1, n) is a heap; then so is [i, n). */
static void sink(const struct heap *heap, size_t i, size_t n)
{
	while (2 * i + 1 < n) {
		size_t child = 2 * i + 1;

		if (child + 1 < n && element_less(heap, child, child + 1))
			child++;
		if (!element_less(heap, i, child))
			return;
		exchange(heap, i, child);
		i = child;
	}
}

void sort(void *base, size_t num, size_t size, cmp_func_t cmp, swap_func_t swap)
{
	struct heap heap = { (char *)base, size, cmp, swap };

	for (size_t i = num / 2; i > 0; i--)
		sink(&heap, i - 1, num);
	for (size_t n = num; n > 1; n--) {
		exchange(&heap, 0, n - 1);
		sink(&heap, 0, n - 1);
	}
}
