/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Included before everything else: pthread's locks of a test, under its scheduler. */
#ifndef MMUN_TESTS_TORTURE_SCHEDULED_PTHREAD_H
#define MMUN_TESTS_TORTURE_SCHEDULED_PTHREAD_H

#include "lock.h"

#define pthread_mutex_lock(m)    mmun_take((m), mutex_lock)
#define pthread_rwlock_wrlock(l) mmun_take((l), rwlock_wrlock)
#define pthread_rwlock_rdlock(l) mmun_take((l), rwlock_rdlock)
#define pthread_mutex_unlock(m)  (pthread_mutex_unlock(m), mmun_sched_point("unlock", (m)))
#define pthread_rwlock_unlock(l) (pthread_rwlock_unlock(l), mmun_sched_point("unlock", (l)))

#endif
