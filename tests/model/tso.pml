/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory as x86 processors have it: a plain store waits in the storing thread's
 * buffer and reaches memory later, in order; a full operation waits until the
 * own buffer is empty.  A mutant that drops a fence turns the full operation
 * into a buffered one.
 *
 * Threads do not read what they have buffered themselves in these models.
 * Before including: THREADS, CELLS.
 */
byte mem[CELLS];
chan buffer[THREADS] = [2] of { byte, byte, bool };

#define LOAD(cell)		mem[cell]
/* To be used inside atomic or as one statement each. */
#define FULL_STORE(me, cell, value) \
	atomic { len(buffer[me]) == 0; mem[cell] = value }
#define FULL_ADD(me, cell) \
	atomic { len(buffer[me]) == 0; mem[cell] = mem[cell] + 1 }
#define PLAIN_STORE(me, cell, value)	buffer[me]!cell,value,false
#define PLAIN_ADD(me, cell)		buffer[me]!cell,1,true
/* A system call, too, drains the buffer. */
#define DRAIN(me)		len(buffer[me]) == 0

active proctype processor()
{
	byte cell, value;
	bool add;
	byte i;

end:	do
	:: d_step { buffer[0]?[cell, value, add] -> buffer[0]?cell,value,add;
		if :: add -> mem[cell] = mem[cell] + value :: else -> mem[cell] = value fi }
	:: d_step { buffer[1]?[cell, value, add] -> buffer[1]?cell,value,add;
		if :: add -> mem[cell] = mem[cell] + value :: else -> mem[cell] = value fi }
	:: d_step { buffer[2]?[cell, value, add] -> buffer[2]?cell,value,add;
		if :: add -> mem[cell] = mem[cell] + value :: else -> mem[cell] = value fi }
	od
}
