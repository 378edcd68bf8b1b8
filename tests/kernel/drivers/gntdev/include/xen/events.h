/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_TESTS_KERNEL_XEN_EVENTS_H
#define MMUN_TESTS_KERNEL_XEN_EVENTS_H

#include <xen/interface/event_channel.h>

int evtchn_get(evtchn_port_t port);
void evtchn_put(evtchn_port_t port);
void notify_remote_via_evtchn(evtchn_port_t port);

#endif
