/**
 * Google's Consent Mode: `data-consent="gcm"`, `data-consent-layer` where the page renamed its dataLayer. Only an
 * `update` is an act of the visitor; the page's `default` is not, whatever it says.
 */

import { safe } from '../safe.ts';
import type { Watch } from './watch.ts';

export const gcm: Watch = (say, { consentLayer = 'dataLayer' }) => {
  const layer: any[] = ((window as any)[consentLayer] ||= []);
  const take = safe((entries: any[]) => {
    let last: unknown;
    for (const entry of entries) {
      if (entry?.[0] === 'consent' && entry[1] === 'update') last = entry[2]?.analytics_storage || last;
    }
    if (last === 'granted') say('granted', { gcm: { analytics_storage: 'granted' } });
    else if (last) say('denied');
  });
  take(layer);
  const { push } = layer;
  layer.push = function (...entries) {
    const length = push.apply(this, entries);
    take(entries);
    return length;
  };
};
