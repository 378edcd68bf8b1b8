/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What traced programs need not look at themselves (mmun_self_survey()). */
#ifndef MMUN_TOOL_TRACE_SURVEY_H
#define MMUN_TOOL_TRACE_SURVEY_H

#include <stdbool.h>

/* For the programs that are started from now on.  @library: what is preloaded into them. */
void survey_hand_over(const char *library);

#endif
