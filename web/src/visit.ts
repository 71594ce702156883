/** A visit ends after 30 minutes without an event, and after 24 hours in any case (the server's salts live no longer). */

export const VISIT_IDLE_MS = 30 * 60_000;
export const VISIT_LENGTH_MAX_MS = 24 * 3_600_000;

export interface Visit {
  id: string;
  started_at: number;
}

/** 128 random bits in hex. Not randomUUID: that is missing on pages served over plain http. */
export const randomId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => (byte + 256).toString(16).slice(1)).join('');

/**
 * The visit that an event at `now` (epoch ms) belongs to, and the line to store for the next one.
 * `stored` is `id started_at last_event_at`; what cannot be read begins a new visit.
 */
export const visitAt = (stored: string | null | undefined, now: number): [Visit, string] => {
  let [id, started, last] = (stored || '').split(' ') as [string, ...number[]];
  // Comparisons with NaN are false, so a damaged record counts as expired.
  if (!(now - last! < VISIT_IDLE_MS && now - started! < VISIT_LENGTH_MAX_MS)) {
    id = randomId();
    started = now;
  }
  return [{ id, started_at: +started! }, `${id} ${started} ${now}`];
};

/** 13 months: no longer than rows are kept unless a site says so. */
const SUBJECT_MS_MAX = 395 * VISIT_LENGTH_MAX_MS;

/** The token to keep: 128 random bits with the time they were drawn; the stored one while it may be used, else a new one. */
export const subjectAt = (stored: string | undefined, now: number): string =>
  // NaN is below nothing: what cannot be read is replaced.
  now - +stored?.split('-')[1]! < SUBJECT_MS_MAX ? stored! : randomId() + '-' + now;
