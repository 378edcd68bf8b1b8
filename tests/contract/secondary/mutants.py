#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""The tests of the devices in secondary/ can fail: each bug put back is found.

    mutants.py SOURCE COMPILER... -- LIBRARY...

A mutant is one edit of one file, which must apply exactly once.  The file is
compiled, linked in front of the libraries, and the device's test must fail or
not end.  Without an edit it must pass.
"""
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(sys.argv[1], 'tests/system'))
from tap import done, ok  # noqa: E402

SOURCE = sys.argv[1]
SPLIT = sys.argv.index('--')
COMPILER = sys.argv[2:SPLIT]
LIBRARIES = sys.argv[SPLIT + 1:]
FLAGS = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-g', '-w', '-fno-strict-aliasing']
PATIENCE = 120
# A mutant that takes so many times as long as the original hangs.
HANGS = 10

TESTS = {'gru': ['gru'], 'kvm': ['kvm_races', 'kvm'], 'xpmem': ['xpmem']}

# (name, device, file, text, what takes its place)
MUTANTS = [
    ('S5: a collision is not looked at', 'gru', 'fault.c',
     '} else if (fault->collided) {', '} else if (0) {'),
    ('S5: an open section is not waited for', 'gru', 'fault.c',
     'while (covered(gm, fault->address) && !is_over(context))', 'while (0)'),
    ('S1: a start does not flush', 'gru', 'notifier.c',
     '\tmmun_gru_tlb_flush(gru, gm, span.start, span.end);\n', ''),
    ('S3: an end is not counted', 'gru', 'notifier.c', '\tgm->nr_active--;\n', ''),
    ('B11: any section is a collision', 'gru', 'notifier.c',
     'if (gru_span_covers(&span, fault->address))', 'if (1)'),
    ('B11: any open section is waited for', 'gru', 'fault.c',
     'if (gru_span_covers(&gm->open[i], address))', 'if (1)'),
    ('numbers are used again without emptying the TLB', 'gru', 'tlb.c',
     'memset(gru->entries, 0, gru->params.nr_entries * sizeof(*gru->entries));', ''),
    ('who has no slot is not flushed', 'gru', 'tlb.c',
     '\t\tmmun_gru_tlb_forget(gru, gm);\n\t\tgru_count(gru, flush_asid);', ''),
    ('B15: fork inherits contexts', 'gru', 'context.c', 'VM_PFNMAP | VM_DONTCOPY', 'VM_PFNMAP'),
    ('B18: a fault does not hold its context', 'gru', 'context.c',
     'if (context) {\n\t\tpthread_mutex_lock(&gru->lock);\n\t\tcontext->refcount++;',
     'if (context) {\n\t\tpthread_mutex_lock(&gru->lock);'),
    ('B18: a closed context gets a translation', 'gru', 'fault.c',
     'return !context->mappings || context->gm->released;', 'return false;'),
    ('R9: every context has a notifier of its own', 'gru', 'context.c',
     'if (gm->nr_contexts++ == 0)', 'gm->nr_contexts++;'),

    ('S5: ended sections are not looked at', 'kvm', 'invalidate.c',
     'if (ended_since(invalidate, seq, address)) {', 'if (0) {'),
    ('S5: open sections are not looked at', 'kvm', 'invalidate.c',
     'if (open_over(invalidate, address)) {', 'if (0) {'),
    ('S5: changed in place under two sections', 'kvm', 'invalidate.c',
     'open_over(&kvm->invalidate, address) != 1 ||', ''),
    ('S1: a start does not drop entries', 'kvm', 'invalidate.c',
     '\tfor_each_at(kvm, span.start, span.end, zap, NULL);\n', ''),
    ('S9: young is not cleared', 'kvm', 'invalidate.c', '\t\tspte->young = false;\n', ''),
    ('B1: stopped in ->release, sections are ignored', 'kvm', 'invalidate.c',
     '\tnote_start(kvm, &span);\n', '\tif (!kvm->released)\n\t\tnote_start(kvm, &span);\n'),
    ('U1: ->release does not stop the guest', 'kvm', 'invalidate.c',
     '\tkvm->released = true;\n', ''),
    ('B11: any ended section counts', 'kvm', 'invalidate.c',
     'if (covers(&invalidate->ended[seq % KVM_ENDED], address))', 'if (1)'),
    ('B11: any open section counts', 'kvm', 'invalidate.c',
     'n += covers(&invalidate->open[i], address);', 'n++;'),
    ('B12: an end counts only where a slot is', 'kvm', 'invalidate.c',
     '\tnote_end(kvm, &span);\n', '\tif (mmun_kvm_slot_of(kvm, 0))\n\t\tnote_end(kvm, &span);\n'),
    ('B13: slots that change are not looked at', 'kvm', 'fault.c',
     '} else if (kvm->slots_generation != fault->slots_generation) {', '} else if (0) {'),
    ('B13: a start leaves caches valid', 'kvm', 'invalidate.c',
     '\tmmun_kvm_caches_invalidate(kvm, span.start, span.end);\n', ''),
    ('B13: a refresh does not look for sections', 'kvm', 'cache.c',
     '||\n\t\t   mmun_kvm_seq_retry(kvm, seq, address)', ''),
    ('B19: a change of slots forgets what sections are open', 'kvm', 'slots.c',
     '\tkvm->slots_generation++;\n',
     '\tkvm->slots_generation++;\n\tkvm->invalidate.in_progress = kvm->invalidate.nr_open = 0;\n'),
    ('B19: the dirty log misses stores', 'kvm', 'fault.c',
     '\tif (fault->write)\n\t\tmmun_kvm_slot_mark_dirty(kvm, slot, gfn);\n', ''),
    ('B19: a taken log leaves entries writable', 'kvm', 'slots.c',
     '\tspte->writable = false;\n', ''),
    ('B19: a failed registration is ignored', 'kvm', 'vm.c',
     '\tif (ret)\n\t\tgoto free_kvm;\n', ''),
    ('B19: an access does not keep a start waiting', 'kvm', 'fault.c',
     '\t\tkvm->params.in_access(kvm->params.arg);\n',
     '\t{\n\t\tpthread_mutex_unlock(&kvm->mmu_lock);\n'
     '\t\tkvm->params.in_access(kvm->params.arg);\n'
     '\t\tpthread_mutex_lock(&kvm->mmu_lock);\n\t}\n'),
    ('B22: always young', 'kvm', 'invalidate.c',
     '\tpthread_mutex_unlock(&kvm->mmu_lock);\n\treturn young.found;',
     '\tpthread_mutex_unlock(&kvm->mmu_lock);\n\treturn 1;'),

    ('S5: a collision is not looked at', 'xpmem', 'attach.c', 'if (fault->collided) {', 'if (0) {'),
    ('S5: open sections are not looked at', 'xpmem', 'notifier.c',
     '\t\tif (xp_covers(&exporter->open[i], address))\n\t\t\treturn true;\n', ''),
    ('S2: a start takes nothing back', 'xpmem', 'notifier.c',
     'while ((segment = first_with_pages(exporter, &span)))', 'while (0)'),
    ('B7: a refused start counts as open', 'xpmem', 'notifier.c',
     '\t\txp_count(x, refused);\n', '\t\txp_count(x, refused);\n\t\tnote_start(exporter, &span);\n'),
    ('B20: a refused start keeps the lock', 'xpmem', 'notifier.c',
     '\t\tret = -EAGAIN;\n\t\tgoto unlock;\n', '\t\treturn -EAGAIN;\n'),
    ('B11: any section is a collision', 'xpmem', 'notifier.c',
     'if (xp_covers(span, fault->address))', 'if (1)'),
    ('B15: fork inherits mappings', 'xpmem', 'attach.c', 'VM_PFNMAP | VM_DONTCOPY', 'VM_PFNMAP'),
    ('B18: the exporter goes under a fault', 'xpmem', 'segment.c',
     'while (exporter->busy && !exporter->segments)', 'while (0)'),
    ('B19: refused although there is nothing in the range', 'xpmem', 'notifier.c',
     '&& first_with_pages(exporter, &span)) {', ') {'),
    ('S7: what must not sleep sleeps', 'xpmem', 'notifier.c',
     'if (!mmu_notifier_range_blockable(range) &&', 'if (0 &&'),
    ('B23: pages are not pinned', 'xpmem', 'attach.c',
     'FOLL_WRITE | FOLL_PIN | FOLL_LONGTERM', 'FOLL_WRITE'),
    ('U8: ->release does not end the segments', 'xpmem', 'notifier.c',
     'while ((segment = first_alive(exporter))) {', 'while ((segment = NULL)) {'),
    ('S1: a segment that is being removed has no pages', 'xpmem', 'notifier.c',
     'while (segment && !mmun_xpmem_has_pages(segment, span->start, span->end))',
     'while (segment && (!segment->exporter ||\n'
     '\t\t\t   !mmun_xpmem_has_pages(segment, span->start, span->end)))'),
    ('U10: the last user is put under the importer\'s lock', 'xpmem', 'attach.c',
     '\tmmun_xpmem_worker_mmput(x, exporter);\n',
     '\texporter->busy--;\n\tpthread_mutex_unlock(&x->lock);\n'
     '\tmmput(exporter->mm);\n\tpthread_mutex_lock(&x->lock);\n'),
    ('an importer may export', 'xpmem', 'segment.c',
     'else if (mmun_xpmem_imports(x, exporter->mm))', 'else if (0)'),
]


def compile_one(source, output, device):
    includes = ['-I' + os.path.join(SOURCE, part)
                for part in ('secondary/' + device, 'include', 'base', 'tests/contract/secondary')]
    subprocess.run(COMPILER + FLAGS + includes + ['-c', source, '-o', output], check=True)


def link(objects, device, output):
    libraries = [lib for lib in LIBRARIES if 'secondary/' not in lib or '/%s/' % device in lib]
    subprocess.run(COMPILER + objects + libraries + ['-lpthread', '-o', output], check=True)


def passes(program, patience):
    try:
        return subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              timeout=patience, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def mutate(work, device, file, text, instead):
    with open(os.path.join(SOURCE, 'secondary', device, file), encoding='utf-8') as original:
        source = original.read()
    if source.count(text) != 1:
        return None
    path = os.path.join(work, file)
    with open(path, 'w', encoding='utf-8') as mutated:
        mutated.write(source.replace(text, instead))
    return path


def compile_tests(work):
    """The objects of the test programs, by name."""
    tests = {}
    for device, names in TESTS.items():
        for name in names:
            tests[name] = os.path.join(work, name + '.o')
            compile_one(os.path.join(SOURCE, 'tests/contract/secondary', name + '.c'),
                        tests[name], device)
    return tests


def main():
    with tempfile.TemporaryDirectory() as work:
        program = os.path.join(work, 'program')
        tests, patience = compile_tests(work), {}
        for device, names in TESTS.items():
            for name in names:
                link([tests[name]], device, program)
                began = time.monotonic()
                ok(passes(program, PATIENCE), '%s passes as it is' % name)
                patience[name] = max(5, HANGS * (time.monotonic() - began))
        for name, device, file, text, instead in MUTANTS:
            path = mutate(work, device, file, text, instead)
            if not ok(path, '%s: "%s" can be put in' % (device, name),
                      'not once in %s: %s' % (file, text)):
                continue
            compile_one(path, path + '.o', device)
            found = False
            for test in TESTS[device]:
                link([tests[test], path + '.o'], device, program)
                found = found or not passes(program, patience[test])
            ok(found, '%s: "%s" is found' % (device, name))
    done()


main()
