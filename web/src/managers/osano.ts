/** Osano: `data-consent="osano"`, its category ANALYTICS. */

import { heed, retry, stateOf, type Watch } from './watch.ts';

export const osano: Watch = (say) => {
  // Without an answer there is no consent object.
  const hear = heed(say, (consent: any) => say(stateOf(consent?.ANALYTICS === 'ACCEPT', consent?.ANALYTICS)));
  retry(() => {
    const { cm } = window.Osano;
    cm.addEventListener('osano-cm-consent-saved', hear);
    // Called at once if that has been.
    cm.addEventListener('osano-cm-initialized', hear);
  });
};
