/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the preloaded watcher answers to the guest that asks by name. */
#ifndef MMUN_TESTS_CONTRACT_GUEST_WATCH_H
#define MMUN_TESTS_CONTRACT_GUEST_WATCH_H

/* Result of the registration before main. */
int guest_watch_registered(void);
/* Did one section that acted cover [from,to)? */
int guest_watch_notified(unsigned long from, unsigned long to);
/* Starts without an end. */
unsigned long guest_watch_open(void);
void guest_watch_forget(void);

#endif
