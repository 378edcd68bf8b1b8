/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What an architecture has for kvm_main.c, of which a machine without processors needs little. */
#include <linux/kvm_host.h>

#define NOTHING(name, ...) \
	void name(__VA_ARGS__) \
	{ \
	}
#define FALSE(type, name, ...) \
	type name(__VA_ARGS__) \
	{ \
		return 0; \
	}
#define REFUSED(type, name, ...) \
	type name(__VA_ARGS__) \
	{ \
		return -EOPNOTSUPP; \
	}

const struct kvm_stats_header kvm_vcpu_stats_header, kvm_vm_stats_header;
const struct kvm_stats_desc kvm_vcpu_stats_desc[1], kvm_vm_stats_desc[1];

NOTHING(kvm_arch_commit_memory_region, struct kvm *kvm, struct kvm_memory_slot *old,
	const struct kvm_memory_slot *new, enum kvm_mr_change change)
NOTHING(kvm_arch_destroy_vm, struct kvm *kvm)
NOTHING(kvm_arch_free_memslot, struct kvm *kvm, struct kvm_memory_slot *slot)
NOTHING(kvm_arch_memslots_updated, struct kvm *kvm, u64 gen)
NOTHING(kvm_arch_sync_dirty_log, struct kvm *kvm, struct kvm_memory_slot *slot)
NOTHING(kvm_arch_sync_events, struct kvm *kvm)
NOTHING(kvm_arch_vcpu_blocking, struct kvm_vcpu *vcpu)
NOTHING(kvm_arch_vcpu_unblocking, struct kvm_vcpu *vcpu)
NOTHING(kvm_arch_vcpu_destroy, struct kvm_vcpu *vcpu)
NOTHING(kvm_arch_vcpu_load, struct kvm_vcpu *vcpu, int cpu)
NOTHING(kvm_arch_vcpu_put, struct kvm_vcpu *vcpu)
NOTHING(kvm_eventfd_init, struct kvm *kvm)
FALSE(int, kvm_arch_init_vm, struct kvm *kvm, unsigned long type)
FALSE(int, kvm_arch_prepare_memory_region, struct kvm *kvm, const struct kvm_memory_slot *old,
      struct kvm_memory_slot *new, enum kvm_mr_change change)
FALSE(bool, kvm_arch_vcpu_in_kernel, struct kvm_vcpu *vcpu)
FALSE(int, kvm_arch_vcpu_runnable, struct kvm_vcpu *vcpu)
FALSE(int, kvm_arch_vcpu_should_kick, struct kvm_vcpu *vcpu)
FALSE(int, kvm_cpu_has_pending_timer, struct kvm_vcpu *vcpu)
FALSE(int, kvm_vm_ioctl_check_extension, struct kvm *kvm, long ext)
REFUSED(long, kvm_arch_dev_ioctl, struct file *file, unsigned int ioctl, unsigned long arg)
REFUSED(int, kvm_arch_vcpu_create, struct kvm_vcpu *vcpu)
REFUSED(int, kvm_arch_vcpu_precreate, struct kvm *kvm, unsigned int id)
REFUSED(int, kvm_arch_vm_ioctl, struct file *file, unsigned int ioctl, unsigned long arg)
REFUSED(long, kvm_arch_vcpu_ioctl, struct file *file, unsigned int ioctl, unsigned long arg)
REFUSED(int, kvm_ioeventfd, struct kvm *kvm, struct kvm_ioeventfd *args)
REFUSED(ssize_t, kvm_stats_read, char *id, const struct kvm_stats_header *header,
	const struct kvm_stats_desc *desc, void *stats, size_t size, char __user *buffer,
	size_t length, loff_t *offset)
REFUSED(int, kvm_vm_ioctl_get_dirty_log, struct kvm *kvm, struct kvm_dirty_log *log)
REFUSED(int, kvm_vm_ioctl_irq_line, struct kvm *kvm, struct kvm_irq_level *level, bool status)
REFUSED(int, kvm_arch_vcpu_ioctl_run, struct kvm_vcpu *vcpu)
REFUSED(int, kvm_arch_vcpu_ioctl_get_regs, struct kvm_vcpu *vcpu, struct kvm_regs *regs)
REFUSED(int, kvm_arch_vcpu_ioctl_set_regs, struct kvm_vcpu *vcpu, struct kvm_regs *regs)
REFUSED(int, kvm_arch_vcpu_ioctl_get_sregs, struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
REFUSED(int, kvm_arch_vcpu_ioctl_set_sregs, struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
REFUSED(int, kvm_arch_vcpu_ioctl_get_mpstate, struct kvm_vcpu *vcpu, struct kvm_mp_state *state)
REFUSED(int, kvm_arch_vcpu_ioctl_set_mpstate, struct kvm_vcpu *vcpu, struct kvm_mp_state *state)
REFUSED(int, kvm_arch_vcpu_ioctl_get_fpu, struct kvm_vcpu *vcpu, struct kvm_fpu *fpu)
REFUSED(int, kvm_arch_vcpu_ioctl_set_fpu, struct kvm_vcpu *vcpu, struct kvm_fpu *fpu)
REFUSED(int, kvm_arch_vcpu_ioctl_translate, struct kvm_vcpu *vcpu, struct kvm_translation *tr)
REFUSED(int, kvm_arch_vcpu_ioctl_set_guest_debug, struct kvm_vcpu *vcpu,
	struct kvm_guest_debug *debug)
REFUSED(vm_fault_t, kvm_arch_vcpu_fault, struct kvm_vcpu *vcpu, struct vm_fault *vmf)
