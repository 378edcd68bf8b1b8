/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Runs a list of steps on both sides; makes a failing list short. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "diff.h"

static struct view soft_view, kernel_view;
bool with_events;

/* Does the step mean anything now? Both sides then leave it out. */
static bool applies(struct soft_side *soft, const struct op *op)
{
	if (!soft_alive(soft, op->process))
		return false;
	/* What takes pages away behind everybody's back has notified of that then. */
	if (with_events &&
	    (op->kind >= OP_RECLAIM || (op->kind == OP_MADVISE && op->flags == MADV_PAGEOUT)))
		return false;
	if (op->kind == OP_FORK)
		return !soft_alive(soft, op->to);
	if (op->kind == OP_EXIT) {
		unsigned int others = 0;

		for (unsigned int i = 0; i < PROCESSES; i++)
			others += i != op->process && soft_alive(soft, i);
		return others > 0;
	}
	return true;
}

static void ask_for_same_looks(void)
{
	kernel_view.nr_looks = soft_view.nr_looks;
	memcpy(kernel_view.looks, soft_view.looks, soft_view.nr_looks * sizeof(soft_view.looks[0]));
}

static const char *look_at_others(struct soft_side *soft, struct kernel_side *kernel,
				  unsigned int process, struct random *r)
{
	static char text[440];

	for (unsigned int i = 0; i < PROCESSES; i++) {
		const char *difference;

		if (i == process || !soft_alive(soft, i))
			continue;
		soft_view.result = kernel_view.result = 0;
		soft_look(soft, i, r, &soft_view);
		ask_for_same_looks();
		if (!kernel_look(kernel, i, &kernel_view))
			return "a helper process died";
		kernel_view.result = soft_view.result;
		kernel_view.value = soft_view.value;
		kernel_view.fault = soft_view.fault;
		difference = compare(&soft_view, &kernel_view);
		if (difference) {
			snprintf(text, sizeof(text), "in process %u: %s", i, difference);
			return text;
		}
	}
	return NULL;
}

static const char *do_step(struct soft_side *soft, struct kernel_side *kernel, const struct op *op,
			   struct random *r)
{
	const char *difference;

	soft_step(soft, op, r, &soft_view);
	if (!soft_alive(soft, op->process))
		soft_view.nr_areas = soft_view.nr_looks = 0;
	ask_for_same_looks();
	if (!kernel_step(kernel, op, &kernel_view))
		return "a helper process died";
	if (op->kind == OP_EXIT)
		kernel_view.nr_areas = kernel_view.nr_ranges = 0;
	difference = compare(&soft_view, &kernel_view);
	if (!difference && with_events && !kernel_view.ranges_lost)
		difference = compare_events(op, &kernel_view);
	return difference;
}

static const char *step(struct soft_side *soft, struct kernel_side *kernel, const struct op *op,
			struct random *r)
{
	const struct op peek = {
		.kind = OP_READ, .process = op->process, .page = op->page, .pages = 1, .file = -1
	};
	const char *difference = NULL;

	/* Only what holds our return instruction is called, or cannot be. */
	if (op->kind == OP_FETCH)
		difference = do_step(soft, kernel, &peek, r);
	if (op->kind == OP_FETCH && !soft_view.fault.signal && (soft_view.value & 0xff) != 0xc3)
		return difference;
	if (!difference)
		difference = do_step(soft, kernel, op, r);
	if (!difference && (touches_files(op) || !below(r, 16)))
		difference = look_at_others(soft, kernel, op->process, r);
	if (!difference)
		difference = soft_complaint(soft);
	return difference;
}

bool run_steps(const struct op *ops, size_t count, uint64_t seed, struct run *out)
{
	struct kernel_side *kernel = kernel_begin();
	struct soft_side *soft = soft_begin();
	struct random r = { seed };
	bool same = true;

	if (!kernel || !soft) {
		perror("cannot begin");
		exit(3);
	}
	out->performed = 0;
	for (size_t i = 0; i < count && same; i++) {
		const char *difference;

		if (!applies(soft, &ops[i]))
			continue;
		difference = step(soft, kernel, &ops[i], &r);
		out->performed++;
		if (difference) {
			out->step = i;
			snprintf(out->difference, sizeof(out->difference), "%s", difference);
			same = false;
		}
	}
	soft_end(soft);
	kernel_end(kernel);
	return same;
}

/* Removes ops[from, from + length) if the rest still fails. */
static bool try_without(struct op *ops, size_t *count, size_t from, size_t length, uint64_t seed,
			struct run *out)
{
	struct op *fewer = malloc((*count + 1) * sizeof(*ops));
	size_t rest = *count - length;
	struct run run;
	bool fails;

	memcpy(fewer, ops, from * sizeof(*ops));
	memcpy(fewer + from, ops + from + length, (*count - from - length) * sizeof(*ops));
	fails = !run_steps(fewer, rest, seed, &run);
	if (fails) {
		rest = run.step + 1;
		memcpy(ops, fewer, rest * sizeof(*ops));
		*count = rest;
		*out = run;
	}
	free(fewer);
	return fails;
}

size_t minimise(struct op *ops, size_t count, uint64_t seed, struct run *out)
{
	size_t length;

	count = out->step + 1;
	for (length = (count + 1) / 2; length; length /= 2) {
		size_t from = 0;

		while (from + length <= count)
			if (!try_without(ops, &count, from, length, seed, out))
				from += length;
	}
	return count;
}
