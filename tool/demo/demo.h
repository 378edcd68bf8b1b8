/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * `mmunotify demo`, its parts: a device that keeps its own translation of a
 * buffer (uring.c, vmsplice.c), the five operations that pull the
 * memory from under it (ops.c), one column of the table (column.c),
 * the registration cache of the last one (cached.c), the table itself (print.c).
 */
#ifndef MMUN_TOOL_DEMO_DEMO_H
#define MMUN_TOOL_DEMO_DEMO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define DEMO_PAGES         4
#define DEMO_NR_OPERATIONS 5

/* What a device saw after the operation, in one direction. */
enum demo_view {
	DEMO_UNTESTED, /* this device has no such direction, or the cell failed */
	DEMO_FRESH,    /* the memory that the program sees */
	DEMO_STALE,    /* the orphaned pages */
};

/* One sentence for a person; empty: nothing went wrong. */
struct demo_error {
	char text[320];
};

__attribute__((format(printf, 3, 4))) int demo_fail(struct demo_error *error, int errnum,
						    const char *format, ...);

struct demo_device;

struct demo_device_ops {
	const char *name;
	/* Continues "One buffer is registered once with ..." in the table's heading. */
	const char *story;
	/* Can the device write to memory as well as read it? */
	bool delivers;
	size_t state_size;
	int (*open)(struct demo_device *dev);
	void (*close)(struct demo_device *dev);
	/* Translate and pin the buffer, as it is mapped now. */
	int (*attach)(struct demo_device *dev);
	void (*detach)(struct demo_device *dev);
	/* The device reads the buffer through its translation into @out. */
	int (*fetch)(struct demo_device *dev, unsigned char *out);
	/* The device writes @in to the buffer through its translation. */
	int (*deliver)(struct demo_device *dev, const unsigned char *in);
};

struct demo_device {
	const struct demo_device_ops *ops;
	struct demo_error *error;
	unsigned char *buffer;
	size_t size;
	bool attached;
	void *state;
};

extern const struct demo_device_ops demo_uring_device, demo_vmsplice_device;

int demo_device_open(struct demo_device *dev, const struct demo_device_ops *ops,
		     unsigned char *buffer, size_t size, struct demo_error *error);
void demo_device_close(struct demo_device *dev);
int demo_device_attach(struct demo_device *dev);
void demo_device_detach(struct demo_device *dev);

/* The memory that is registered with the device. */
struct demo_buffer {
	unsigned char *start;
	size_t size;
	int memfd; /* or -1: anonymous */
};

struct demo_operation {
	const char *name;  /* in JSON */
	const char *title; /* in the table */
	bool of_file;      /* the buffer maps a memfd */
	/* Replace the pages behind the buffer; its addresses stay usable. */
	int (*change)(struct demo_buffer *buffer, struct demo_error *error);
};

extern const struct demo_operation demo_operations[DEMO_NR_OPERATIONS];

int demo_buffer_map(struct demo_buffer *buffer, bool of_file, struct demo_error *error);
void demo_buffer_unmap(struct demo_buffer *buffer);

struct demo_cell {
	enum demo_view fetched, delivered;
	struct demo_error error;
	/* Of the columns with a notifier: changes that touched the buffer, registrations. */
	unsigned long sections, registrations;
};

struct demo_column {
	struct demo_cell cells[DEMO_NR_OPERATIONS];
	/* Why the column as a whole ended early. */
	struct demo_error error;
};

/* Can @ops be used here at all? */
int demo_device_probe(const struct demo_device_ops *ops, struct demo_error *error);

/* How a program that has registered a buffer learns of changes of its memory. */
enum demo_way { DEMO_WITHOUT, DEMO_NOTIFIER, DEMO_CACHE, DEMO_NR_WAYS };

/* Fill @column; runs in a process of its own, which it may leave changed. */
void demo_column_run(struct demo_column *column, const struct demo_device_ops *ops,
		     enum demo_way way);

/* Why registration failed, in the words of the source that refused.  Return: -errno. */
int demo_why_no_notifier(int result, struct demo_error *error);

struct demo_cached;

int demo_cached_create(struct demo_cached **cached, const struct demo_device_ops *ops,
		       struct demo_error *error);
void demo_cached_destroy(struct demo_cached *cached);
/* A device that has the buffer attached as it is now; until the put. */
int demo_cached_get(struct demo_cached *cached, const struct demo_buffer *buffer,
		    struct demo_device **dev);
void demo_cached_put(struct demo_cached *cached, struct demo_device *dev);
void demo_cached_count(const struct demo_cached *cached, struct demo_cell *cell);

struct demo_report {
	const struct demo_device_ops *device;
	/* Why not the first choice of device; empty: it is. */
	struct demo_error note;
	const struct demo_column *columns[DEMO_NR_WAYS];
};

/* Operations whose cell shows (or, @all_directions, shows throughout) @view. */
unsigned int demo_count(const struct demo_report *report, enum demo_way way, enum demo_view view,
			bool all_directions);
/* The first column stale in every tested direction of all five, the others fresh. */
bool demo_passed(const struct demo_report *report);
void demo_print_table(const struct demo_report *report, FILE *out);
void demo_print_json(const struct demo_report *report, FILE *out);

#endif
