/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Messages about stale registrations made into findings.
 *
 * A finding is a pair of stacks: where registrations were made, and where their memory was
 * changed.  Each registration's fate arrives in messages of its own, and is counted when it
 * is known: used, dropped, or there at the end.  What arrives was written by programs and is
 * not trusted.  Tests: tests/system/audit.py.
 */
#include <stdlib.h>
#include <string.h>

#include <mmunotify/op.h>

#include "findings.h"

/* A registration that is stale and whose fate is not known yet. */
struct live {
	struct finding *finding;
	uint64_t changed_at, bytes, stale_bytes;
	uint64_t used_at;
	bool unknown;
};

/* In the map for those whose fate is known: an empty place would hide others behind it. */
static struct live settled;

static const struct {
	const char *name, *meaning;
} kinds[] = {
#define AUDIT_KIND_TEXTS(name, text, meaning) { text, meaning },
	AUDIT_KINDS(AUDIT_KIND_TEXTS)
#undef AUDIT_KIND_TEXTS
};

const char *audit_kind_name(unsigned int kind)
{
	return kind < AUDIT_NR_KINDS ? kinds[kind].name : "unknown";
}

const char *audit_kind_meaning(unsigned int kind)
{
	return kind < AUDIT_NR_KINDS ? kinds[kind].meaning : "registration";
}

void findings_init(struct findings *findings, uint64_t grace)
{
	memset(findings, 0, sizeof(*findings));
	findings->grace = grace;
	findings->last = &findings->first;
}

void findings_free(struct findings *findings)
{
	struct finding *finding, *next;

	for (finding = findings->first; finding; finding = next) {
		next = finding->next;
		free(finding);
	}
	for (size_t i = 0; i < findings->live.size; i++)
		if (findings->live.entries[i].value != &settled)
			free(findings->live.entries[i].value);
	key_map_clear(&findings->live);
	key_map_clear(&findings->by_place);
	findings->first = NULL;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return ((hash ^ value) * 0x9e3779b97f4a7c15ull) ^ hash >> 29;
}

/* By the stacks' hashes, which processes of one program share. */
static uint64_t place_of(const struct ring_audit *audit)
{
	return mix(mix(mix(audit->kind, audit->op), audit->made_stack), audit->stack);
}

static uint64_t registration_key(const struct ring_message *message)
{
	return (uint64_t)message->pid << 40 ^ message->audit.id;
}

static struct finding *add_finding(struct findings *findings, struct collector *collector,
				   const struct ring_message *message)
{
	const struct ring_audit *audit = &message->audit;
	struct finding *finding = calloc(1, sizeof(*finding));

	if (!finding)
		return NULL;
	finding->kind = audit->kind;
	finding->op = audit->op;
	finding->mapping = audit->mapping;
	finding->name = collector_text(collector, audit->name);
	finding->made.nr = collector_stack(collector, audit->made_stack, finding->made.frames);
	finding->changed.nr = collector_stack(collector, audit->stack, finding->changed.frames);
	finding->pid = message->pid;
	finding->tid = message->tid;
	finding->holder = audit->holder;
	finding->index = audit->index;
	finding->start = audit->start;
	finding->end = audit->end;
	finding->stale_start = audit->stale_start;
	finding->stale_end = audit->stale_end;
	finding->made_at = audit->made;
	finding->changed_at = message->time;
	*findings->last = finding;
	findings->last = &finding->next;
	return finding;
}

static bool is_sound(const struct ring_audit *audit)
{
	return audit->kind < AUDIT_NR_KINDS && audit->op < MMUN_NR_OPS &&
	       audit->mapping < NR_MAPPING_KINDS && audit->start <= audit->stale_start &&
	       audit->stale_start <= audit->stale_end && audit->stale_end <= audit->end;
}

static void take_stale(struct findings *findings, struct collector *collector,
		       const struct ring_message *message)
{
	void **place = key_map_place(&findings->by_place, place_of(&message->audit));
	void **live = key_map_place(&findings->live, registration_key(message));
	struct live *one;

	if (place && !*place)
		*place = add_finding(findings, collector, message);
	if (live && (!*live || *live == &settled))
		*live = calloc(1, sizeof(*one));
	if (!place || !*place || !live || !*live) {
		findings->out_of_memory = true;
		return;
	}
	one = *live;
	one->finding = *place;
	one->changed_at = message->time;
	one->unknown = message->audit.what == AUDIT_STALE_UNKNOWN;
	one->bytes = message->audit.end - message->audit.start;
	one->stale_bytes = message->audit.stale_end - message->audit.stale_start;
}

/* Its fate is known: dropped at @dropped_at, or there at the end (0). */
static void settle(struct findings *findings, struct live *live, uint64_t dropped_at)
{
	struct finding *finding = live->finding;

	/* What was in a pipe has been read since, most likely. */
	if (dropped_at && !live->used_at && finding->kind != AUDIT_VMSPLICE &&
	    dropped_at - live->changed_at < findings->grace) {
		finding->nr_deferred++;
		findings->deferred++;
		return;
	}
	finding->nr++;
	finding->bytes += live->bytes;
	finding->stale_bytes += live->stale_bytes;
	finding->nr_used += live->used_at > 0;
	finding->nr_unknown += !live->used_at && live->unknown;
	finding->nr_dropped += dropped_at > 0;
	finding->nr_at_end += !dropped_at;
	if (dropped_at && !finding->dropped_at)
		finding->dropped_at = dropped_at;
}

static void take_fate(struct findings *findings, struct collector *collector,
		      const struct ring_message *message)
{
	struct live *live = key_map_find(&findings->live, registration_key(message));
	const struct ring_audit *audit = &message->audit;
	struct finding *finding = live ? live->finding : NULL;
	void **place;

	if (!finding)
		return;
	if (audit->what == AUDIT_USE_UNKNOWN) {
		live->unknown = true;
		return;
	}
	if (audit->what == AUDIT_USED) {
		live->used_at = message->time;
		if (finding->used_at)
			return;
		finding->used_at = message->time;
		finding->used.nr = collector_stack(collector, audit->stack, finding->used.frames);
		return;
	}
	live->stale_bytes = audit->stale_end - audit->stale_start;
	settle(findings, live, audit->what == AUDIT_DROPPED ? message->time : 0);
	place = key_map_place(&findings->live, registration_key(message));
	live->finding = NULL;
	if (!place)
		return;
	*place = &settled;
	free(live);
}

void findings_take(struct findings *findings, struct collector *collector,
		   const struct ring_message *message)
{
	const struct ring_audit *audit = &message->audit;

	switch (audit->what) {
	case AUDIT_STALE:
	case AUDIT_STALE_UNKNOWN:
		if (is_sound(audit))
			take_stale(findings, collector, message);
		break;
	case AUDIT_USED:
	case AUDIT_DROPPED:
	case AUDIT_AT_END:
	case AUDIT_USE_UNKNOWN:
		if (is_sound(audit))
			take_fate(findings, collector, message);
		break;
	case AUDIT_RACED:
		findings->raced++;
		break;
	case AUDIT_TOTALS:
		findings->registered += audit->start;
		findings->unwatched += audit->end;
		findings->unseen += audit->stale_start;
		findings->unknown += audit->stale_end;
		break;
	}
}

void findings_finish(struct findings *findings)
{
	for (size_t i = 0; i < findings->live.size; i++) {
		struct live *live = findings->live.entries[i].value;

		if (live && live->finding)
			settle(findings, live, 0);
	}
}
