/**
 * All that the tracker may leave in a visitor's browser: localStorage, under one prefix, and only after consent.
 * The disclosure is generated from STORAGE_KEYS, so a key that is not listed there cannot be written (see StorageKey).
 */

const PREFIX = 'consentry.';
export const CONSENT_KEY = 'consentry.consent';
export const VISIT_KEY = 'consentry.visit';
export const SUBJECT_KEY = 'consentry.subject';

export const STORAGE_KEYS = [
  {
    key: CONSENT_KEY,
    category: 'necessary',
    purpose: 'Remembers that the visitor agreed to analytics, so that the next page need not ask. A refusal is not stored.',
    duration: 'until the visitor withdraws or clears the site data',
  },
  {
    key: VISIT_KEY,
    category: 'analytics',
    purpose: 'A random visit number with the time the visit began and the time of its last event, to count visits.',
    duration: 'replaced after 30 minutes without an event and 24 hours after the visit began; removed on withdrawal',
  },
  {
    key: SUBJECT_KEY,
    category: 'analytics',
    purpose: 'A random token with the time it was made, only where the site offers it: whoever holds it can have the events exported, erased or restricted.',
    duration: 'replaced after 13 months; removed on withdrawal',
  },
] as const;

export type StorageKey = (typeof STORAGE_KEYS)[number]['key'];

// Where the browser forbids localStorage, the choice holds for this page alone.
let store: Partial<Record<string, string>> = {};
try {
  store = localStorage || store;
} catch {
  // The object above it is.
}

export const read = (key: StorageKey): string | undefined => store[key];

export const write = (key: StorageKey, value: string): void => {
  store[key] = value;
};

/** Removes by prefix, so that keys of an older version of the tracker go too. */
export const forget = (): void => {
  for (const key of Object.keys(store)) if (key.startsWith(PREFIX)) delete store[key];
};
