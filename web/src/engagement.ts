/** Counts the time during which the page was visible and focused. Times are milliseconds of a monotonic clock. */

/** Twice the tick: a longer step means that the machine slept, and nobody was reading. */
export const STEP_MAX_MS = 30_000;

/**
 * Returns `run(active, now)`, called whenever the page may have become active or inactive, and at each tick;
 * and `take()`, the whole milliseconds counted since it was last called.
 */
export const engagementClock = (): [run: (active: boolean, now: number) => void, take: () => number] => {
  let running = false;
  let since = 0;
  let counted = 0;
  return [
    (active, now) => {
      if (running) counted += Math.min(now - since, STEP_MAX_MS);
      running = active;
      since = now;
    },
    () => {
      const whole = Math.round(counted);
      counted = 0;
      return whole;
    },
  ];
};
