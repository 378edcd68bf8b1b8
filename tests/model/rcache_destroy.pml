/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * mmun_rcache_destroy() against a section that is open, the reaper, another cache that
 * makes room in this one, and a registration that is put only when destroy has said -EBUSY.
 *
 * Operations that the other models show to be right are one step each here.
 *
 * Checked: nobody touches the cache when it has been freed; each registration is deregistered, once,
 * and not while it is used; destroy ends.
 *
 * Mutants: LATE_UNREGISTER (the notifier leaves when all is deregistered), NO_JOIN (the reaper is
 * not waited for), STOP_ONCE (it looks for the end only when there is work), STAYS_LISTED (other
 * caches still find it), NOT_BUSY (what is used is left behind).
 */
#define REGISTRATIONS 2

bool live[REGISTRATIONS], dead[REGISTRATIONS], registered[REGISTRATIONS];
byte uses[REGISTRATIONS];
bool subscribed = true, listed = true, list_locked, reclaim_locked;
byte sections;
bool work, stop, reaper_ended;
bool freed, busy, is_put;

#define TOUCH assert(!freed)

inline kill(i)
{
	d_step {
		TOUCH;
		if
		:: live[i] -> live[i] = false; dead[i] = true
		:: else
		fi
	};
	d_step { TOUCH; work = true }
}

/* With the barrier that makes a sum of 0 last. */
inline deregister(i)
{
	d_step {
		TOUCH;
		if
		:: dead[i] && uses[i] == 0 ->
			assert(registered[i]);
			registered[i] = false;
			dead[i] = false
		:: else
		fi
	}
}

inline reclaim()
{
	atomic { TOUCH; !reclaim_locked -> reclaim_locked = true };
	deregister(0);
	deregister(1);
	d_step { TOUCH; reclaim_locked = false }
}

proctype section()
{
	bool called;

	atomic {
		called = subscribed;
		if :: called -> sections++ :: else fi
	};
	if
	:: called ->
		kill(1);
		kill(0);
		/* Memory changes; the end unlists it. */
		TOUCH;
		sections--
	:: else
	fi
}

proctype reaper()
{
	do
#ifdef MUTANT_STOP_ONCE
	:: atomic { work -> TOUCH };
#else
	:: atomic { work || stop -> TOUCH };
#endif
		if
		:: stop -> break
		:: else
		fi;
		d_step { TOUCH; work = false };
		reclaim()
	od;
	TOUCH;
	reaper_ended = true
}

/* mmun_rc_evict_others() of another cache */
proctype other()
{
	atomic { !list_locked -> list_locked = true };
	if
	:: listed ->
		d_step {
			TOUCH;
			if
			:: live[1] && uses[1] == 0 -> live[1] = false; dead[1] = true
			:: else
			fi
		};
		reclaim()
	:: else
	fi;
	list_locked = false
}

proctype user()
{
	busy;
	d_step { TOUCH; uses[0]-- };
	/* The put looks at the state. */
	d_step { TOUCH; work = true };
	is_put = true
}

inline unregister()
{
	subscribed = false;
	sections == 0
}

proctype destroyer()
{
	bool joined;

	do
	::
#ifndef MUTANT_LATE_UNREGISTER
		unregister();
#endif
		if
		:: joined
		:: else ->
			stop = true;
			work = true;
#ifndef MUTANT_NO_JOIN
			reaper_ended;
#endif
			joined = true
		fi;
		kill(0);
		kill(1);
		reclaim();
		if
#ifndef MUTANT_NOT_BUSY
		:: dead[0] || dead[1] ->
			busy = true;
			is_put
#endif
		:: else -> break
		fi
	od;
#ifndef MUTANT_STAYS_LISTED
	atomic { !list_locked -> list_locked = true };
	listed = false;
	list_locked = false;
#endif
	freed = true;
#ifdef MUTANT_LATE_UNREGISTER
	unregister();
#endif
	assert(!registered[0] && !registered[1]);
	/* A user who was not asked to wait has nothing to put. */
	busy = true
}

init {
	atomic {
		live[0] = true; live[1] = true;
		registered[0] = true; registered[1] = true;
		uses[0] = 1;
		run section();
		run reaper();
		run other();
		run user();
		run destroyer()
	}
}
