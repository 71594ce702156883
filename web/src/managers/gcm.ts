/**
 * Google's Consent Mode: `data-consent="gcm"`, `data-consent-layer` where the page renamed its dataLayer. Only an
 * `update` is an act of the visitor; the page's `default` is not, whatever it says.
 */

import { safe } from '../safe.ts';
import { stateOf, type Watch } from './watch.ts';

export const gcm: Watch = (say, { consentLayer = 'dataLayer' }) => {
  const layer: any[] = ((window as any)[consentLayer] ||= []);
  let last: unknown;
  const take = (entry: any): void => {
    const storage = entry?.[0] === 'consent' && entry[1] === 'update' && entry[2]?.analytics_storage;
    if (storage) last = storage;
  };
  const tell = (): void => {
    if (!last) return;
    const yes = last === 'granted';
    if (yes) say('granted', { gcm: { analytics_storage: 'granted' } });
    else say(stateOf(false));
  };
  layer.forEach(take);
  tell();
  const { push } = layer;
  layer.push = function (...entries) {
    const length = push.apply(this, entries);
    safe(() => {
      const before = last;
      entries.forEach(take);
      if (last !== before) tell();
    })();
    return length;
  };
};
