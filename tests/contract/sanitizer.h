/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Is this test built with AddressSanitizer or ThreadSanitizer? */
#ifndef MMUN_TESTS_SANITIZER_H
#define MMUN_TESTS_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZED 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZED 1
#endif
#endif

#ifndef ADDRESS_SANITIZED
#define ADDRESS_SANITIZED 0
#endif
#ifndef THREAD_SANITIZED
#define THREAD_SANITIZED 0
#endif
#define SANITIZED (ADDRESS_SANITIZED || THREAD_SANITIZED)

/* Why a thread must not end while the hooks are armed under ThreadSanitizer. */
#define THREAD_END_REASON "ThreadSanitizer forgets a thread before libc gives its stack back"

/* Why strict mode cannot be on under ThreadSanitizer, where the core is instrumented. */
#define STRICT_REASON \
	"ThreadSanitizer's runtime calls the kernel with locks held that the core's atomics take"

#endif
