/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `mmunotify probe`: what is done about each system call instruction. */
#ifndef MMUN_TOOL_SITES_H
#define MMUN_TOOL_SITES_H

#include <stdbool.h>

#include "json.h"

/* Of a file.  Return: the exit status. */
int sites_of_file(const char *path, bool verbose);

/* Of the programs that a command runs, each as it was at its end.  Return: as above. */
int sites_of_command(char **command, bool verbose, bool json);

/* Of this process, in which the source is started for that. */
void sites_print_self(bool verbose);
struct json_object *sites_self_object(bool verbose);

#endif
