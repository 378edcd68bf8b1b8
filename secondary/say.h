/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a backend says on stderr. */
#ifndef MMUN_SECONDARY_SAY_H
#define MMUN_SECONDARY_SAY_H

/*
 * Writes "mmunotify: ", the text and a newline, in one piece.  Where nobody reads, the program
 * gets no SIGPIPE, for it has written nothing.
 * Context: sleeps.  Leaves errno alone.
 */
__attribute__((format(printf, 1, 2))) void mmun_backend_say(const char *format, ...);

#endif
