/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * --html: one page with charts and tables, made for a browser that is not on the network.
 *
 * Records are gathered as they come; the page is printed at the end.
 * Tests: tests/system/page.py.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../command.h"
#include "option.h"
#include "page.h"

#ifdef HAVE_PAGE
static int page_open(struct sink *sink, const struct record_header *header)
{
	sink->state = gather_new(header);
	return sink->state ? 0 : -ENOMEM;
}

static int page_record(struct sink *sink, const struct record *record)
{
	return gather_record(sink->state, record);
}

/* Half a page is worse than none. */
static void remove_page(const struct sink *sink)
{
	struct stat named, written;

	if (sink->options->path && !fstat(fileno(sink->out), &written) &&
	    !lstat(sink->options->path, &named) && S_ISREG(named.st_mode) &&
	    named.st_dev == written.st_dev && named.st_ino == written.st_ino)
		unlink(sink->options->path);
}

static int page_close(struct sink *sink)
{
	int error, saved;

	errno = 0;
	fwrite(page_before, 1, page_before_size, sink->out);
	error = page_put_data(sink, sink->state);
	fwrite(page_after, 1, page_after_size, sink->out);
	gather_free(sink->state);
	if ((fflush(sink->out) || ferror(sink->out)) && (!error || error == -EIO))
		error = errno ? -errno : -EIO;
	saved = errno;
	if (error)
		remove_page(sink);
	errno = saved;
	return error;
}

const struct sink_ops sink_page = { page_open, page_record, page_close };
#else
const struct sink_ops sink_page = { 0 };
#endif

int page_take(struct output_options *options, const char *command, const char *argument)
{
#ifdef HAVE_PAGE
	return 0;
#else
	return mmunotify_usage_error(
		command, "--html is not in this build: install Debian's node-d3 (or set "
			 "the option d3 of meson) and build again");
#endif
}
