/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/unit/rcache/table.c, tests/torture/rcache.c. */
#include "cache.h"

/* Every id that has ever been used. */
static void walk_ids(struct rc_state *state, unsigned long first, unsigned long last,
		     void (*visit)(const struct rc_entry *entry, void *arg), void *arg)
{
	const uint32_t nr = mmun_load_full(&state->nr);

	for (uint32_t id = 0; id < nr; id++) {
		const struct mmun_registration *reg;
		struct rc_entry entry;

		entry.state = mmun_load_full(&state->hot.state[id]) & ~MMUN_RC_UNBORN;
		if (!entry.state)
			continue;
		/* Should it die and be another one now, its state is not this one. */
		reg = mmun_rc_region(&state->hot, id);
		entry.first = mmun_load_relaxed(&reg->start) >> MMUN_RC_PAGE_SHIFT;
		entry.pages = (mmun_load_relaxed(&reg->end) >> MMUN_RC_PAGE_SHIFT) - entry.first;
		entry.id = id;
		if (entry.first <= last && first < entry.first + entry.pages)
			visit(&entry, arg);
	}
}

void mmun_rc_walk(struct mmun_rcache *cache, unsigned long first, unsigned long last,
		  void (*visit)(const struct rc_entry *entry, void *arg), void *arg)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned long seq;

	do {
		const struct rc_table *table;

		seq = mmun_load_full(&state->table_seq);
		table = mmun_load_full(&state->hot.table);
		/* Not ready: nothing was ever live here. */
		if (!table)
			return;
		if (!mmun_rc_table_walk(table, first, last, 64 + mmun_load_relaxed(&state->nr) / 4,
					visit, arg)) {
			walk_ids(state, first, last, visit, arg);
			return;
		}
	} while (mmun_load_full(&state->table_seq) != seq);
}
