/** One POST of text/plain, which needs no preflight: a beacon while the page goes away, else fetch. */

export const RETRY_AFTER_MAX_S = 30;
/** Browsers refuse more than 64 KiB of keepalive bodies in flight. */
const KEEPALIVE_CHARS_MAX = 60_000;

/** Milliseconds to wait before a retry, 0 for none, NaN for the queue's choice. A missing Retry-After is null. */
export const retryWaitMs = (status: number, retryAfter: string | null): number => {
  if (status !== 429 && status !== 503) return 0;
  const seconds = parseInt(retryAfter!);
  // A collector that asks for more time than a visitor is likely to stay loses the batch.
  return seconds > RETRY_AFTER_MAX_S ? 0 : seconds * 1000 || NaN;
};

export const post = async (endpoint: string, body: string, hiding: boolean): Promise<number> => {
  // A string is sent as text/plain by both. A beacon is refused when too much is under way.
  if (hiding && navigator.sendBeacon?.(endpoint, body)) return 0;
  const answer = await fetch(endpoint, {
    method: 'POST',
    body,
    credentials: 'include',
    keepalive: body.length < KEEPALIVE_CHARS_MAX,
  });
  return retryWaitMs(answer.status, answer.headers.get('retry-after'));
};
