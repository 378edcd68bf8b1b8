/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The formats of trace and replay: one entry each, in the order of the help.
 *
 * A format is a sink (output.h): it is opened with the header of the trace, gets each
 * record that passes the filter, and is closed.  It keeps what it needs in sink->state and
 * writes to sink->out, a file, a pipe or a terminal.  Records come in the order in which
 * operations ended.  Without an entry here are text where nothing is asked for, and
 * recordings.  Tests: tests/system/trace_errors.py, tests/system/trace_events.py.
 */
#include "output.h"
#include "page/option.h"

const struct format output_formats[] = {
	{
		.option = "text",
		.help = "      --text          one line per event\n",
		.ops = &sink_text,
	},
	{
		.option = "json",
		.help = "      --json          one JSON object per line\n",
		.ops = &sink_json,
	},
	{
		.option = "summary",
		.argument = optional_argument,
		.letter = 'c',
		.help = "      --summary[=KEYS]\n"
			"                      tables at the end, one for each of operation, class,\n"
			"                      mapping, process, thread, stack; joined by + one together\n"
			"                      (default operation,mapping, and stack with -k)\n"
			"  -c                  --summary with the default tables\n",
		.take = summary_take_keys,
		.ops = &sink_summary,
		.json = &sink_summary_json,
	},
	{
		.option = "folded",
		.argument = optional_argument,
		.help = "      --folded[=WEIGHT]\n"
			"                      stacks as flame graphs are drawn from, weighed by events\n"
			"                      (default), bytes or time\n",
		.ops = &sink_folded,
		.wants_stacks = true,
		.take = folded_take,
	},
	{
		.option = "perfetto",
		.help = "      --perfetto      JSON for ui.perfetto.dev and chrome://tracing\n",
		.ops = &sink_perfetto,
		.needs_times = true,
	},
	{
		.option = "html",
		.argument = required_argument,
		.help = "      --html=FILE     a page with charts and tables, for a browser, into FILE\n",
		.ops = &sink_page,
		.names_file = true,
		.wants_stacks = true,
		.needs_times = true,
		.take = page_take,
	},
	{ 0 },
};
