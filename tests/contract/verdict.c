/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The judgement of the operations suite; see verdict.h.
 *
 * V1: every page that the kernel changed is covered by a section that acts and
 *     whose end came before the call returned.
 * V2: the first start that covers a page came before the page changed, the
 *     last end that covers it after.
 * V3: each expected range is notified by a section of its own with exactly this
 *     range, class and operation, not blockable (loose cases: covered).
 * V4: nothing that acts reaches outside the expected ranges into the watched
 *     area, and nothing acts at all where nothing changed (but for errors that
 *     leave it open).
 * V5: starts and ends are the same sections, in the same thread.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "verdict.h"

void verdict_fail(struct outcome *out, const char *format, ...)
{
	size_t used = strlen(out->text);
	va_list args;

	out->failed = true;
	va_start(args, format);
	if (used < sizeof(out->text))
		vsnprintf(out->text + used, sizeof(out->text) - used, format, args);
	va_end(args);
	used = strlen(out->text);
	if (used + 1 < sizeof(out->text))
		strcpy(out->text + used, "\n");
}

static bool covers(const struct watch_record *s, unsigned long page)
{
	return s->from <= page && page + PAGE_BYTES <= s->to;
}

static bool touches_area(const struct watch_record *s, const struct watch_area *area)
{
	for (unsigned int i = 0; i < area->pages; i++) {
		unsigned long page = watch_page_at(area, i);

		if (s->from < page + PAGE_BYTES && page < s->to)
			return true;
	}
	return false;
}

static void judge_pairs(struct outcome *out, const struct watch *w)
{
	if (w->nr_records == WATCH_RECORDS)
		verdict_fail(out, "more sections than the test can hold");
	for (unsigned int i = 0; i < w->nr_records; i++) {
		const struct watch_record *s = &w->records[i];

		if (s->peer < 0)
			verdict_fail(out, "%s of [%lx,%lx) has no other edge",
				     s->end ? "end" : "start", s->from, s->to);
		if (s->flags & MMU_NOTIFIER_RANGE_BLOCKABLE)
			verdict_fail(out, "a section inside a call of the program is blockable");
		if (s->from >= s->to || (s->from | s->to) % PAGE_BYTES)
			verdict_fail(out, "[%lx,%lx) is not a range of pages", s->from, s->to);
	}
}

/* V1 and V2 for sampled page @i. */
static void judge_page(struct outcome *out, const struct watch *w, unsigned int i)
{
	unsigned long page = watch_page_at(&w->area, i);
	int first = -1, last = -1;

	for (unsigned int j = 0; j < w->nr_records; j++) {
		if (!watch_acts(w, j) || !covers(&w->records[j], page))
			continue;
		if (first < 0)
			first = (int)j;
		if (w->records[j].peer > last)
			last = w->records[j].peer;
	}
	if (first < 0) {
		out->missed = true;
		verdict_fail(out, "page %u changed and nobody was notified", i);
		return;
	}
	out->notified_return = true;
	if (w->records[first].moved >> i & 1)
		verdict_fail(out, "page %u had changed before the start", i);
	else
		out->notified_before = true;
	if (!(w->records[last].moved >> i & 1))
		verdict_fail(out, "page %u had not changed yet at the end", i);
}

static bool expected_covered(const struct region *r, const struct watch *w,
			     const struct expectation *e)
{
	for (unsigned long page = e->from; page < e->to; page += PAGE_BYTES)
		if (watch_find(w, page, page + PAGE_BYTES) < 0)
			return false;
	return true;
}

static void judge_class(struct outcome *out, const struct region *r, const struct watch_record *s)
{
	const struct operation *op = r->op;

	if (s->op != op->op && op->op != MMUN_OP_NONE)
		verdict_fail(out, "operation is %s, expected %s", mmun_op_name(s->op),
			     mmun_op_name(op->op));
	if (s->event != op->event && op->op != MMUN_OP_NONE)
		verdict_fail(out, "event class is %d, expected %d", (int)s->event, (int)op->event);
	if (!(s->flags & MMUN_RANGE_PINNED_SAFE) != !(op->flags & OP_PINNED_SAFE) &&
	    op->op != MMUN_OP_NONE)
		verdict_fail(out, "the pinned-safe flag is wrong");
}

/* V3 for one expected range. */
static void judge_expected(struct outcome *out, const struct region *r, const struct watch *w,
			   const struct expectation *e)
{
	for (unsigned int i = 0; i < w->nr_records; i++) {
		const struct watch_record *s = &w->records[i];

		if (watch_acts(w, i) && s->from == e->from && s->to == e->to) {
			judge_class(out, r, s);
			out->notified_return = true;
			return;
		}
	}
	if (r->op->flags & OP_LOOSE) {
		int i = watch_find(w, e->from, e->from + PAGE_BYTES);

		if (i >= 0)
			judge_class(out, r, &w->records[i]);
		if (expected_covered(r, w, e))
			return;
	}
	verdict_fail(out, "no section says exactly [%lx,%lx)", e->from, e->to);
}

static bool inside_expected(const struct region *r, const struct watch_record *s)
{
	for (unsigned int i = 0; i < r->nr_expect; i++)
		if (r->expect[i].from <= s->from && s->to <= r->expect[i].to)
			return true;
	return false;
}

/* V4. */
static void judge_excess(struct outcome *out, const struct region *r, const struct watch *w)
{
	bool quiet = !out->moved && !(r->op->flags & (OP_INVISIBLE | OP_UNSURE));

	if (r->op->flags & OP_LOOSE && !quiet)
		return;
	for (unsigned int i = 0; i < w->nr_records; i++) {
		const struct watch_record *s = &w->records[i];

		if (!watch_acts(w, i) || !touches_area(s, &w->area))
			continue;
		if (quiet || !inside_expected(r, s))
			verdict_fail(out, "needless section [%lx,%lx) of %s", s->from, s->to,
				     mmun_op_name(s->op));
	}
}

static void describe(struct outcome *out, const struct region *r, const struct watch *w)
{
	verdict_fail(out, "area [%lx,+%u pages of %lx), changed pages %llx, result %ld errno %d",
		     r->area.start, r->area.pages, r->area.stride, (unsigned long long)out->moved,
		     out->ret, out->error);
	for (unsigned int i = 0; i < w->nr_records && i < 12; i++) {
		const struct watch_record *s = &w->records[i];

		verdict_fail(out, "%s %s [%lx,%lx) class %d flags %x result %ld, changed %llx",
			     s->end ? "end  " : "start", mmun_op_name(s->op), s->from, s->to,
			     (int)s->event, s->flags, s->result, (unsigned long long)s->moved);
	}
}

void verdict_judge(struct outcome *out, const struct region *r, const struct watch *w)
{
	bool fails = r->op->flags & OP_FAILS, quiet = r->op->flags & OP_QUIET;

	judge_pairs(out, w);
	for (unsigned int i = 0; i < w->area.pages; i++)
		if (out->moved >> i & 1)
			judge_page(out, w, i);
	for (unsigned int i = 0; i < r->nr_expect && !fails; i++)
		judge_expected(out, r, w, &r->expect[i]);
	judge_excess(out, r, w);
	if ((out->ret < 0) != fails)
		verdict_fail(out, "the call was expected to %s", fails ? "fail" : "succeed");
	if (quiet && out->moved)
		verdict_fail(out, "the call was expected to change nothing");
	if (!quiet && !fails && !out->moved && !(r->op->flags & OP_INVISIBLE))
		verdict_fail(out, "the kernel changed nothing: this tests nothing");
	if (out->failed)
		describe(out, r, w);
}

void verdict_compare(struct outcome *out, const struct outcome *plain, const struct operation *op)
{
	/* How many pages reclaim and collapse get is the kernel's mood. */
	bool moody = op->flags & OP_PINNED_SAFE;

	if (out->ret != plain->ret || out->error != plain->error)
		verdict_fail(out, "result %ld errno %d, without notifier %ld errno %d", out->ret,
			     out->error, plain->ret, plain->error);
	if (moody ? !out->moved != !plain->moved : out->moved != plain->moved)
		verdict_fail(out, "changed pages %llx, without notifier %llx",
			     (unsigned long long)out->moved, (unsigned long long)plain->moved);
	if (out->contents != plain->contents)
		verdict_fail(out, "the contents differ from those without notifier");
}

uint64_t verdict_contents(const struct watch_area *area)
{
	uint64_t hash = 1469598103934665603ULL;

	for (unsigned int i = 0; i < area->pages; i++) {
		unsigned char bytes[64];

		if (!memory_peek(watch_page_at(area, i), bytes, sizeof(bytes)))
			memset(bytes, 0xee, sizeof(bytes));
		for (size_t j = 0; j < sizeof(bytes); j++)
			hash = (hash ^ bytes[j]) * 1099511628211ULL;
	}
	return hash;
}
