/** Holds events until they are worth a request, and once more if the request failed. Bounded; never throws. */

export const FLUSH_AFTER_MS = 1000;
export const BATCH_EVENTS = 20;
/** Queued, in flight and waiting for their second try together. What exceeds it is dropped. */
export const HELD_EVENTS_MAX = 100;

const jitterMs = () => 2000 + Math.random() * 3000;

/**
 * Sends one batch. Resolves to 0 when that is settled, to the milliseconds to wait before the one retry, or to NaN
 * where that is for the queue to choose. Rejects when the network fails.
 */
export type Send<E> = (events: E[], hiding: boolean) => Promise<number>;

export const createQueue = <E>(
  send: Send<E>,
): [push: (event: E) => void, flush: (hiding?: boolean) => void, discard: () => void] => {
  let fresh: E[] = [];
  let failed: E[] = [];
  let held = 0;
  let generation = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const ship = async (batch: E[], hiding: boolean, retry: boolean) => {
    if (!batch.length) return;
    const born = generation;
    let wait = NaN;
    try {
      wait = await send(batch, hiding);
    } catch {
      // The network: worth the retry.
    }
    // Discarded in the meantime: the batch must not come back.
    if (born !== generation) return;
    if (retry && wait !== 0) {
      failed.push(...batch);
      // While the collector is away, fresh events wait with the failed ones.
      clearTimeout(timer);
      timer = setTimeout(flush, wait || jitterMs());
    } else {
      held -= batch.length;
    }
  };

  const flush = (hiding = false) => {
    clearTimeout(timer);
    timer = undefined;
    const second = failed;
    const first = fresh;
    failed = [];
    fresh = [];
    void ship(second, hiding, false);
    void ship(first, hiding, true);
  };

  return [
    (event) => {
      if (held >= HELD_EVENTS_MAX) return;
      held++;
      fresh.push(event);
      if (fresh.length >= BATCH_EVENTS && !failed.length) flush();
      else timer ??= setTimeout(flush, FLUSH_AFTER_MS);
    },
    flush,
    () => {
      generation++;
      held = 0;
      fresh = [];
      failed = [];
      clearTimeout(timer);
      timer = undefined;
    },
  ];
};
