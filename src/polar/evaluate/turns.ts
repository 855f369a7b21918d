/**
 * Turns of the event loop. All policies of the process share one slice of each turn, however many there are: when it is
 * over, they queue up for the turns that follow, and one goes on in each. So long decisions that are under way keep timers,
 * sockets and short decisions waiting no longer than one does. Each begins in the turn in which it is asked, though: a hundred
 * that are asked in one go convert what they look at first in that turn.
 */

const SLICE_MILLISECONDS = 4;

/** What goes on in the turns that follow, in their order. */
const queue: (() => void)[] = [];
/** Undefined before a policy looks at the clock in this turn. */
let sliceEnd: number | undefined;
let isScheduled = false;

/** Whether policies have had their slice of this turn. It begins when the first one asks. */
export function isSliceOver(now: number): boolean {
  if (sliceEnd === undefined) {
    sliceEnd = now + SLICE_MILLISECONDS;
    schedule();
  }
  return now > sliceEnd;
}

/** Resolves in a later turn, with a slice of its own. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => {
    queue.push(resolve);
    schedule();
  });
}

function schedule(): void {
  if (isScheduled) return;
  isScheduled = true;
  setImmediate(beginTurn);
}

function beginTurn(): void {
  isScheduled = false;
  sliceEnd = undefined;
  const next = queue.shift();
  if (queue.length > 0) schedule();
  next?.();
}
